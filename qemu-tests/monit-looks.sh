# Waits until Monit has looked LOOKS times more.
set -u
seen=-1 last=''
while [ "$seen" -lt "$LOOKS" ]; do
    now=$(monit -B status "$(hostname)" 2>/dev/null | grep -m 1 'data collected')
    [ -z "$now" ] || [ "$now" = "$last" ] || seen=$((seen + 1)) last=$now
    sleep 1
done
