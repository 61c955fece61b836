# Looks through all that is in STORE for what only the machine may read: PLAIN, in hex, of a file's content, a file's name
# and a line of /etc/passwd. "searched" says that what is no secret was found.
python3 - <<'PY'
import os, pathlib

secret = {"a file's content": bytes.fromhex(os.environ["PLAIN"]), "a file's name": b"with a space", "/etc/passwd": b"root:x:0:0"}
stored = [path.read_bytes() for path in pathlib.Path(os.environ["STORE"]).rglob("*") if path.is_file()]
if any(b'"scrypt"' in data for data in stored) and sum(map(len, stored)) > 400000:
    print("searched")
for what, words in secret.items():
    if any(words in data for data in stored):
        print(what, "can be read")
PY
