#!/bin/sh
# Prints how many packages are installed in what a peer made, a raw disk or a tar, read without mounting it.
#
#   benches/peers/packages.sh FILE
set -eu
status=var/lib/dpkg/status
case $1 in
*.tar) tar -xOf "$1" "./$status" ;;
*)
    # The root filesystem is on the last partition, whose number is not the same with everybody.
    start=$(sfdisk --dump "$1" | sed -n 's/.*start= *\([0-9]*\),.*/\1/p' | sort -n | tail -n 1)
    debugfs -R "cat /$status" "$1?offset=$((start * 512))" 2>/dev/null
    ;;
esac | grep -c '^Status: install ok installed$'
