# The lab's mail server has no certificate that this machine could trust: it is spoken to in the clear, on this copy
# only, and Monit looks more often.
set -e
# Where letters take their time, one that was given up too early comes twice.
# By the recipe's port, where the lab's server speaks in the clear there: others may be shut to what goes out.
port=$(sed -n 's/.* port \([0-9]*\).*/\1/p' /run/monit/mailserver 2>/dev/null || true)
[ "$port" = 587 ] || port=25
echo "set mailserver $RELAY port $port with timeout 60 seconds" >/run/monit/mailserver
sed -i 's/^set daemon .*/set daemon 5/' /etc/monit/monitrc
monit reload >/dev/null
# Monit reads its files anew after it has finished the look that it is at, and makes its socket after that.
for _ in {1..90}; do
    ! journalctl -b -u monit.service -o cat | grep -q '^Reinitializing' || ! monit -B summary 2>/dev/null || exit 0
    sleep 1
done
echo "Monit did not read its files anew" >&2
exit 1
