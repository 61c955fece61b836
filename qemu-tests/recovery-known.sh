# Puts the hash of a password that is known here, `tundra moss 41`, in the place of the recipe's, in the menu that is shipped.
# A tenth of the usual iterations: GRUB counts slowly where it is emulated.
set -eu
known=grub.pbkdf2.sha512.1000.3DE14B6E46A96DB7D6162F597948CB68D447C9DF82CF9AD9B1642275F1BE7E6B6EAFC9B8C08F7C4054599A8154B16F7713E51F3ACA20441A868ACAC2F9450CCB.5E10C0AD682792F7E8DBA5EB11C489433B134FBD2AC6F39B7EDD3805CAC522D64E224EEB10CF895698932B5C61F424C20465DF3D8C36C625BB5D607CAB8DF1B4
grep -q 'grub\.pbkdf2\.' /boot/grub/grub.cfg
sed -i "s/grub\.pbkdf2\.[^[:space:]]*/$known/" /boot/grub/grub.cfg
sync
