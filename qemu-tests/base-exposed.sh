# Prints each running service that listens to the network and that systemd judges more exposed than medium (over 5.0 of
# 10; systemd-analyze(1)).
set -e
ss -Htulnp | grep -o 'pid=[0-9]*' | cut -d= -f2 | sort -u | while read -r pid; do
    sed -n 's|^0::.*/\([^/]*[.]service\).*|\1|p' "/proc/$pid/cgroup"
done | sort -u | while read -r unit; do
    case $unit in
        # A login has its service's sandbox: what sshd may not do, no administrator could do over ssh.
        ssh.service | ssh@*.service) continue ;;
    esac
    systemd-analyze security --no-pager --threshold=50 "$unit" >/run/exposed || tail -1 /run/exposed
done
