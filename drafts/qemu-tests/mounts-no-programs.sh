# Starts a program where everybody may write. Says where it ran, and "all tried" at the end.
directories=()
[ "$TMP" = leave ] || directories+=(/tmp)
[ "$VAR_TMP" = leave ] || directories+=(/var/tmp)
[ "$SHM" = leave ] || directories+=(/dev/shm)
cd / || exit 1
# That it is a program is seen where programs may run.
install -m 0755 /usr/bin/echo /usr/local/bin/goldcast-echo && runs=$(/usr/local/bin/goldcast-echo ran)
rm -f /usr/local/bin/goldcast-echo
[ "$runs" = ran ] || { echo "a copy of echo does not run anywhere"; exit 1; }
for directory in "${directories[@]}"; do
    program=$(runuser -u "$PERSON" -- mktemp "$directory/program.XXXXXX") || exit 1
    cat /usr/bin/echo >"$program"
    runuser -u "$PERSON" -- chmod 0755 "$program"
    [ "$("$program" ran 2>/dev/null)" != ran ] || echo "root ran a program in $directory"
    [ "$(runuser -u "$PERSON" -- "$program" ran 2>/dev/null)" != ran ] || echo "$PERSON ran a program in $directory"
    # A script with a first line that names its interpreter is a program too.
    printf '#!/bin/sh\necho ran\n' >"$program"
    [ "$("$program" 2>/dev/null)" != ran ] || echo "root ran a script in $directory"
    rm -f "$program"
done
echo "all tried"
