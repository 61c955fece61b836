#!/usr/bin/env bash
# debos without its virtual machine: a raw disk for BIOS and UEFI. Run by benches/run as
# `debos.sh prepare|full|incremental|version|product` in the directory it works in, with the repository in ./repository.
#
# The tree is made by its mmdebstrap action, which is faster than its debootstrap action.
set -euo pipefail
peers=$(dirname "$(realpath "$0")")

prepare() {
    command -v debos >/dev/null || { echo "debos is not installed" && exit 77; }
    losetup -f >/dev/null || { echo "no free loop device" && exit 77; }
    mkdir -p debos
    cat >debos/image.yaml <<END
architecture: amd64
actions:
  - action: mmdebstrap
    suite: trixie
    variant: essential
    mirrors: [ "deb copy://$PWD/repository trixie main" ]
    keyring-files: [ "$PWD/repository/key.gpg" ]
    dpkg-opts: [ force-unsafe-io ]
    apt-opts: [ 'APT::Sandbox::User "root"' ]
    include: [ $(paste -sd , repository/names) ]
  - action: image-partition
    imagename: debos.raw
    imagesize: 1782579200
    partitiontype: gpt
    mountpoints:
      - { mountpoint: /, partition: root }
    partitions:
      - { name: bios, fs: none, start: 1MiB, end: 2MiB, flags: [ bios_grub ] }
      - { name: esp, fs: vfat, start: 2MiB, end: 66MiB, flags: [ esp ] }
      - { name: root, fs: ext4, start: 66MiB, end: 100% }
  - action: filesystem-deploy
  - action: run
    command: $peers/boot.sh "\$IMAGEMNTDIR" "\$IMAGE" "\${IMAGE}p2"
END
}
full() {
    # When debos fails it leaves its loop device attached.
    trap 'losetup -nl -O NAME,BACK-FILE | awk "/\/debos\/debos.raw/ { print \$1 }" | xargs -r losetup -d' EXIT
    cd debos
    debos --disable-fakemachine image.yaml
}
incremental() { echo "debos keeps nothing between runs" && exit 77; }
version() { dpkg-query -W -f 'debos ${Version}' debos; }
product() { echo debos/debos.raw; }

"$@"
