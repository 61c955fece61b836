#!/usr/bin/env bash
# Makes a Debian repository of exactly a lock's packages, so that every peer installs the same bytes.
#
#   benches/repository.sh LOCK CAS DIR     CAS: goldcast's downloads, by sha256; DIR: where the repository goes
#
# DIR/names lists the packages, DIR/key.asc is the key that signs the repository: debootstrap takes no unsigned one.
# eatmydata and its library are added for the peers that install by it (vmdb2 always, mmdebstrap as its manual shows);
# they are not in the list. Runs where dpkg-deb, gpg and apt-get are.
set -euo pipefail

lock=$1
cas=$2
directory=$3
suite=$(sed -n 's/^    "distribution debian \([a-z]*\) .*/\1/p' "$lock")
pool=$directory/pool
index=$directory/dists/$suite/main/binary-amd64
mkdir -p "$pool" "$index"

awk '/^\[\[/ { image = ($0 == "[[package]]") } image && /^(name|sha256) = / { gsub(/"/, "", $3); print $1, $3 }' "$lock" |
    while read -r key value; do
        case $key in
        name) name=$value && echo "$name" >>"$directory/names" ;;
        sha256) cp "$cas/${value:0:2}/$value" "$pool/$name.deb" ;;
        esac
    done
(cd "$pool" && apt-get download -qq -o APT::Sandbox::User=root eatmydata libeatmydata1)

for deb in "$pool"/*.deb; do
    dpkg-deb -f "$deb"
    printf 'Filename: pool/%s\nSize: %s\nSHA256: %s\n\n' \
        "${deb##*/}" "$(stat -c %s "$deb")" "$(sha256sum "$deb" | cut -d ' ' -f 1)"
done >"$index/Packages"
gzip -kn "$index/Packages"
cd "$directory/dists/$suite"
{
    # mmdebstrap takes essential packages from the suite of the release's name only.
    printf 'Origin: Debian\nLabel: Debian\nSuite: stable\nCodename: %s\nArchitectures: amd64\nComponents: main\n' "$suite"
    printf 'Date: %s\nSHA256:\n' "$(LC_ALL=C date -uR)"
    for file in main/binary-amd64/Packages*; do
        printf ' %s %s %s\n' "$(sha256sum "$file" | cut -d ' ' -f 1)" "$(stat -c %s "$file")" "$file"
    done
} >Release
GNUPGHOME=$(mktemp -d)
export GNUPGHOME
trap 'gpgconf --kill all; rm -rf "$GNUPGHOME"' EXIT
gpg --batch --quiet --passphrase '' --quick-generate-key 'benchmark repository' rsa3072 sign never 2>/dev/null
gpg --batch --quiet --armor --export >"$directory/key.asc"
gpg --batch --quiet --export >"$directory/key.gpg"
gpg --batch --quiet --armor --detach-sign --output Release.gpg Release
gpg --batch --quiet --clearsign --output InRelease Release
