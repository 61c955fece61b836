# Knocks TIMES times as somebody who does not exist. That the last ones find the door shut is what is hoped for; that
# the first one finds it open is what makes this a proof.
set -uo pipefail
for ((time = 1; time <= TIMES; time++)); do
    told=$(ssh -F none -T -p "$PORT" -b "$FROM" -l "guest$time" -o BatchMode=yes -o StrictHostKeyChecking=no \
        -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectTimeout=20 "$TO" true 2>&1)
    echo "$time: $told"
    if [ "$time" = 1 ] && [[ $told != *"Permission denied"* ]]; then
        echo "the first try was not refused by the server" >&2
        exit 1
    fi
done
