#!/usr/bin/env bash
# shellcheck disable=SC2016  # a password's hash and the text of a comment are meant as they stand
#
# What each overlay adds to a boot, in instructions: writes overlays/boots.toml, from which the overlays' pages are made.
#
#   benches/boot.sh [OVERLAY...]    all overlays, or these; BOOTS=3 boots of each (the median counts), JOBS=2 at a time
#
# Seconds of an emulated machine say more about the host than about the image. Here the machine's clock follows its
# instructions, a nanosecond for each (`goldcast run --counted`), so the processor time that the kernel accounts to its
# control groups is a number of instructions. What is counted is everything from the start of systemd until nothing is
# left to do, and five seconds more, without goldcast's own agent: a boot that is not the first, since what a machine
# does once (host keys, a database) is no part of the others. The share is of a whole boot of the base alone, kernel and
# ramdisk included. An overlay is compared with the same recipe without it, but with the overlays that it turns on.
set -euo pipefail
cd "$(dirname "$0")/.."
goldcast=$PWD/target/release/goldcast
table=$PWD/overlays/boots.toml
boots=${BOOTS:-3}
jobs=${JOBS:-$(nproc)}
work=$PWD/target/boot
mkdir -p "$work/recipes" "$work/out" "$work/results"
cp -r recipes/base "$work/recipes/"
cd "$work/recipes"

user='[[user]]
name = "admin"
ssh-keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK1BM3wfc0I7G2E4IyDpc28oDDqwnVeiGcAB3MWz4NyI nobody@example"]
password-hash = "$y$j9T$abcdefghijklmnopqrstu/$2pLx0BjhnGmjh7pX4XkLcp1jGZ0VQ.8RJrw8rKZcsv/"'
mail='[overlay.mail]
relay = "192.0.2.1"
admin = "admin@example.org"'

# An overlay with the options that it cannot do without.
options() { # overlay
    case $1 in
        mail) printf '%s\n' "$mail" ;;
        nrpe | node-exporter) printf '[overlay.%s]\nhosts = ["192.0.2.0/24"]\n' "$1" ;;
        backup) printf '[overlay.backup]\nhost = "192.0.2.1"\nhost-key = "ssh-ed25519 %s"\n' \
            AAAAC3NzaC1lZDI1NTE5AAAAIK1BM3wfc0I7G2E4IyDpc28oDDqwnVeiGcAB3MWz4NyI ;;
        recovery) grep -A 4 '^\[overlay.recovery\]' ../../../recipes/debian-13-server.toml ;;
        *) printf '[overlay.%s]\n' "$1" ;;
    esac
}

# The case with an overlay, and the one without it, where what it turns on is still on.
with() { # overlay
    case $1 in
        core | identity) echo base ;;
        login-notice) echo ssh+mail+login-notice ;;
        *) echo "$1" ;;
    esac
}
without() { # overlay
    case $1 in
        core | identity) echo "base-without-$1" ;;
        backup | firewall | mail | ssh | time | updates) echo network ;;
        fail2ban | two-factor) echo ssh ;;
        login-notice) echo ssh+mail ;;
        *) echo base ;;
    esac
}

recipe() { # case: what is on, with plus signs between
    local name=${1//+/-} base=base/debian-13.toml part
    case $1 in
        base-without-*)
            base=base/$1.toml
            awk -v gone="[overlay.${1#base-without-}]" '$0 != gone' base/debian-13.toml >"$base"
            ;;
    esac
    {
        printf 'extends = ["%s"]\n[image]\nname = "%s"\n%s\n' "$base" "$name" "$user"
        case $1 in
            base*) ;;
            *) for part in ${1//+/ }; do options "$part"; done ;;
        esac
    } >"$name.toml"
}

# Builds a case, boots it once as it comes and then, counted, as often as is asked; the median goes to results/CASE as
# "millions of instructions since systemd began, of the whole boot".
measure() { # case
    local name=${1//+/-} state result=$work/results/${1//+/-}
    local log=$work/results/$name.log
    rm -f "$result"
    recipe "$1"
    state=$(mktemp -d "$work/state.XXXXXX")
    # shellcheck disable=SC2064 # the directory of this case
    trap "rm -rf '$state'" RETURN
    {
        "$goldcast" lock "$name.toml" &&
            "$goldcast" build "$name.toml" --no-verify --out "$work/out/$name" &&
            "$goldcast" run "$name.toml" --out "$work/out/$name" --firmware bios --persist "$state" --script "$work/wait.sh"
    } >"$log" 2>&1 || return 1
    for _ in $(seq "$boots"); do
        "$goldcast" run "$name.toml" --out "$work/out/$name" --firmware bios --persist "$state" --counted \
            --script "$work/count.sh" 2>>"$log" || return 1
    done >"$result.boots"
    sort -n "$result.boots" | awk '{ v[NR] = $0 } END { print v[int((NR + 1) / 2)] }' >"$result"
    rm -rf "$work/out/$name"
}

# What the first boot does, some of it in the background, is over then.
cat >"$work/wait.sh" <<'END'
until [ -z "$(systemctl list-jobs --no-legend)" ]; do sleep 1; done
sleep 20
END
cat >"$work/count.sh" <<'END'
set -e
until [ -z "$(systemctl list-jobs --no-legend)" ]; do sleep 1; done
sleep 5
cd /sys/fs/cgroup
used() { [ ! -e "$1/cpu.stat" ] || awk '$1 == "usage_usec" { print $2 }' "$1/cpu.stat"; }
agent=$(used system.slice/goldcast-agent.service)
sum=$(( $(used init.scope) + $(used system.slice) + $(used user.slice) - agent ))
awk -v sum="$sum" -v tick="$(getconf CLK_TCK)" '$1 == "cpu" {
    printf "%d %d\n", sum / 1000, ($2 + $3 + $4 + $7 + $8) * 1000 / tick }' /proc/stat
END

if [ $# -gt 0 ]; then overlays=("$@"); else mapfile -t overlays < <("$goldcast" overlays | awk '{ print $1 }'); fi
cases=(base)
for overlay in "${overlays[@]}"; do
    cases+=("$(without "$overlay")" "$(with "$overlay")")
done
mapfile -t cases < <(printf '%s\n' "${cases[@]}" | awk '!seen[$0]++')

for case in "${cases[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n || true; done
    {
        if measure "$case"; then
            printf '%s: %s\n' "$case" "$(cat "$work/results/${case//+/-}")"
        else
            printf '%s: could not measure:\n%s\n' "$case" "$(tail -n 5 "$work/results/${case//+/-}.log")"
        fi
    } &
done
wait

figure() { # case, field
    cut -d ' ' -f "$2" "$work/results/${1//+/-}" 2>/dev/null
}
base=$(figure base 2)
for overlay in "${overlays[@]}"; do
    a=$(figure "$(without "$overlay")" 1) b=$(figure "$(with "$overlay")" 1)
    if [ -z "$a" ] || [ -z "$b" ] || [ -z "$base" ]; then
        echo "benches/boot.sh: $overlay: could not measure" >&2
        missing=1
        continue
    fi
    echo "$overlay = $((b - a))"
done >"$work/table"
if [ -n "${missing:-}" ]; then exit 1; fi
if [ $# -gt 0 ]; then
    cat "$work/table"
    exit
fi
{
    echo '# Made by `make boots`: millions of instructions that each overlay adds to a boot, beside those of a whole boot of the'
    echo "# base alone; boots of each: $boots, of which the median counts."
    echo
    echo "base = $base"
    echo
    echo '[overlay]'
    cat "$work/table"
} >"$table"
