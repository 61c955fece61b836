# How long each ban of ADDRESS that is over lasted, how many there were, and whether the last one was the longest by far:
# the second is to be twice the first, and a busy machine begins and ends them seconds late.
journalctl --sync
journalctl --quiet --no-pager -u fail2ban.service -o short-unix | awk -v address="$ADDRESS" '
    / \[sshd\] Ban / && $NF == address { begun = $1 }
    / \[sshd\] Unban / && $NF == address && begun { before = took; took = $1 - begun; begun = 0; print ++over, "over, of", took, "s" }
    END { if (over > 1 && took > before * 1.5) print "the last is longer" }'
