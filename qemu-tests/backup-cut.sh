# Begins to send a snapshot and hangs up. On this copy only.
set -u
timeout 60 ssh -F none -p "$PORT" -l root -i /var/lib/backup/id_ed25519 -o IdentitiesOnly=yes -o BatchMode=yes \
    -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "$HOST" \
    'rsync --server -logDtpAXHrRe.iLsfxCIvu --numeric-ids . snapshot/' </dev/null >/dev/null 2>&1
# rsync's word for a connection that broke off, and not ssh's.
[ $? = 12 ] && echo "cut off"
