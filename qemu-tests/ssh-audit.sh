# What ssh-audit finds fault with in the server at TO and PORT, a line each; "nothing" when there is no fault.
# Exit status 127 when it did not get to an opinion.
set -u
# Without its test of how many connections it gets at once: that is the firewall's business, and costs a minute.
told=$(ssh-audit --skip-rate-test --no-colors --batch --timeout 30 --port "$PORT" "$TO" 2>&1 </dev/null)
status=$?
# ssh-audit(1): 0 good, 2 warnings, 3 failures; everything else is its own trouble.
case $status in 0 | 2 | 3) ;; *) echo "$told" >&2; exit 127 ;; esac
# All four kinds of algorithms must have been looked at: a report without them is not one.
for kind in kex key enc mac; do
    [[ $told == *"($kind) "* ]] || { echo "$told" >&2; exit 127; }
done
while IFS= read -r line; do
    [[ $line != *'[fail]'* && $line != *'[warn]'* ]] || echo "$line"
done <<<"$told"
[ "$status" != 0 ] || echo "nothing"
