# Reads from device files where everybody may write. Says where that went well, and "all tried" at the end.
directories=()
[ "$TMP" = leave ] || directories+=(/tmp)
[ "$VAR_TMP" = leave ] || directories+=(/var/tmp)
[ "$SHM" = leave ] || directories+=(/dev/shm)
for directory in "${directories[@]}"; do
    place=$(mktemp -d "$directory/devices.XXXXXX") || exit 1
    mknod "$place/zero" c 1 5 || exit 1
    [ "$(head -c 4 "$place/zero" 2>/dev/null | wc -c)" = 0 ] || echo "a device file in $directory is a device"
    rm -r "$place"
done
echo "all tried"
