# PROTOCOL PORT of every socket that something on the network can reach, from the kernel itself (proc_net(5)):
# TCP sockets that listen (state 0A), UDP sockets without a peer (07); not those bound to loopback.
for protocol in tcp tcp6 udp udp6; do
    table=/proc/net/$protocol
    [ -r "$table" ] || continue
    case $protocol in tcp*) wanted=0A ;; *) wanted=07 ;; esac
    while read -r _ local _ state _; do
        [ "$state" = "$wanted" ] || continue
        # Each 32-bit word is in the host's order: 127.0.0.1 is 0100007F.
        case ${local%:*} in
            ??????7F | 00000000000000000000000001000000 | 0000000000000000FFFF0000??????7F) continue ;;
        esac
        echo "${protocol%6} $((16#${local##*:}))"
    done <"$table"
done | sort -u
