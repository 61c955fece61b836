# Logs in to PostgreSQL on PORT of TO from FROM as the role application, in the clear, over TLS and with a wrong password,
# and says as whom it got in. The messages are those of PostgreSQL's protocol (its manual, chapter 54), the password is
# proved with SCRAM-SHA-256 (RFC 7677).
exec python3 - "$FROM" "$TO" "$PORT" <<'PYTHON'
import base64
import hashlib
import hmac
import os
import socket
import ssl
import struct
import sys

source, to, port = sys.argv[1], sys.argv[2], int(sys.argv[3])


class Refused(Exception):
    pass


def digest(key, text):
    return hmac.new(key, text, hashlib.sha256).digest()


class Connection:
    def __init__(self, encrypted):
        self.line = socket.create_connection((to, port), 30, (source, 0))
        if encrypted:
            self.line.sendall(struct.pack("!II", 8, 80877103))
            if self.line.recv(1) != b"S":
                raise Refused("there is no TLS")
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self.line = context.wrap_socket(self.line)

    def exactly(self, length):
        text = b""
        while len(text) < length:
            more = self.line.recv(length - len(text))
            if not more:
                raise Refused("the connection was closed")
            text += more
        return text

    def hear(self, wanted):
        while True:
            kind, length = struct.unpack("!cI", self.exactly(5))
            body = self.exactly(length - 4)
            if kind == b"E":
                raise Refused(body.replace(b"\0", b" ").decode(errors="replace"))
            if kind == wanted:
                return body

    def say(self, kind, body):
        self.line.sendall(kind + struct.pack("!I", len(body) + 4) + body)

    def challenge(self, step):
        body = self.hear(b"R")
        (asked,) = struct.unpack("!I", body[:4])
        if asked != step:
            raise SystemExit(f"the server asks for authentication {asked}, wanted {step}")
        return body[4:]

    def log_in(self, password):
        names = b"user\0application\0database\0postgres\0\0"
        self.line.sendall(struct.pack("!II", len(names) + 8, 196608) + names)
        self.challenge(10)
        bare = b"n=,r=" + base64.b64encode(os.urandom(18))
        first = b"n,," + bare
        self.say(b"p", b"SCRAM-SHA-256\0" + struct.pack("!I", len(first)) + first)
        answer = self.challenge(11)
        told = dict(part.split(b"=", 1) for part in answer.split(b","))
        salted = hashlib.pbkdf2_hmac("sha256", password, base64.b64decode(told[b"s"]), int(told[b"i"]))
        key = digest(salted, b"Client Key")
        last = b"c=biws,r=" + told[b"r"]
        signature = digest(hashlib.sha256(key).digest(), b",".join((bare, answer, last)))
        proof = bytes(one ^ other for one, other in zip(key, signature))
        self.say(b"p", last + b",p=" + base64.b64encode(proof))
        self.challenge(12)
        self.challenge(0)
        self.hear(b"Z")
        self.say(b"Q", b"select current_user\0")
        row = self.hear(b"D")
        return row[6:].decode()


for name, encrypted, password in (
    ("in the clear", False, b"right"),
    ("over TLS", True, b"right"),
    ("wrong password", True, b"wrong"),
):
    try:
        print(f"{name}: {Connection(encrypted).log_in(password)}")
    except (Refused, ConnectionError) as why:
        print(f"{name}: refused")
        print(f"{name}: {why}", file=sys.stderr)
PYTHON
