# Compares, changes a program, and compares again. Says what is not told or told too often, and "all done" at the end.
told=0
# The warnings of the comparisons since the last call.
compare() {
    systemctl start integrity-check.service || echo "the comparison failed"
    journalctl --sync
    local all
    all=$(journalctl -q -b -u integrity-check.service -p warning -o cat)
    tail -n "+$((told + 1))" <<<"$all"
    told=$([ -z "$all" ] && echo 0 || wc -l <<<"$all")
}
said=$(compare)
told=$(journalctl -q -b -u integrity-check.service -p warning -o cat | wc -l)
[ -z "$said" ] || printf 'nothing was changed, and this is told:\n%s\n' "$said"

# One byte, and the time as it was.
touch -r /usr/bin/tac /run/time-of-tac
printf '\x00' | dd of=/usr/bin/tac bs=1 seek=$(($(stat -c %s /usr/bin/tac) - 1)) conv=notrunc status=none
printf 'x' | dd of=/usr/bin/tac bs=1 seek=$(($(stat -c %s /usr/bin/tac) - 1)) conv=notrunc status=none
touch -r /run/time-of-tac /usr/bin/tac
said=$(compare)
told=$(journalctl -q -b -u integrity-check.service -p warning -o cat | wc -l)
grep -qF /usr/bin/tac <<<"$said" || echo "a changed program is not told"
grep -qF /usr/bin/tail <<<"$said" && echo "a program that did not change is told"
said=$(compare)
[ -z "$said" ] || printf 'this is told twice:\n%s\n' "$said"
echo "all done"
