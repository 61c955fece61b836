#!/usr/bin/env bash
# mmdebstrap: no image, a tar of the tree. Run by benches/run as `mmdebstrap.sh prepare|full|incremental|version|product`
# in the directory it works in, with the repository in ./repository.
set -euo pipefail

prepare() { command -v mmdebstrap >/dev/null || { echo "mmdebstrap is not installed" && exit 77; }; }

# The hook is the manual's first example, for storage where sync(2) takes time.
full() {
    mmdebstrap --mode=root --variant=essential --include="$(paste -sd , repository/names)" --quiet \
        --keyring="$PWD/repository/key.gpg" --aptopt='APT::Sandbox::User "root"' \
        --hook-directory=/usr/share/mmdebstrap/hooks/eatmydata \
        trixie mmdebstrap.tar "deb copy://$PWD/repository trixie main"
}
incremental() { echo "mmdebstrap keeps nothing between runs" && exit 77; }
version() { dpkg-query -W -f 'mmdebstrap ${Version}' mmdebstrap; }
product() { echo mmdebstrap.tar; }

"$@"
