# What sshd at TO and PORT says to NAME, who comes with a key, before it lets them in.
set -u
told=$(ssh -n -T -F none -b "$FROM" -p "$PORT" -l "$NAME" -i "$SSH_KEY" -o BatchMode=yes -o IdentitiesOnly=yes \
    -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=INFO "$TO" true 2>&1) ||
    { echo "$told" >&2; exit 1; }
# The client's own word, at the level at which it passes on the server's. What is not ASCII it writes in octal.
while IFS= read -r line; do
    [[ $line == 'Warning: Permanently added '* ]] || printf '%b\n' "${line%$'\r'}"
done <<<"$told"
