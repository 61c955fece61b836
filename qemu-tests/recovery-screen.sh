# Presses Enter at the rescue shell's question on the screen, types a command there, and prints what it says. The console
# that is shown is the first one.
set -u
screen=/dev/vcs1
# ioctl_tty(2), TIOCSTI: as if it came from the keyboard.
keys() { perl -e 'open my $tty, "+<", "/dev/tty1" or die; for my $key (split //, "$ARGV[0]\n") { ioctl $tty, 0x5412, $key or die $! }' "$1"; }
shown() { tr -d '\0' <"$screen" | tr -s ' '; }
await() {
    for _ in {1..300}; do
        [[ $(shown) != *"$1"* ]] || return 0
        sleep 0.1
    done
    echo "waited for '$1', the screen shows: $(shown)"
    exit 1
}
await 'Press Enter for'
keys ''
await '# '
keys 'echo user-$(id -u)-$((40 + 2))'
await user-0-42
echo user-0-42
