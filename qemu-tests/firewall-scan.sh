# PROTOCOL PORT of every port of ADDRESS that answers. SCAN is tcp (all ports), udp (the 1,000 most used), or named
# (those in PORTS, a list of "tcp PORT").
set -euo pipefail
family=()
[[ $ADDRESS != *:* ]] || family=(-6)
case $SCAN in
    tcp) scan=(-sS -p- --max-retries 1) rates="4000 2000 1000 500" ;;
    udp) scan=(-sU --top-ports 1000 --max-retries 1) rates="1000 500 250 125" ;;
    named)
        ports=
        for word in $PORTS; do [[ $word == tcp ]] || ports+=${ports:+,}$word; done
        [ -n "$ports" ] || exit 0
        scan=(-sS -p "$ports" --max-retries 5) rates="100 50 25"
        ;;
esac

# Packets that the machine was too busy to take from its wire (proc_pid_net(5)).
lost() {
    local card counts lost=0
    while read -r card counts; do
        read -ra counts <<<"$counts"
        if [[ $card == *: && $card != lo: ]]; then lost=$((lost + counts[11])); fi
    done </proc/net/dev
    echo "$lost"
}

# A port whose packets were lost is not known to be shut: then all is done once more, slower.
for rate in $rates; do
    before=$(lost)
    told=$(nmap "${family[@]}" -n -Pn --disable-arp-ping -T4 --max-rtt-timeout 1500ms --min-rate "$rate" --max-rate "$rate" \
        "${scan[@]}" -oG - "$ADDRESS")
    missing=$(($(lost) - before))
    [ "$missing" != 0 ] || break
    echo "at $rate packets a second the machine lost $missing" >&2
done
[ "$missing" = 0 ] || exit 77
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
