#!/usr/bin/env bash
# mkosi: a raw disk for BIOS and UEFI with Debian's signed shim and GRUB. Run by benches/run as
# `mkosi.sh prepare|full|incremental|version|product` in the directory it works in, with the repository in ./repository.
set -euo pipefail

prepare() { # yes when incremental builds are measured too
    command -v mkosi >/dev/null || { echo "mkosi is not installed" && exit 77; }
    mkdir -p mkosi/mkosi.extra/etc mkosi/work mkosi/cache mkosi/packages mkosi/out
    cat >mkosi/mkosi.conf <<END
[Distribution]
Distribution=debian
Release=trixie
Architecture=x86-64
LocalMirror=file://$PWD/repository

[Output]
Format=disk
Output=mkosi
OutputDirectory=out
# Beside the disk mkosi would hand out the kernel and the initial ramdisk as files.
SplitArtifacts=

[Build]
# Nothing is compiled; without this the workspace may not be beside the configuration.
BuildSources=
WorkspaceDirectory=work
CacheDirectory=cache
PackageCacheDirectory=packages
# As every other peer does, mkosi takes the initial ramdisk that the list's initramfs-tools makes. Its own would be
# one more image with packages that are not in the list.
Environment=INITRD=Yes

[Content]
Bootable=yes
Bootloader=grub-signed
ShimBootloader=signed
BiosBootloader=grub
# That ramdisk holds the modules already; mkosi would add them once more.
KernelModulesInitrdExclude=.*
Packages=
$(sed 's/^/    /' repository/names)
END
    cat >mkosi/mkosi.postinst <<'END'
#!/bin/sh
set -eu
mkdir -p "$ARTIFACTDIR/io.mkosi.initrd"
cp "$BUILDROOT"/boot/initrd.img-* "$ARTIFACTDIR/io.mkosi.initrd/initrd"
END
    chmod +x mkosi/mkosi.postinst
    echo 0 >mkosi/mkosi.extra/etc/changed
    # The cached tree that incremental builds start from.
    [ "$1" != yes ] || mkosi --directory mkosi --force --incremental=yes build
}
# A build that is not incremental removes the cached tree, so it is shown another place for it.
full() { mkosi --directory mkosi --force --incremental=no --cache-directory "$PWD/mkosi/no-cache" build; }
incremental() {
    echo "$EPOCHREALTIME" >mkosi/mkosi.extra/etc/changed
    mkosi --directory mkosi --force --incremental=strict build
}
version() { dpkg-query -W -f 'mkosi ${Version}' mkosi; }
product() { echo mkosi/out/mkosi.raw; }

"$@"
