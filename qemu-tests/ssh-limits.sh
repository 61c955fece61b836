# How long and how often somebody may try: TRIES wrong keys, and GRACE seconds. Says what is not so, and "all tried" at the end.
set -u
work=$(mktemp -d) || exit 1
for ((n = 1; n <= TRIES; n++)); do
    ssh-keygen -q -t ed25519 -N '' -C '' -f "$work/wrong$n" || exit 1
done

# Somebody who connects and says nothing more than a client must.
exec 3<>"/dev/tcp/$TO/$PORT" || exit 1
begun=$EPOCHREALTIME
printf 'SSH-2.0-silent\r\n' >&3
read -r -t 60 greeting <&3 || { echo "there was no greeting" >&2; exit 1; }
[[ $greeting == SSH-* ]] || { echo "the greeting was $greeting" >&2; exit 1; }

# With this many wrong keys in front of it, is the right one still taken?
behind() {
    local keys=() n
    for ((n = 1; n <= $1; n++)); do keys+=(-i "$work/wrong$n"); done
    timeout 60 ssh -n -F none -T -b "$FROM" -p "$PORT" -l "$NAME" "${keys[@]}" -i "$SSH_KEY" -o BatchMode=yes \
        -o IdentitiesOnly=yes -o IdentityAgent=none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
        -o LogLevel=ERROR "$TO" 'echo in' 2>&1
}
told=$(behind $((TRIES - 1)))
[ "$told" = in ] || echo "the right key as try $TRIES: $told"
told=$(behind "$TRIES")
[[ $told == *"Too many authentication failures"* ]] || echo "the right key as try $((TRIES + 1)): $told"

# What is left on the line is the server's list of algorithms; its end is what is waited for.
timeout $((GRACE + 20)) cat <&3 >/dev/null
[ $? != 124 ] || { echo "a silent client is still connected after $((GRACE + 20)) s"; }
took=$(((${EPOCHREALTIME/./} - ${begun/./}) / 1000000))
((took >= GRACE - 5)) || echo "a silent client was cut off after $took s, wanted $GRACE s"
echo "all tried"
