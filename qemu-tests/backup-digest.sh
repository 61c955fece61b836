# "SNAPSHOT DIGEST" of each: names, content, modes, times, links and extended attributes of all that is in it.
set -eu
python3 - <<'PY'
import hashlib, os
top = "/lab/store/snapshots"
for name in sorted(os.listdir(top)):
    digest = hashlib.sha256()
    for path, directories, files in os.walk(os.path.join(top, name)):
        directories.sort()
        for entry in sorted(files) + ["."]:
            at = os.path.join(path, entry)
            stat = os.lstat(at)
            said = [at, stat.st_mode, stat.st_uid, stat.st_gid, stat.st_size if entry != "." else 0, stat.st_mtime_ns]
            said += [(x, os.getxattr(at, x, follow_symlinks=False)) for x in sorted(os.listxattr(at, follow_symlinks=False))]
            digest.update(repr(said).encode())
            if os.path.isfile(at) and not os.path.islink(at):
                digest.update(open(at, "rb").read())
    print(name, digest.hexdigest())
PY
