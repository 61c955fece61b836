# Puts more old files into the journal than it may hold, on filesystems of two sizes: one on which the journal's own bound
# is reached first, and one on which that is what must stay free. The machine's own may be too small for the one, or too
# large for the other. Before that, files of two ages. Says what is not so, and "within bounds" at the end.
directory=/var/log/journal/$(cat /etc/machine-id)
free() { df -B1 --output=avail "$directory" | tail -n 1; }
used() { du --block-size=1 --summarize "$directory" | cut -f1; }

# on NAME BYTES: a new filesystem of this size in the journal's place. It is sparse, and takes next to nothing.
on() {
    truncate --size "$2" "/var/tmp/journal-$1" || exit 1
    mkfs.ext4 -q -m 0 -F "/var/tmp/journal-$1" || exit 1
    mount -o loop "/var/tmp/journal-$1" /var/log/journal || exit 1
    mkdir "$directory" || exit 1
    chgrp systemd-journal "$directory" && chmod 2755 "$directory" || exit 1
    systemctl restart systemd-journald.service || exit 1
}

# old NAME: `old` is a file that is not written any more.
old() {
    logger --tag journal-old old
    journalctl --sync && journalctl --rotate
    old=$(find "$directory" -name 'system@*.journal' | head -n 1)
    [ -n "$old" ] || { echo "$1: nothing was rotated"; exit 1; }
}

# The name says which file is older: system@ID-NUMBER-TIME.journal. named ID NUMBER MICROSECONDS
named() { printf '%s/system@%032x-%016x-%016x.journal' "$directory" "$@"; }

# ages NAME: of two files, half a day older and newer than KEEP, the first one goes.
ages() {
    old "$1"
    now=$(date +%s)
    goes=$(named 2 1 $(((now - KEEP - 43200) * 1000000)))
    stays=$(named 3 1 $(((now - KEEP + 43200) * 1000000)))
    cp --sparse=always "$old" "$goes" && cp --sparse=always "$old" "$stays" || exit 1
    logger --tag journal-old older
    journalctl --sync && journalctl --rotate
    [ ! -e "$goes" ] || echo "$1: what is older than $KEEP seconds is there"
    [ -e "$stays" ] || echo "$1: what is not as old as $KEEP seconds is gone"
    rm -f "$goes" "$stays"
}

# fill NAME MOST: old files up to this many bytes, or until next to nothing is free.
fill() {
    old "$1"
    one=$(stat -c '%b * %B' "$old")
    # Few and large: of more than a hundred files the oldest go too (journald.conf(5), SystemMaxFiles).
    size=$((one > MOST / 32 ? one : MOST / 32))
    # An hour ago, in microseconds: what is as old as the recipe's `keep` goes whatever its size.
    since=$((($(date +%s) - 3600) * 1000000))
    for ((number = 1; $(used) < $2 && $(free) > size * 3; number++)); do
        copy=$(named 1 "$number" $((since + number)))
        # Space that is taken and not written.
        cp --sparse=always "$old" "$copy" && fallocate --length "$size" "$copy" || break
    done
}

# newest NAME: what is written now is kept, whatever goes.
newest() {
    logger --tag "journal-$1" newest
    journalctl --sync && journalctl --rotate
    [ "$(journalctl -q -t "journal-$1" -o cat)" = newest ] || echo "$1: the newest message is gone"
}

on bound $((MOST * 2 + FREE * 2 + 134217728))
ages bound
fill bound $((MOST + MOST / 4))
[ "$(used)" -gt "$MOST" ] || echo "the journal could not be filled: $(used)"
newest bound
[ "$(used)" -le "$MOST" ] || echo "the journal takes $(used), at most $MOST wanted"

on space $((MOST / 2 + FREE + 134217728))
fill space "$MOST"
[ "$(free)" -lt "$FREE" ] || echo "the filesystem could not be filled: $(free) are free"
newest space
[ "$(free)" -ge $((FREE - one)) ] || echo "$(free) are free, at least $FREE wanted"
echo "within bounds"
