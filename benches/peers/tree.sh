#!/usr/bin/env bash
# Makes a tree of Debian 13 that holds the peers, for machines that do not run Debian 13 themselves.
#
#   benches/peers/tree.sh DIR
#
# Needs root and mmdebstrap or debootstrap. Packages come from $GOLDCAST_MIRROR, or from where the host's apt gets
# Debian's; the archive's keys are the repository's own (keys/). On a Debian 13 machine install $packages with apt.
set -euo pipefail
cd "$(dirname "$0")/../.."

# The peers, what their manuals recommend for this work, and what benches/repository.sh uses.
packages=(mkosi debos vmdb2 mmdebstrap debootstrap eatmydata zerofree dosfstools mtools parted fdisk e2fsprogs udev
    grub-pc-bin grub2-common dpkg-dev gpg gpgv ca-certificates zstd)
if [ "$1" = --packages ]; then
    echo "${packages[@]}"
    exit
fi
directory=$1

# shellcheck disable=SC2016  # for apt-get to expand
mirror=${GOLDCAST_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' \
    'Label: Debian' 2>/dev/null | sed -n 1p)}
[ -n "$mirror" ] || { echo "$0: no mirror: set GOLDCAST_MIRROR, or run apt-get update" >&2; exit 1; }
rm -rf "$directory" "$directory.new"
mkdir -p "$directory.new"
keys=$directory.new.keys
cat keys/*trixie*.asc >"$keys.asc"
include=$(IFS=,; echo "${packages[*]}")
if command -v mmdebstrap >/dev/null; then
    mmdebstrap --mode=root --variant=apt --keyring="$(realpath "$keys.asc")" --include="$include" \
        trixie "$directory.new" "$mirror"
elif command -v debootstrap >/dev/null; then
    gpg --dearmor <"$keys.asc" >"$keys.gpg"
    debootstrap --variant=minbase --keyring="$(realpath "$keys.gpg")" trixie "$directory.new" "$mirror"
    chroot "$directory.new" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends "${packages[@]}"
else
    echo "$0: neither mmdebstrap nor debootstrap is on this machine" >&2
    exit 1
fi
rm -f "$keys".*
# benches/repository.sh downloads two packages more.
cp --remove-destination -L /etc/resolv.conf "$directory.new/etc/resolv.conf"
chroot "$directory.new" apt-get update
mv "$directory.new" "$directory"
