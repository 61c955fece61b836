# Snapshots of AT, of many days, a run, and what is left: differences to DAYS, WEEKS and MONTHS as they are counted here, and
# what is not used any more and still there.
set -e
backup restic init >/dev/null
for age in 400 200 80 45 38 31 24 17 10 9 6 2; do
    at=$(date -u -d "-$age days" '+%F %T')
    # Something of its own in each.
    head -c 200000 /dev/urandom >"$AT/own"
    backup restic backup --quiet --group-by '' --time "$at" "$AT/own"
done
systemctl start backup.service
now=$(date +%s)
declare -A seen
weeks=0 months=0 wanted=()
for age in 0 2 6 9 10 17 24 31 38 45 80 200 400; do
    day=$(date -u -d "@$((now - age * 86400))" +%F)
    keep=no
    [ $age -ge "$DAYS" ] || keep=yes
    week=$(date -u -d "$day" +%G-%V) month=${day:0:7}
    if [ -z "${seen[$week]-}" ] && [ $weeks -lt "$WEEKS" ]; then seen[$week]=yes weeks=$((weeks + 1)) keep=yes; fi
    if [ -z "${seen[$month]-}" ] && [ $months -lt "$MONTHS" ]; then seen[$month]=yes months=$((months + 1)) keep=yes; fi
    [ $keep = no ] || wanted+=("${day//-/}")
done
diff <(printf '%s\n' "${wanted[@]}" | sort) <(backup list | cut -c 1-8) || true
backup restic prune --dry-run | grep '^to delete:'
