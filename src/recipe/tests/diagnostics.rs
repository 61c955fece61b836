//! What a person sees who made a mistake.

use super::{HEAD, USER, World};
use crate::recipe::ssh_key;
use proptest::prelude::*;

#[test]
fn all_errors_of_a_file_at_once() {
    let world = World::recipe(
        r#"extends = "base/debian-13.toml"

[image]
nmae = "x"
root-size = "4 G"
formats = ["qcow", "raw"]
hostname = "web_1"

[distribution]
name = "windows"
release = "13"
mirror = "deb.example.org"

[packages]
install = ["Less", "vim", 7]
max-count = "260"
max-installed = 650

[[user]]
name = "root"
password = "hunter2"
ssh-keys = ["ssh-ed25519 AAAA… admin@laptop"]

[[user]]
name = "b"
password-hash = "hunter2"
uid = 12

[overlay.ssh]
prot = 2222
port = 70000

[overlay.sshd]
"#,
    );
    insta::assert_snapshot!(world.errors());
}

#[test]
fn syntax_errors_are_all_told() {
    let world = World::recipe("[image]\nname = \"a\nroot-size = auto\nname = \"b\"\n[image]\n");
    insta::assert_snapshot!(world.errors());
}

#[test]
fn what_is_missing_is_named() {
    insta::assert_snapshot!(
        World::recipe("[distribution]\nname = \"debian\"\n[[user]]\nuid = 1000\n").errors()
    );
}

#[test]
fn errors_of_every_file_are_told_with_their_file() {
    let world = World::new(&[
        ("recipe.toml", "extends = [\"base/a.toml\"]\n[image]\nnam = 1\n"),
        ("base/a.toml", "extends = [\"b.toml\"]\n[distribution]\nname = \"debain\"\n"),
        ("base/b.toml", "[packages]\nintsall = []\n"),
    ]);
    insta::assert_snapshot!(world.errors());
}

#[test]
fn a_circle_is_told_with_its_chain() {
    let world = World::new(&[
        ("recipe.toml", "extends = [\"base/a.toml\"]\n"),
        ("base/a.toml", "extends = [\"b.toml\"]\n"),
        ("base/b.toml", "extends = [\"../base/a.toml\"]\n"),
    ]);
    let errors = world.errors();
    insta::assert_snapshot!(errors);
    let own = World::recipe("extends = [\"recipe.toml\"]\n").errors();
    assert!(own.contains("→ recipe.toml"), "{own}");
}

#[test]
fn a_missing_base_names_the_nearest() {
    let world = World::new(&[
        ("recipe.toml", "extends = [\"base/debian-14.toml\", \"base/comon.toml\"]\n"),
        ("base/common.toml", ""),
    ]);
    insta::assert_snapshot!(world.errors());
}

#[test]
fn a_missing_recipe_names_the_nearest() {
    let world = World::new(&[("recipes.toml", "")]);
    let error = world.load().unwrap_err();
    assert!(error.render().contains("did you mean"), "{}", error.render());
    assert_eq!(error.exit().code(), 2);
}

