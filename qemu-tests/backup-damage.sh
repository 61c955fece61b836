# Changes four bytes in the largest file of data; prints which twelfth of the data it is in.
python3 - <<'PY'
import pathlib

pack = max(pathlib.Path("/lab/store/data").rglob("??*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
with pack.open("r+b") as file:
    file.seek(100)
    was = file.read(4)
    file.seek(100)
    file.write(bytes(byte ^ 255 for byte in was))
print(int(pack.name[:2], 16) % 12)
PY
