# Lets in HOST of the lab in the place of the recipe's CLIENTS, in the files that say who may come, has the server listen
# where the lab reaches it, and makes a role. On this copy only.
set -eu
set -f
cd /
hba=$(runuser -u postgres -- psql -At -c 'show hba_file')
for network in $CLIENTS; do
    # An address is a network of its own.
    sed -i "s,^\(host.* all all\) $network\(/32\|/128\)\? ,\1 $HOST/32 ," "$hba"
done
grep -q " $HOST/32 " "$hba"
if systemctl is-active --quiet nftables.service; then
    sed -i -E "/comment \"postgresql\"/s,ip6? saddr [^ ]+,ip saddr $HOST," /etc/nftables.conf
    systemctl reload nftables.service
fi
runuser -u postgres -- psql -q -c "create role application login password 'right'" -c "alter system set listen_addresses = '*'"
systemctl restart postgresql.service
for _ in {1..150}; do
    ! ss -Hltn "sport = :$PORT" | grep -q '0\.0\.0\.0:' || exit 0
    sleep 0.2
done
echo "nobody listens on $PORT" >&2
exit 1
