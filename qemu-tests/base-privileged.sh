# Prints each file with the setuid or setgid bit that no package knows, or that others than its owner can write.
# shellcheck disable=SC2086
privileged() { find / $MOUNTS -xdev -type f -perm /6000 "$@"; }
mapfile -d '' files < <(privileged -print0)
# Older packages ship what is in /usr/bin as /bin.
known=$'\n'$(dpkg-query --search "${files[@]}" "${files[@]#/usr}" 2>/dev/null)$'\n'
for file in "${files[@]}"; do
    case $known in *": $file"$'\n'* | *": ${file#/usr}"$'\n'*) ;; *) echo "$file is of no package" ;; esac
done
privileged -perm /022 -printf '%p can be written by others\n'
