# What a visitor of the web server at TO, and at TO6 where it has such an address, gets: WHAT is `serves`, `refuses`,
# `acme`, `names`, `tells` or `limits`. NAMES are the site's, where it has any; he asks for the first, else for the address.
exec python3 - <<'PYTHON'
import http.client
import os
import re
import socket
import ssl
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

what, to, to6 = os.environ["WHAT"], os.environ["TO"], os.environ.get("TO6")
names = os.environ.get("NAMES", "").split()
PATIENCE = 60
anything = ssl.create_default_context()
# Nobody has signed the certificate: that the page comes is what is asked here.
anything.check_hostname = False
anything.verify_mode = ssl.CERT_NONE


def reach(host=to, secure=True, name=None, source=None):
    one = socket.create_connection((host, 443 if secure else 80), PATIENCE, (source, 0) if source else None)
    return anything.wrap_socket(one, server_hostname=name) if secure else one


def visit(path, method="GET", host=to, secure=True, headers={}, source=None, name=names[0] if names else None):
    connection = http.client.HTTPConnection(name or host)
    connection.sock = reach(host, secure, name, source)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    return answer, answer.read().decode().strip()


def serves():
    for family, host in (("https4", to), ("https6", to6)) if to6 else (("https4", to),):
        answer, body = visit("/lab.html", host=host)
        print(f"{family}: {answer.status} {body}")
    answer, _ = visit("/lab.html", secure=False)
    print(f"http: {answer.status} {answer.getheader('Location')}")


def refuses():
    print("hidden:", visit("/.git/config")[0].status)
    print("list:", visit("/lab-directory/")[0].status)
    print("file:", visit("/lab-directory/file")[0].status)
    print("delete:", visit("/lab-directory/file", method="DELETE")[0].status)
    print("trace:", visit("/", method="TRACE")[0].status)
    answer, body = visit("/there-is-none")
    told = f"{answer.getheader('Server')} {body}"
    print("version:", told if re.search(r"[0-9]\.[0-9]", told) else "not told")


def acme():
    answer, body = visit("/.well-known/acme-challenge/token", secure=False)
    print(f"challenge: {answer.status} {body}")
    # The name is in the certificate as it is, in UTF-8.
    certificate = reach(name=names[0] if names else None).getpeercert(binary_form=True)
    print("certificate:", "renewed.lab.test" if b"renewed.lab.test" in certificate else "another")


def fares(secure, name):
    """What comes of asking for this name, or for the address."""
    try:
        return f"answered {visit('/', secure=secure, name=name)[0].status}"
    except ssl.SSLError as error:
        return "shut out" if "UNRECOGNIZED_NAME" in str(error) else f"not asked: {error}"
    except (http.client.RemoteDisconnected, ConnectionResetError):
        # A certificate that is shown tells whose site it is.
        return "shown the certificate" if secure else "shut out"


def every_name():
    for name in names:
        told = visit("/", secure=False, name=name)[0].getheader("Location")
        certificate = reach(name=name).getpeercert(binary_form=True)
        named = name.encode() in certificate
        answer = fares(True, name).startswith("answered") and told == f"https://{name}/" and named
        print(f"{name}:", "served" if answer else f"{fares(True, name)}, {told}, certificate {named}")
    for other in ("other.lab.test", None):
        for secure in (True, False):
            print(other or "address", "https:" if secure else "http:", fares(secure, other))


def tells():
    answer, _ = visit("/there-is-none")
    for header in "Strict-Transport-Security", "X-Content-Type-Options", "X-Frame-Options":
        print(f"{header}: {answer.getheader(header)}")


def body(length):
    """What a form of this length is answered, of which nothing but its length was sent yet."""
    return visit("/lab.html", method="POST", headers={"Content-Length": str(length)})[0].status


def hurry(enough):
    """The answers to requests, sent as fast as they go until the answers so far are enough."""
    host = names[0] if names else to
    request = f"GET /lab.html HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    answers = []
    while not enough(answers):
        with reach(name=names[0] if names else None) as one:
            # nginx ends a connection after a thousand.
            for _ in range(9):
                one.sendall(request * 100)
                read, seen = b"", []
                while len(seen) < 100:
                    more = one.recv(65536)
                    if not more:
                        raise ConnectionError(f"the server hung up after {len(answers) + len(seen)} requests")
                    read += more
                    seen = re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", read)
                answers += [code.decode() for code in seen]
                if enough(answers):
                    break
    return answers


def limits():
    size, rate, friend = int(os.environ["SIZE"]), int(os.environ["RATE"]), os.environ["FRIEND"]
    small, large = body(size), body(size + 1)
    print("a form as large as may be:", "too large" if small == 413 else "taken in")
    print("a larger one:", "too large" if large == 413 else f"answered {large}")
    began = time.monotonic()
    answers = hurry(lambda answers: len(answers) >= 60 * rate or "429" in answers)
    a_second = len(answers) / (time.monotonic() - began)
    served = answers.index("429") if "429" in answers else len(answers)
    if served == len(answers) and a_second < 2 * rate:
        print(f"the machine answers {a_second:.0f} requests a second, too few to be too many", file=sys.stderr)
        sys.exit(77)
    if served == len(answers):
        print(f"told to wait: not within {served} requests, {a_second:.0f} a second")
    else:
        print("told to wait:", "after a burst" if served >= 10 * rate else f"after {served}")
    # What the two would share has no room as long as the one goes on, on two connections: nginx serves what one has sent
    # without a look at its clock, so that after a lone one's hundred there would be room for whoever is next. The other's
    # greeting comes before: it would take the machine's time from the first.
    one = http.client.HTTPConnection(names[0] if names else to)
    one.sock = reach(name=names[0] if names else None, source=friend)
    told, over = threading.Event(), threading.Event()

    def told_until_over(answers):
        if "429" in answers:
            told.set()
        return over.is_set()

    others = set()
    with ThreadPoolExecutor() as pool:
        crowd = [pool.submit(hurry, told_until_over) for _ in range(2)]
        try:
            if not told.wait(PATIENCE):
                print("told to wait: no more, when another address asked")
            # Often, for of a machine that is hardly faster than the limit most requests get through; but no more than
            # the burst that each address has.
            for _ in range(min(150, 10 * rate)):
                one.request("GET", "/lab.html")
                answer = one.getresponse()
                answer.read()
                others.add(answer.status)
                time.sleep(0.02)
        finally:
            over.set()
        for connection in crowd:
            connection.result()
    print("another address:", *sorted(others))


{"serves": serves, "refuses": refuses, "acme": acme, "names": every_name, "tells": tells, "limits": limits}[what]()
PYTHON
