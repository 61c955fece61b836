# Somebody logs in, and a run of the updates finds that a restart was asked for; with LEAVES another one does after he has
# left. Says for when each plans the restart.
set -u
name=lab-somebody
# seen PATTERN: whether there is such a session.
seen() { loginctl --no-legend list-sessions | grep -q "$1"; }
planned() {
    local what when
    touch /run/reboot-required
    unattended-upgrade >&2
    read -r _ what when < <(busctl get-property org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager ScheduledShutdown)
    [ "$what" = '"reboot"' ] && date --date "@$((when / 1000000))" +%H:%M || echo none
}
useradd --create-home --shell /bin/bash "$name" || exit 1
# On a console of his own, where nobody types a password.
mkdir -p /run/systemd/system/getty@tty2.service.d
cat >/run/systemd/system/getty@tty2.service.d/99-lab.conf <<UNIT
[Service]
ExecStart=
ExecStart=-/sbin/agetty --autologin $name --noreset --noclear - \${TERM}
UNIT
systemctl daemon-reload && systemctl start getty@tty2.service || exit 1
for _ in {1..60}; do
    seen " $name .*tty2" && break
    sleep 1
done
seen " $name .*tty2" || { echo "nobody got in"; exit 1; }
echo "somebody is logged in: $(planned)"
[ -n "${LEAVES-}" ] || exit 0

systemctl --no-block stop getty@tty2.service
loginctl terminate-user "$name"
for _ in {1..60}; do
    seen " $name " || break
    sleep 1
done
echo "nobody is logged in: $(planned)"
