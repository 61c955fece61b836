# Fills each partition, given as MOUNT:BYTES:OPTIONS, to the last block, and writes to all others. Says what is not so,
# and "all filled" at the end.
# What auditd does about a full disk is for its own checks to show: it may stop the machine.
systemctl stop auditd.service 2>/dev/null
mounts=(/)
for entry in $PARTITIONS; do mounts+=("${entry%%:*}"); done
takes() { dd if=/dev/zero of="$1/takes" bs=64K count=4 conv=fsync status=none 2>/dev/null; }
for entry in $PARTITIONS; do
    IFS=: read -r mount bytes _ <<<"$entry"
    number=0
    for ((size = bytes; size >= 4096; size /= 2)); do
        while fallocate -l "$size" "$mount/full.$number" 2>/dev/null; do number=$((number + 1)); done
        rm -f "$mount/full.$number"
    done
    [ "$number" -gt 0 ] || echo "nothing fits on $mount"
    for other in "${mounts[@]}"; do
        if takes "$other"; then
            [ "$other" != "$mount" ] || echo "$mount cannot be filled"
        else
            [ "$other" = "$mount" ] || echo "with $mount full, nothing can be written to $other"
        fi
        rm -f "$other/takes"
    done
    rm -f "$mount"/full.*
done
echo "all filled"
