# Looks at each partition, given as MOUNT:BYTES:OPTIONS. Says what is not so, and "all looked at" at the end.
declare -A users=(["$(stat -c %d /)"]=/)
for entry in $PARTITIONS; do
    IFS=: read -r mount bytes options <<<"$entry"
    times=$(awk -v mount="$mount" '$5 == mount' /proc/self/mountinfo | wc -l)
    [ "$times" = 1 ] || echo "$mount is mounted $times times"
    device=$(findmnt -n -o SOURCE --mountpoint "$mount" | tail -n 1)
    [ -b "$device" ] || { echo "$mount is on '$device', which is no block device"; continue; }
    number=$(stat -c %d "$mount")
    [ -z "${users[$number]}" ] || echo "$mount is on the device of ${users[$number]}"
    users[$number]=$mount
    [ "$(blockdev --getsize64 "$device")" = "$bytes" ] || echo "$device has $(blockdev --getsize64 "$device") bytes, wanted $bytes"
    shown=,$(findmnt -n -o OPTIONS --mountpoint "$mount" | tail -n 1),
    for option in nodev nosuid noexec; do
        case ,$options, in
            *,$option,*) [[ $shown == *,$option,* ]] || echo "$mount is mounted without $option" ;;
            *) [[ $shown != *,$option,* ]] || echo "$mount is mounted with $option" ;;
        esac
    done
    [[ $shown == *,rw,* ]] || echo "$mount cannot be written"
done
echo "all looked at"
