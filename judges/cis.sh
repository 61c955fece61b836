# Runs in the booted image, with OVH's debian-cis in /opt/cis-hardening: what each of its rules says, a line each.
set -u
export TERM=dumb
cd /opt/cis-hardening
mkdir -p tmp etc/conf.d
cp debian/default /etc/default/cis-hardening
. /etc/default/cis-hardening
export CIS_LIB_DIR CIS_CHECKS_DIR CIS_CONF_DIR CIS_TMP_DIR CIS_VERSIONS_DIR
# The newest of its rules are those for Debian 12.
for rule in $(find versions/debian_12 -name '*.sh' | LC_ALL=C sort -V); do
    said=$(timeout -k 5 120 "$PWD/$rule" --audit-all </dev/null 2>&1)
    case $? in
        0) result=pass ;;
        1) result=fail ;;
        *) result=error ;;
    esac
    # One that breaks off in the middle has come to no verdict.
    case $said in *'unexpected exit code'*) result=error ;; esac
    name=${rule##*/}
    echo "cis $result ${name%.sh}"
done
