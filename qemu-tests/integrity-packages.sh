# Changes a program, another one as a correct update does, and a setting twice, and compares each time. Says what is not told
# or told though it should not be, and "all done" at the end.
set -u
# The warnings since the last call.
compare() {
    systemctl start integrity-check.service || echo "the comparison failed"
    journalctl --sync
    journalctl -q -b -u integrity-check.service -p warning -o cat --cursor-file=/run/told-before
}

printf x >>/usr/bin/tac
# New content, and its checksum beside it, as dpkg leaves them.
sums=/var/lib/dpkg/info/coreutils.md5sums
printf x >>/usr/bin/tail
sed -i "s,^[0-9a-f]*  usr/bin/tail\$,$(md5sum </usr/bin/tail | cut -d ' ' -f 1)  usr/bin/tail," "$sums"
echo '# changed' >>/etc/login.defs
said=$(compare)
grep -qF /usr/bin/tac <<<"$said" || echo "a changed program is not told"
grep -qF /etc/login.defs <<<"$said" || echo "a changed setting is not told"
grep -qF /usr/bin/tail <<<"$said" && echo "a correct update is told"

echo '# changed once more' >>/etc/login.defs
said=$(compare)
grep -qF /etc/login.defs <<<"$said" || echo "a setting that changed once more is not told"
grep -qF /usr/bin/tac <<<"$said" && echo "a changed program is told twice"
echo "all done"
