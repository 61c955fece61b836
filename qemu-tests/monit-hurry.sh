# Has Monit look every EVERY seconds, on this copy only, where the recipe's INTERVAL is longer. With RELAY it sends its
# letters to the lab's mail server in the clear: that has no certificate that this machine could trust.
set -e
[ "$INTERVAL" -gt "$EVERY" ] || [ -n "$RELAY" ] || exit 0
if [ -n "$RELAY" ]; then
    # By the recipe's port: others may be shut to what goes out. The lab's server speaks in the clear at each.
    port=$(sed -n 's/^set mailserver [^ ]* port \([0-9]*\).*/\1/p' /run/monit/mailserver)
    # Where letters take their time, one that was given up too early comes twice.
    echo "set mailserver $RELAY port $port with timeout 60 seconds" >/run/monit/mailserver
fi
[ "$INTERVAL" -le "$EVERY" ] || sed -i "s/^set daemon .*/set daemon $EVERY/" /etc/monit/monitrc
monit reload >/dev/null
# It reads its files anew after it has finished the look that it is at, and makes its socket after that.
for _ in {1..90}; do
    ! journalctl -b -u monit.service -o cat | grep -q '^Reinitializing' || ! monit -B summary >/dev/null 2>&1 || exit 0
    sleep 1
done
echo "Monit did not read its files anew" >&2
exit 1
