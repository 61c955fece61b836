# Logs in on the first console, typing and reading as somebody in front of it would. Says what is not so, and "all
# tried" at the end. CASE is `lock`: TRIES wrong passwords shut an account, for LOCK seconds; or `change`: the first
# login of NAME asks for a new password.
set -u
tty=/dev/tty1
screen=/dev/vcs1
right='Vx9#moss-Tundra-41'

# ioctl_tty(2), TIOCSTI: as if it came from the keyboard.
keys() { perl -e 'open my $tty, "+<", $ARGV[0] or die; for my $key (split //, "$ARGV[1]\n") { ioctl $tty, 0x5412, $key or die $! }' "$tty" "$1"; }
shown() { tr -d '\0' <"$screen" | tr -s ' '; }
await() {
    local try
    for try in {1..300}; do
        [[ $(shown) != *"$1"* ]] || return 0
        sleep 0.1
    done
    echo "waited for '$1', the console shows: $(shown)"
    return 1
}
# What was on the screen before must not pass for an answer.
answer() {
    printf '\033[2J\033[H' >"$tty"
    keys "$1"
}
fresh() {
    printf '\033[2J\033[H' >"$tty"
    systemctl restart getty@tty1.service
    await 'login:'
}
# USER PASSWORD, from the prompt to after the password.
offer() {
    answer "$1"
    await 'assword:' || return 1
    answer "$2"
}
# Whether USER is refused, before the password or after it.
refused() {
    local try
    answer "$1"
    for try in {1..300}; do
        [[ $(shown) != *incorrect* ]] || return 0
        if [[ $(shown) == *assword:* ]]; then
            answer "$right"
            ! inside
            return
        fi
        sleep 0.1
    done
    return 1
}
# A shell answers with a word that was not typed.
inside() {
    local try
    for try in {1..100}; do
        [[ $(shown) != *incorrect* && $(shown) != *'login:'* ]] || return 1
        [[ $(shown) != *'$ '* ]] || { answer 'echo in-$((40 + 2))'; await in-42; return; }
        sleep 0.1
    done
    return 1
}

case $CASE in
    lock)
        useradd --create-home --shell /bin/bash guesser
        echo "guesser:$right" | chpasswd || exit 1
        fresh || exit 1
        for ((n = 1; n <= TRIES; n++)); do
            offer guesser wrong || exit 1
            await 'login:' || exit 1
        done
        shut=$(date +%s)
        refused guesser || echo "the right password got in after $TRIES wrong ones"
        cp -p /run/faillock/guesser /run/faillock.guesser || exit 1
        faillock --user guesser --reset
        fresh && offer guesser "$right" || exit 1
        inside || echo "the account is shut although an administrator lifted it: $(shown)"
        # Shut again as it was. pam_faillock goes by the clock, which nobody sets right meanwhile.
        cp -p /run/faillock.guesser /run/faillock/guesser || exit 1
        systemctl stop monit.service 2>/dev/null
        timedatectl set-ntp false 2>/dev/null
        # A short time would be over before the console has answered.
        early=$((LOCK < 240 ? LOCK - 120 : LOCK / 2))
        date --set "@$((shut + early))" >/dev/null || exit 1
        fresh || exit 1
        refused guesser || echo "the account opens before its time"
        date --set "@$((shut + LOCK + 30))" >/dev/null || exit 1
        fresh && offer guesser "$right" || exit 1
        inside || echo "the account is shut although its time is over: $(shown)"
        ;;
    change)
        NAME=${NAME%% *}
        # The account as it is in the image, but for a password that is known here.
        hash=$(perl -e 'print crypt $ARGV[0], q($y$j9T$F5Jx5fExrKuPp53xLKQ..1)' "$right")
        NAME=$NAME HASH=$hash perl -i -F: -ane '$F[1] = $ENV{HASH} if $F[0] eq $ENV{NAME}; print join ":", @F' /etc/shadow
        fresh && offer "$NAME" "$right" && await 'Current password:' || exit 1
        answer "$right"
        await 'New password:' || exit 1
        answer short
        await 'BAD PASSWORD' || exit 1
        await 'New password:' || exit 1
        answer 'Bq4!heron-Quartz-87'
        await 'Retype new password:' || exit 1
        answer 'Bq4!heron-Quartz-87'
        inside || echo "after the change there is no shell: $(shown)"
        fresh && offer "$NAME" 'Bq4!heron-Quartz-87' || exit 1
        inside || echo "the new password does not get in without more questions: $(shown)"
        ;;
esac
fresh || exit 1
echo "all tried"
