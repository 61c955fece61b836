#!/usr/bin/env bash
# Makes a repository of one package in the directory DIR, signed with a key of its own, DIR/key.asc. Runs where dpkg-deb, xz
# and gpg are.
#
#   repository.sh DIR
set -euo pipefail
directory=$(realpath "$1")
suite=$directory/dists/golden
index=$suite/main/binary-amd64
rm -rf "$directory/dists" "$directory/pool"
mkdir -p "$directory/pool" "$index"

tree=$(mktemp -d)
export GNUPGHOME=$tree/gnupg
trap 'gpgconf --kill all; rm -rf "$tree"' EXIT
mkdir -p "$tree/greeter/DEBIAN" "$tree/greeter/usr/share/greeter"
echo hello >"$tree/greeter/usr/share/greeter/hello"
cat >"$tree/greeter/DEBIAN/control" <<'END'
Package: greeter
Version: 9.0-1
Architecture: all
Maintainer: Nobody <nobody@example.org>
Section: misc
Priority: optional
Description: a package of another repository
 It has one file.
END
deb=$directory/pool/greeter.deb
dpkg-deb --root-owner-group --build "$tree/greeter" "$deb" >/dev/null

{
    dpkg-deb -f "$deb"
    printf 'Filename: pool/greeter.deb\nSize: %s\nSHA256: %s\n\n' "$(stat -c %s "$deb")" "$(sha256sum <"$deb" | cut -d ' ' -f 1)"
} >"$index/Packages"
xz -k "$index/Packages"
{
    printf 'Origin: Example\nLabel: Example\nSuite: golden\nCodename: golden\nArchitectures: amd64\nComponents: main\n'
    printf 'Date: %s\nSHA256:\n' "$(LC_ALL=C date -uR)"
    cd "$suite"
    for file in main/binary-amd64/Packages*; do
        printf ' %s %s %s\n' "$(sha256sum <"$file" | cut -d ' ' -f 1)" "$(stat -c %s "$file")" "$file"
    done
} >"$suite/Release"
mkdir -m 700 "$GNUPGHOME"
gpg --batch --quiet --passphrase '' --quick-generate-key 'a repository' rsa3072 sign never 2>/dev/null
gpg --batch --quiet --armor --export >"$directory/key.asc"
gpg --batch --quiet --clearsign --output "$suite/InRelease" "$suite/Release"
