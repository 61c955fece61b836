# shellcheck shell=bash disable=SC2034,SC2154  # the variables that benches/run and its parts share
# What goldcast costs besides time: memory, and bytes written to storage.

# Watches a process and all its descendants until it ends, and prints "resident own shared", each the highest of its
# samples in bytes. `resident` is the sum of resident sets: a page that several processes map, such as a library's, counts
# once for each. `own` is the same without the pages that are shared or of files (statm in proc(5)): what is mapped
# several times does not count at all, so the truth lies between. `shared` is how much the machine's files in memory
# grew, which are in no process's set. A peak shorter than the 20 ms between samples can hide.
memory_of() { # pid
    local root=$1 page pipe file line pid rest walk resident own shared first=
    local highest=0 highest_own=0 highest_shared=0
    local -A parent=()
    page=$(getconf PAGESIZE)
    exec {pipe}<> <(:)
    while [ -r "/proc/$root/stat" ]; do
        parent=()
        for file in /proc/[0-9]*/stat; do
            { read -r line <"$file"; } 2>/dev/null || continue
            pid=${line%% *}
            # The name, in parentheses, may hold anything: what follows the last one is state, parent, … (proc(5)).
            read -r -a rest <<<"${line##*) }"
            # A process that has ended is not of interest, and the first one ends the watch though not yet waited for.
            if [ "${rest[0]}" = Z ]; then
                [ "$pid" != "$root" ] || break 2
            else
                parent[$pid]=${rest[1]}
            fi
        done
        resident=0 own=0
        for pid in "${!parent[@]}"; do
            walk=$pid
            while [ "$walk" != "$root" ] && [ -n "${parent[$walk]-}" ]; do walk=${parent[$walk]}; done
            [ "$walk" = "$root" ] || continue
            { read -r -a rest <"/proc/$pid/statm"; } 2>/dev/null || continue
            resident=$((resident + rest[1]))
            own=$((own + rest[1] - rest[2]))
        done
        while read -r file line rest; do [ "$file" != Shmem: ] || shared=$line; done </proc/meminfo
        first=${first:-$shared}
        shared=$(((shared - first) * 1024 / page))
        ((resident <= highest)) || highest=$resident
        ((own <= highest_own)) || highest_own=$own
        ((shared <= highest_shared)) || highest_shared=$shared
        read -r -t 0.02 -u "$pipe" || :
    done
    exec {pipe}<&-
    echo "$((highest * page)) $((highest_own * page)) $((highest_shared * page))"
}

# Bytes written so far to a block device, named as "major:minor": field 7 of its stat file, in sectors of 512 bytes
# (the kernel's Documentation/block/stat.rst).
written_to() { awk '{ printf "%.0f\n", $7 * 512 }' "/sys/dev/block/$1/stat"; }

# Prepares storage whose writes can be counted, with a copy of the cache, and sets counted, device and whose.
#
# An ext4 filesystem of its own on a loop device counts this build and nothing else, its journal included. Without
# root or loop devices the device below $directory is taken, and what the rest of the machine writes counts too.
cost_prepare() {
    counted=$directory/counted
    mkdir -p "$counted"
    if [ "$(id -u)" = 0 ] && command -v mkfs.ext4 >/dev/null && loop_filesystem; then
        whose="a filesystem of its own on a loop device"
    else
        whose="all that the machine wrote to the disk meanwhile"
    fi
    device=$(findmnt -n -o MAJ:MIN --target "$counted" | tr -d ' ')
    mkdir "$counted/cache"
    local name
    for name in cas ac trees; do cp -a "$directory/cache/$name" "$counted/cache/"; done
}
loop_filesystem() {
    truncate -s 8G "$directory/counted.img" &&
        mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 "$directory/counted.img" &&
        loop=$(losetup --find --show "$directory/counted.img" 2>/dev/null) &&
        mount "$loop" "$counted"
}
cost_clean() {
    ! mountpoint -q "$directory/counted" || umount "$directory/counted"
    [ -z "$loop" ] || losetup -d "$loop"
    loop=
    rm -rf "$directory/counted" "$directory/counted.img"
}
loop=

# One cold build, watched: prints "resident own shared written tree", in bytes. `written` is - when it is unknown.
cost_once() {
    local before=- written=- pid memory
    forget_results "$counted/cache"
    rm -rf "$counted/out"
    sync
    [ ! -r "/sys/dev/block/$device/stat" ] || before=$(written_to "$device")
    GOLDCAST_CACHE=$counted/cache "$goldcast" build "$directory/recipes/bench.toml" --no-verify --offline --locked \
        --out "$counted/out" >"$directory/logs/cost.log" 2>&1 &
    pid=$!
    memory=$(memory_of "$pid")
    wait "$pid" || return 1
    sync
    [ "$before" = - ] || written=$(($(written_to "$device") - before))
    echo "$memory $written $(ours_tree_size "$directory/logs/cost.log")"
}
