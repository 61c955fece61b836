# Lets a log become too large with as many older ones as may be kept, and says what is left.
log=/var/log/audit/audit.log
# auditd would count on by itself, not look at the file.
systemctl stop auditd.service
for ((number = 1; number < FILES; number++)); do
    [ -e "$log.$number" ] || install -m 0440 -g adm /dev/null "$log.$number"
    truncate -s "$SIZE" "$log.$number"
done
truncate -s $((SIZE - 64)) "$log"
systemctl start auditd.service || echo "auditd does not start"
for _ in {1..60}; do
    auditctl -m "one record more" >/dev/null
    [ "$(stat -c %s "$log")" -ge $((SIZE / 2)) ] || break
    sleep 1
done
[ "$(stat -c %s "$log")" -lt "$SIZE" ] || echo "the log grows beyond its size: $(stat -c %s "$log")"
count=$(find /var/log/audit -type f | wc -l)
[ "$count" -le "$FILES" ] || echo "$count logs, at most $FILES wanted"
[ "$(stat -c %s "$log.1")" -ge $((SIZE - 64)) ] || echo "what was recorded last is not kept"
echo "within bounds"
