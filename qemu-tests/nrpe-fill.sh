# Fills the filesystem at /mnt/small until LEFT thousandths of its space or its inodes, as WHAT says, are left, and nothing
# of what was there before.
set -eu
cd /mnt/small
rm -rf full
case $WHAT in
    space)
        read -r used left < <(df -B1 --output=used,avail . | tail -1)
        fallocate -l $((left - (used + left) * LEFT / 1000)) full
        df .
        ;;
    inodes)
        read -r all left < <(df --output=itotal,iavail . | tail -1)
        mkdir full
        seq -f 'full/%.0f' $((left - 1 - all * LEFT / 1000)) | xargs touch
        df -i .
        ;;
esac
