# Prints the path of every packaged file whose content is not what its package ships, as far as dpkg knows a checksum: modes
# and owners it does not keep. What the plan leaves out may be missing.
set -f

matches() {
    local path=$1 pattern
    shift
    for pattern; do
        # A star of `case` goes over `/`, as dpkg's does.
        # shellcheck disable=SC2254
        case $path in $pattern) return 0 ;; esac
    done
    return 1
}

# The last field is the path; the fields before it say what differs, as rpm -V does.
dpkg --verify | while read -r line; do
    path=/${line#*/}
    if [[ $line == missing* ]] && matches "$path" $EXCLUDED && ! matches "$path" $INCLUDED; then
        continue
    fi
    printf '%s\n' "$path"
done
