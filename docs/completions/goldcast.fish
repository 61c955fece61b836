# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_goldcast_global_optspecs
    string join \n h/help V/version
end

function __fish_goldcast_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_goldcast_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_goldcast_using_subcommand
    set -l cmd (__fish_goldcast_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c goldcast -n "__fish_goldcast_needs_command" -s h -l help -d 'Print help'
complete -c goldcast -n "__fish_goldcast_needs_command" -s V -l version -d 'Print version'
complete -c goldcast -n "__fish_goldcast_needs_command" -f -a "build" -d 'Build a recipe\'s image and prove it'
complete -c goldcast -n "__fish_goldcast_needs_command" -f -a "lock" -d 'Choose the exact packages of a recipe, without building'
complete -c goldcast -n "__fish_goldcast_needs_command" -f -a "verify" -d 'Prove an image that is already built'
complete -c goldcast -n "__fish_goldcast_needs_command" -f -a "check" -d 'Check a recipe; needs no network and writes nothing'
complete -c goldcast -n "__fish_goldcast_needs_command" -f -a "why" -d 'Say why a package or a file is in the image'
complete -c goldcast -n "__fish_goldcast_needs_command" -f -a "overlays" -d 'List the overlays, or tell about one'
complete -c goldcast -n "__fish_goldcast_needs_command" -f -a "diff" -d 'Compare two images'
complete -c goldcast -n "__fish_goldcast_needs_command" -f -a "rebuild" -d 'Build a published image once more and compare'
complete -c goldcast -n "__fish_goldcast_needs_command" -f -a "run" -d 'Boot a built image with its console on this terminal'
complete -c goldcast -n "__fish_goldcast_needs_command" -f -a "shell" -d 'Enter the tree that a failed build left behind (--keep-failed)'
complete -c goldcast -n "__fish_goldcast_needs_command" -f -a "tool" -d 'Run a program of the tools tree on files below this directory'
complete -c goldcast -n "__fish_goldcast_needs_command" -f -a "cache" -d 'Show the cache, or make it smaller'
complete -c goldcast -n "__fish_goldcast_needs_command" -f -a "schema" -d 'Print a JSON Schema: of recipes, for editors, or of what goldcast writes'
complete -c goldcast -n "__fish_goldcast_needs_command" -f -a "completions" -d 'Print completions for a shell'
complete -c goldcast -n "__fish_goldcast_needs_command" -f -a "man" -d 'Write the manual pages'
complete -c goldcast -n "__fish_goldcast_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c goldcast -n "__fish_goldcast_using_subcommand build" -l out -d 'Write the outputs to this directory instead of out/NAME' -r -F
complete -c goldcast -n "__fish_goldcast_using_subcommand build" -l jobs -d 'Use this many processors, for the machines of a proof too (default: all)' -r
complete -c goldcast -n "__fish_goldcast_using_subcommand build" -l storage -d 'Where the tree is while it is built' -r -f -a "auto\t'In memory when there is enough, else on disk'
memory\t'In memory, whatever there is'
disk\t'On disk'"
complete -c goldcast -n "__fish_goldcast_using_subcommand build" -l cache-size -d 'What the cache may grow to; what was used longest ago goes first' -r
complete -c goldcast -n "__fish_goldcast_using_subcommand build" -l mirror -d 'Base address of the package mirror: http, https or file; beside one that ends in /debian the security archive is read, in /debian-security' -r
complete -c goldcast -n "__fish_goldcast_using_subcommand build" -l downloads -d 'Downloads at once' -r
complete -c goldcast -n "__fish_goldcast_using_subcommand build" -l only -d 'Run only the check with this name; may be repeated. `verify` puts its report into partial/ then, below the outputs, and leaves the whole one as it is' -r
complete -c goldcast -n "__fish_goldcast_using_subcommand build" -l skip -d 'Leave out the check with this name; the report shows it as skipped; may be repeated' -r
complete -c goldcast -n "__fish_goldcast_using_subcommand build" -l firmware -d 'Boot only with this firmware; may be repeated (default: all)' -r -f -a "bios\t''
uefi\t''
secure-boot\t''"
complete -c goldcast -n "__fish_goldcast_using_subcommand build" -l locked -d 'Fail when the lock is missing or stale, instead of writing it'
complete -c goldcast -n "__fish_goldcast_using_subcommand build" -l no-verify -d 'Build only; the image is left unproven and the exit status is 0'
complete -c goldcast -n "__fish_goldcast_using_subcommand build" -l keep-failed -d 'After a failure keep the tree, for `goldcast shell`'
complete -c goldcast -n "__fish_goldcast_using_subcommand build" -l explain -d 'Say of each stage whether the cache had it and, when not, which input changed, from what to what'
complete -c goldcast -n "__fish_goldcast_using_subcommand build" -l offline -d 'Use only what is in the cache; fail where that is not enough'
complete -c goldcast -n "__fish_goldcast_using_subcommand build" -l quick -d 'One firmware and no destructive checks'
complete -c goldcast -n "__fish_goldcast_using_subcommand build" -l json -d 'Tell progress as one JSON object a line on standard output (see `goldcast schema events`)'
complete -c goldcast -n "__fish_goldcast_using_subcommand build" -s q -l quiet -d 'Tell only warnings and errors, and what was asked for'
complete -c goldcast -n "__fish_goldcast_using_subcommand build" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goldcast -n "__fish_goldcast_using_subcommand build" -s V -l version -d 'Print version'
complete -c goldcast -n "__fish_goldcast_using_subcommand lock" -l update -d 'Take the newest versions: of these packages, or of all when none is named; it stands after RECIPE' -r
complete -c goldcast -n "__fish_goldcast_using_subcommand lock" -l mirror -d 'Base address of the package mirror: http, https or file; beside one that ends in /debian the security archive is read, in /debian-security' -r
complete -c goldcast -n "__fish_goldcast_using_subcommand lock" -l downloads -d 'Downloads at once' -r
complete -c goldcast -n "__fish_goldcast_using_subcommand lock" -l locked -d 'Fail when the lock is missing or stale, instead of writing it'
complete -c goldcast -n "__fish_goldcast_using_subcommand lock" -l offline -d 'Use only what is in the cache; fail where that is not enough'
complete -c goldcast -n "__fish_goldcast_using_subcommand lock" -l json -d 'Tell progress as one JSON object a line on standard output (see `goldcast schema events`)'
complete -c goldcast -n "__fish_goldcast_using_subcommand lock" -s q -l quiet -d 'Tell only warnings and errors, and what was asked for'
complete -c goldcast -n "__fish_goldcast_using_subcommand lock" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goldcast -n "__fish_goldcast_using_subcommand lock" -s V -l version -d 'Print version'
complete -c goldcast -n "__fish_goldcast_using_subcommand verify" -l out -d 'The directory with the outputs, instead of out/NAME' -r -F
complete -c goldcast -n "__fish_goldcast_using_subcommand verify" -l jobs -d 'Use this many processors, for the machines of a proof too (default: all)' -r
complete -c goldcast -n "__fish_goldcast_using_subcommand verify" -l mirror -d 'Base address of the package mirror: http, https or file; beside one that ends in /debian the security archive is read, in /debian-security' -r
complete -c goldcast -n "__fish_goldcast_using_subcommand verify" -l downloads -d 'Downloads at once' -r
complete -c goldcast -n "__fish_goldcast_using_subcommand verify" -l only -d 'Run only the check with this name; may be repeated. `verify` puts its report into partial/ then, below the outputs, and leaves the whole one as it is' -r
complete -c goldcast -n "__fish_goldcast_using_subcommand verify" -l skip -d 'Leave out the check with this name; the report shows it as skipped; may be repeated' -r
complete -c goldcast -n "__fish_goldcast_using_subcommand verify" -l firmware -d 'Boot only with this firmware; may be repeated (default: all)' -r -f -a "bios\t''
uefi\t''
secure-boot\t''"
complete -c goldcast -n "__fish_goldcast_using_subcommand verify" -l list -d 'Only list the checks that would run; with --mutants the sabotages'
complete -c goldcast -n "__fish_goldcast_using_subcommand verify" -l mutants -d 'Sabotage copies of the booted machine, and see that the checks notice; --only names mutants then'
complete -c goldcast -n "__fish_goldcast_using_subcommand verify" -l offline -d 'Use only what is in the cache; fail where that is not enough'
complete -c goldcast -n "__fish_goldcast_using_subcommand verify" -l quick -d 'One firmware and no destructive checks'
complete -c goldcast -n "__fish_goldcast_using_subcommand verify" -l json -d 'Tell progress as one JSON object a line on standard output (see `goldcast schema events`)'
complete -c goldcast -n "__fish_goldcast_using_subcommand verify" -s q -l quiet -d 'Tell only warnings and errors, and what was asked for'
complete -c goldcast -n "__fish_goldcast_using_subcommand verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goldcast -n "__fish_goldcast_using_subcommand verify" -s V -l version -d 'Print version'
complete -c goldcast -n "__fish_goldcast_using_subcommand check" -l plan -d 'Print the resolved plan as JSON'
complete -c goldcast -n "__fish_goldcast_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goldcast -n "__fish_goldcast_using_subcommand check" -s V -l version -d 'Print version'
complete -c goldcast -n "__fish_goldcast_using_subcommand why" -l out -d 'The directory with the outputs, instead of out/NAME: its manifest knows the files that no package owns' -r -F
complete -c goldcast -n "__fish_goldcast_using_subcommand why" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goldcast -n "__fish_goldcast_using_subcommand why" -s V -l version -d 'Print version'
complete -c goldcast -n "__fish_goldcast_using_subcommand overlays" -l beside -d 'Know the overlays beside this recipe and above it as well' -r -F
complete -c goldcast -n "__fish_goldcast_using_subcommand overlays" -l pages -d 'Write every overlay\'s page to this directory' -r -F
complete -c goldcast -n "__fish_goldcast_using_subcommand overlays" -l costs -d 'Measure what every overlay adds to a recipe, against the archive as it is, and write it to this file' -r -F
complete -c goldcast -n "__fish_goldcast_using_subcommand overlays" -l on -d 'The recipe that they are added to' -r -F
complete -c goldcast -n "__fish_goldcast_using_subcommand overlays" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goldcast -n "__fish_goldcast_using_subcommand overlays" -s V -l version -d 'Print version'
complete -c goldcast -n "__fish_goldcast_using_subcommand diff" -l only -d 'Compare only files at or below this path in the image (`/etc`, `esp:/EFI`); may be repeated' -r
complete -c goldcast -n "__fish_goldcast_using_subcommand diff" -l mirror -d 'Base address of the package mirror: http, https or file; beside one that ends in /debian the security archive is read, in /debian-security' -r
complete -c goldcast -n "__fish_goldcast_using_subcommand diff" -l downloads -d 'Downloads at once' -r
complete -c goldcast -n "__fish_goldcast_using_subcommand diff" -l stat -d 'Do not show how contents differ'
complete -c goldcast -n "__fish_goldcast_using_subcommand diff" -l offline -d 'Use only what is in the cache; fail where that is not enough'
complete -c goldcast -n "__fish_goldcast_using_subcommand diff" -l json -d 'Print the report as one JSON document (see `goldcast schema diff`)'
complete -c goldcast -n "__fish_goldcast_using_subcommand diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goldcast -n "__fish_goldcast_using_subcommand diff" -s V -l version -d 'Print version'
complete -c goldcast -n "__fish_goldcast_using_subcommand rebuild" -l mirror -d 'Base address of the package mirror: http, https or file; beside one that ends in /debian the security archive is read, in /debian-security' -r
complete -c goldcast -n "__fish_goldcast_using_subcommand rebuild" -l downloads -d 'Downloads at once' -r
complete -c goldcast -n "__fish_goldcast_using_subcommand rebuild" -l check -d 'Compare only; the rebuilt image is thrown away'
complete -c goldcast -n "__fish_goldcast_using_subcommand rebuild" -l offline -d 'Use only what is in the cache; fail where that is not enough'
complete -c goldcast -n "__fish_goldcast_using_subcommand rebuild" -l json -d 'Tell progress as one JSON object a line on standard output (see `goldcast schema events`)'
complete -c goldcast -n "__fish_goldcast_using_subcommand rebuild" -s q -l quiet -d 'Tell only warnings and errors, and what was asked for'
complete -c goldcast -n "__fish_goldcast_using_subcommand rebuild" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goldcast -n "__fish_goldcast_using_subcommand rebuild" -s V -l version -d 'Print version'
complete -c goldcast -n "__fish_goldcast_using_subcommand run" -l out -d 'The directory with the outputs, instead of out/NAME' -r -F
complete -c goldcast -n "__fish_goldcast_using_subcommand run" -l firmware -d 'The firmware' -r -f -a "bios\t''
uefi\t''
secure-boot\t''"
complete -c goldcast -n "__fish_goldcast_using_subcommand run" -l memory -d 'The machine\'s memory in MiB' -r
complete -c goldcast -n "__fish_goldcast_using_subcommand run" -l persist -d 'Keep what the machine writes in this directory, and go on from it next time' -r -F
complete -c goldcast -n "__fish_goldcast_using_subcommand run" -l script -d 'Run this bash script as root inside once the system is up, then switch the machine off; no console' -r -F
complete -c goldcast -n "__fish_goldcast_using_subcommand run" -l mirror -d 'Base address of the package mirror: http, https or file; beside one that ends in /debian the security archive is read, in /debian-security' -r
complete -c goldcast -n "__fish_goldcast_using_subcommand run" -l downloads -d 'Downloads at once' -r
complete -c goldcast -n "__fish_goldcast_using_subcommand run" -l counted -d 'Emulate, and let the machine\'s clock count its instructions: what the script measures is work, not the host\'s load'
complete -c goldcast -n "__fish_goldcast_using_subcommand run" -l offline -d 'Use only what is in the cache; fail where that is not enough'
complete -c goldcast -n "__fish_goldcast_using_subcommand run" -l json -d 'Tell progress as one JSON object a line on standard output (see `goldcast schema events`)'
complete -c goldcast -n "__fish_goldcast_using_subcommand run" -s q -l quiet -d 'Tell only warnings and errors, and what was asked for'
complete -c goldcast -n "__fish_goldcast_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goldcast -n "__fish_goldcast_using_subcommand run" -s V -l version -d 'Print version'
complete -c goldcast -n "__fish_goldcast_using_subcommand shell" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goldcast -n "__fish_goldcast_using_subcommand shell" -s V -l version -d 'Print version'
complete -c goldcast -n "__fish_goldcast_using_subcommand tool" -l mirror -d 'Base address of the package mirror: http, https or file; beside one that ends in /debian the security archive is read, in /debian-security' -r
complete -c goldcast -n "__fish_goldcast_using_subcommand tool" -l downloads -d 'Downloads at once' -r
complete -c goldcast -n "__fish_goldcast_using_subcommand tool" -l offline -d 'Use only what is in the cache; fail where that is not enough'
complete -c goldcast -n "__fish_goldcast_using_subcommand tool" -l json -d 'Tell progress as one JSON object a line on standard output (see `goldcast schema events`)'
complete -c goldcast -n "__fish_goldcast_using_subcommand tool" -s q -l quiet -d 'Tell only warnings and errors, and what was asked for'
complete -c goldcast -n "__fish_goldcast_using_subcommand tool" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goldcast -n "__fish_goldcast_using_subcommand tool" -s V -l version -d 'Print version'
complete -c goldcast -n "__fish_goldcast_using_subcommand cache; and not __fish_seen_subcommand_from path gc clear help" -s h -l help -d 'Print help'
complete -c goldcast -n "__fish_goldcast_using_subcommand cache; and not __fish_seen_subcommand_from path gc clear help" -s V -l version -d 'Print version'
complete -c goldcast -n "__fish_goldcast_using_subcommand cache; and not __fish_seen_subcommand_from path gc clear help" -f -a "path" -d 'Print the cache\'s directory'
complete -c goldcast -n "__fish_goldcast_using_subcommand cache; and not __fish_seen_subcommand_from path gc clear help" -f -a "gc" -d 'Remove what was used longest ago until the cache is within its bound; what running builds use stays'
complete -c goldcast -n "__fish_goldcast_using_subcommand cache; and not __fish_seen_subcommand_from path gc clear help" -f -a "clear" -d 'Remove everything from the cache'
complete -c goldcast -n "__fish_goldcast_using_subcommand cache; and not __fish_seen_subcommand_from path gc clear help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c goldcast -n "__fish_goldcast_using_subcommand cache; and __fish_seen_subcommand_from path" -s h -l help -d 'Print help'
complete -c goldcast -n "__fish_goldcast_using_subcommand cache; and __fish_seen_subcommand_from path" -s V -l version -d 'Print version'
complete -c goldcast -n "__fish_goldcast_using_subcommand cache; and __fish_seen_subcommand_from gc" -l cache-size -d 'What the cache may grow to; what was used longest ago goes first' -r
complete -c goldcast -n "__fish_goldcast_using_subcommand cache; and __fish_seen_subcommand_from gc" -s h -l help -d 'Print help'
complete -c goldcast -n "__fish_goldcast_using_subcommand cache; and __fish_seen_subcommand_from gc" -s V -l version -d 'Print version'
complete -c goldcast -n "__fish_goldcast_using_subcommand cache; and __fish_seen_subcommand_from clear" -s h -l help -d 'Print help'
complete -c goldcast -n "__fish_goldcast_using_subcommand cache; and __fish_seen_subcommand_from clear" -s V -l version -d 'Print version'
complete -c goldcast -n "__fish_goldcast_using_subcommand cache; and __fish_seen_subcommand_from help" -f -a "path" -d 'Print the cache\'s directory'
complete -c goldcast -n "__fish_goldcast_using_subcommand cache; and __fish_seen_subcommand_from help" -f -a "gc" -d 'Remove what was used longest ago until the cache is within its bound; what running builds use stays'
complete -c goldcast -n "__fish_goldcast_using_subcommand cache; and __fish_seen_subcommand_from help" -f -a "clear" -d 'Remove everything from the cache'
complete -c goldcast -n "__fish_goldcast_using_subcommand cache; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c goldcast -n "__fish_goldcast_using_subcommand schema" -l beside -d 'That of recipes with the overlays beside this recipe and above it' -r -F
complete -c goldcast -n "__fish_goldcast_using_subcommand schema" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goldcast -n "__fish_goldcast_using_subcommand schema" -s V -l version -d 'Print version'
complete -c goldcast -n "__fish_goldcast_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goldcast -n "__fish_goldcast_using_subcommand completions" -s V -l version -d 'Print version'
complete -c goldcast -n "__fish_goldcast_using_subcommand man" -s h -l help -d 'Print help'
complete -c goldcast -n "__fish_goldcast_using_subcommand man" -s V -l version -d 'Print version'
complete -c goldcast -n "__fish_goldcast_using_subcommand help; and not __fish_seen_subcommand_from build lock verify check why overlays diff rebuild run shell tool cache schema completions man help" -f -a "build" -d 'Build a recipe\'s image and prove it'
complete -c goldcast -n "__fish_goldcast_using_subcommand help; and not __fish_seen_subcommand_from build lock verify check why overlays diff rebuild run shell tool cache schema completions man help" -f -a "lock" -d 'Choose the exact packages of a recipe, without building'
complete -c goldcast -n "__fish_goldcast_using_subcommand help; and not __fish_seen_subcommand_from build lock verify check why overlays diff rebuild run shell tool cache schema completions man help" -f -a "verify" -d 'Prove an image that is already built'
complete -c goldcast -n "__fish_goldcast_using_subcommand help; and not __fish_seen_subcommand_from build lock verify check why overlays diff rebuild run shell tool cache schema completions man help" -f -a "check" -d 'Check a recipe; needs no network and writes nothing'
complete -c goldcast -n "__fish_goldcast_using_subcommand help; and not __fish_seen_subcommand_from build lock verify check why overlays diff rebuild run shell tool cache schema completions man help" -f -a "why" -d 'Say why a package or a file is in the image'
complete -c goldcast -n "__fish_goldcast_using_subcommand help; and not __fish_seen_subcommand_from build lock verify check why overlays diff rebuild run shell tool cache schema completions man help" -f -a "overlays" -d 'List the overlays, or tell about one'
complete -c goldcast -n "__fish_goldcast_using_subcommand help; and not __fish_seen_subcommand_from build lock verify check why overlays diff rebuild run shell tool cache schema completions man help" -f -a "diff" -d 'Compare two images'
complete -c goldcast -n "__fish_goldcast_using_subcommand help; and not __fish_seen_subcommand_from build lock verify check why overlays diff rebuild run shell tool cache schema completions man help" -f -a "rebuild" -d 'Build a published image once more and compare'
complete -c goldcast -n "__fish_goldcast_using_subcommand help; and not __fish_seen_subcommand_from build lock verify check why overlays diff rebuild run shell tool cache schema completions man help" -f -a "run" -d 'Boot a built image with its console on this terminal'
complete -c goldcast -n "__fish_goldcast_using_subcommand help; and not __fish_seen_subcommand_from build lock verify check why overlays diff rebuild run shell tool cache schema completions man help" -f -a "shell" -d 'Enter the tree that a failed build left behind (--keep-failed)'
complete -c goldcast -n "__fish_goldcast_using_subcommand help; and not __fish_seen_subcommand_from build lock verify check why overlays diff rebuild run shell tool cache schema completions man help" -f -a "tool" -d 'Run a program of the tools tree on files below this directory'
complete -c goldcast -n "__fish_goldcast_using_subcommand help; and not __fish_seen_subcommand_from build lock verify check why overlays diff rebuild run shell tool cache schema completions man help" -f -a "cache" -d 'Show the cache, or make it smaller'
complete -c goldcast -n "__fish_goldcast_using_subcommand help; and not __fish_seen_subcommand_from build lock verify check why overlays diff rebuild run shell tool cache schema completions man help" -f -a "schema" -d 'Print a JSON Schema: of recipes, for editors, or of what goldcast writes'
complete -c goldcast -n "__fish_goldcast_using_subcommand help; and not __fish_seen_subcommand_from build lock verify check why overlays diff rebuild run shell tool cache schema completions man help" -f -a "completions" -d 'Print completions for a shell'
complete -c goldcast -n "__fish_goldcast_using_subcommand help; and not __fish_seen_subcommand_from build lock verify check why overlays diff rebuild run shell tool cache schema completions man help" -f -a "man" -d 'Write the manual pages'
complete -c goldcast -n "__fish_goldcast_using_subcommand help; and not __fish_seen_subcommand_from build lock verify check why overlays diff rebuild run shell tool cache schema completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c goldcast -n "__fish_goldcast_using_subcommand help; and __fish_seen_subcommand_from cache" -f -a "path" -d 'Print the cache\'s directory'
complete -c goldcast -n "__fish_goldcast_using_subcommand help; and __fish_seen_subcommand_from cache" -f -a "gc" -d 'Remove what was used longest ago until the cache is within its bound; what running builds use stays'
complete -c goldcast -n "__fish_goldcast_using_subcommand help; and __fish_seen_subcommand_from cache" -f -a "clear" -d 'Remove everything from the cache'
