# Keys of several kinds, in /lab/keys. WHAT is `make`: makes them, and prints their public halves; or `try`: offers each to
# the server at TO and PORT as NAME, from FROM, and says whether it is taken. That more than a key is asked for, as with a
# second factor, is another matter.
set -u
kinds=(ed25519 rsa-4096 rsa-2048 ecdsa-256)
if [ "$WHAT" = make ]; then
    mkdir -p /lab/keys || exit
    for kind in "${kinds[@]}"; do
        bits=${kind#*-}
        ssh-keygen -q -t "${kind%-*}" -b "${bits/ed25519/256}" -N '' -C "$kind" -f "/lab/keys/$kind" || exit
    done
    cat /lab/keys/*.pub
    exit
fi
for kind in "${kinds[@]}"; do
    # A client of today would keep some of them to itself.
    told=$(timeout 60 ssh -n -v -F none -T -b "$FROM" -p "$PORT" -l "$NAME" -i "/lab/keys/$kind" -o BatchMode=yes \
        -o PubkeyAcceptedAlgorithms=+ecdsa-sha2-nistp256 -o RequiredRSASize=1024 -o IdentitiesOnly=yes \
        -o IdentityAgent=none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "$TO" true 2>&1)
    if [[ $told == *"Server accepts key: /lab/keys/$kind "* ]]; then
        echo "$kind: taken"
    elif [[ $told == *"Offering public key: /lab/keys/$kind "* ]]; then
        echo "$kind: refused"
    else
        echo "$kind: not asked"
        echo "$told" >&2
    fi
done
