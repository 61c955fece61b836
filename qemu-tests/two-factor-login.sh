# Logs in as NAME with the key and a code, as CASE says, and tells how each login went. What asks for the code gets its
# answer from a program, as from a person at a terminal: ssh(1), SSH_ASKPASS.
set -u
export WORK
WORK=$(mktemp -d) || exit 1
export OFFSET=0 SECRET=${SECRET-} ANSWER=''
tries=0

cat >"$WORK/totp" <<'PY'
import base64, hashlib, hmac, struct, sys, time
# RFC 6238 with the machine's time: `totp SECRET OFFSET STEPS`, STEPS from now; `wrong` is no code near now.
secret, offset, steps = sys.argv[1], float(sys.argv[2]), sys.argv[3]
secret = base64.b32decode(secret + "=" * (-len(secret) % 8))
now = int((time.time() + offset) / 30)
def code(step):
    mac = hmac.new(secret, struct.pack(">Q", step), hashlib.sha1).digest()
    at = mac[-1] & 15
    return "%06d" % ((struct.unpack(">I", mac[at:at + 4])[0] & 0x7FFFFFFF) % 1000000)
if steps == "wrong":
    near = [code(now + step) for step in range(-20, 21)]
    print(next(c for c in ("%06d" % n for n in range(111111, 999999)) if c not in near))
else:
    print(code(now + int(steps)))
PY
# What is asked is kept. The code is made when it is asked for: emulated machines take their time to get there.
cat >"$WORK/askpass" <<'SH'
#!/bin/bash
printf '%s\n' "$1" >>"$WORK/asked"
case $ANSWER in
    none) exit 1 ;;
    same) ;;
    code:*)
        [[ -n $SECRET || ! $1 =~ 'the secret into it: '([A-Z2-7 ]+) ]] || SECRET=${BASH_REMATCH[1]// /}
        python3 "$WORK/totp" "$SECRET" "$OFFSET" "${ANSWER#code:}" >"$WORK/answer"
        ;;
    *) echo "$ANSWER" >"$WORK/answer" ;;
esac
cat "$WORK/answer"
SH
chmod 0755 "$WORK/askpass"

client() {
    SSH_ASKPASS=$WORK/askpass SSH_ASKPASS_REQUIRE=force timeout 100 ssh -n -F none -T -b "$FROM" -p "$PORT" -i "$SSH_KEY" \
        -o IdentitiesOnly=yes -o IdentityAgent=none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
        -o LogLevel=INFO -o NumberOfPasswordPrompts=1 "$@" 2>"$WORK/told"
}
# The machine's clock: a copy goes on with the one that it had.
time=$(client -l robot -o BatchMode=yes "$TO" 'date +%s.%N')
OFFSET=$(python3 -c 'import sys, time; print(float(sys.argv[1]) - time.time())' "$time") || { cat "$WORK/told" >&2; exit 1; }

# Waits for the beginning of a step, so that none ends before the code is looked at.
fresh() { python3 -c 'import sys, time; time.sleep(30.5 - (time.time() + float(sys.argv[1])) % 30)' "$OFFSET"; }
# How a login with the answer $1 went.
try() {
    local out
    : >"$WORK/asked"
    ANSWER=$1
    shift
    out=$(client -l "$NAME" "$@" "$TO" 'echo in as $(id -un)')
    if [ "$out" = "in as $NAME" ]; then
        echo in
    elif [[ $(<"$WORK/told") == *'Permission denied ('* ]]; then
        echo refused
    else
        echo "neither in nor refused: $out $(cat "$WORK/told")"
    fi
}
alone() {
    local went wanted=nothing
    went=$(try none -o BatchMode=yes -o PreferredAuthentications=publickey)
    [[ ! $(<"$WORK/told") =~ 'Permission denied ('([a-z,-]+)')' ]] || wanted=${BASH_REMATCH[1]}
    echo "$went, wanted: $wanted"
}
# The limit of tries is another check's: after so many it is waited out.
pace() {
    tries=$((tries + 1))
    [ "$tries" -le "$TRIES" ] || { tries=1; sleep $((WITHIN + 2)); }
}
secret() { [[ ! $(<"$WORK/asked") =~ 'the secret into it: '([A-Z2-7 ]+) ]] || echo "${BASH_REMATCH[1]// /}"; }
recovery() { [[ ! $(<"$WORK/asked") =~ 'keep them elsewhere: '([0-9 ]+) ]] || echo "${BASH_REMATCH[1]}"; }

case $CASE in
    codes)
        echo "key alone: $(alone)"
        echo "wrong: $(try code:wrong)"
        fresh
        echo "one step behind: $(try code:-1)"
        echo "now: $(try code:0)"
        echo "again: $(try same)"
        echo "one step ahead: $(try code:1)"
        fresh
        echo "two steps ahead: $(try code:2)"
        echo "two steps behind: $(try code:-2)"
        echo "recovery code: $(try "$RECOVERY")"
        echo "recovery code again: $(try "$RECOVERY")"
        ;;
    tries)
        for ((n = 1; n <= TRIES; n++)); do
            told=$(try code:wrong)
            [ "$told" = refused ] || echo "wrong: $told"
        done
        echo "right: $(try code:0)"
        sleep $((WITHIN + 2))
        # Not the code of before, which may have counted.
        echo "right, later: $(try code:1)"
        ;;
    enrol)
        echo "key alone: $(alone)"
        pace
        went=$(try none)
        SECRET=$(secret)
        kept=$(cat "$WORK/asked")
        codes=$(recovery)
        shown=nothing
        # Blocks of the QR code; ssh spells their bytes out where the locale does not have them, as here.
        [[ ${#SECRET} -lt 16 || $kept != *'\342\226\210\342\226\210'* ]] ||
            shown="a secret, a QR code and $(wc -w <<<"$codes") recovery codes"
        echo "no answer: $went, shown $shown"
        same() {
            local now
            now=$(cat "$WORK/asked")
            if [ "$now" = "$kept" ]; then echo "the same"; elif [ -z "$(secret)" ]; then echo nothing; else echo "another"; fi
        }
        pace
        echo "wrong: $(try code:wrong), shown $(same)"
        pace
        echo "right: $(try code:0), shown $(same)"
        pace
        fresh
        echo "later: $(try code:0), shown $(same)"
        if ((CODES > 0)); then
            pace
            echo "recovery code: $(try "${codes%% *}"), shown $(same)"
        fi
        ;;
    first)
        went=$(try code:0)
        if [ -n "$(secret)" ]; then
            echo "first: $went, shown a secret"
        elif [[ $(<"$WORK/told")$(<"$WORK/asked") == *'time for setting it up is over'* ]]; then
            echo "first: $went, told that it is over"
        else
            echo "first: $went, told: $(cat "$WORK/told" "$WORK/asked")"
        fi
        ;;
esac
rm -rf "$WORK"
