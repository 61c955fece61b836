# Puts more old files into the journal than it may hold. Says what is not so, and "within bounds" at the end.
directory=/var/log/journal/$(cat /etc/machine-id)
free() { df -B1 --output=avail "$directory" | tail -n 1; }
used() { du --block-size=1 --summarize "$directory" | cut -f1; }
logger --tag journal-old old
journalctl --sync && journalctl --rotate
old=$(find "$directory" -name 'system@*.journal' | head -n 1)
[ -n "$old" ] || { echo "nothing was rotated"; exit 1; }
size=$(stat -c '%b * %B' "$old")
size=$((size))
for ((number = 1; $(used) < MOST + MOST / 4 && $(free) > size * 3; number++)); do
    # The name says which file is older: system@ID-NUMBER-TIME.journal.
    cp --sparse=never "$old" "$(printf '%s/system@%032x-%016x-%016x.journal' "$directory" 1 "$number" "$number")" || break
done
filled=$(used)
[ "$filled" -gt "$MOST" ] || [ "$(free)" -lt "$FREE" ] || echo "the journal could not be filled: $filled"
logger --tag journal-newest newest
journalctl --sync && journalctl --rotate
[ "$(used)" -le "$MOST" ] || echo "the journal takes $(used), at most $MOST wanted"
[ "$(free)" -ge $((FREE - size)) ] || echo "$(free) are free, at least $FREE wanted"
[ "$(journalctl -q -t journal-newest -o cat)" = newest ] || echo "the newest message is gone"
echo "within bounds"
