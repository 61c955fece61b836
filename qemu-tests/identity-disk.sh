# What the disk is like; when it was told before, only what has changed since.
part=$(findmnt -no SOURCE /)
disk=/dev/$(lsblk -dno PKNAME "$part")
sectors=$(blockdev --getsz "$disk")
number() { dd if="$disk" bs=1 skip="$1" count=8 status=none | od -An -tu8 | tr -d ' '; }
told() {
    # Free for others is the last MiB at most: the backup table's 33 sectors, and what alignment takes.
    end=$(($(cat "/sys/class/block/${part##*/}/start") + $(cat "/sys/class/block/${part##*/}/size")))
    [ $((sectors - end)) -le 4096 ] && echo "partition: to the end" || echo "partition: $((sectors - end)) sectors too short"
    read -r blocks size < <(stat -f -c '%b %S' /)
    # A percent or two of a filesystem is its own.
    [ $((blocks * size / 512)) -ge $(($(cat "/sys/class/block/${part##*/}/size") / 100 * 95)) ] && echo "filesystem: fills the disk" || echo "filesystem: $((blocks * size)) bytes"
    [ "$(tail -c 512 "$disk" | head -c 8)" = "EFI PART" ] && echo "backup table: at the end" || echo "backup table: elsewhere"
    # UEFI 2.10, 5.3.2: the primary header's AlternateLBA.
    [ "$(number $((512 + 32)))" = $((sectors - 1)) ] && echo "named there: yes" || echo "named there: no"
    echo "size: $((sectors / 2097152)) GiB"
}
state() {
    told
    { head -c 1048576 "$disk"; tail -c 1048576 "$disk"; } | sha256sum
    cat /etc/machine-id /etc/hostname /etc/ssh/ssh_host_*.pub 2>/dev/null
    dumpe2fs -h "$part" 2>/dev/null | grep -E '^(Block count|Inode count|Filesystem UUID)'
}
if [ -e /var/tmp/disk-before ]; then
    state | diff /var/tmp/disk-before - && echo "unchanged"
else
    state >/var/tmp/disk-before
    told
fi
