# Leaves LEFT MiB on the disk of the records, and has the kernel record SAYS some times. Says whether that is recorded, or
# with LATER nothing: then it begins when this has ended.
set -u
disk=$(df --output=target /var/log/audit | tail -n 1)
low() {
    local free try
    sync
    free=$(df -B1 --output=avail "$disk" | tail -n 1)
    fallocate -l $((free - (LEFT << 20))) "$disk/full.$LEFT" || exit 1
    # auditd does not look at each record how much is left.
    for try in {1..10}; do
        auditctl -m "$SAYS" >/dev/null
        sleep 0.5
    done
}
if [ -n "${LATER-}" ]; then
    export -f low
    export LEFT SAYS disk
    setsid --fork bash -c 'sleep 3; low' >/dev/null 2>&1
    exit
fi
low
for try in {1..20}; do
    ausearch --input-logs -m USER 2>/dev/null | grep -qF "$SAYS" && echo recorded && break
    sleep 1
done
exit 0
