# Tries on each partition, given as MOUNT:BYTES:OPTIONS, what its options forbid. Says what is not so, and "all tried" at
# the end. Programs are started from where they lie: not everybody may enter every directory above.
has() { [[ ,$options, == *,$1,* ]]; }
for entry in $PARTITIONS; do
    IFS=: read -r mount _ options <<<"$entry"
    place=$(mktemp -d "$mount/options.XXXXXX") && chmod 0755 "$place" && cd "$place" || exit 1
    mknod zero c 1 5 && chmod 0644 zero || exit 1
    read=$(head -c 4 zero 2>/dev/null | wc -c)
    if has nodev; then [ "$read" = 0 ] || echo "a device file on $mount is a device"
    else [ "$read" = 4 ] || echo "a device file on $mount is none"; fi
    install -m 0755 /usr/bin/echo echo && install -m 4755 /usr/bin/id id || exit 1
    ran=$(./echo ran 2>/dev/null)
    became=$(setpriv --reuid=65534 --regid=65534 --clear-groups -- ./id -u 2>/dev/null)
    if has noexec; then
        [ -z "$ran$became" ] || echo "a program on $mount started"
    else
        [ "$ran" = ran ] || echo "no program on $mount starts"
        if has nosuid; then [ "$became" = 65534 ] || echo "a setuid program on $mount ran as '$became'"
        else [ "$became" = 0 ] || echo "a setuid program on $mount ran as '$became', not as root"; fi
    fi
    cd / && rm -r "$place"
done
echo "all tried"
