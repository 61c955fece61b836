# The files of the repository, without locks, by name and content; with BEFORE, what of that is not there any more.
python3 - <<'PY'
import hashlib, os, pathlib

top = pathlib.Path("/lab/store")
files = sorted(path for path in top.rglob("*") if path.is_file() and path.parent.name != "locks")
lines = [f"{path.relative_to(top)} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files]
before = os.environ.get("BEFORE")
if before is None:
    print("\n".join(lines))
else:
    gone = [line for line in before.split("\n") if line not in lines]
    print("\n".join(gone) or "all there")
PY
