# Prints each file of a package that is there and should not be, and each package without a copyright file.
set -f
for pattern in $EXCLUDED; do
    # Directories, and the links that may stand for one, are there for what is taken all the same.
    find "${pattern%%/[*]*}" -xdev -path "$pattern" -type f 2>/dev/null
done | sort -u >/run/found
# What a package's script makes, such as info's list of pages, no package ships.
set +f
sort -u /var/lib/dpkg/info/*.list | comm -12 /run/found - | while read -r path; do
    set -f
    for pattern in $INCLUDED; do
        # shellcheck disable=SC2254
        case $path in $pattern) continue 2 ;; esac
    done
    printf '%s\n' "$path"
done
dpkg-query -W -f '${Package}\n' | while read -r package; do
    [ -e "/usr/share/doc/$package/copyright" ] || printf 'no copyright file: %s\n' "$package"
done
