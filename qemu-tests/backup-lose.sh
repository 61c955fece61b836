# Backs up, changes, backs up again, loses everything and brings it back: as it was last, and as it was before. All of it
# is in AT; what is in LEFT_OUT, if there is that, is not to be in the backup. Prints differences, and how many snapshots
# there are.
set -e
if [ -n "$LEFT_OUT" ]; then
    mkdir -p "$LEFT_OUT"
    echo "left out" >"$LEFT_OUT/of-the-lab"
fi
mkdir -p "$AT/data/deep" "$AT/data/empty"
head -c 300000 /dev/urandom >"$AT/data/deep/file"
echo unchanged >"$AT/data/deep/other"
echo odd >"$AT/data/with a space"
ln -s deep/file "$AT/data/link"
ln "$AT/data/deep/other" "$AT/data/hard"
chown 1000:33 "$AT/data/deep/file" && chmod 4750 "$AT/data/deep/file"
chown 33:1000 "$AT/data/empty" && chmod 3771 "$AT/data/empty"
touch -d '2020-02-02 02:02:02' "$AT/data/deep/file"
seen() { (cd "$1" && find data -printf '%p %y %m %U %G %n %l\n' | sort && find data -type f -printf '%p %T@\n' | sort && find data -type f -print0 | sort -z | xargs -0 sha256sum); }
seen "$AT" >/root/first
systemctl start backup.service
sleep 2
head -c 100000 /dev/urandom >>"$AT/data/deep/file"
chmod 0640 "$AT/data/deep/file"
seen "$AT" >/root/second
systemctl start backup.service
rm -rf "$AT/data"
backup restore latest "$AT/data"
seen "$AT" | diff /root/second -
backup restore "$(backup list | head -n 1)" "$AT/data/deep" "$AT/data/empty" "$AT/data/link" "$AT/data/hard" "$AT/data/with a space" --to /root/before
seen "/root/before$AT" | diff /root/first -
if [ -n "$LEFT_OUT" ] && backup restore latest "$LEFT_OUT/of-the-lab" --to /root/left-out 2>/dev/null; then
    find /root/left-out -name of-the-lab
fi
backup list | wc -l
