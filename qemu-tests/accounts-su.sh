# Who may use su. Says what is not so, and "all tried" at the end.
password='Vx9#moss-Tundra-41'
useradd --create-home --shell /bin/bash target
useradd --create-home --shell /bin/bash outsider
useradd --create-home --shell /bin/bash --groups "$GROUP" member
echo "target:$password" | chpasswd || exit 1

for login in '' -l; do
    becomes() { runuser -u "$1" -- timeout 60 su $login target -c 'id -un' <<<"$2" 2>/dev/null; }
    [ "$(becomes member "$password")" = target ] || echo "a member did not get in with su $login"
    [ -z "$(becomes outsider "$password")" ] || echo "somebody outside $GROUP got in with su $login"
done
[ -z "$(becomes member wrong)" ] || echo "a member got in with a wrong password"
# Not even asked for the password: a right one cannot be told from a wrong one.
said=$(runuser -u outsider -- timeout 60 su target -c true <<<"$password" 2>&1)
[[ ${said,,} != *password* ]] || echo "somebody outside $GROUP is asked: $said"
echo "all tried"
