# What new passwords are taken for an account. CASE is `length`: those that are just long and varied enough, of LENGTH
# characters of CLASSES kinds, and no others; or `history`: none of the last REMEMBER ones. Says what is not so, and
# "all tried" at the end.
set -u
useradd --create-home --shell /bin/bash newcomer
new() { printf '%s\n%s\n' "$1" "$1" | passwd newcomer >/dev/null 2>&1; }
# What is wrong with an old password must not depend on which one was taken before.
taken() { rm -f /etc/security/opasswd && new "$1"; }

length() {
    # No word in it, no sequence, and nothing twice in a row.
    local varied='Kq4!hrBz-Lnt7n_ZxbrM%th+Qw9lG:rsY=rT?ndVx/6pWjH5s,Cm3kF.8vRz^2gNd' small letters classes
    taken "${varied:0:LENGTH}" || echo "one of $LENGTH characters is refused"
    ! taken "${varied:0:LENGTH-1}" || echo "one of $((LENGTH - 1)) characters is taken"

    small=qhzrbvxlntmwskjpgdfcqzhvrxblnmtwskpjdgcfhqzvxrblwtnmskjgpdfcvzqhbxrtnwlm
    letters=${small:0:LENGTH+4}
    for classes in 1 2 3 4; do
        case $classes in
            2) letters=${letters:0:2}7${letters:3} ;;
            3) letters=${letters:0:5}K${letters:6} ;;
            4) letters=${letters:0:8}%${letters:9} ;;
        esac
        if [ "$classes" -ge "$CLASSES" ]; then
            taken "$letters" || echo "one of $classes kinds of characters is refused"
        else
            ! taken "$letters" || echo "one of $classes kinds of characters is taken"
        fi
    done
}

history() {
    local one
    password() { printf 'Kq%04d!hrBz-Lnt' "$((($1 + 1) * 7919 % 10000))"; }
    for ((one = 0; one < REMEMBER; one++)); do
        new "$(password "$one")" || echo "new password $one is refused"
    done
    for ((one = 0; one < REMEMBER; one++)); do
        ! new "$(password "$one")" || echo "an old password is taken, $((REMEMBER - one - 1)) before this one"
    done
    # That those were refused must be for what they are: one from before them is not.
    new "$(password "$REMEMBER")" || echo "one that never was is refused"
    new "$(password 0)" || echo "one that is older than the last $REMEMBER is refused"
}

"$CASE"
echo "all tried"
