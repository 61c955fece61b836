# Opens connections to PORT of TO all at once, more than twice as many as the firewall lets in of one address: from FROM,
# and then from AGAIN, if there is such an address, which counts as the same. Says whether all were let in that the
# recipe allows (RATE a minute, and as many in advance), and no more.
exec python3 - "$FROM" "${AGAIN-}" "$TO" "$PORT" "$RATE" <<'PYTHON'
import resource
import selectors
import socket
import sys
import time

first, again, to, port, rate = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
# A SYN that is dropped is sent again after 1 and after 3 seconds, and takes a place that has become free meanwhile.
PATIENCE = 5
hurried = 2 * rate + 10
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hurried + 100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)


def let_in(source):
    waiting = selectors.DefaultSelector()
    opened = 0
    for _ in range(hurried):
        one = socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET)
        one.setblocking(False)
        one.bind((source, 0))
        one.connect_ex((to, port))
        waiting.register(one, selectors.EVENT_WRITE)
    until = time.monotonic() + PATIENCE
    while waiting.get_map() and (left := until - time.monotonic()) > 0:
        for key, _ in waiting.select(left):
            # Refused or out of reach is not let in.
            opened += key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
            waiting.unregister(key.fileobj)
            key.fileobj.close()
    for key in list(waiting.get_map().values()):
        key.fileobj.close()
    return opened


begun = time.monotonic()
opened = let_in(first)
more = let_in(again) if again else 0
most = rate + rate * (time.monotonic() - begun) / 60 + rate / 10
print(f"let in: {opened} and {more} of {hurried} each, at most {most:.1f} are right", file=sys.stderr)
print("enough" if opened >= rate else "too few", "and no more" if opened + more <= most else "and too many")
PYTHON
