# A certificate and key for the lab's service with this NAME, which may be an address, of an authority that is made here;
# prints them. Whoever trusts it copies /root/authority/own.crt.
set -e
mkdir -p /root/authority && cd /root/authority
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout own.key -out own.crt -days 30 -subj "/CN=lab" 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout s3.key -out s3.csr -subj "/CN=$NAME" 2>/dev/null
case $NAME in
    *:*) kind=IP ;;
    *[!0-9.]*) kind=DNS ;;
    *) kind=IP ;;
esac
echo "subjectAltName=$kind:$NAME" >names
openssl x509 -req -in s3.csr -CA own.crt -CAkey own.key -CAcreateserial -days 30 -extfile names -out s3.crt 2>/dev/null
cat s3.crt s3.key
