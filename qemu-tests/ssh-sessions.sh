# Whether SESSIONS commands run over one connection at the same time, and none more. Says what is not so, and "all tried".
set -u
work=$(mktemp -d) || exit 1
trap 'client -O exit "$TO" 2>/dev/null' EXIT
# A client whose session is refused would open a connection of its own; it has no way to.
client() {
    timeout 120 ssh -n -F none -T -S "$work/control" -b "$FROM" -p "$PORT" -l "$NAME" -i "$SSH_KEY" -o BatchMode=yes \
        -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "$@"
}
shared() { client -o ProxyCommand=false "$TO" "$1"; }

client -M -f -N "$TO" || { echo "there was no connection" >&2; exit 1; }
for ((n = 1; n <= SESSIONS; n++)); do
    shared 'echo in; exec sleep 300' >"$work/$n" 2>/dev/null &
done
for ((n = 1; n <= SESSIONS; n++)); do
    for ((seconds = 0; seconds < 60; seconds++)); do
        [ -s "$work/$n" ] && break
        sleep 1
    done
    [ "$(cat "$work/$n")" = in ] || echo "the command $n of $SESSIONS does not run"
done
told=$(shared 'echo in' 2>/dev/null)
[ -z "$told" ] || echo "one more than $SESSIONS runs"
echo "all tried"
