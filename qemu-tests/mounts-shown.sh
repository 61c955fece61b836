# What findmnt(8) shows, and that the directories still serve everybody. Says what is not so, and "all looked at".
cd / || exit 1
look() {
    local directory=$1 option shown
    shift
    shown=$(findmnt -n -o OPTIONS --mountpoint "$directory") || { echo "$directory is no mount of its own"; return; }
    for option; do
        [[ ,$shown, == *,$option,* ]] || echo "$directory is mounted without $option"
    done
}
everybody() {
    local file
    file=$(runuser -u "$PERSON" -- mktemp "$1/shown.XXXXXX") || { echo "$PERSON cannot write to $1"; return; }
    runuser -u nobody -- rm -f "$file" 2>/dev/null
    [ -e "$file" ] || echo "somebody else's file in $1 can be deleted"
    rm -f "$file"
}
if [ "$TMP" != leave ]; then
    look /tmp nosuid nodev noexec
    everybody /tmp
    [ "$(findmnt -n -o FSTYPE --mountpoint /tmp)" = tmpfs ] || echo "/tmp is not in memory"
    read -r _ memory _ < <(grep MemTotal /proc/meminfo)
    space=$(df --output=size /tmp | tail -n 1)
    # Whole pages, and what the kernel keeps for itself.
    percent=$((space * 100 / memory))
    [ "$percent" -ge $((SHARE - 2)) ] && [ "$percent" -le $((SHARE + 2)) ] || echo "/tmp may fill $percent percent of the memory"
fi
if [ "$VAR_TMP" != leave ]; then look /var/tmp nosuid nodev noexec; everybody /var/tmp; fi
if [ "$SHM" != leave ]; then look /dev/shm nosuid nodev noexec; everybody /dev/shm; fi
if [ "$HOMES" != leave ]; then
    look /home nosuid nodev
    [ "$PROGRAMS" = true ] || look /home noexec
fi
echo "all looked at"
