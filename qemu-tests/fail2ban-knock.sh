# Whether PORT of TO answers somebody at FROM, over TCP and over UDP.
exec python3 - "$FROM" "$TO" "$PORT" <<'PYTHON'
import socket
import sys

source, to, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
for name, kind in (("tcp", socket.SOCK_STREAM), ("udp", socket.SOCK_DGRAM)):
    answer = b""
    with socket.socket(socket.AF_INET, kind) as one:
        one.settimeout(8)
        one.bind((source, 0))
        try:
            one.connect((to, port))
            if kind == socket.SOCK_DGRAM:
                one.send(b"?")
            answer = one.recv(99)
        except OSError as error:
            print(f"{name}: {error}", file=sys.stderr)
    print(name, "open" if answer.startswith(b"here") else "shut")
PYTHON
