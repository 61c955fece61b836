//! What a right recipe becomes.

use super::{HEAD, USER, World};
use crate::recipe::plan::{Content, Format, Origin, RootSize};
use crate::recipe::{Library, load, ssh_key};
use std::path::Path;

#[test]
fn shipped_recipes_are_right_and_warn_of_what_is_to_be_replaced_alone() {
    let library = Library::built_in().unwrap();
    for entry in fs_err::read_dir("recipes").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let loaded = load(&path, &library).unwrap_or_else(|error| panic!("{}", error.render()));
            let (warnings, shown) = (&loaded.warnings, path.display());
            let to_replace =
                warnings.iter().all(|told| told.help.as_deref() == Some("put yours in its place"));
            assert!(to_replace, "{shown}: {warnings:?}");
            let locked_out =
                warnings.iter().any(|told| told.message.starts_with("the only way in is the key"));
            assert!(locked_out, "{shown}: {warnings:?}");
            assert_eq!(Some(loaded.plan.name.as_str()), path.file_stem().and_then(|stem| stem.to_str()));
        }
    }
}

#[test]
fn the_server_recipe() {
    let plan = load(Path::new("recipes/debian-13-server.toml"), &Library::built_in().unwrap()).unwrap().plan;
    assert_eq!(plan.image.formats, [Format::Raw, Format::Qcow2]);
    assert_eq!((plan.image.root_size, plan.image.hostname.as_str()), (RootSize::Auto, "debian-13-server"));
    let admin = &plan.users[0];
    assert!(admin.groups.contains("sshusers") && admin.groups.contains("sudo"));
    let ports: Vec<(&str, u16)> =
        plan.opens.iter().map(|port| (port.protocol.as_str(), port.number)).collect();
    assert_eq!(ports, [("tcp", 2222), ("udp", 68), ("udp", 546)]);
    assert!(plan.kernel_arguments.iter().any(|argument| argument.value == "systemd.ssh_auto=no"));
    assert_eq!(plan.packages.install["openssh-server"], [Origin::Overlay("ssh".into())]);
    assert_eq!(plan.packages.install["linux-image-amd64"], [Origin::Recipe("base/debian-13.toml".into())]);
    let config = &plan.files["/etc/ssh/sshd_config"];
    let Content::Regular(text) = &config.content else { panic!("no file") };
    let text = String::from_utf8(text.clone()).unwrap();
    assert!(text.contains("\nPort 2222\n") && text.contains("\nAllowGroups sshusers\n"), "{text}");
    assert_eq!(config.mode, 0o600);
    let mask = &plan.files["/etc/systemd/system-generators/systemd-ssh-generator"].content;
    assert_eq!(*mask, Content::Link("/dev/null".into()));
    assert!(plan.sources.contains_key(Path::new("recipes/debian-13-server.toml")));
    assert!(plan.sources.contains_key(Path::new("<built-in>/overlays/ssh/sshd_config.hbs")));
}

#[test]
fn a_password_can_be_good_for_one_login() {
    let once = USER.replace("password-hash", "expire-password = true\npassword-hash");
    assert!(World::recipe(&format!("{HEAD}{once}")).plan().users[0].expire_password);
    assert!(!World::recipe(&format!("{HEAD}{USER}")).plan().users[0].expire_password);
}

#[test]
fn the_notice_is_shown_on_consoles_and_by_ssh() {
    let shown = |options: &str| {
        let plan = World::recipe(&format!("{HEAD}{USER}{options}")).plan();
        let text = |path: &str| match plan.files.get(path).map(|file| &file.content) {
            Some(Content::Regular(text)) => String::from_utf8(text.clone()).unwrap(),
            _ => String::new(),
        };
        let config = text("/etc/ssh/sshd_config");
        let banner = config.lines().find_map(|line| line.strip_prefix("Banner ")).map(str::to_owned);
        (text("/etc/issue").trim().to_owned(), text("/etc/issue.net").trim().to_owned(), banner.unwrap())
    };
    let all = |issue: &str, banner: &str| (issue.to_owned(), issue.to_owned(), banner.to_owned());
    assert_eq!(shown("banner = \"Ours.\"\n[overlay.ssh]"), all("Ours.", "/etc/issue.net"));
    assert_eq!(shown("banner = \"\"\n[overlay.ssh]"), all("", "none"));
    assert_eq!(shown("banner = \"x\"\n[overlay.ssh]\nbanner = \"/etc/motd\""), all("x", "/etc/motd"));
}

