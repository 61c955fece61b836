# PROTOCOL PORT of every port of ADDRESS that answers. SCAN is tcp (all ports), udp (the 1,000 most used), or named
# (those in PORTS, a list of "tcp PORT").
set -euo pipefail
family=()
[[ $ADDRESS != *:* ]] || family=(-6)
case $SCAN in
    tcp) scan=(-sS -p- --min-rate 4000 --max-retries 1) ;;
    udp) scan=(-sU --top-ports 1000 --min-rate 1000 --max-retries 1) ;;
    named)
        ports=
        for word in $PORTS; do [[ $word == tcp ]] || ports+=${ports:+,}$word; done
        [ -n "$ports" ] || exit 0
        scan=(-sS -p "$ports" --max-retries 5)
        ;;
esac
told=$(nmap "${family[@]}" -n -Pn --disable-arp-ping -T4 --max-rtt-timeout 1500ms "${scan[@]}" -oG - "$ADDRESS")
# A scan that did not reach the machine has found nothing, and proves nothing.
[[ $told == *"1 IP address (1 host up)"* ]] || { echo "$told" >&2; exit 1; }
while IFS= read -r line; do
    [[ $line == *"Ports: "* ]] || continue
    line=${line#*Ports: }
    line=${line%%$'\t'*}
    IFS=, read -ra entries <<<"$line"
    for entry in "${entries[@]}"; do
        IFS=/ read -r port state protocol _ <<<"${entry# }"
        [ "$state" != open ] || echo "$protocol $port"
    done
done <<<"$told"
