# Takes of what WHAT says, Mem or Swap, until LEFT percent of it are left, and holds that. Says how much is left then, or with
# WARNING and CRITICAL what a plugin of Nagios is to make of it: 0, 1 or 2.
set -eu
hold='
    my ($what, $least) = (shift, eval shift);
    # The machine has to go on.
    $least = 2.5 if $least < 2.5;
    sub left {
        open my $meminfo, "<", "/proc/meminfo" or die "meminfo: $!";
        my %of = map { /^(\w+):\s+(\d+)/ } <$meminfo>;
        100 * ($what eq "Mem" ? $of{MemAvailable} / $of{MemTotal} : $of{SwapFree} / $of{SwapTotal});
    }
    # Rather this than what is looked at, where it is too much: what starts it is spared.
    open my $adjust, ">", "/proc/self/oom_score_adj" or die "oom_score_adj: $!";
    print $adjust 1000;
    close $adjust;
    my @held;
    while (left() > $least) {
        push @held, "";
        vec($held[-1], (1 << 19) - 1, 8) = 1;
        # mlock, by its number on amd64: what is swapped out is no memory in use.
        $what eq "Swap" or syscall(149, $held[-1], 1 << 19) == 0 or die "mlock: $!";
    }
    $| = 1;
    printf "%.1f\n", left();
    sleep;
'
# Nor is it to go for the sake of what starts by itself. On this copy only.
[ "$WHAT" = Swap ] || systemctl mask --runtime --now apt-daily.service apt-daily-upgrade.service >/dev/null 2>&1 || :
# What has little memory takes swap, however much memory the machine has.
within=()
[ "$WHAT" = Mem ] || within=(systemd-run --quiet --scope -p MemoryMax=24M -p MemorySwapMax=infinity)
read -r left < <("${within[@]}" perl -e "$hold" "$WHAT" "$LEFT")
if [ -n "${WARNING-}" ]; then
    awk "BEGIN { print ($left <= $CRITICAL ? 2 : $left <= $WARNING ? 1 : 0) }"
else
    echo "$left"
fi
