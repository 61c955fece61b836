# The lab's host has another key than the recipe's, one account only, and room in /lab. On a copy only.
set -e
[ ! -e /etc/backup/known_hosts ] || {
    read -r name _ </etc/backup/known_hosts
    echo "$name $HOSTKEY" >/etc/backup/known_hosts
}
sed -i "s/ -l $USER / -l root /" /usr/local/sbin/backup
sed -i 's,^directory=.*,directory=/lab/store,' /usr/local/sbin/backup