#[test]
fn a_swappiness_of_0_is_one() {
    let written = |options: &str| {
        let plan = World::recipe(&format!("{HEAD}{USER}[overlay.swap]\n{options}")).plan();
        let Content::Regular(text) = &plan.files.get("/etc/sysctl.d/60-swap.conf")?.content else {
            panic!("no file")
        };
        let text = String::from_utf8(text.clone()).unwrap();
        text.lines().find_map(|line| line.strip_prefix("vm.swappiness = ")).map(str::to_owned)
    };
    assert_eq!(written("").as_deref(), Some("150"));
    assert_eq!(written("swappiness = 0").as_deref(), Some("0"));
    assert_eq!(written("swap = \"file\"\nswappiness = 0").as_deref(), Some("0"));
    assert_eq!(written("swap = \"file\""), None);
}

#[test]
fn without_dhcp_no_server_is_asked_whatever_a_router_says() {
    let asks = |options: &str| {
        let plan = World::recipe(&format!("{HEAD}{USER}[overlay.network]\n{options}")).plan();
        let Content::Regular(text) = &plan.files["/etc/systemd/network/50-wired.network"].content else {
            panic!("no file")
        };
        !String::from_utf8(text.clone()).unwrap().contains("\n[IPv6AcceptRA]\nDHCPv6Client=no\n")
    };
    let fixed = "dhcp = false\ninterface = \"eno1\"\naddress = [\"203.0.113.5/24\"]\n";
    assert!(asks(""));
    assert!(!asks(fixed));
    assert!(!asks(&format!("{fixed}gateway = [\"203.0.113.1\"]\n")));
}

#[test]
fn a_plan_survives_json() {
    let plan = load(Path::new("recipes/debian-13-server.toml"), &Library::built_in().unwrap()).unwrap().plan;
    let json = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<crate::recipe::Plan>(&json).unwrap(), plan);
}

#[test]
fn byte_order_mark_and_line_ends_change_nothing() {
    let text = format!(
        "{HEAD}{USER}[[file]]\npath = \"/etc/x\"\ncontent = \"\"\"\none\ntwo\n\"\"\"\n[overlay.ssh]\n"
    );
    let world = World::recipe(&text);
    let plain = world.plan();
    world.write("recipe.toml", &format!("\u{feff}{}", text.replace('\n', "\r\n")));
    assert_eq!(world.plan(), plain);
    assert_eq!(plain.files["/etc/x"].content, Content::Regular(b"one\ntwo\n".to_vec()));
}

#[test]
fn an_installed_program_finds_bases_and_overlays_in_itself() {
    let world = World::recipe(&format!(
        "extends = [\"base/debian-13.toml\"]\n[image]\nname = \"x\"\n{USER}[overlay.ssh]\n"
    ));
    let plan = world.plan();
    assert!(plan.sources.keys().any(|path| path == Path::new("<built-in>/recipes/base/debian-13.toml")));
    assert_eq!(plan.distribution.release, "trixie");
}