/// One mistake each, and what the message must say.
#[test]
fn mistakes_and_their_messages() {
    let key = ssh_key::tests::ed25519(1);
    let rsa = ssh_key::tests::rsa(2048);
    let user = |lines: &str| format!("{HEAD}[[user]]\nname = \"a\"\n{lines}\n");
    for (text, wanted) in [
        (format!("{HEAD}[overlay.fierwall]\n"), "unknown overlay `fierwall`"),
        (format!("{HEAD}{USER}[overlay.ssh]\nallow-tcp-forwarding = \"yes\"\n"), "there is no value `yes`"),
        (format!("{HEAD}{USER}[overlay.ssh]\nport = 3306\n"), "port 3306 is the well-known port of mysql"),
        (format!("{HEAD}{USER}[overlay]\nssh = true\n"), "takes a table or false"),
        (
            format!("{HEAD}{USER}[overlay]\nnetwork = false\nssh = {{}}\n"),
            "needs overlay network, which is turned off",
        ),
        (format!("{HEAD}{USER}[overlay.ssh]\nallow-groups = []\n"), "nobody may log in over ssh"),
        (format!("{HEAD}{USER}[overlay.network]\ndhcp = false\n"), "the image has no network"),
        (format!("{HEAD}{USER}[packages]\ninstall = [\"sudo\"]\ndeny = [\"sudo\"]\n"), "both installed"),
        (
            format!("{HEAD}{USER}[packages]\ndeny = [\"sudo\"]\n"),
            "installed (by overlay accounts) and denied (by recipe",
        ),
        (
            format!("{HEAD}{USER}[services]\nenable = [\"a.service\"]\nmask = [\"a.service\"]\n"),
            "wants to enable a.service",
        ),
        (
            format!("{HEAD}{USER}[overlay.ssh]\n[services]\nmask = [\"ssh.service\"]\n"),
            "overlay ssh wants to enable",
        ),
        (
            format!("{HEAD}{USER}[[file]]\npath = \"/etc/ssh/sshd_config\"\ncontent = \"\"\n[overlay.ssh]\n"),
            "replace = true",
        ),
        (format!("{HEAD}{USER}[[file]]\npath = \"/etc/x\"\n"), "exactly one origin"),
        (format!("{HEAD}{USER}[[file]]\npath = \"/etc/x\"\nsource = \"nothing\"\n"), "cannot read"),
        (
            format!(
                "{HEAD}{USER}[[file]]\npath = \"/a\"\ncontent=\"\"\n[[file]]\npath = \"/a/b\"\ncontent=\"\"\n"
            ),
            "which is no directory",
        ),
        (
            format!(
                "{HEAD}{USER}[[file]]\npath = \"/a\"\ncontent=\"\"\n[[file]]\npath = \"/a\"\ncontent=\"\"\n"
            ),
            "two `[[file]]`",
        ),
        (format!("{HEAD}{USER}[[file]]\npath = \"/a/../b\"\ncontent=\"\"\n"), "`..` may not be in it"),
        (format!("{HEAD}{USER}[[user]]\nname = \"admin\"\n"), "two `[[user]]` with name `admin`"),
        (user("uid = 1000\n[[user]]\nname = \"b\"\nuid = 1000"), "the same uid 1000"),
        (format!("{HEAD}{USER}[[user]]\nname = \"staff\"\n"), "there is a group `staff` already"),
        (format!("{HEAD}{USER}[[user]]\nname = \"sshusers\"\n[overlay.ssh]\n"), "a group `sshusers` already"),
        (
            user(&format!("ssh-keys = ['command=\"uptime\" {key}']\n[overlay.ssh]")),
            "start a command of their own",
        ),
        (
            format!("{HEAD}{USER}[[file]]\npath = \"/etc/machine-id\"\ncontent = \"x\"\n"),
            "each machine makes its own",
        ),
        (format!("{HEAD}{USER}[[file]]\npath = \"/tmp/x\"\ncontent = \"x\"\n"), "would not be in the image"),
        (user("password = \"x\""), "never holds a clear password"),
        (user("password-hash = \"hunter2\""), "clear-text password"),
        (user("password-hash = \"$1$abc$0123456789012345678901\""), "MD5"),
        (
            user(&format!("ssh-keys = [\"{key}\"]\nexpire-password = true\n[overlay.ssh]")),
            "no password that could be changed",
        ),
        (user(&format!("ssh-keys = [\"{rsa}\"]")), "2048 bits"),
        (user("ssh-keys = [\"ssh-dss AAAA\"]"), "DSA"),
        (user(&format!("ssh-keys = [\"{key}\"]")), "nobody could log in"),
        (
            user(&format!("ssh-keys = [\"{key}\"]\nshell = \"/usr/sbin/nologin\"\n[overlay.ssh]")),
            "its shell is",
        ),
        (
            user(&format!("ssh-keys = [\"{key}\"]\n[overlay.ssh]\nallow-groups = [\"ops\"]")),
            "none of these groups: ops",
        ),
        (user(&format!("ssh-keys = [\"{}\"]\n[overlay.ssh]", ssh_key::tests::ecdsa())), "are not taken"),
        (user("[overlay.ssh]"), "neither `ssh-keys` nor a `password-hash`"),
        (
            format!("{HEAD}{USER}[overlay.backup]\nhost = \"b.example.org\"\ninclude = [\"/srv/My Data\"]\n"),
            "means something else in the settings",
        ),
        (
            format!("{HEAD}{USER}[overlay.nrpe]\nhosts = [\"192.0.2.1\"]\ncommands = [\"check_it\"]\n"),
            "an entry of `commands` is not `NAME=/PATH/OF/A/PLUGIN`",
        ),
        (HEAD.to_owned(), "add a [[user]]"),
        (format!("{HEAD}{USER}[image]\n"), "duplicate key"),
        (HEAD.replace("debian", "windows"), "Linux images; Windows is not one of them"),
        (HEAD.replace("trixie", "bookworm"), "Debian 12 is not built"),
        (format!("{HEAD}root-size = 1\n"), "unknown key `root-size` in `distribution`"),
        (format!("{HEAD}{USER}[users]\n"), "[[user]]"),
        (HEAD.replace("\"test\"", "1979-05-27"), "must be a string (an image's name), not a date or time"),
        (HEAD.replace("\"test\"", "1.5"), "not a number with a fraction"),
        (HEAD.replace("\"test\"", "\"test\"\nroot-size = \"1.5 MiB\""), "whole MiB"),
        (HEAD.replace("\"test\"", "\"test\"\nroot-size = \"100 MiB\""), "256 MiB"),
        (HEAD.replace("\"test\"", "\"test\"\nroot-size = \"16 TiB\""), "to less than 16 TiB"),
        (HEAD.replace("\"test\"", "\"test\"\nroot-free = \"1 B\""), "must be from 16 MiB"),
        (HEAD.replace("\"test\"", "\"../test\""), "may not begin with `.`"),
        (format!("{HEAD}{USER}[packages]\nmax-count = 99999999999999999999\n"), "too large"),
        (format!("{HEAD}{USER}[packages]\nmax-count = 0\n"), "must be from 1 to 100000"),
    ] {
        let errors = World::recipe(&text).errors();
        let flat: String = errors
            .lines()
            .map(|line| line.trim_matches([' ', '│', '×', '╰', '─']))
            .collect::<Vec<_>>()
            .join(" ");
        assert!(flat.contains(wanted), "{text}\n\nshould say {wanted:?}, says\n{errors}");
        assert!(flat.contains("recipe.toml:"), "no place in\n{errors}");
    }
}

