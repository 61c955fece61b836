# Sends some datagrams to TO from each address of FROM, whose own it need not be.
set -e
for from in $FROM; do
    nping --udp --send-ip --no-capture --quiet -c 3 --rate 5 --source-ip "$from" --dest-port 9099 "$TO" >&2
done
echo "sent"
