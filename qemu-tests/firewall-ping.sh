# Whether TO, and TO6 if that is one, answer echo requests (RFC 792, RFC 4443); and with MANY, what comes of a hundred
# within half a second.
set -euo pipefail
asked() {
    local told
    told=$(nmap -n -sn -PE --disable-arp-ping --max-rtt-timeout 3s -oG - "$@")
    # What did not ask has no answer to tell of.
    [[ $told == *"1 IP address"* ]] || { echo "$told" >&2; exit 1; }
    if [[ $told == *"Status: Up"* ]]; then echo "answered"; else echo "silent"; fi
}
asked "$TO"
[ -z "$TO6" ] || echo "$(asked -6 "$TO6") over IPv6"
[ -n "$MANY" ] || exit 0
told=$(nping --icmp -c 100 --rate 200 -q "$TO")
[[ $told =~ Rcvd:\ ([0-9]+) ]] || { echo "$told" >&2; exit 1; }
# Twenty in advance and ten a second; the answers may take some seconds.
if ((BASH_REMATCH[1] >= 10 && BASH_REMATCH[1] <= 70)); then echo "some of many answered"; else echo "${BASH_REMATCH[1]} of 100 answered"; fi
