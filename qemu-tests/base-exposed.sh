# Prints each running service that listens to the network and that systemd judges more exposed than medium (over 5.0 of
# 10; systemd-analyze(1)), and whatever it cannot judge.
set -e
listening=$(ss -Htulnp)
for pid in $(grep -o 'pid=[0-9]*' <<<"$listening" | cut -d= -f2 | sort -u); do
    # Who has ended meanwhile listens no more.
    sed -n 's|^0::.*/\([^/]*[.]service\).*|\1|p' "/proc/$pid/cgroup" 2>/dev/null || true
done | sort -u | while read -r unit; do
    case $unit in
        # A login has its service's sandbox: what sshd may not do, no administrator could do over ssh.
        ssh.service | ssh@*.service) continue ;;
    esac
    judged=$(systemd-analyze security --no-pager --threshold=50 "$unit" 2>&1) || echo "$unit: ${judged##*$'\n'}"
done
