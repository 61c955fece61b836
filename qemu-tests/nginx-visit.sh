# What a visitor of the web server at TO, and at TO6 where it has such an address, gets. WHAT is `serves`, `refuses` or `acme`.
exec python3 - "$WHAT" "$TO" "${TO6-}" <<'PYTHON'
import http.client
import re
import ssl
import sys

what, to, to6 = sys.argv[1:]
anything = ssl.create_default_context()
# Nobody has signed the certificate: that the page comes is what is asked here.
anything.check_hostname = False
anything.verify_mode = ssl.CERT_NONE


def visit(path, method="GET", host=to, secure=True):
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(host, 443 if secure else 80, timeout=60, **({"context": anything} if secure else {}))
    connection.request(method, path)
    answer = connection.getresponse()
    return answer, answer.read().decode().strip()


if what == "serves":
    for name, host in (("https4", to), ("https6", to6)) if to6 else (("https4", to),):
        answer, body = visit("/lab.html", host=host)
        print(f"{name}: {answer.status} {body}")
    answer, _ = visit("/lab.html", secure=False)
    print(f"http: {answer.status} {answer.getheader('Location')}")
elif what == "refuses":
    print("hidden:", visit("/.git/config")[0].status)
    print("list:", visit("/lab-directory/")[0].status)
    print("file:", visit("/lab-directory/file")[0].status)
    print("delete:", visit("/lab-directory/file", method="DELETE")[0].status)
    print("trace:", visit("/", method="TRACE")[0].status)
    answer, body = visit("/there-is-none")
    told = f"{answer.getheader('Server')} {body}"
    print("version:", told if re.search(r"[0-9]\.[0-9]", told) else "not told")
else:
    answer, body = visit("/.well-known/acme-challenge/token", secure=False)
    print(f"challenge: {answer.status} {body}")
    pem = ssl.get_server_certificate((to, 443))
    # The name is in the certificate as it is, in UTF-8.
    der = ssl.PEM_cert_to_DER_cert(pem)
    print("certificate:", "renewed.lab.test" if b"renewed.lab.test" in der else "another")
PYTHON
