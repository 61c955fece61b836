# Asks the machine at TO as check_nrpe from FROM does, and prints what comes of each question, with its exit status.
set -u
ask=/usr/lib/nagios/plugins/check_nrpe
[ -x "$ask" ] || exit 127
tell() {
    local told status
    told=$("$ask" -H "$TO" -p "$PORT" -b "$FROM" -t "${WAIT:-60}" "$@" 2>&1 </dev/null)
    status=$?
    # Up to the numbers.
    echo "$status ${told%%[|]*}"
}
case $CASE in
    all) for command in $COMMANDS; do echo "$command $(tell -c "$command")"; done ;;
    closed)
        echo "version: $(tell)"
        echo "unknown: $(tell -c check_users)"
        echo "argument: $(tell -c check_load -a '-w' 'x')"
        echo "shell: $(tell -c 'check_load;id')"
        echo "clear: $(tell -n -c check_load)"
        echo "anonymous: $(tell -L 'ADH:@SECLEVEL=0' -S TLSv1.2 -c check_load)"
        ;;
esac
