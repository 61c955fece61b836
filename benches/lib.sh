# shellcheck shell=bash disable=SC2034,SC2154  # the variables that benches/run and its parts share
# What every measurement needs: times, medians, ratios with their spread, targets, and the file of results.
#
# Samples are kept as lines `storage round tool case seconds` in $samples; everything that is printed is computed
# from them. The same numbers go to $results as JSON, one object a line.

say() { printf '%s\n' "$*" >&2; }
die() { # status, message
    local status=$1
    shift
    say "benches/run: $*"
    exit "$status"
}

# Text as a JSON string: what a program says may hold quotes, backslashes and control characters.
json_text() {
    local text=${1//\\/\\\\}
    text=${text//\"/\\\"}
    text=${text//[[:cntrl:]]/ }
    printf '"%s"' "$text"
}
result() { printf '{%s}\n' "$1" >>"$results"; }

# Runs a command, its output to a log, and records its wall time under a tool and a case. What earlier runs left in
# memory for the disk is written first, so that nobody waits for another's bytes.
timed() { # tool, case, command
    local tool=$1 case=$2 log=$directory/logs/$1-$2.log start end seconds
    shift 2
    sync -f "$directory"
    start=$EPOCHREALTIME
    if ! "$@" >"$log" 2>&1 </dev/null; then
        say "  $tool, $case: failed"
        tail -n 20 "$log" >&2
        return 1
    fi
    end=$EPOCHREALTIME
    seconds=$(awk -v a="$start" -v b="$end" 'BEGIN { printf "%.3f", b - a }')
    printf '%s\t%s\t%s\t%s\t%s\n' "$storage" "$round" "$tool" "$case" "$seconds" >>"$samples"
    result "\"kind\":\"sample\",\"storage\":\"$storage\",\"round\":$round,\"tool\":\"$tool\",\"case\":\"$case\",\"seconds\":$seconds"
    say "  $tool, $case: $seconds s"
}

# Records that something could not be measured, and why: it is printed in the table's place.
could_not() { # tool, case, reason
    printf '%s\t%s\t%s\t%s\n' "$storage" "$1" "$2" "$3" >>"$failures"
    result "\"kind\":\"could-not-run\",\"storage\":\"$storage\",\"tool\":\"$1\",\"case\":\"$2\",\"reason\":$(json_text "$3")"
    say "  $1, $2: could not run: $3"
}
reason() { awk -F '\t' -v s="$storage" -v t="$1" -v c="$2" '$1 == s && $2 == t && $3 == c { print $4; exit }' "$failures"; }

# "median lowest highest count" of a tool's case on this storage; nothing when there is no sample.
summary() { # tool, case
    awk -F '\t' -v s="$storage" -v t="$1" -v c="$2" '$1 == s && $3 == t && $4 == c { print $5 }' "$samples" | sort -n |
        awk '{ v[NR] = $1 }
            END { if (NR) printf "%.3f %.3f %.3f %d\n", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2, v[1], v[NR], NR }'
}

# "ratio lowest highest pairs": the ratio of the two medians, and the lowest and highest ratio within one round.
ratio() { # tool a, case a, tool b, case b
    local a b
    a=$(summary "$1" "$2")
    b=$(summary "$3" "$4")
    [ -n "$a" ] && [ -n "$b" ] || return 0
    awk -F '\t' -v s="$storage" -v ta="$1" -v ca="$2" -v tb="$3" -v cb="$4" -v ma="${a%% *}" -v mb="${b%% *}" '
        $1 == s && $3 == ta && $4 == ca { a[$2] = $5 }
        $1 == s && $3 == tb && $4 == cb { b[$2] = $5 }
        END {
            for (round in a) if (round in b) {
                r = a[round] / b[round]
                if (!n++ || r < low) low = r
                if (n == 1 || r > high) high = r
            }
            if (n) printf "%.4f %.4f %.4f %d\n", ma / mb, low, high, n
        }' "$samples"
}

# One line of a table: a name, the median with its spread, and what follows.
row() { # name, tool, case, rest
    local median low high
    read -r median low high _ <<<"$(summary "$2" "$3")"
    printf '     %-46s %8.2f s  (%.2f to %.2f)  %s\n' "$1" "$median" "$low" "$high" "$4"
}

# Holds a ratio (or any figure) against its target, prints the verdict and records it.
verdict() { # comparison, what, value, low, high, at most
    local met=false word='NOT MET'
    if awk -v v="$3" -v t="$6" 'BEGIN { exit !(v <= t) }'; then
        met=true word=met
    fi
    awk -v what="$2" -v v="$3" -v low="$4" -v high="$5" -v target="$6" -v word="$word" '
        function short(n) { return sprintf(n < 100 ? "%.3g" : "%.0f", n) }
        BEGIN { printf "     %s: %s (%s to %s), target at most %s: %s\n", what, short(v), short(low), short(high), target, word }'
    result "\"kind\":\"verdict\",\"storage\":\"$storage\",\"comparison\":\"$1\",\"what\":$(json_text "$2"),\"value\":$3,\"low\":$4,\"high\":$5,\"target\":$6,\"met\":$met"
}

# Removes what may belong to ids of a user namespace, as goldcast's working directories do without root.
erase() { rm -rf -- "$@" 2>/dev/null || unshare --map-root-user --map-auto rm -rf -- "$@"; }
