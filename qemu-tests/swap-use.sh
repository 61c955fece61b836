# Gives a process less memory than it fills, and says whether it lived.
set -eu
before=$(awk '$1 == "pswpout" { print $2 }' /proc/vmstat)
systemd-run --quiet --wait --pipe -p MemoryMax=40M -p MemorySwapMax=infinity -p TimeoutSec=100 \
    bash -c "head -c 60000000 /dev/zero | tail -c 60000000 | wc -c" || echo "killed"
after=$(awk '$1 == "pswpout" { print $2 }' /proc/vmstat)
[ "$after" -gt "$before" ] && echo "swapped" || echo "not swapped"
