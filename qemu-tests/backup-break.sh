# What somebody who has broken in would try on the host that keeps the backups. Says what worked, and "all tried" at the
# end. KEPT is a file in the last snapshot.
set -u
client=(timeout 60 ssh -n -F none -p "$PORT" -l root -i /var/lib/backup/id_ed25519 -o IdentitiesOnly=yes -o BatchMode=yes
    -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR)
# The receiver's own exit status: a broken connection, 255, would hide an open door.
refused() {
    local told status
    told=$("${client[@]}" "$@" 2>/dev/null)
    status=$?
    [ "$status:$told" = 1: ] || echo "${*: -1}: $told (exit status $status)"
}
refused "$HOST"
refused "$HOST" id
refused "$HOST" 'list; id'
refused "$HOST" 'rm -rf /lab/store/snapshots'
refused "$HOST" 'rsync --server --daemon .'
refused "$HOST" 'rsync --server -logDtpre.iLsfxCIvu --numeric-ids . snapshots/'
refused "$HOST" 'rsync --server -logDtpre.iLsfxCIvu --numeric-ids . snapshot/../snapshots/'
refused "$HOST" 'rsync --server -logDtpre.iLsfxCIvu --delete --numeric-ids . snapshot/'
refused "$HOST" 'rsync --server -logDtpre.iLsfxCIvu --numeric-ids --inplace . snapshot/'
refused "$HOST" 'rsync --server --sender -logDtpre.iLsfxCIvu --numeric-ids . /etc/'
refused "$HOST" 'rsync --server --sender -logDtpre.iLsfxCIvu --numeric-ids --files-from=- --from0 . ../'
refused -s "$HOST" sftp
told=$("${client[@]}" -tt "$HOST" 2>&1)
[[ $told == *'PTY allocation request failed'* ]] || echo "there is a terminal: $told"
told=$("${client[@]}" -W "127.0.0.1:$PORT" "$HOST" 2>&1 | head -c 60 | tr -d '\0')
[[ $told != SSH-* ]] || echo "a port is forwarded"
# Files outside of the snapshots, by the way that is open, and one that may be read.
printf '../../../hostkey\0/lab/hostkey\0%s\0' "$KEPT" | rsync --archive --acls --xattrs --hard-links --recursive --numeric-ids --from0 --files-from=- \
    --rsh="ssh -F none -p $PORT -l root -i /var/lib/backup/id_ed25519 -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR" \
    "$HOST:latest/" /root/stolen >/dev/null 2>&1
[ "$(cat "/root/stolen$KEPT")" = kept ] || echo "not even what may be read came"
[ -z "$(find /root/stolen -name hostkey 2>/dev/null)" ] || echo "a file outside of the snapshots was read"
# An empty snapshot, and what would delete by its absence.
mkdir -p /root/nothing && cd /root/nothing
sleep 1
rsync --archive --acls --xattrs --hard-links --recursive --relative --numeric-ids \
    --rsh="ssh -F none -p $PORT -l root -i /var/lib/backup/id_ed25519 -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR" \
    . "$HOST:snapshot/" || echo "an empty snapshot was refused"
echo "all tried"
