# Brings the load average of MINUTES (5 or 15), for each processor, between FROM and TO, and keeps it from falling below FROM.
# What it sets to work for that takes no processor: processes that wait as others do for a disk, each for the next, to which
# it has lent its memory (vfork(2)).
set -eu
case $MINUTES in
    5) field=2 rounds=10 ;;
    15) field=3 rounds=30 ;;
esac
# The process group of those that wait.
waiting=/run/waiting
hold() {
    [ ! -e "$waiting" ] || kill -KILL -- "-$(cat "$waiting")" || :
    rm -f "$waiting"
    [ "$1" -gt 0 ] || return 0
    # Perl has no word for vfork: its number on amd64.
    setsid perl -e 'syscall 58 for 1 .. shift; sleep' "$1" >/dev/null 2>&1 &
    echo $! >"$waiting"
    disown
}
while :; do
    # The kernel counts every five seconds: so many that a sixth of the way is gone each time, and nothing is overshot.
    read -r there many < <(awk -v field="$field" -v rounds="$rounds" -v processors="$(nproc --all)" "{
        from = $FROM; to = $TO; now = \$field / processors
        there = now >= from && now <= to
        wanted = there ? from : now + ((from + to) / 2 - now) * rounds
        many = wanted * processors
        # More than a unit may have would not start: with fewer it takes longer.
        print there, int(many > 600 ? 600 : many > 0 ? many : 0)
    }" /proc/loadavg)
    hold "$many"
    [ "$there" = 0 ] || break
    sleep 5
done
cat /proc/loadavg
