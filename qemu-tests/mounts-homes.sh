# What files in a home can do. Says what is not so, and "all tried" at the end.
home=$(getent passwd "$PERSON" | cut -d: -f6)
place=$(mktemp -d "$home/mounts.XXXXXX") || exit 1
chmod 0755 "$place"
cd / || exit 1
install -m 4755 /usr/bin/id "$place/id"
became=$(runuser -u "$PERSON" -- "$place/id" -un 2>/dev/null)
case $PROGRAMS in
    true) [ "$became" = "$PERSON" ] || echo "a setuid program in a home ran as '$became'" ;;
    *) [ -z "$became" ] || echo "a program in a home ran, as $became" ;;
esac
mknod "$place/zero" c 1 5 || exit 1
[ "$(head -c 4 "$place/zero" 2>/dev/null | wc -c)" = 0 ] || echo "a device file in a home is a device"
rm -r "$place"
echo "all tried"
