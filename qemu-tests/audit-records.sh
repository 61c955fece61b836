# Does what must be recorded, as a person's login does it, and looks for the records. Says which are missing. WHAT is
# `everything`, or what the recipe wants beside it: `deletions`, `permissions`, `root-commands`, or `watched`, of PATHS.
set -u
cd / || exit 1
person=$(id -u "$PERSON") || exit 1
# ACTION… as somebody who logged in as PERSON and then became root; the shell's own login stays as it is. A process can
# only set its own: a program would set that of its short life.
logged_in() { (echo "$person" >/proc/self/loginuid && exec "$@"); }
# As PERSON, who has not become root.
person() { logged_in runuser -u "$PERSON" -- "$@" >/dev/null 2>&1; }

wanted=()
everything() {
    local password='Vx9#moss-Tundra-41'
    logged_in useradd recorded
    logged_in chpasswd <<<"recorded:$password"
    person passwd --status
    person cat /etc/shadow
    if [ -n "$SUDO" ]; then
        person sudo --non-interactive true
        logged_in touch /etc/sudoers
        logged_in touch /etc/sudoers.d/90-recorded
    fi
    [ -z "$SSH" ] || logged_in touch /etc/ssh/sshd_config
    [ -z "$NETWORK" ] || logged_in touch /etc/systemd/network/60-recorded.network
    logged_in touch /etc/pam.d/recorded /etc/systemd/system/recorded.service /etc/audit/recorded
    logged_in hostname "$(hostname)"
    logged_in date --set "@$(($(date +%s) + 1))" >/dev/null
    logged_in modprobe dummy
    logged_in mount -t tmpfs tmpfs /mnt && umount /mnt

    wanted+=(
        'accounts useradd name=/etc/passwd' 'accounts chpasswd name=/etc/shadow' 'privileged passwd name=/usr/bin/passwd'
        'refused cat name=/etc/shadow' 'login-rules touch name=/etc/pam.d/recorded'
        'units touch name=/etc/systemd/system/recorded.service' 'audit touch name=/etc/audit/recorded'
        'network hostname' 'clock date' 'modules modprobe' 'mounts mount'
    )
    [ -z "$SUDO" ] || wanted+=('sudo touch name=/etc/sudoers ' 'sudo touch name=/etc/sudoers.d/90-recorded' 'privileged sudo')
    [ -z "$SSH" ] || wanted+=('ssh touch name=/etc/ssh/sshd_config')
    [ -z "$NETWORK" ] || wanted+=('network touch name=/etc/systemd/network/60-recorded.network')
}

# By names of their own: perl calls the kernel where no program does.
deletions() {
    local at=/home/recorded-deletions
    mkdir "$at" && touch "$at"/{unlinked,unlinkedat,renamed,moved} && mkdir "$at"/{removed,directory}
    logged_in perl -e 'chdir $ARGV[0]; unlink "unlinked"; rename "renamed", "renamed-now"; rmdir "removed"' "$at"
    logged_in rm "$at/unlinkedat"
    logged_in mv --no-clobber "$at/moved" "$at/moved-now"
    for one in unlinked renamed removed; do wanted+=("deletions perl name=$one "); done
    wanted+=("deletions rm name=$at/unlinkedat " "deletions mv name=$at/moved ")
}

permissions() {
    local at=/home/recorded-permissions
    mkdir "$at" && touch "$at"/{mode,flagged,owner,attribute}
    logged_in chmod 0600 "$at/mode"
    # fchmodat2, of Linux 6.6; and setxattr, as x86-64 numbers it.
    logged_in perl -e 'syscall(452, -100, $ARGV[0], 0600, 0) == 0 or die $!' "$at/flagged"
    logged_in chown nobody "$at/owner"
    logged_in perl -e 'my ($path, $name, $value) = ($ARGV[0], "user.recorded", "1"); syscall(188, $path, $name, $value, 1, 0)' "$at/attribute"
    wanted+=("permissions chmod name=$at/mode " "permissions perl name=$at/flagged ")
    wanted+=("permissions chown name=$at/owner " "permissions perl name=$at/attribute ")
}

root-commands() {
    logged_in dd if=/dev/null of=/dev/null bs=73 status=none
    wanted+=('root-commands dd bs=73')
}

watched() {
    local path
    for path in $PATHS; do
        [ ! -d "$path" ] || path=$path/recorded
        logged_in touch "$path"
        wanted+=("watched touch name=$path ")
    done
}

# KEY COMM [WORD]: an event with this key, by this program and on behalf of PERSON, in which WORD is.
look() {
    awk -v key=" key=$1" -v comm=" comm=$2 " -v auid=" auid=$PERSON " -v word="${3:-}" '
        BEGIN { RS = "----\n" }
        index($0, key "\n") || index($0, key " ") { if (index($0, comm) && index($0, auid) && (word == "" || index($0, word))) found = 1 }
        END { exit !found }' /run/records
}
"$WHAT"
# auditd writes a moment later.
for _ in {1..20}; do
    missing=()
    ausearch --input-logs -i -ua "$PERSON" >/run/records 2>/dev/null
    for one in "${wanted[@]}"; do
        read -r key comm word <<<"$one"
        look "$key" "$comm" "$word" || missing+=("$one")
    done
    [ ${#missing[@]} -gt 0 ] || break
    sleep 1
done
[ ${#missing[@]} -eq 0 ] || printf 'no record: %s\n' "${missing[@]}"
echo "all looked for"
