# Says how the machine was started: bios, uefi or secure-boot, and what the kernel makes of it.
efi=/sys/firmware/efi
if [ ! -d "$efi" ]; then
    echo "firmware: bios"
    exit 0
fi
# UEFI 2.10, section 3.3: SecureBoot is one byte, after the four bytes of attributes that efivarfs puts in front.
variable=$efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c
mountpoint -q "$efi/efivars" || mount -t efivarfs none "$efi/efivars"
state=$(od -An -tu1 -j4 -N1 "$variable" 2>/dev/null | tr -d ' ')
case $state in
    1) echo "firmware: secure-boot" ;;
    *) echo "firmware: uefi" ;;
esac
echo "lockdown: $(cat /sys/kernel/security/lockdown 2>/dev/null || echo unknown)"
