# Lets in HOST of the lab in the place of the recipe's hosts, in the files that say who may fetch. On this copy only.
set -eu
unit=/etc/systemd/system/prometheus-node-exporter.service.d/50-node-exporter.conf
sed -i "s,^IPAddressAllow=.*,IPAddressAllow=localhost $HOST," "$unit"
systemctl daemon-reload
systemctl restart prometheus-node-exporter.service
if systemctl is-active --quiet nftables.service; then
    sed -i -E "/comment \"node-exporter\"/s,ip6? saddr [^ ]+,ip saddr $HOST," /etc/nftables.conf
    systemctl reload nftables.service
fi
for _ in {1..100}; do
    ! ss -Hltn "sport = :$PORT" | grep -q . || exit 0
    sleep 0.2
done
echo "nobody listens on $PORT" >&2
exit 1
