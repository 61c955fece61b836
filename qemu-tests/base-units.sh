# Says which unit is not in the state that the plan wants; nothing when all are.
states() {
    [ $# -eq 0 ] || systemctl is-enabled --no-pager -- "$@" 2>/dev/null
}
read -ra on <<<"$ENABLED"
read -ra off <<<"$OFF"
mapfile -t state < <(states "${on[@]}")
for index in "${!on[@]}"; do
    case ${state[index]:-unknown} in
        enabled | enabled-runtime | alias | static | indirect | generated | linked) ;;
        *) echo "${on[index]} is ${state[index]:-unknown}, wanted enabled" ;;
    esac
done
mapfile -t state < <(states "${off[@]}")
for index in "${!off[@]}"; do
    case ${state[index]:-unknown} in
        disabled | masked | masked-runtime | not-found) ;;
        *) echo "${off[index]} is ${state[index]:-unknown}, wanted off" ;;
    esac
done