#[test]
fn what_merging_does() {
    let (one, two) = (ssh_key::tests::ed25519(1), ssh_key::tests::ed25519(2));
    let base = format!(
        "{HEAD}[packages]\ninstall = [\"less\", \"zsh\"]\nmax-count = 5\n[[user]]\nname = \"a\"\nuid = 1001\nssh-keys = \
         [\"{one}\"]\n[[user]]\nname = \"b\"\n[overlay.ssh]\nport = 2200\nlisten = [\"::1\"]\n[overlay.accounts]\n\
         [[file]]\npath = \"/etc/x\"\ncontent = \"base\"\nmode = \"0600\"\n"
    );
    let recipe = format!(
        "extends = [\"base.toml\", \"again.toml\"]\n[image]\nname = \"mine\"\n[packages]\ninstall = [\"less\", \"vim\"]\n\
         max-count = 9\n[[user]]\nname = \"c\"\n[[user]]\nname = \"a\"\nuid = 1002\nssh-keys = [\"{two}\", \"{one}\"]\n\
         [overlay]\naccounts = false\n[overlay.ssh]\nport = 2201\nlisten = [\"127.0.0.1\", \"0:0:0::1\"]\n\
         [[file]]\npath = \"/etc/x\"\ncontent = \"mine\"\n"
    );
    let again = "extends = [\"base.toml\"]\n[packages]\nmax-count = 7\n";
    let world = World::new(&[("base.toml", &base), ("again.toml", again), ("recipe.toml", &recipe)]);
    let plan = world.plan();
    assert_eq!(plan.name, "mine");
    assert_eq!(plan.packages.max_count, Some(9));
    let origins: Vec<String> = plan.packages.install["less"].iter().map(ToString::to_string).collect();
    assert_eq!(origins.len(), 2, "{origins:?}");
    let users: Vec<(&str, Option<u32>, usize)> =
        plan.users.iter().map(|user| (user.name.as_str(), user.uid, user.ssh_keys.len())).collect();
    assert_eq!(users, [("a", Some(1002), 2), ("b", None, 0), ("c", None, 0)]);
    assert_eq!(plan.overlays["ssh"]["port"], 2201);
    // One address, however it is written.
    assert_eq!(plan.overlays["ssh"]["listen"], serde_json::json!(["::1", "127.0.0.1"]));
    assert!(!plan.overlays.contains_key("accounts"));
    let file = &plan.files["/etc/x"];
    assert_eq!((&file.content, file.mode), (&Content::Regular(b"mine".to_vec()), 0o600));
}

#[test]
fn a_base_reached_twice_does_not_undo_what_came_between() {
    let base = format!("{HEAD}{USER}[packages]\nmax-count = 1\n");
    let world = World::new(&[
        ("base.toml", &base),
        ("a.toml", "extends = [\"base.toml\"]\n[packages]\nmax-count = 2\n"),
        ("b.toml", "extends = [\"base.toml\"]\n"),
        ("recipe.toml", "extends = [\"a.toml\", \"b.toml\"]\n"),
    ]);
    assert_eq!(world.plan().packages.max_count, Some(2));
}

#[test]
fn a_needed_overlay_is_turned_on_and_recorded() {
    let plan = World::recipe(&format!("{HEAD}{USER}[overlay.ssh]\n")).plan();
    assert_eq!(plan.overlays["network"]["dhcp"], true);
}

#[test]
fn what_the_recipe_names_keeps_its_values_when_it_is_needed_too() {
    let plan =
        World::recipe(&format!("{HEAD}{USER}[overlay.ssh]\n[overlay.network]\ndns = [\"192.0.2.1\"]\n"))
            .plan();
    assert_eq!(plan.overlays["network"]["dns"], serde_json::json!(["192.0.2.1"]));
}

#[test]
fn own_files_replace_and_sources_are_relative_to_the_file_that_names_them() {
    let base = format!("{HEAD}{USER}[[file]]\npath = \"/etc/b\"\nsource = \"files/b\"\n");
    let recipe = "extends = [\"base/x.toml\"]\n[overlay.ssh]\n[[file]]\npath = \"/etc/ssh/sshd_config\"\nsource = \
                  \"sshd_config\"\nreplace = true\nmode = \"0640\"\ngroup = \"adm\"\n";
    let world = World::new(&[
        ("base/x.toml", &base),
        ("base/files/b", "from the base"),
        ("recipe.toml", recipe),
        ("sshd_config", "mine"),
    ]);
    let plan = world.plan();
    assert_eq!(plan.files["/etc/b"].content, Content::Regular(b"from the base".to_vec()));
    let config = &plan.files["/etc/ssh/sshd_config"];
    assert_eq!((config.mode, config.group.as_str()), (0o640, "adm"));
    assert_eq!(config.origin, Origin::Recipe("recipe.toml".into()));
    assert!(plan.sources.contains_key(&world.path("base/files/b")));
}

