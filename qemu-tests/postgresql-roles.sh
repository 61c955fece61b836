# Makes a role with a password and says how it gets in.
set -u
cd / || exit 1
useradd --system application
runuser -u postgres -- psql -q -c "create role application login password 'Vx9-moss'"
runuser -u postgres -- createdb -O application application
as() { runuser -u application -- psql -At -c 'select current_user' "$@" 2>&1; }
echo "peer: $(as)"
echo "password over loopback: $(PGPASSWORD=Vx9-moss as -h 127.0.0.1 -p "$PORT")"
PGPASSWORD=other as -h 127.0.0.1 -p "$PORT" | grep -q 'password authentication failed' && echo "wrong password: refused"
as -w -h 127.0.0.1 -p "$PORT" | grep -q 'no password supplied' && echo "no password: refused"
echo "kept as: $(runuser -u postgres -- psql -At -c "select split_part(rolpassword, '\$', 1) from pg_authid where rolname = 'application'")"
