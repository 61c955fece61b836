# On the host that keeps the backups: snapshots of many days, without anything in them, one of a clock that was ahead among
# them, and, once there is something in /lab/made, what differs from what DAYS, WEEKS and MONTHS ask for as they are counted
# here, after as many runs as NEW says, or "as told".
python3 - <<'PY'
import os, pathlib
from datetime import datetime, timedelta, timezone

DAYS, WEEKS, MONTHS = (int(os.environ[name]) for name in ("DAYS", "WEEKS", "MONTHS"))
NAME = "%Y%m%dT%H%M%SZ"
top, made = pathlib.Path("/lab/store/snapshots"), pathlib.Path("/lab/made")
now = datetime.now(timezone.utc)

if not made.exists():
    ages = {-4000, 2, 6, 9, 10, 17, 24, 31, 38, 45, 80, 200, 400, DAYS - 1, DAYS} - {0}
    names = [(now - timedelta(days=age)).strftime(NAME) for age in ages]
    for name in names:
        (top / name).mkdir(parents=True)
    made.write_text("\n".join(names))
else:
    before = set(made.read_text().split())
    there = {path.name for path in top.iterdir()}
    new = there - before
    wanted, weeks, months = set(), set(), set()
    for name in sorted(before | new, reverse=True):
        at = datetime.strptime(name, NAME).replace(tzinfo=timezone.utc)
        keep = now - at < timedelta(days=DAYS)
        for seen, most, one in (weeks, WEEKS, at.isocalendar()[:2]), (months, MONTHS, (at.year, at.month)):
            if one not in seen and len(seen) < most:
                seen.add(one)
                keep = True
        if keep:
            wanted.add(name)
    wrong = [f"{name} is there" for name in sorted(there - wanted)]
    wrong += [f"{name} is gone" for name in sorted(wanted - there)]
    if len(new) != int(os.environ["NEW"]):
        wrong.append(f"the run made {len(new)} snapshots")
    print("\n".join(wrong) or "as told")
PY
