# Says which unit is not in the state that the plan wants; nothing when all are.
states() {
    [ $# -eq 0 ] || systemctl is-enabled --no-pager -- "$@" 2>/dev/null
}
read -ra on <<<"$ENABLED"
read -ra off <<<"$OFF"
mapfile -t state < <(states "${on[@]}")
for index in "${!on[@]}"; do
    case ${state[index]:-unknown} in
        enabled | enabled-runtime | alias | generated) ;;
        static | indirect | linked | linked-runtime)
            # That it is enabled starts none of these; another unit may.
            [ -n "$(systemctl show --value -p WantedBy -p RequiredBy -p UpheldBy -p TriggeredBy -- "${on[index]}" | tr -d '[:space:]')" ] ||
                echo "${on[index]} is ${state[index]}, and nothing starts it"
            ;;
        *) echo "${on[index]} is ${state[index]:-unknown}, wanted enabled" ;;
    esac
done
mapfile -t state < <(states "${off[@]}")
for index in "${!off[@]}"; do
    case ${state[index]:-unknown} in
        masked | masked-runtime) ;;
        disabled | not-found)
            # D-Bus, sockets and other units still start what is only disabled.
            [[ " $MASKED " != *" ${off[index]} "* ]] || echo "${off[index]} is ${state[index]}, wanted masked"
            ;;
        *) echo "${off[index]} is ${state[index]:-unknown}, wanted off" ;;
    esac
done
