#!/bin/sh
# Runs a command with a tree as the root, in a mount namespace of its own: nothing is left mounted behind it.
#
#   benches/peers/inside.sh TREE BENCHES DIR COMMAND…
#
# TREE is / for the host's own programs. BENCHES and DIR are seen at the same places inside, and DIR/tmp is /tmp, so
# that a program's temporary files are on the storage that is measured.
# The root is pivoted, not changed by chroot(2), because mkosi makes namespaces, which a chroot may not.
set -eu
# shellcheck disable=SC2016  # expanded by the inner shell
exec unshare --mount --propagation private -- sh -euc '
    tree=$1 benches=$2 directory=$3
    shift 3
    if [ "$tree" = / ]; then
        tree=$directory/root
        mkdir -p "$tree"
        mount --rbind / "$tree"
    else
        mount --bind "$tree" "$tree"
        for name in dev proc sys; do
            mount --rbind "/$name" "$tree/$name"
        done
        mount -t tmpfs -o mode=0755 tmpfs "$tree/run"
    fi
    mkdir -p "$directory/tmp" "$directory/programs"
    mount --bind "$directory/tmp" "$tree/tmp"
    if [ ! -S /run/udev/control ]; then
        # debos waits for udev to have seen its partitions. Without udev it would wait for ever, and the kernel alone
        # makes their device nodes.
        ln -sf /bin/true "$directory/programs/udevadm"
    elif [ ! -S "$tree/run/udev/control" ]; then
        mkdir "$tree/run/udev"
        mount --bind /run/udev "$tree/run/udev"
    fi
    mkdir -p "$tree$benches" "$tree$directory"
    mount --rbind "$benches" "$tree$benches"
    mount --bind "$directory" "$tree$directory"
    cd "$tree"
    pivot_root . .
    umount -l .
    cd "$directory"
    exec env -i HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
        PATH="$directory/programs":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
' sh "$@"
