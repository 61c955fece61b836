# Starts a program where everybody may write. Says where it ran, and "all tried" at the end.
set -u
directories=()
[ "$TMP" = leave ] || directories+=(/tmp)
[ "$VAR_TMP" = leave ] || directories+=(/var/tmp)
[ "$SHM" = leave ] || directories+=(/dev/shm)
cd / || exit 1
try() {
    local directory=$1 program=$2 what=$3
    [ "$("$program" ran 2>/dev/null)" != ran ] || echo "root ran a $what in $directory"
    [ "$(runuser -u "$PERSON" -- "$program" ran 2>/dev/null)" != ran ] || echo "$PERSON ran a $what in $directory"
}
script() { printf '#!/bin/sh\necho ran\n'; }
# That these are programs is seen where programs may run.
install -m 0755 /usr/bin/echo /usr/local/bin/goldcast-echo
install -m 0755 <(script) /usr/local/bin/goldcast-script
for program in goldcast-echo goldcast-script; do
    [ "$(runuser -u "$PERSON" -- "/usr/local/bin/$program" ran)" = ran ] || { echo "$program runs nowhere"; exit 1; }
done
for directory in "${directories[@]}"; do
    place=$(mktemp -d "$directory/programs.XXXXXX") && chmod 0755 "$place" || exit 1
    cp -p /usr/local/bin/goldcast-echo /usr/local/bin/goldcast-script "$place/" || exit 1
    try "$directory" "$place/goldcast-echo" program
    # A script with a first line that names its interpreter is a program too.
    try "$directory" "$place/goldcast-script" script
    rm -r "$place"
done
rm /usr/local/bin/goldcast-echo /usr/local/bin/goldcast-script
echo "all tried"
