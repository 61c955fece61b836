# shellcheck shell=bash disable=SC2034,SC2154  # the variables that benches/run and its parts share
# The tables of one storage, from the samples.

product_of() {
    case $1 in
    mmdebstrap) echo "tar of the tree" ;;
    *) echo "raw disk, BIOS + UEFI" ;;
    esac
}
# "0.47 (0.45 to 0.49)" of two tools' cases.
shown() {
    local line
    line=$(ratio "$@")
    [ -z "$line" ] || awk '{ printf "%.2f (%.2f to %.2f)", $1, $2, $3 }' <<<"$line"
}
judged() { # comparison, what, at most, tool a, case a, tool b, case b
    local line value low high
    line=$(ratio "$4" "$5" "$6" "$7")
    if [ -z "$line" ]; then
        printf '     %s: could not be measured\n' "$2"
        return
    fi
    read -r value low high _ <<<"$line"
    verdict "$1" "$2" "$value" "$low" "$high" "$3"
}

report() {
    local packages filesystem cpu
    packages=$(grep -c '^\[\[package\]\]' "$directory/recipes/bench.lock")
    filesystem=$(findmnt -n -o FSTYPE --target "$directory")
    cpu=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | sed -n 1p)
    printf '\nOn %s (%s): %s, %d packages, %d rounds, %d processors (%s), load before %s, Linux %s\n' "$storage" "$filesystem" \
        "$(ours_version)" "$packages" "$pairs" "$(nproc)" "$cpu" "$load" "$(uname -r)"
    printf 'Seconds are medians with the lowest and highest; ratios are of medians, with those within one round.\n'
    result "\"kind\":\"machine\",\"storage\":\"$storage\",\"filesystem\":\"$filesystem\",\"goldcast\":$(json_text "$(ours_version)"),\"packages\":$packages,\"rounds\":$pairs,\"processors\":$(nproc),\"load\":$load,\"processor\":$(json_text "$cpu"),\"kernel\":$(json_text "$(uname -r)")"
    if asked full; then report_full; fi
    if asked option; then report_option; fi
    if asked package; then report_package; fi
    if asked same; then report_same; fi
    if asked ten; then report_ten; fi
    if [ -s "$scratch/cost" ]; then report_cost; fi
    printf '\n'
}

report_full() {
    local name why fastest='' best='' median
    printf '\n  1. A full build, nothing cached but downloads\n'
    row "goldcast: $(product_of goldcast)" goldcast cold "$packages packages"
    for name in ${peers//,/ }; do
        why=$(reason "$name" full)
        if [ -n "$why" ]; then
            printf '     %-46s could not run: %s\n' "$name" "$why"
            continue
        fi
        row "${version[$name]}: $(product_of "$name")" "$name" full \
            "${installed[$name]} packages, goldcast / it: $(shown goldcast cold "$name" full)"
        result "\"kind\":\"peer\",\"storage\":\"$storage\",\"version\":$(json_text "${version[$name]}"),\"packages\":${installed[$name]}"
        median=$(summary "$name" full)
        median=${median%% *}
        if [ -z "$best" ] || awk -v a="$median" -v b="$best" 'BEGIN { exit !(a < b) }'; then
            best=$median fastest=$name
        fi
    done
    [ -z "$fastest" ] || judged full "goldcast / the fastest, $fastest" 0.50 goldcast cold "$fastest" full
    if [ "$storage" = disk ] && [ -n "$(summary mkosi full)" ]; then
        judged full "goldcast / mkosi" 0.35 goldcast cold mkosi full
    fi
}
report_option() {
    local name why
    printf '\n  2. One option changed: the ssh port for goldcast, a file in the tree for its peers\n'
    row "goldcast" goldcast option ""
    for name in mkosi vmdb2; do
        [[ ,$peers, == *",$name,"* ]] || continue
        why=$(reason "$name" full)
        [ -n "$why" ] || why=$(reason "$name" incremental)
        if [ -n "$why" ]; then
            printf '     %-46s could not run: %s\n' "$name" "$why"
            continue
        fi
        row "${version[$name]}, incremental" "$name" incremental \
            "goldcast / it: $(shown goldcast option "$name" incremental)"
    done
    [ -z "$(summary mkosi incremental)" ] || judged option "goldcast / mkosi" 0.15 goldcast option mkosi incremental
}
report_package() {
    printf '\n  3. One package added (%s)\n' "${extras[0]}"
    row "goldcast, in the recipe's own list" goldcast package ""
    row "goldcast, in a recipe that extends it" goldcast extended ""
    judged package "in its list, of a cold build" 0.40 goldcast package goldcast cold
    judged package "in one that extends it, of a cold build" 0.40 goldcast extended goldcast cold
}
report_same() {
    printf '\n  4. The same command again, nothing changed\n'
    row "goldcast" goldcast same ""
    judged same "of a cold build" 0.02 goldcast same goldcast cold
}
report_ten() {
    printf '\n  5. Ten recipes that share a base, five of them with one more package each\n'
    row "goldcast, all ten" goldcast ten ""
    judged ten "in cold builds" 3 goldcast ten goldcast cold
}
report_cost() {
    local peak own shared written tree low high
    printf '\n  6. What a cold build takes, the most of %d runs\n' "$(wc -l <"$scratch/cost")"
    peak=$(highest 1) own=$(highest 2) shared=$(highest 3)
    verdict cost "memory in MiB, resident sets of all its processes (without what they share, to with it)" \
        "$(mebibytes "$peak")" "$(mebibytes "$own")" "$(mebibytes "$peak")" 400
    printf '     besides, the most that files in memory (tmpfs) grew on the whole machine: %s MiB\n' "$(mebibytes "$shared")"
    result "\"kind\":\"cost\",\"storage\":\"$storage\",\"resident\":$peak,\"own\":$own,\"tmpfs\":$shared"
    if grep -q ' - ' "$scratch/cost"; then
        printf '     bytes written: could not measure: no block device is known below %s\n' "$directory"
        result "\"kind\":\"could-not-run\",\"storage\":\"$storage\",\"tool\":\"goldcast\",\"case\":\"written\",\"reason\":\"no block device\""
        return
    fi
    tree=$(highest 5) written=$(highest 4) low=$(sort -n -k 4 "$scratch/cost" | awk 'NR == 1 { print $4 }')
    printf '     written: %s MiB for a tree of %s MiB, counted on %s\n' "$(mebibytes "$written")" "$(mebibytes "$tree")" \
        "$whose"
    verdict cost "bytes written in sizes of the tree" "$(quotient "$written" "$tree")" "$(quotient "$low" "$tree")" \
        "$(quotient "$written" "$tree")" 2.5
}
highest() { sort -n -k "$1" "$scratch/cost" | awk -v field="$1" '{ last = $field } END { print last }'; }
mebibytes() { awk -v n="$1" 'BEGIN { printf "%.0f", n / 1048576 }'; }
quotient() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f", a / b }'; }
