# Has fail2ban run an action that tries to break out, and prints what came of it.
set -e
until fail2ban-client ping >/dev/null; do sleep 1; done
# A home that everybody may look into: what keeps fail2ban out is its sandbox.
install -d -m 0755 /home/escape
echo secret >/home/escape/file
chmod 0644 /home/escape/file
cat >/etc/fail2ban/action.d/escape.conf <<'END'
[Definition]
actionban = echo ran >/run/fail2ban/action
            touch /etc/escaped || true
            touch /usr/escaped || true
            cat /home/escape/file >/run/fail2ban/homes || true
            grep CapBnd /proc/self/status >/run/fail2ban/rights
actionunban = true
END
cat >/etc/fail2ban/jail.d/escape.conf <<'END'
[escape]
enabled = true
filter = sshd
banaction = escape
action = escape
journalmatch = _SYSTEMD_UNIT=nothing.service
END
fail2ban-client reload >&2
fail2ban-client set escape banip 192.0.2.77 >&2
for _ in $(seq 60); do
    [ ! -s /run/fail2ban/rights ] || break
    sleep 1
done
[ "$(cat /run/fail2ban/action)" = ran ] && echo 'the action ran'
for path in /etc/escaped /usr/escaped; do
    [ ! -e "$path" ] || echo "it wrote $path"
done
[ ! -s /run/fail2ban/homes ] || echo 'it looked into homes'
rights=$((16#$(awk '{ print $2 }' /run/fail2ban/rights)))
# CAP_DAC_READ_SEARCH is 2, CAP_NET_ADMIN 12 (capabilities(7)).
if [ $((rights & ~(1 << 2 | 1 << 12))) = 0 ]; then
    echo 'no more rights than CAP_DAC_READ_SEARCH and CAP_NET_ADMIN'
else
    printf 'rights: %x\n' "$rights"
fi
