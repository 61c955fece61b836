# Which versions of TLS, and what else, the server at TO speaks to who asks for the first of NAMES, if there are any.
exec python3 - "$TO" $NAMES <<'PYTHON'
import socket
import ssl
import sys
import warnings

warnings.simplefilter("ignore")
to, *names = sys.argv[1:]
name = names[0] if names else None


def speaks(version, ciphers="ALL:@SECLEVEL=0", protocol=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers(ciphers)
    if protocol:
        context.set_alpn_protocols([protocol])
    context.minimum_version = context.maximum_version = version
    # A server that is not there is no server that refuses: that is an error, and ends this.
    with socket.create_connection((to, 443), timeout=60) as connection:
        try:
            with context.wrap_socket(connection, server_hostname=name) as secure:
                return "spoken" if protocol in (None, secure.selected_alpn_protocol()) else "refused"
        except ssl.SSLError as error:
            # Only a server's own word counts: a client that cannot ask has not asked.
            return "refused" if "ALERT" in str(error) else f"not asked: {error}"
        except ConnectionResetError:
            return "refused"


for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1):
    print(f"{version.name.replace('_', '.')}: {speaks(version)}")
print("HTTP/2:", speaks(ssl.TLSVersion.TLSv1_3, protocol="h2"))
print("without forward secrecy:", speaks(ssl.TLSVersion.TLSv1_2, "kRSA:@SECLEVEL=0"))
PYTHON
