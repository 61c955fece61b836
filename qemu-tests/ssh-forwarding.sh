# Tries what a client may ask to be forwarded, over one connection, and says of each whether the server let it pass.
set -u
work=$(mktemp -d) || exit 1
trap 'kill "${SSH_AGENT_PID-}" 2>/dev/null; client -O exit 2>/dev/null' EXIT
client() {
    timeout 60 ssh -n -F none -S "$work/control" -b "$FROM" -p "$PORT" -l "$NAME" -i "$SSH_KEY" -o BatchMode=yes \
        -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "$@" "$TO"
}
# An agent is asked for only where there is one, and by the connection's first client.
eval "$(ssh-agent -s)" >/dev/null
client -A -M -f -N || { echo "there was no session" >&2; exit 1; }

# A direct connection of the client's (-L): the server's own port, which greets.
greeting=$(client -W "$TO:$PORT" </dev/null 2>"$work/told" | head -c 4)
if [ "$greeting" = SSH- ]; then
    echo "local: open"
elif [ -s "$work/told" ]; then
    echo "local: shut"
else
    echo "local: nothing was said"
fi

# A port of the server's that leads to the client (-R).
if client -O forward -R 0:127.0.0.1:9 >"$work/port" 2>&1; then
    echo "remote: open"
else
    echo "remote: shut"
fi

# A socket of the server's that leads to the client.
if client -O forward -R "/tmp/goldcast-forwarded:127.0.0.1:9" >/dev/null 2>&1; then
    echo "socket: open"
else
    echo "socket: shut"
fi

# The client's agent.
client -A -T -o RemoteCommand='echo "agent: ${SSH_AUTH_SOCK:-shut}"' >"$work/agent"
read -r agent <"$work/agent"
case $agent in
    "agent: /"*) echo "agent: open" ;;
    *) echo "$agent" ;;
esac
