#!/usr/bin/env bash
# vmdb2 on a loop device: a raw disk for BIOS and UEFI. Run by benches/run as
# `vmdb2.sh prepare|full|incremental|version|product` in the directory it works in, with the repository in ./repository.
#
# vmdb2 writes to a block device as well as to a file. With the device it needs no kpartx, and so no device mapper.
set -euo pipefail
peers=$(dirname "$(realpath "$0")")

prepare() { # yes when incremental builds are measured too
    command -v vmdb2 >/dev/null || { echo "vmdb2 is not installed" && exit 77; }
    losetup -f >/dev/null || { echo "no free loop device" && exit 77; }
    mkdir -p vmdb2
    cat >vmdb2/image.yaml <<END
steps:
  - mklabel: gpt
    device: "{{ image }}"
  - { mkpart: bios, device: "{{ image }}", start: 1MiB, end: 2MiB, tag: bios }
  - { set_part_flag: "{{ image }}", tag: bios, flag: bios_grub }
  - { mkpart: esp, device: "{{ image }}", start: 2MiB, end: 66MiB, tag: esp, fs-type: fat32 }
  - { set_part_flag: "{{ image }}", tag: esp, flag: esp }
  - { mkpart: root, device: "{{ image }}", start: 66MiB, end: "100%", tag: root, fs-type: ext4 }
  - { mkfs: vfat, partition: esp }
  - { mkfs: ext4, partition: root }
  - mount: root
  - unpack-rootfs: root
  # Where apt inside sees the repository.
  - root-fs: root
    shell: |
      mkdir -p "\$ROOT/repository"
      mount --bind "$PWD/repository" "\$ROOT/repository"
  - debootstrap: trixie
    mirror: file://$PWD/repository
    keyring: $PWD/repository/key.gpg
    variant: minbase
    target: root
    require_empty_target: false
    unless: rootfs_unpacked
  - virtual-filesystems: root
  # debootstrap writes no sources for a repository that is a directory.
  - root-fs: root
    shell: |
      echo "deb [signed-by=/repository/key.asc] file:/repository trixie main" >"\$ROOT/etc/apt/sources.list"
  - apt: install
    packages: [ $(paste -sd , repository/names) ]
    recommends: false
    tag: root
    unless: rootfs_unpacked
  - { cache-rootfs: root, unless: rootfs_unpacked }
  - fstab: root
  - root-fs: root
    shell: |
      echo "\$CHANGED" >"\$ROOT/etc/changed"
      $peers/boot.sh "\$ROOT" "{{ image }}" "{{ image }}p2"
      umount "\$ROOT/repository"
      rmdir "\$ROOT/repository"
      rm "\$ROOT/etc/apt/sources.list"
END
    sed '/unpack-rootfs\|unless:\|cache-rootfs/d' vmdb2/image.yaml >vmdb2/full.yaml
    # The first build with a tarball writes it.
    [ "$1" != yes ] || incremental
}
on_loop() { # vmdb2's arguments
    rm -f vmdb2/vmdb2.raw
    truncate -s 1700M vmdb2/vmdb2.raw
    loop=$(losetup --find --show --partscan vmdb2/vmdb2.raw)
    trap 'losetup -d "$loop"' EXIT
    rm -f vmdb2/log
    CHANGED=$EPOCHREALTIME vmdb2 --image "$loop" --log vmdb2/log "$@" || { cat vmdb2/log; exit 1; }
}
full() { on_loop vmdb2/full.yaml; }
incremental() { on_loop --rootfs-tarball "$PWD/vmdb2/tree.tar" vmdb2/image.yaml; }
version() { dpkg-query -W -f 'vmdb2 ${Version}' vmdb2; }
product() { echo vmdb2/vmdb2.raw; }

"$@"
