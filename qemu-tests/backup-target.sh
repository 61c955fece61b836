# The host that keeps backups, as an administrator sets it up: RECEIVER is the script, LINE the key's line. Programs of
# the tools tree have one account only, so that it is root here; what the key may do, the line says.
set -e
printf '%s\n' "$RECEIVER" >/lab/receiver
chmod 0755 /lab/receiver
printf '%s\n' "$LINE" >/lab/authorized_keys
[ -e /lab/hostkey ] || ssh-keygen -q -t ed25519 -N '' -C '' -f /lab/hostkey
mkdir -p -m 0755 /run/sshd
exec /usr/sbin/sshd -D -e -f /dev/null -h /lab/hostkey -p "$PORT" -o UsePAM=no -o StrictModes=no -o PidFile=none \
    -o PermitRootLogin=yes -o AuthorizedKeysFile=/lab/authorized_keys -o 'Subsystem=sftp internal-sftp'
