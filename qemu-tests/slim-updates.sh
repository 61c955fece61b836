# Makes and installs a package with a file for each pattern; prints which of its files came.
set -ef
cd "$(mktemp -d)"
mkdir -p package/DEBIAN package/usr/bin package/usr/share/doc/slim-check
cat >package/DEBIAN/control <<'END'
Package: slim-check
Version: 1
Architecture: all
Maintainer: Nobody <nobody@example.org>
Description: made by a check
END
echo 'true' >package/usr/bin/slim-check
echo 'free' >package/usr/share/doc/slim-check/copyright
for pattern in $EXCLUDED; do
    path=package${pattern//[*]/slim-check}
    mkdir -p "${path%/*}"
    [ ! -d "$path" ] || path=$path/unwanted
    echo 'unwanted' >"$path"
done
dpkg-deb --root-owner-group -b package package.deb >&2
dpkg -i package.deb >&2
dpkg-deb --fsys-tarfile package.deb | tar -tf - | grep -v '/$' | sed 's/^[.]//' | sort | while read -r path; do
    [ ! -e "$path" ] || printf '%s\n' "$path"
done
