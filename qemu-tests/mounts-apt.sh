# A package with a question is installed twice. Says when it was asked, and "all done" when it is installed.
set -e
export DEBIAN_FRONTEND=noninteractive
work=$(mktemp -d /root/package.XXXXXX)
mkdir "$work/DEBIAN"
printf '%s\n' 'Package: lab-question' 'Version: 1' 'Architecture: all' 'Maintainer: Lab <lab@example.org>' \
    'Depends: debconf' 'Description: asks something' >"$work/DEBIAN/control"
printf '%s\n' 'Template: lab-question/answer' 'Type: string' 'Default: yes' 'Description: Well?' >"$work/DEBIAN/templates"
printf '%s\n' '#!/bin/sh' '. /usr/share/debconf/confmodule' 'db_input high lab-question/answer || true' 'db_go || true' \
    >"$work/DEBIAN/config"
printf '%s\n' '#!/bin/sh' 'set -e' '. /usr/share/debconf/confmodule' 'db_get lab-question/answer' \
    'echo "$RET" >>/var/lib/lab-question' >"$work/DEBIAN/postinst"
chmod 0755 "$work/DEBIAN" "$work/DEBIAN/config" "$work/DEBIAN/postinst"
dpkg-deb --build --root-owner-group "$work" /root/lab-question.deb >/dev/null
said=$(mktemp /root/said.XXXXXX)
apt-get -q -y install /root/lab-question.deb >"$said" 2>&1
[ "$(cat /var/lib/lab-question)" = yes ] && printf 'asked at install, '
apt-get -q -y --reinstall install /root/lab-question.deb >>"$said" 2>&1
[ "$(cat /var/lib/lab-question)" = $'yes\nyes' ] && printf 'asked at reinstall, '

# Where apt would take the question from the package before it unpacks it, with apt-utils.
eval "$(apt-config shell place APT::ExtractTemplates::TempDir/d)"
place=${place:-${TMPDIR:-/tmp}}
install -m 0755 /usr/bin/echo "$place/question"
"$place/question" ran >/dev/null || echo "what apt puts into $place cannot be started"
rm -f "$place/question"
[ "$(stat -c %a "$place")" = 700 ] || echo "$place is open to others"
if grep -iE "can't exec|permission denied" "$said"; then exit 1; fi
dpkg-query -W -f '${db:Status-Status}' lab-question | grep -qx installed && echo "all done"
