# shellcheck shell=bash disable=SC2034,SC2154  # the variables that benches/run and its parts share
# goldcast's side: recipes made from the server recipe, and the states its cache can be in.

# Packages that are small, need nothing, and are not in a server: one is added, or one each to half of ten recipes.
extras=(tree pv bc time lsof)

ours_version() { "$goldcast" --version; }

# Recipes and locks in $directory/recipes, and a cache that holds every download and the tools.
ours_prepare() {
    local recipes=$directory/recipes cache=$directory/cache user name number
    mkdir -p "$recipes" "$cache"
    user=$("$goldcast" cache path)
    export GOLDCAST_CACHE=$cache
    # What an earlier build downloaded need not come over the network again.
    for name in cas ac trees; do
        [ ! -d "$user/$name" ] || cp -a "$user/$name" "$cache/"
    done
    cp -r recipes/base "$recipes/"
    # The server recipe, a raw image only, under one name, and without the limits that an added package could pass.
    sed -E -e 's/^name = "debian-13-server"/name = "bench"/' -e 's/^formats = .*/formats = ["raw"]/' \
        -e '/^max-(count|installed) = /d' recipes/debian-13-server.toml >"$recipes/bench.toml"
    if ! grep -q '^name = "bench"' "$recipes/bench.toml" || ! grep -q '^formats = \["raw"\]' "$recipes/bench.toml"; then
        die 1 "recipes/debian-13-server.toml no longer has the name and formats that this expects"
    fi
    ours_lock bench
    printf 'extends = ["bench.toml"]\n[packages]\ninstall = ["%s"]\n' "${extras[0]}" >"$recipes/more.toml"
    printf 'extends = ["bench.toml"]\n[packages]\ninstall = [%s]\n' \
        "$(printf '"%s", ' "${extras[@]}")" >"$recipes/all.toml"
    # The same recipe after somebody added a line to its list.
    awk -v more="${extras[0]}" '{ print } /^\[/ { table = $0 } table == "[packages]" && /^install = \[$/ { printf "  \"%s\",\n", more }' \
        "$recipes/bench.toml" >"$recipes/edited.toml"
    for ((number = 0; number < 10; number++)); do
        {
            printf 'extends = ["bench.toml"]\n[image]\nname = "server%d"\nhostname = "host%d"\n' "$number" "$number"
            printf '[overlay.ssh]\nport = %d\n' $((22100 + number))
            ((number % 2)) || printf '[packages]\ninstall = ["%s"]\n' "${extras[number / 2]}"
        } >"$recipes/server$number.toml"
    done
    for name in more edited all server{0..9}; do
        cp "$recipes/bench.lock" "$recipes/$name.lock"
        ours_lock "$name"
    done
    for name in more edited; do
        (($(grep -c '^\[\[package\]\]' "$recipes/$name.lock") > $(grep -c '^\[\[package\]\]' "$recipes/bench.lock"))) ||
            die 1 "${extras[0]} is in the server recipe already, or not in $name.toml: see benches/ours.sh"
    done
    # One build of everything, not counted, brings every download and the tools.
    "$goldcast" build "$recipes/all.toml" --no-verify --locked --out "$directory/warm" >"$directory/logs/warm.log" 2>&1 ||
        { cat "$directory/logs/warm.log" >&2; die 1 "goldcast could not build"; }
    rm -rf "$directory/warm"
    ours_cold
}
ours_lock() {
    "$goldcast" lock "$directory/recipes/$1.toml" >"$directory/logs/lock.log" 2>&1 ||
        { cat "$directory/logs/lock.log" >&2; die 1 "goldcast could not lock $1"; }
}

# Leaves the downloads and the tools in the cache, no result of any build, and no output.
ours_cold() {
    forget_results "$directory/cache"
    rm -rf "$directory/ours"
}
forget_results() { # cache
    local entry
    for entry in "$1"/*; do
        case ${entry##*/} in
        cas | trees) ;;
        # Beside what is known of the archive and the tools: what earlier builds found out.
        ac) rm -f "$entry"/{last,menu,tiers}.* ;;
        *) erase "$entry" ;;
        esac
    done
}

ours_build() { # recipe
    "$goldcast" build "$directory/recipes/$1.toml" --no-verify --offline --locked --out "$directory/ours/${2-bench}"
}

# Sets the ssh port of the recipe, as a person would in the editor.
ours_port() { # port
    awk -v port="$1" '/^\[/ { table = $0 } table == "[overlay.ssh]" && /^port = / { $0 = "port = " port; done = 1 } { print }
        END { exit !done }' "$directory/recipes/bench.toml" >"$directory/recipes/edited" ||
        die 1 "recipes/debian-13-server.toml no longer sets the ssh port"
    mv "$directory/recipes/edited" "$directory/recipes/bench.toml"
}

ours_ten() {
    local number
    for ((number = 0; number < 10; number++)); do
        ours_build "server$number" "server$number" || return 1
    done
}

# Bytes of the built tree's files, as goldcast reports them: "root 401.3 MiB in 16171 files".
ours_tree_size() { # log of a build
    awk '$1 == "root" && $3 ~ /iB$/ { unit["KiB"] = 1024; unit["MiB"] = 1024 ^ 2; unit["GiB"] = 1024 ^ 3
        printf "%.0f\n", $2 * unit[$3]; exit }' "$1"
}
