#!/bin/sh
# Makes a tree on a mounted partition bootable from BIOS, and from UEFI with Debian's signed shim and GRUB: what debos
# and vmdb2 leave to the user's own script.
#
#   benches/peers/boot.sh ROOT DISK ESP     a mount point, and two block devices
#
# The ESP is filled by mtools and not mounted: not every kernel has the vfat filesystem.
set -eu
root=$1 disk=$2 esp=$3

# A user's script would mount these too; debos's and vmdb2's own chroots have some of them already.
mounted=
for name in dev proc sys; do
    mountpoint -q "$root/$name" || { mount --bind "/$name" "$root/$name" && mounted="$root/$name $mounted"; }
done
# shellcheck disable=SC2154  # point is assigned in the trap
trap 'for point in $mounted; do umount "$point"; done' EXIT
chroot "$root" grub-install --target=i386-pc --no-floppy "$disk"
chroot "$root" update-grub
# Without udev there are no names by UUID, and grub-mkconfig takes the loop device's for the root filesystem.
uuid=$(blkid -c /dev/null -o value -s UUID "$(findmnt -no SOURCE "$root")")
sed -i "s|root=/dev/loop[0-9p]*|root=UUID=$uuid|" "$root/boot/grub/grub.cfg"

configuration=$(mktemp)
# shellcheck disable=SC2016  # for GRUB to expand
printf 'search.fs_uuid %s root\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n' "$uuid" >"$configuration"
mmd -i "$esp" ::/EFI ::/EFI/BOOT ::/EFI/debian
mcopy -i "$esp" "$root/usr/lib/shim/shimx64.efi.signed" ::/EFI/BOOT/BOOTX64.EFI
mcopy -i "$esp" "$root/usr/lib/shim/mmx64.efi.signed" ::/EFI/BOOT/mmx64.efi
mcopy -i "$esp" "$root/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed" ::/EFI/BOOT/grubx64.efi
mcopy -i "$esp" "$configuration" ::/EFI/debian/grub.cfg
rm "$configuration"
