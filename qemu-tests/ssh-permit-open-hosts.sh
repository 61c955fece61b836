# Makes this machine the hosts of OPEN as well, and one that is not among them; something answers at each port, and at the
# one above it.
set -eu
number=1
answer() { systemd-run --quiet systemd-socket-activate --accept --inetd --listen "$1" /usr/bin/echo "here is $1"; }
for one in $OPEN other.lab.test:80; do
    host=${one%:*} port=${one##*:}
    [ "$port" != '*' ] || port=80
    case $host in
        *[!0-9.]*) address=198.18.0.$number; echo "$address $host" >>/etc/hosts ;;
        *) address=$host ;;
    esac
    ip address replace "$address/32" dev lo
    answer "$address:$port"
    answer "$address:$((port + 1))"
    number=$((number + 1))
done
