# Opens connections to PORT of TO from FROM, more than the server is to have of one address, and logs in over none; then
# some from OWNER. Says how both fared. No more than RATE each, if there is one: further ones the firewall would drop.
exec python3 - "$FROM" "$OWNER" "$TO" "$PORT" "${RATE:-20}" <<'PYTHON'
import socket
import sys

crowd, owner, to, port, rate = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
PATIENCE = 30


def knock(source):
    """A connection, and whether the server greeted it: one that is too many is told so, and closed."""
    try:
        one = socket.create_connection((to, port), PATIENCE, (source, 0))
        return one, one.recv(4) == b"SSH-"
    except OSError:
        return None, False


def held(one):
    one.setblocking(False)
    try:
        while one.recv(4096):
            pass
    except BlockingIOError:
        return True
    except ConnectionError:
        pass
    return False


knocked = [knock(crowd) for _ in range(min(12, rate))]
let_in = sum(knock(owner)[1] for _ in range(min(8, rate)))
few = sum(greeted and held(one) for one, greeted in knocked)
print(f"of {len(knocked)} {few} are held, of {min(8, rate)} {let_in} are let in", file=sys.stderr)
print("a few are let in" if 1 <= few <= 5 else "too many are let in" if few else "nobody is let in")
print("somebody else is each time" if let_in == min(8, rate) else "somebody else is not")
PYTHON
