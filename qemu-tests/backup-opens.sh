# Opens the repository without the password and with another one, which must not do, and with its own.
mkdir -p /root/without
printf '#!/bin/sh\nunset RESTIC_PASSWORD_FILE\nexec /usr/bin/restic --insecure-no-password "$@"\n' >/root/without/restic
chmod 0755 /root/without/restic
! PATH=/root/without:$PATH backup list || echo "it opens without a password"
cp /var/lib/backup/password /root/kept
echo another >/var/lib/backup/password
! backup list || echo "it opens with another password"
cp /root/kept /var/lib/backup/password
backup list | wc -l
