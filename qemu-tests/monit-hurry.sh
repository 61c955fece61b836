# Has Monit look every 30 seconds where the recipe's INTERVAL is more than can be waited for.
set -e
[ "$INTERVAL" -gt 30 ] || exit 0
sed -i 's/^set daemon .*/set daemon 30/' /etc/monit/monitrc
monit reload >/dev/null
# It reads its files anew after it has finished the look that it is at, and makes its socket after that.
for _ in {1..90}; do
    ! journalctl -b -u monit.service -o cat | grep -q '^Reinitializing' || ! monit -B summary >/dev/null 2>&1 || exit 0
    sleep 1
done
echo "Monit did not read its files anew" >&2
exit 1