#[test]
fn one_origin_of_a_file_is_in_place_of_a_bases_other_one() {
    let file = |origin: &str| format!("[[file]]\npath = \"/etc/b\"\nmode = \"0600\"\n{origin}\n");
    let (text, from) = ("content = \"text\"", "source = \"b\"");
    for (base, over, wanted) in [(text, from, "file"), (from, text, "text")] {
        let world = World::new(&[
            ("base.toml", &format!("{HEAD}{USER}{}", file(base))),
            ("recipe.toml", &format!("extends = [\"base.toml\"]\n{}", file(over))),
            ("b", "file"),
        ]);
        assert_eq!(world.plan().files["/etc/b"].content, Content::Regular(wanted.into()));
    }
    let both = World::recipe(&format!("{HEAD}{USER}{}", file(&format!("{text}\n{from}"))));
    assert!(both.errors().contains("exactly one origin"));
}

#[test]
fn a_keyring_is_read_whole() {
    let world = World::recipe(&format!(
        "{HEAD}keyring = \"key.gpg\"\nmirror = \"https://m.example.org/debian/\"\n{USER}"
    ));
    fs_err::write(world.path("key.gpg"), [0x99, 0xff, 0x00]).unwrap();
    let distribution = world.plan().distribution;
    assert_eq!(distribution.keyring, Some(vec![0x99, 0xff, 0x00]));
    assert_eq!(distribution.mirror.as_deref(), Some("https://m.example.org/debian"));
}

#[test]
fn ports_of_others_with_leave_and_key_types_of_choice() {
    let text = format!("{HEAD}{USER}[overlay.ssh]\nport = 443\nallow-well-known = true\n");
    assert_eq!(World::recipe(&text).plan().overlays["ssh"]["port"], 443);
    let ecdsa = format!(
        "{HEAD}[[user]]\nname = \"a\"\nssh-keys = [\"{}\"]\n[overlay.ssh]\nallow-ecdsa-keys = true\n",
        ssh_key::tests::ecdsa()
    );
    assert!(World::recipe(&ecdsa).load().is_ok());
}

#[test]
fn members_join_only_the_group_that_is_theirs() {
    let key = ssh_key::tests::ed25519(1);
    let text = format!(
        "{HEAD}{USER}[[user]]\nname = \"b\"\nssh-keys = [\"{key}\"]\n[overlay.ssh]\nallow-groups = [\"sshusers\", \"sudo\"]\n"
    );
    let plan = World::recipe(&text).plan();
    assert!(plan.users[1].groups.contains("sshusers"));
    assert!(!plan.users[1].groups.contains("sudo"));
    assert!(!plan.users[0].groups.contains("sshusers"));
}

#[test]
fn an_address_is_a_network_of_its_own_to_postgresql() {
    let clients = "clients = [\"192.0.2.7\", \"10.0.0.0/8\", \"2001:db8::7\", \"2001:db8::/32\"]";
    let plan =
        World::recipe(&format!("{HEAD}{USER}[overlay.postgresql]\nlisten = [\"*\"]\n{clients}\n")).plan();
    let Content::Regular(text) = &plan.files["/etc/postgresql/clients.conf"].content else {
        panic!("no file")
    };
    let text = String::from_utf8(text.clone()).unwrap();
    let networks: Vec<&str> = text.lines().filter_map(|line| line.split(' ').nth(3)).collect();
    assert_eq!(networks, ["192.0.2.7/32", "10.0.0.0/8", "2001:db8::7/128", "2001:db8::/32"]);
}
