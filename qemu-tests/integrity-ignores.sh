# Changes what the recipe leaves out (IGNORE), and something else, and compares. Says what is told and should not be, or the
# other way round, and "all done" at the end. DIRECTORIES are those that the recipe adds.
set -u
ignored() {
    local one
    for one in $IGNORE; do [[ $1 != "$one" && $1 != "$one"/* ]] || return 0; done
    return 1
}
# Whether it is among what is compared: not all of that, but where nothing is left out but by the recipe.
compared() {
    local one
    for one in /etc $DIRECTORIES; do [[ $1 != "$one"/* ]] || return 0; done
    return 1
}
# A file at PATH or below it that a package brought: dpkg compares no other.
of_a_package() {
    local one
    dpkg -S "$1" "$1/*" 2>/dev/null | sed 's/^.*: //' | while IFS= read -r one; do
        [ ! -f "$one" ] || { echo "$one"; break; }
    done
}
others=()
for path in $IGNORE; do
    if [ "$ENGINE" = dpkg ]; then
        file=$(of_a_package "$path")
        [ -z "$file" ] || echo '# changed' >>"$file"
        continue
    elif [ -f "$path" ]; then
        echo '# changed' >>"$path"
    else
        mkdir -p "$path" && touch "$path/lab-was-here" || exit 1
    fi
    # A name is not a pattern, and not the beginning of one.
    if compared "$path-lab" && ! ignored "$path-lab"; then
        touch "$path-lab" || exit 1
        others+=("$path-lab")
    fi
done
if ! ignored /etc/login.defs; then
    echo '# changed' >>/etc/login.defs
    others+=(/etc/login.defs)
fi
systemctl start integrity-check.service || echo "the comparison failed"
journalctl --sync
# What dpkg has no more to say of is no change.
said=$(journalctl -q -b -u integrity-check.service -p warning -o cat | grep -v '^no more: ')
# A word of it is the path, or one below.
told() {
    awk -v path="$1" '{ for (i = 1; i <= NF; i++) if ($i == path || index($i, path "/") == 1) found = 1 } END { exit !found }' <<<"$said"
}
for path in $IGNORE; do
    told "$path" && echo "$path is to be left out, and a change there is told"
done
for path in "${others[@]}"; do
    told "$path" || echo "$path is not to be left out, and its change is not told"
done
echo "all done"
