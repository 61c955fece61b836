# What must be each machine's own, a line each; fails while one of them is missing.
set -eu
say() { [ -n "${2-}" ] || { echo "there is no $1" >&2; exit 1; }; printf '%s %s\n' "$1" "$2"; }
say machine-id "$(cat /etc/machine-id)"
say stored-machine-id "$(mountpoint -q /etc/machine-id && echo "" || cat /etc/machine-id)"
say random-seed "$(sha256sum /var/lib/systemd/random-seed | cut -c1-64)"
if command -v sshd >/dev/null; then
    say host-key "$(ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub)"
fi
if [ "$DHCP" = true ]; then
    say dhcp-client "$(sed -n 's/^CLIENTID=//p' /run/systemd/netif/leases/* 2>/dev/null)"
fi
if [ "$NAMED_BY" = machine-id ]; then
    say name "$(hostname)"
    say name-in-hosts "$(grep '^127\.0\.1\.1' /etc/hosts)"
fi
