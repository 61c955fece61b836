# PROTOCOL PORT of every socket that something on the network can reach.
# Not listed: loopback, and the DHCP clients of systemd-networkd, which the kernel shows as unconnected UDP sockets
# bound to one interface on the client ports (68, 546) and which take nothing but answers.
ss -Hlntup | while read -r protocol _ _ _ local _ process; do
    address=${local%:*}
    port=${local##*:}
    case $address in 127.* | '[::1]' | '[::1]%'* | *%lo) continue ;; esac
    case $protocol/$port/$process in udp/68/*systemd-network* | udp/546/*systemd-network*) continue ;; esac
    echo "$protocol $port"
done | sort -u
