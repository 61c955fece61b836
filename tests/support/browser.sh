# Opens the page of a proof, page.html in the working directory, in a browser without a screen: as a phone, as a desk
# has it, and as the desk has it at night. Leaves a picture of each, and for both widths what the page is then and what
# its console says. Runs in a tools tree with Chromium, which makes its own sandbox where it may; here it may not.
set -eu
HOME=$PWD/home
XDG_RUNTIME_DIR=$HOME
export HOME XDG_RUNTIME_DIR
mkdir -p "$HOME"

browse() {
    chromium-headless-shell --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars "$@"
}

for view in phone:390,844 narrow:320,640 desktop:1280,900; do
    browse --enable-logging=stderr --window-size="${view#*:}" --dump-dom "file://$PWD/measured.html" \
        >"${view%%:*}.dom" 2>"${view%%:*}.log"
done
browse --window-size=390,1600 --screenshot=phone.png "file://$PWD/page.html" 2>/dev/null
browse --window-size=1280,1300 --screenshot=desktop.png "file://$PWD/page.html" 2>/dev/null
browse --window-size=1280,1300 --blink-settings=preferredColorScheme=0 --screenshot=dark.png "file://$PWD/page.html" \
    2>/dev/null
