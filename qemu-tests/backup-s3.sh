# An S3-compatible service at PORT, as far as restic(1) asks: objects below /lab/s3, requests signed with one pair of
# access keys (Signature Version 4). S3 is the address of a bucket that is there, PAIR the service's certificate and key;
# with APPEND nobody may delete anything but locks.
set -eu
printf '%s\n' "$PAIR" >/lab/s3.pem
bucket=${S3#https://*/}
mkdir -p "/lab/s3/${bucket%%/*}"
exec python3 - <<'PY'
import hashlib, hmac, os, pathlib, socket, ssl
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.sax.saxutils import escape

ID, SECRET, TOP = "goldcast-id", "goldcast-secret", pathlib.Path("/lab/s3")
APPEND = os.environ["APPEND"] == "true"


def keyed(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def signed(self, url):
        """Whether the request is signed with the secret."""
        try:
            words = dict(word.strip().split("=", 1) for word in self.headers["Authorization"].split(" ", 1)[1].split(","))
            name, scope = words["Credential"].split("/", 1)
            query = sorted((quote(k, safe="-_.~"), quote(v, safe="-_.~")) for k, v in parse_qsl(url.query, True))
            names = words["SignedHeaders"].split(";")
            asked = "\n".join(
                [self.command, url.path, "&".join(f"{k}={v}" for k, v in query)]
                + [f"{name}:{' '.join(self.headers[name].split())}" for name in names]
                + ["", words["SignedHeaders"], self.headers["x-amz-content-sha256"]]
            )
            text = "\n".join(
                ["AWS4-HMAC-SHA256", self.headers["x-amz-date"], scope, hashlib.sha256(asked.encode()).hexdigest()]
            )
            key = b"AWS4" + SECRET.encode()
            for part in scope.split("/"):
                key = keyed(key, part)
            return name == ID and hmac.compare_digest(keyed(key, text).hex(), words["Signature"])
        except (KeyError, TypeError, IndexError, ValueError, AttributeError):
            return False

    def body(self):
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self.headers.get("x-amz-content-sha256", "").startswith("STREAMING-"):
            return data
        plain, rest = b"", data
        while rest:
            size, rest = rest.split(b"\r\n", 1)
            length = int(size.split(b";")[0], 16)
            if length == 0:
                break
            plain, rest = plain + rest[:length], rest[length + 2 :]
        return plain

    def answer(self, status, data=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def refuse(self, status, code):
        self.answer(status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode(), Content_Type="application/xml")

    def listing(self, bucket, query):
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        files, groups = "", set()
        for path in sorted(path for path in bucket.rglob("*") if path.is_file()):
            name = str(path.relative_to(bucket))
            if not name.startswith(prefix):
                continue
            if delimiter and delimiter in name[len(prefix) :]:
                groups.add(prefix + name[len(prefix) :].split(delimiter)[0] + delimiter)
                continue
            size = path.stat().st_size
            files += f"<Contents><Key>{escape(name)}</Key><Size>{size}</Size><ETag>x</ETag>"
            files += "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
        groups = "".join(f"<CommonPrefixes><Prefix>{escape(g)}</Prefix></CommonPrefixes>" for g in sorted(groups))
        whole = f"<ListBucketResult><IsTruncated>false</IsTruncated>{files}{groups}</ListBucketResult>"
        self.answer(200, whole.encode(), Content_Type="application/xml")

    def serve(self):
        url = urlsplit(self.path)
        data = self.body()
        if not self.signed(url):
            return self.refuse(403, "AccessDenied")
        query = dict(parse_qsl(url.query, True))
        name, _, key = unquote(url.path).lstrip("/").partition("/")
        bucket = TOP / name
        path = bucket / key
        if ".." in path.parts or not name:
            return self.refuse(403, "AccessDenied")
        if not key and self.command == "PUT":
            bucket.mkdir(exist_ok=True)
            return self.answer(200)
        if not bucket.is_dir():
            return self.refuse(404, "NoSuchBucket")
        if not key and "location" in query:
            return self.answer(200, b"<LocationConstraint></LocationConstraint>", Content_Type="application/xml")
        if not key and self.command == "GET":
            return self.listing(bucket, query)
        if not key:
            return self.answer(200)
        if self.command == "PUT":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            return self.answer(200, ETag='"%s"' % hashlib.md5(data).hexdigest())
        if not path.is_file():
            return self.refuse(404, "NoSuchKey")
        if self.command == "DELETE":
            if APPEND and path.parent.name != "locks":
                return self.refuse(403, "AccessDenied")
            path.unlink()
            return self.answer(204)
        data = path.read_bytes()
        told = {"ETag": '"x"', "Last_Modified": datetime.now(timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")}
        asked = self.headers.get("Range")
        if asked:
            first, last = asked.removeprefix("bytes=").split("-")
            part = data[int(first) : int(last) + 1 if last else None]
            told["Content_Range"] = f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}"
            return self.answer(206, part, **told)
        self.answer(200, data, Content_Length=str(len(data)), **told)

    do_GET = do_HEAD = do_PUT = do_DELETE = do_POST = serve


class Server(ThreadingHTTPServer):
    # IPv4 as well.
    address_family = socket.AF_INET6


server = Server(("::", int(os.environ["PORT"])), Service)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/lab/s3.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
PY
