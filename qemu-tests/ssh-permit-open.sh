# Asks the server to forward a connection to each of OPEN, to the port above it, and to a host that is not among them.
# Says what is not as it should be, and "all tried" at the end.
set -u
told=$(mktemp) || exit 1
# What is forwarded comes from standard input, where this script is.
through() {
    timeout 60 ssh -F none -b "$FROM" -p "$PORT" -l "$NAME" -i "$SSH_KEY" -o BatchMode=yes -o IdentitiesOnly=yes \
        -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -W "$1" "$TO" </dev/null 2>"$told"
}
refused() {
    local said
    said=$(through "$1")
    [ -z "$said" ] || echo "$1 answers: $said"
    [[ $(<"$told") == *'administratively prohibited'* ]] || echo "$1 is not refused: $(cat "$told")"
}
for one in $OPEN; do
    host=${one%:*} port=${one##*:}
    every=$port
    [ "$port" != '*' ] || port=80
    # A service that is only just starting answers a moment later.
    for try in {1..20}; do
        said=$(through "$host:$port")
        [[ $said != "here is "* ]] || break
        sleep 1
    done
    [[ $said == "here is "* ]] || echo "$one is not forwarded: $(cat "$told")"
    [ "$every" = '*' ] || refused "$host:$((port + 1))"
done
refused other.lab.test:80
echo "all tried"
