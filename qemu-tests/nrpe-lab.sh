# Lets in HOST of the lab in the place of the recipe's hosts, in the files that say who may ask. On this copy only.
set -eu
grep -q '^allowed_hosts=.' /etc/nagios/nrpe.cfg
sed -i "s,^allowed_hosts=.*,allowed_hosts=$HOST," /etc/nagios/nrpe.cfg
systemctl restart nagios-nrpe-server.service
if systemctl is-active --quiet nftables.service; then
    sed -i -E "/comment \"nrpe\"/s,ip6? saddr [^ ]+,ip saddr $HOST," /etc/nftables.conf
    systemctl reload nftables.service
fi
for _ in {1..100}; do
    ! systemctl is-failed --quiet nagios-nrpe-server.service || exit 1
    ! ss -Hltn "sport = :$PORT" | grep -q . || exit 0
    sleep 0.2
done
echo "nobody listens on $PORT" >&2
exit 1
