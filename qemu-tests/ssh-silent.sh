# Two logins to TO and PORT as NAME, from FROM: one of a client that answers when it is asked whether it is there, one of
# a client that is stopped for WAIT seconds. Says what became of each.
set -u
work=$(mktemp -d) || exit 1
mkfifo "$work/stopped.in" "$work/awake.in" || exit 1
login() {
    exec ssh -F none -T -b "$FROM" -p "$PORT" -l "$NAME" -i "$SSH_KEY" -o BatchMode=yes -o IdentitiesOnly=yes \
        -o IdentityAgent=none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "$TO" cat \
        <"$work/$1.in" >"$work/$1.out" 2>"$work/$1.err"
}
said() {
    local try
    for try in {1..300}; do
        [[ $(<"$work/$1.out") != *"$2"* ]] || return 0
        sleep 0.1
    done
    return 1
}
login stopped &
stopped=$!
login awake &
awake=$!
exec 3>"$work/stopped.in" 4>"$work/awake.in"
for one in stopped awake; do
    [ $one = stopped ] && echo first >&3 || echo first >&4
    said $one first || { echo "$one did not get in: $(<"$work/$one.err")" >&2; exit 1; }
done
kill -STOP "$stopped"
sleep "$WAIT"
kill -CONT "$stopped"
# The write fails where the client found the end of the connection first.
trap '' PIPE
echo second >&3 2>/dev/null
echo second >&4
exec 3>&- 4>&-
wait "$awake"
[ $? = 0 ] && said awake second && echo "who answers stays" || echo "who answers was cut off: $(<"$work/awake.err")"
wait "$stopped"
status=$?
if [ $status = 255 ] && [[ $(<"$work/stopped.out") != *second* ]]; then
    echo "who does not is cut off"
else
    echo "who does not stays (exit status $status)"
fi