#[test]
fn warnings() {
    let key = ssh_key::tests::ed25519(1);
    let weak = format!("$6$saltsalt${}", "a".repeat(86));
    let server = include_str!("../../../recipes/debian-13-server.toml");
    let shipped = |start: &str| server.split('"').find(|text| text.starts_with(start)).unwrap();
    let person = |keys: &str| format!("{HEAD}[[user]]\nname = \"b\"\nssh-keys = [{keys}]\n[overlay.ssh]\n");
    let nobodys = shipped("ssh-ed25519 ");
    for (text, wanted) in [
        (
            format!("{HEAD}{USER}[[user]]\nname = \"b\"\nssh-keys = [\"{key}\"]\n"),
            "ssh keys of b are of no use",
        ),
        (format!("{HEAD}[[user]]\nname = \"b\"\nssh-keys = [\"{key}\"]\n[overlay.ssh]\n"), "become root"),
        (
            format!(
                "{HEAD}{USER}passwordless-sudo = \"never\"\n[[user]]\nname = \"b\"\ngroups = [\"sudo\"]\nssh-keys = [\"{key}\"]\n[overlay.ssh]\n"
            ),
            "b is in group sudo but cannot become root",
        ),
        (format!("{HEAD}[[user]]\nname = \"b\"\npassword-hash = \"{weak}\"\n"), "weak"),
        (
            format!(
                "{HEAD}{USER}[overlay.network]\n[overlay.mail]\nrelay = \"r.example.org\"\nadmin = \"a@example.org\"\nport = 2525\n[overlay.monit]\n"
            ),
            "as the relay's port has it",
        ),
        (
            format!(
                "{HEAD}{USER}[[user]]\nname = \"b\"\nssh-keys = [\"{key}\"]\n[[user]]\nname = \"c\"\nssh-keys = [\"{key}\"]\n[overlay.ssh]"
            ),
            "share an ssh key",
        ),
        (format!("{HEAD}{}", USER.replace("[\"sudo\"]", "[\"sudo\", \"amd\"]")), "group `amd`"),
        (
            format!("{HEAD}{USER}[[file]]\npath = \"/etc/x\"\ncontent = \"\"\nreplace = true\n"),
            "nothing to replace",
        ),
        (
            HEAD.replace("\"test\"", "\"test\"\nroot-size = \"2 GiB\"\nroot-free = \"1 GiB\"") + USER,
            "no effect",
        ),
        (
            format!("{HEAD}{USER}[overlay.network]\naddress = [\"203.0.113.5/24\"]\n"),
            "an `address` without `interface` is given to every wired card",
        ),
        (
            format!("{HEAD}{USER}[overlay.audit]\non-full-disk = \"single\"\n"),
            "nobody gets in when `single` has stopped the machine",
        ),
        (person(&format!("\"{nobodys}\"")), "the only way in is the key replace-me@example"),
        (person(&format!("\"{nobodys}\", \"{key}\"")), "the key replace-me@example is the shipped recipe's"),
        (
            format!("{HEAD}{USER}[overlay.recovery]\npassword-hash = \"{}\"\n", shipped("grub.pbkdf2")),
            "`password-hash` of overlay recovery is the shipped recipe's: nobody knows its password",
        ),
        (
            format!(
                "{HEAD}{USER}[overlay.mail]\nrelay = \"r.example.net\"\nadmin = \"{}\"\n",
                shipped("admin@")
            ),
            "`admin` of overlay mail is the shipped recipe's: nobody reads letters there",
        ),
    ] {
        let warnings = World::recipe(&text).warnings();
        let told: Vec<&str> = warnings.iter().map(|warning| warning.message.as_str()).collect();
        assert!(
            told.iter().any(|message| message.contains(wanted)),
            "{text}\n{told:?} should say {wanted:?}"
        );
        assert!(
            warnings
                .iter()
                .all(|warning| warning.position.contains("recipe.toml:") && !warning.drawn.is_empty())
        );
    }
    assert_eq!(World::recipe(&format!("{HEAD}{USER}")).warnings(), []);
    let one_card = "[overlay.network]\naddress = [\"203.0.113.5/24\"]\ninterface = \"enp1s0\"\n";
    assert_eq!(World::recipe(&format!("{HEAD}{USER}{one_card}")).warnings(), []);
    let hash = shipped("grub.pbkdf2").replace("10E1D87C", "10E1D87D");
    let way_back = format!("[overlay.recovery]\npassword-hash = \"{hash}\"\n");
    let trail = "[[partition]]\nmount = \"/var/log/audit\"\nsize = \"1 GiB\"\n";
    let single = format!("{HEAD}{trail}{USER}{way_back}[overlay.audit]\non-full-disk = \"single\"\n");
    assert_eq!(World::recipe(&single).warnings(), []);
}

