# Who becomes root with sudo, and who does not. Says what is not so, and "all tried" at the end.
password='Vx9#moss-Tundra-41'
useradd --create-home --shell /bin/bash --groups sudo member
useradd --create-home --shell /bin/bash ordinary
printf '%s\n' "member:$password" "ordinary:$password" | chpasswd || exit 1

# USER PASSWORD: whom a command run with sudo runs as.
becomes() { runuser -u "$1" -- timeout 60 sudo --reset-timestamp --stdin --prompt= id -un <<<"$2" 2>/dev/null; }
[ "$(becomes member "$password")" = root ] || echo "a member of the group sudo did not become root"
[ -z "$(becomes member wrong)" ] || echo "a member of the group sudo became root with a wrong password"
[ -z "$(becomes ordinary "$password")" ] || echo "somebody outside the group sudo became root"

# The recipe's people: without a password only those that have none, and only when the recipe allows it.
for name in $PEOPLE; do
    wanted=
    if [ "$PASSWORDLESS" = users-without-password ] && id -nG "$name" | grep -qw sudo; then
        case $(getent shadow "$name" | cut -d: -f2) in '!'*) wanted=root ;; esac
    fi
    became=$(runuser -u "$name" -- timeout 60 sudo --reset-timestamp --non-interactive id -un 2>/dev/null)
    [ "$became" = "$wanted" ] || echo "$name became '$became' without a password, wanted '$wanted'"
done

# For MINUTES the password is not asked for again: it is tried now, and sudo says for how long. It goes by a clock that
# cannot be set. Without a terminal it remembers for what the same process starts: no word may take that one's place.
again() {
    runuser -u member -- timeout 60 bash -c '
        sudo --reset-timestamp
        sudo --stdin --prompt= true <<<"$1"
        sudo --non-interactive id -un
        :
    ' again "$password" 2>/dev/null
}
wanted=root
[ "$MINUTES" != 0 ] || wanted=
became=$(again)
[ "$became" = "$wanted" ] || echo "after the password member became '$became' without it, wanted '$wanted'"
remembered=$(sudo -V | sed -n 's/^Authentication timestamp timeout: //p')
[ "$remembered" = "$MINUTES.0 minutes" ] || echo "sudo remembers a password for '$remembered', wanted $MINUTES minutes"

# The journal is written a moment later.
for _ in {1..50}; do
    log=$(journalctl --boot --quiet --output=cat --identifier=sudo)
    [[ $log == *'NOT in sudoers'* ]] && break
    sleep 0.2
done
grep -qE '^ *member : .*USER=root ; COMMAND=/usr/bin/id -un$' <<<"$log" || echo "the log does not say what member did"
grep -qE '^ *member : .*incorrect password' <<<"$log" || echo "the log does not say that member was refused"
grep -qE '^ *ordinary : .*NOT in sudoers' <<<"$log" || echo "the log does not say that ordinary was refused"
[[ $(stat -c %a ~member) == 700 ]] || echo "a new home has the permissions $(stat -c %a ~member)"
echo "all tried"
