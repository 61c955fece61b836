# Logs in as NAME, from FROM, to TO and PORT, and asks the server to serve files. Says what comes of it.
set -u
client() {
    timeout 60 ssh -n -F none -T -b "$FROM" -p "$PORT" -l "$NAME" -i "$SSH_KEY" -o BatchMode=yes -o IdentitiesOnly=yes \
        -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "$@"
}
# Who cannot log in is refused everything.
[ "$(client "$TO" 'echo in')" = in ] || { echo "there was no session" >&2; exit 1; }
told=$(client -s "$TO" sftp 2>&1)
if [[ $told == *"subsystem request failed"* ]]; then
    echo "refused"
else
    echo "not refused: $told"
fi
