# Runs in the booted image for as long as it is proved; nothing of it is on the disk.
# Lines from the port:  run SESSION ID SECONDS BASE64-SCRIPT
# Lines to the port:    hello 1 NONCE SESSION
#                       done SESSION ID EXIT TIMED-OUT OUT-SIZE ERR-SIZE o:BASE64 e:BASE64
# SESSION is the kernel's boot id, so that a request from before a reboot is not run after it.
set -u
export LC_ALL=C.UTF-8 HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 022
cd /
port=/dev/virtio-ports/goldcast
dir=/run/goldcast-agent
most=4194304
mkdir -p -m 0700 "$dir"
read -r session </proc/sys/kernel/random/boot_id
until [ -c "$port" ]; do sleep 0.2; done
exec 3<>"$port"
printf '\nhello 1 %s %s\n' "$GOLDCAST_NONCE" "$session" >&3
while :; do
    if ! IFS=' ' read -r verb for_session id limit script <&3; then
        # The other side is not connected (yet): reading would spin.
        sleep 0.5
        continue
    fi
    [ "$verb" = run ] && [ "$for_session" = "$session" ] || continue
    printf %s "$script" | base64 -d >"$dir/script"
    began=$SECONDS
    timeout -k 5 "$limit" env -u GOLDCAST_NONCE /bin/bash "$dir/script" \
        >"$dir/out" 2>"$dir/err" </dev/null 3>&-
    code=$?
    late=0
    case $code in 124 | 137) [ $((SECONDS - began)) -ge "$limit" ] && late=1 ;; esac
    {
        printf 'done %s %s %s %s %s %s o:' "$session" "$id" "$code" "$late" \
            "$(stat -c %s "$dir/out")" "$(stat -c %s "$dir/err")"
        head -c "$most" "$dir/out" | base64 -w0
        printf ' e:'
        head -c "$most" "$dir/err" | base64 -w0
        printf '\n'
    } >&3
done
