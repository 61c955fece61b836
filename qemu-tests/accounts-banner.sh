# What sshd at TO and PORT says to somebody who comes with a key, before it lets them in.
set -u
# The notice is the server's first word on its side of the line of errors.
told=$(ssh -n -T -F none -b "$FROM" -p "$PORT" -l "$NAME" -i "$SSH_KEY" -o BatchMode=yes -o IdentitiesOnly=yes \
    -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=INFO "$TO" true 2>&1) || { echo "$told" >&2; exit 1; }
while IFS= read -r line; do
    [[ $line == 'Warning: Permanently added '* ]] || echo "${line%$'\r'}"
done <<<"$told"
