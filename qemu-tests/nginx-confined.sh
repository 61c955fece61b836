# Runs a program as the service does, with all that confines it. Says what it could do, and "all tried" at the end.
set -u
cat >/usr/local/bin/lab-nginx <<'PROGRAM'
#!/bin/sh
touch "$1/lab" 2>/dev/null && echo "it writes to the site"
touch /etc/lab 2>/dev/null && echo "it writes to /etc"
touch /usr/local/bin/lab 2>/dev/null && echo "it writes programs"
ls /home >/dev/null 2>&1 && [ -n "$(ls -A /home)" ] && echo "it reads homes"
for place in /run /tmp /var/tmp /dev/shm /var/lib/nginx; do
    cp /bin/echo "$place/lab-echo" 2>/dev/null && "$place/lab-echo" started 2>/dev/null && echo "it starts what it wrote to $place"
done
cp /bin/echo /run/lab-echo || echo "it cannot write to /run"
echo "looked"
PROGRAM
chmod 0755 /usr/local/bin/lab-nginx
mkdir -p /run/systemd/system/nginx.service.d
cat >/run/systemd/system/nginx.service.d/99-lab.conf <<UNIT
[Service]
Type=oneshot
Restart=no
ExecStartPre=
ExecStart=
ExecStart=/usr/local/bin/lab-nginx $ROOT
ExecReload=
ExecStop=
PIDFile=
UNIT
systemctl daemon-reload
systemctl restart nginx.service || echo "it did not run"
journalctl --sync
said=$(journalctl -q -b -u nginx.service -o cat _COMM=lab-nginx)
[[ $said == *looked* ]] || echo "it said nothing"
grep -v '^looked$' <<<"$said"
echo "all tried"
