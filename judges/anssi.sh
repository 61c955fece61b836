# Runs in the booted image: what OpenSCAP says of ANSSI BP-028, a line for each rule.
set -u
directory=$(mktemp -d)

# Debian has no newer content of ANSSI BP-028 than that for Debian 12, which applies to nothing else.
sed 's/^\(VERSION_ID=\|VERSION=\).*/\1"12"/; s/trixie/bookworm/' /usr/lib/os-release >"$directory/os-release"
echo 12.0 >"$directory/debian_version"
mount --bind "$directory/os-release" /usr/lib/os-release
mount --bind "$directory/debian_version" /etc/debian_version
# It reads audit's rules only where auditd's own unit loads them; Debian 13 has another unit for that.
sed '/^\[Unit\]/a Requires=augenrules.service' /usr/lib/systemd/system/auditd.service >"$directory/auditd.service" 2>/dev/null &&
    mount --bind "$directory/auditd.service" /usr/lib/systemd/system/auditd.service
# The highest level has every rule of the others.
oscap xccdf eval --profile xccdf_org.ssgproject.content_profile_anssi_bp28_high \
    /usr/share/xml/scap/ssg/content/ssg-debian12-ds.xml >"$directory/anssi" 2>"$directory/error"
case $? in 0 | 2) ;; *) cat "$directory/error" >&2; exit 1 ;; esac  # 2: some rule fails
# Its lines have carriage returns.
tr -d '\r' <"$directory/anssi" | awk '
    $1 == "Rule" { sub(/.*_rule_/, "", $2); rule = $2 }
    $1 == "Result" { print "anssi", $2, rule; told = 1 }
    END { exit !told }' || { cat "$directory/anssi" >&2; exit 1; }
umount /usr/lib/os-release /etc/debian_version
umount /usr/lib/systemd/system/auditd.service 2>/dev/null
rm -rf "$directory"