#[test]
fn a_text_of_another_encoding_and_a_directory_are_refused_by_name() {
    let world = World::new(&[]);
    fs_err::write(world.path("recipe.toml"), b"a = \"\xff\"\n").unwrap();
    assert!(world.load().unwrap_err().render().contains("line 1 is not UTF-8"));
    let world = World::new(&[("recipe.toml/x", "")]);
    assert!(world.load().unwrap_err().render().contains("it is a directory"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(text in "([\\[\\]{}=\"'.,#\\n\\r\\x00-\\x1f -~é\u{feff}]|\\[image\\]\n|name = |\"x\"|\\[\\[user\\]\\]\n|overlay|ssh){0,60}") {
        let _ = World::recipe(&text).load();
    }

    #[test]
    fn no_recipe_cut_anywhere_panics(cut in 0_usize..3000, insert in ".{0,3}") {
        let text = include_str!("../../../recipes/debian-13-server.toml");
        let cut = (0..=cut.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let _ = World::recipe(&text[..cut]).load();
        let _ = World::recipe(&format!("{}{insert}{}", &text[..cut], &text[cut..])).load();
    }

    #[test]
    fn no_value_in_any_place_panics(value in "(1|-1|1\\.5|true|false|\"\"|\"\\{\\{\"|\\[\\]|\\{\\}|\\[1\\]|\\[\\{\\}\\]|\\[\\[\\]\\]|1979-05-27)", key in 0_usize..28) {
        const KEYS: [&str; 28] = [
            "extends", "image", "image.name", "image.formats", "image.root-size", "distribution", "distribution.keyring",
            "packages", "packages.install", "packages.max-installed", "user", "file", "services", "services.mask",
            "overlay", "overlay.ssh", "overlay.ssh.port", "overlay.ssh.allow-groups", "overlay.ssh.listen",
            "overlay.ssh.login-grace-time", "overlay.network.address", "image.hostname", "image.kernel-arguments",
            "distribution.name", "repository", "repository.url", "repository.keys", "repository.packages",
        ];
        let _ = World::recipe(&format!("{} = {value}\n{HEAD}{USER}", KEYS[key])).load();
        let _ = World::recipe(&format!("{} = {value}\n", KEYS[key])).load();
    }
}

#[test]
fn deep_nesting_is_refused() {
    for text in
        ["[".repeat(100_000), format!("a = {}", "[".repeat(100_000)), format!("a = {}", "{b=".repeat(50_000))]
    {
        assert!(World::recipe(&text).load().is_err());
    }
    let dotted = vec!["a"; 50_000].join(".");
    assert!(World::recipe(&format!("{dotted} = 1")).errors().contains("recursion limit"));
    assert!(World::recipe(&format!("[{dotted}]")).load().is_err());
}
