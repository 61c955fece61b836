# Starts UNIT anew while the machine has no address but loopback's, and says whether something listens on PORT at those of
# LISTEN, and nowhere else. The machine gets its addresses again.
systemctl stop systemd-networkd.socket systemd-networkd.service || exit
for card in /sys/class/net/*; do
    [ "${card##*/}" = lo ] || ip address flush dev "${card##*/}" scope global || exit
done
systemctl restart "$UNIT" || exit
# One word for all addresses; a socket for each beside that would be in the way of it.
[[ $LISTEN != *'*'* ]] || LISTEN="0.0.0.0 ::"
wanted=$(printf '%s\n' $LISTEN | sort)
for ((tries = 0; tries < 60; tries++)); do
    found=$(ss -Hltn "sport = :$PORT" | awk '{ print $4 }' | sed 's/:[0-9]*$//; s/[][]//g' | sort)
    [ "$found" != "$wanted" ] || break
    sleep 1
done
systemctl start systemd-networkd.service
if ((tries < 60)); then echo "as told"; else echo "it listens at ${found:-no address}, wanted $wanted"; fi
