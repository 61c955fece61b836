# Puts the hash of a password that is known here, `a 41`, in the place of the recipe's, in the menu that is shipped.
# A tenth of the usual iterations, and short: GRUB counts slowly where it is emulated, and is typed to key by key.
set -eu
known=grub.pbkdf2.sha512.1000.0BC0B3D445D2E53E9FCE84F8653BE658602E2A0ABB3B3B56293DA6A83489055220A988F2BAAEE0776ED9F3FE2DFA433CE7A4230C92D0E84C213BD9072756228C.1C9BCBB8723047986A034B664C89D46CACDF33DE033E9B6CE6E2257B2083C0426BE80994A24EBF7441E74E34764DA7817027F218CF47B7FBE3AF1CF791342800
grep -q 'grub\.pbkdf2\.' /boot/grub/grub.cfg
sed -i "s/grub\.pbkdf2\.[^[:space:]]*/$known/" /boot/grub/grub.cfg
sync
