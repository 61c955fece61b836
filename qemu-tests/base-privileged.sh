# Prints each file with the setuid or setgid bit that no package knows, that is known not to be shipped so, or that others
# than its owner can write.
# shellcheck disable=SC2086
privileged() { find / $MOUNTS -xdev -type f -perm /6000 "$@"; }
mapfile -d '' files < <(privileged -print0)
# Older packages ship what is in /usr/bin as /bin.
known=$'\n'$(dpkg-query --search "${files[@]}" "${files[@]#/usr}" 2>/dev/null)$'\n'
for file in "${files[@]}"; do
    case $known in *": $file"$'\n'* | *": ${file#/usr}"$'\n'*) ;; *) echo "$file is of no package" ;; esac
done
# dpkg keeps no modes that would tell how a file was shipped. Of the packages that every Debian has it is known: shells,
# tools for files and perl are among them.
mapfile -t everywhere < <(dpkg-query --show --showformat '${Essential} ${Package}\n' | sed -n 's/^yes //p')
dpkg-query --listfiles "${everywhere[@]}" | grep -xFf <(printf '%s\n' "${files[@]}" "${files[@]#/usr}") |
    sed -E '\,^(/usr)?/bin/(su|newgrp)$,d; s/$/ is shipped without that right/'
privileged -perm /022 -printf '%p can be written by others\n'
