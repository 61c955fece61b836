# Whether each of SOCKETS (tcp/80 udp/53) at TO answers somebody at FROM.
exec python3 - "$FROM" "$TO" $SOCKETS <<'PYTHON'
import socket
import sys

source, to, sockets = sys.argv[1], sys.argv[2], sys.argv[3:]
for name in sockets:
    protocol, port = name.split("/")
    answer = b""
    family = socket.AF_INET6 if ":" in to else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM) as one:
        one.settimeout(8)
        one.bind((source, 0))
        try:
            one.connect((to, int(port)))
            if protocol == "udp":
                one.send(b"?")
            answer = one.recv(99)
        except OSError as error:
            print(f"{name}: {error}", file=sys.stderr)
    print(name, "open" if answer.startswith(b"here") else "shut")
PYTHON
