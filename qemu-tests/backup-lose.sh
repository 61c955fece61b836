# Backs up, changes, backs up again, loses everything and brings it back: as it was last, and as it was before. Prints
# differences, and how many snapshots there are.
set -e
mkdir -p /srv/data/deep /srv/data/empty
head -c 300000 /dev/urandom >/srv/data/deep/file
echo unchanged >/srv/data/deep/other
echo odd >"/srv/data/with a space"
ln -s deep/file /srv/data/link
ln /srv/data/deep/other /srv/data/hard
chown 1000:33 /srv/data/deep/file && chmod 4750 /srv/data/deep/file
chown 33:1000 /srv/data/empty && chmod 3771 /srv/data/empty
touch -d '2020-02-02 02:02:02' /srv/data/deep/file
seen() { (cd "$1" && find data -printf '%p %y %m %U %G %n %l\n' | sort && find data -type f -printf '%p %T@\n' | sort && find data -type f -print0 | sort -z | xargs -0 sha256sum); }
seen /srv >/root/first
systemctl start backup.service
sleep 2
head -c 100000 /dev/urandom >>/srv/data/deep/file
chmod 0640 /srv/data/deep/file
seen /srv >/root/second
systemctl start backup.service
rm -rf /srv/data
backup restore latest /srv/data
seen /srv | diff /root/second -
backup restore "$(backup list | head -n 1)" /srv/data/deep /srv/data/empty /srv/data/link /srv/data/hard '/srv/data/with a space' --to /root/before
seen /root/before/srv | diff /root/first -
backup list | wc -l
