# What somebody who has broken in would try with the key of the backups, beside what it is for. Says what worked, and "all
# tried" at the end.
set -u
client=(timeout 60 ssh -n -F none -p "$PORT" -l root -i /var/lib/backup/id_ed25519 -o IdentitiesOnly=yes -o BatchMode=yes
    -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR)
backup restic init >/dev/null || echo "the key does not even do what it is for"
told=$("${client[@]}" "$HOST" 'echo a shell >&2; echo a shell' 2>&1 | tr -d '\0')
[[ $told != *'a shell'* ]] || echo "there is a shell"
told=$("${client[@]}" -tt "$HOST" 2>&1 | tr -d '\0')
[[ $told == *'PTY allocation request failed'* ]] || echo "there is a terminal: $told"
told=$("${client[@]}" -W "127.0.0.1:$PORT" "$HOST" 2>&1 | head -c 60 | tr -d '\0')
[[ $told != SSH-* ]] || echo "a port is forwarded"
echo "all tried"
