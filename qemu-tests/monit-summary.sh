# Each thing that Monit watches and that is not well, as "NAME: STATUS"; the number of those that are.
set -eo pipefail
# A look every INTERVAL seconds may be more than can be waited for: woken, Monit looks at once.
[ "$INTERVAL" -le 60 ] || { monit >/dev/null && sleep 5; }
summary() {
    monit -B summary | awk '
        NR > 2 && NF > 2 {
            status = ""
            for (word = 2; word < NF; word++) status = status (word > 2 ? " " : "") $word
            sub(/ Remote$/, "", status)
            if (status == "OK") well++; else print $1 ": " status
        }
        END { print (well > 5 ? "well: many" : "well: " well + 0) }'
}
# Where a machine is slow the load of its boot is in the average of five minutes for some minutes more.
for _ in {1..50}; do
    found=$(summary)
    [ "$found" = "$(hostname): Resource limit matched"$'\n'"well: many" ] || break
    sleep 5
done
echo "$found"
