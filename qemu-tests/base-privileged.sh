# Prints each file with the setuid or setgid bit that no package knows, or that others than its owner can write.
# shellcheck disable=SC2086
find / $MOUNTS -xdev -type f -perm /6000 -print0 | while IFS= read -r -d '' file; do
    # Older packages ship what is in /usr/bin as /bin.
    dpkg-query --search "$file" >/dev/null 2>&1 || dpkg-query --search "${file#/usr}" >/dev/null 2>&1 ||
        echo "$file is of no package"
    [ -z "$(find "$file" -perm /022)" ] || echo "$file can be written by others"
done
