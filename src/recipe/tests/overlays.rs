//! Overlays as their authors write them.

use super::{HEAD, USER, World};
use crate::recipe::Library;
use crate::recipe::plan::{Content, Origin};

/// A world with a recipe that turns `mine` on, and its declaration.
fn with(declaration: &str, lines: &str) -> World {
    World::new(&[
        ("overlays/mine/overlay.toml", &format!("summary = \"Mine\"\n{declaration}")),
        ("recipe.toml", &format!("{HEAD}{USER}[overlay.mine]\n{lines}")),
    ])
}

#[test]
fn shipped_overlays_are_right() {
    let library = Library::built_in().unwrap();
    library.check().unwrap_or_else(|error| panic!("{}", error.render()));
    for overlay in library.overlays() {
        assert!(!overlay.description().is_empty(), "{} has no description", overlay.name);
        assert!(overlay.requirements().count() > 0, "{} meets no requirement", overlay.name);
        assert!(overlay.guidelines().count() > 0, "{} follows no guideline", overlay.name);
    }
}

#[test]
fn everything_that_an_overlay_can_say() {
    let world = with(
        r#"
kernel-arguments = ["{{#if option.on}}audit=1{{/if}}", "quiet"]
[packages]
install = ["{{#if option.on}}auditd audispd-plugins{{/if}}", "{{#unless option.on}}nothing{{/unless}}"]
deny = ["telnetd"]
[option.on]
type = "boolean"
default = true
doc = "On."
[option.ports]
type = "list"
of = "port"
default = [1234, 1235]
doc = "Ports."
[option.size]
type = "size"
default = "1 MiB"
max = "2 GiB"
doc = "Size."
[option.wait]
type = "duration"
default = "2 min"
doc = "Wait."
[opens]
tcp = ["{{join option.ports ' '}}"]
from = ["192.0.2.0/24"]
[[output]]
name = "mine.cfg"
template = "output.hbs"
[[output]]
name = "never"
template = "output.hbs"
when = "!on"
[services]
enable = ["a{{option.wait}}.service"]
mask = ["b.service"]
[[debconf]]
package = "x1"
question = "x1/y"
kind = "boolean"
value = "{{option.on}}"
[[command]]
argv = ["echo", "a {{option.size}}"]
[[command]]
argv = ["never"]
when = "!on"
[[group]]
name = "minegroup"
members = "all"
system = false
[[directory]]
path = "/var/lib/mine"
mode = "2750"
group = "minegroup"
[[file]]
path = "/etc/{{image.hostname}}.conf"
template = "conf.hbs"
mode = "0640"
[[file]]
path = "/etc/binary"
source = "binary"
when = "overlay.accounts"
[[file]]
path = "/etc/never"
content = ""
when = "overlay.ssh"
[[file]]
path = "/etc/never"
content = ""
when = "!overlay.accounts"
[[link]]
path = "/etc/link"
target = "/var/lib/mine"
when = "{{#if (eq option.wait 120)}}yes{{/if}}"
"#,
        "size = \"2 MiB\"\n",
    );
    world.write("overlays/mine/conf.hbs", "{{#each opens.all}}{{overlay}} {{protocol}} {{number}}\n{{/each}}{{option.size}} {{#each users}}{{name}}{{/each}}\n{{#if overlay.ssh}}{{overlay.ssh.port}}{{/if}}");
    world
        .write("overlays/mine/output.hbs", "{{#each opens.all}}{{number}} from {{join from ','}}\n{{/each}}");
    fs_err::write(world.path("overlays/mine/binary"), [0, 159, 146, 150]).unwrap();
    let plan = world.plan();
    let mine = Origin::Overlay("mine".into());
    assert_eq!(plan.packages.install["auditd"], std::slice::from_ref(&mine));
    assert!(
        plan.packages.install.contains_key("audispd-plugins")
            && !plan.packages.install.contains_key("nothing")
    );
    assert_eq!(plan.packages.deny["telnetd"], std::slice::from_ref(&mine));
    let words: Vec<&str> = plan.kernel_arguments.iter().map(|word| word.value.as_str()).collect();
    assert_eq!(words, ["audit=1", "quiet"]);
    assert_eq!(plan.opens.iter().map(|port| port.number).collect::<Vec<_>>(), [1234, 1235]);
    assert!(plan.opens.iter().all(|port| port.from == ["192.0.2.0/24"]));
    let outputs: Vec<(&str, &str)> =
        plan.outputs.iter().map(|(name, output)| (name.as_str(), output.content.as_str())).collect();
    assert_eq!(outputs, [("mine.cfg", "1234 from 192.0.2.0/24\n1235 from 192.0.2.0/24\n")]);
    assert_eq!(plan.services.enable["a120.service"], mine);
    assert_eq!(plan.debconf[0].value, "true");
    let commands: Vec<&[String]> = plan.commands.iter().map(|command| command.argv.as_slice()).collect();
    assert!(commands.contains(&["echo".to_owned(), "a 2097152".to_owned()].as_slice()));
    assert!(!commands.iter().any(|argv| argv[0] == "never"));
    assert!(!plan.groups["minegroup"].system);
    assert!(plan.users[0].groups.contains("minegroup"));
    assert_eq!(
        (plan.files["/var/lib/mine"].mode, &plan.files["/var/lib/mine"].content),
        (0o2750, &Content::Directory)
    );
    let text = "mine tcp 1234\nmine tcp 1235\n2097152 admin\n";
    assert_eq!(plan.files["/etc/test.conf"].content, Content::Regular(text.as_bytes().to_vec()));
    assert_eq!(plan.files["/etc/binary"].content, Content::Regular(vec![0, 159, 146, 150]));
    assert_eq!(plan.files["/etc/link"].content, Content::Link("/var/lib/mine".into()));
    assert!(!plan.files.contains_key("/etc/never"));
}

#[test]
fn a_local_overlay_goes_before_a_built_in_one_and_a_broken_one_is_told_only_when_on() {
    let world = World::new(&[
        ("overlays/ssh/overlay.toml", "summary = \"Another\"\n"),
        ("overlays/broken/overlay.toml", "sumary = 1\n"),
        ("recipe.toml", &format!("{HEAD}{USER}[overlay.ssh]\n")),
    ]);
    let plan = world.plan();
    assert!(plan.overlays["ssh"].is_empty());
    world.write("recipe.toml", &format!("{HEAD}{USER}[overlay.broken]\nx = 1\n"));
    let errors = world.errors();
    assert!(
        errors.contains("unknown key `sumary`") && errors.contains("overlays/broken/overlay.toml:1:1"),
        "{errors}"
    );
}

#[test]
fn overlays_of_parent_directories_are_found_and_the_nearest_wins() {
    let world = World::new(&[
        ("overlays/a/overlay.toml", "summary = \"far\"\nkernel-arguments = [\"far\"]\n"),
        ("overlays/b/overlay.toml", "summary = \"far\"\n"),
        ("x/overlays/a/overlay.toml", "summary = \"near\"\nkernel-arguments = [\"near\"]\n"),
        ("x/y/recipe.toml", &format!("{HEAD}{USER}[overlay.a]\n[overlay.b]\n")),
    ]);
    let path = world.path("x/y/recipe.toml");
    let plan = crate::recipe::load(&path, &Library::beside(&path).unwrap()).unwrap().plan;
    assert_eq!(plan.kernel_arguments[0].value, "near");
    assert!(plan.overlays.contains_key("b"));
}

#[test]
fn mistakes_of_authors() {
    const OPTION: &str = "[option.a]\ntype = \"string\"\ndoc = \"A.\"\n";
    for (declaration, wanted) in [
        ("[[file]]\npath = \"/etc/x\"\ncontent = \"{{option.b}}\"\n", "overlay mine has no option `b`"),
        (
            "[[file]]\npath = \"/etc/x\"\ncontent = \"{{#if option.prot}}{{/if}}\"\n",
            "overlay mine has no option `prot`",
        ),
        ("[[file]]\npath = \"/etc/x\"\ncontent = \"{{overlay.sssh.port}}\"\n", "did you mean `ssh`?"),
        (
            "[[file]]\npath = \"/etc/x\"\ncontent = \"{{overlay.ssh.prot}}\"\n",
            "overlay ssh has no option `prot`",
        ),
        ("[[file]]\npath = \"/etc/x\"\ncontent = \"{{overlay.ssh.port}}\"\n", "or its overlay is off"),
        ("[[file]]\npath = \"/etc/x\"\ncontent = \"{{nothing}}\"\n", "there is no `nothing`"),
        ("[[file]]\npath = \"/etc/x\"\ncontent = \"{{#if}}\"\n", "syntax"),
        ("[[file]]\npath = \"/etc/x\"\n", "exactly one origin"),
        ("[[file]]\npath = \"/etc/x\"\ntemplate = \"no.hbs\"\n", "cannot read"),
        ("[[file]]\npath = \"/etc/x\"\nsource = \"../../recipe.toml\"\n", "leaves the folder"),
        ("[[file]]\npath = \"/etc/x\"\nsource = \"no\"\n", "there is no file"),
        ("[[file]]\npath = \"etc/x\"\ncontent = \"\"\n", "does not begin with `/`"),
        (
            "[[file]]\npath = \"/etc/{{option.a}}\"\ncontent = \"\"\n[option.a]\ntype = \"string\"\ndefault = \"../x\"\ndoc = \"A.\"\n",
            "may not be in it",
        ),
        ("[[file]]\npath = \"/etc/x\"\ncontent = \"\"\nwhen = \"b\"\n", "overlay mine has no option `b`"),
        (
            "[[file]]\npath = \"/etc/x\"\ncontent = \"\"\nwhen = \"!overlay.nothing\"\n",
            "there is no overlay `nothing`",
        ),
        (
            "[[file]]\npath = \"/etc/login.defs\"\ncontent = \"\"\n",
            "both overlay accounts and overlay mine write /etc/login.defs",
        ),
        ("[[link]]\npath = \"/etc/x\"\n", "`link.target` is missing"),
        ("needs = [\"nothing\"]\n", "there is no overlay `nothing`"),
        (
            "needs = [\"{{option.a}}\"]\n[option.a]\ntype = \"string\"\ndefault = \"nothing\"\ndoc = \"A.\"\n",
            "there is no overlay `nothing`",
        ),
        ("conflicts = [\"accounts\"]\n", "cannot both be on"),
        ("[option.a]\ntype = \"sting\"\ndoc = \"A.\"\n", "did you mean `string`?"),
        ("[option.a]\ntype = \"port\"\ndefault = 0\ndoc = \"A.\"\n", "must be from 1 to 65535"),
        ("[option.a]\ntype = \"port\"\ndefault = 1\n", "`option.a.doc` is missing"),
        ("[option.a]\ntype = \"enum\"\ndoc = \"A.\"\n", "needs `values`"),
        ("[option.a]\ntype = \"string\"\nmin = 1\ndoc = \"A.\"\n", "takes no `min`"),
        ("[option.a]\ntype = \"boolean\"\ndoc = \"A.\"\n", "has no default"),
        (
            "[option.a]\ntype = \"string\"\nrequired = true\ndefault = \"x\"\ndoc = \"A.\"\n",
            "a required option has no default",
        ),
        ("[option.a]\ntype = \"string\"\nrequired = true\ndoc = \"A.\"\n", "overlay mine must be told `a`"),
        (
            "[option.a]\ntype = \"port\"\ndefault = 1\nwell-known-guard = \"b\"\ndoc = \"A.\"\n",
            "not a boolean option",
        ),
        ("[option.A]\ntype = \"string\"\ndoc = \"A.\"\n", "is not an option's name"),
        ("[[command]]\nargv = []\n", "argv is empty"),
        ("[opens]\ntcp = [\"70000\"]\n", "is not a port"),
        ("[opens]\ntcp = [\"70\"]\nfrom = [\"192.0.2.0/33\"]\n", "192.0.2.0/33"),
        ("[[output]]\nname = \"raw\"\ntemplate = \"overlay.toml\"\n", "goldcast itself writes a .raw"),
        ("[[output]]\nname = \"logs\"\ntemplate = \"overlay.toml\"\n", "goldcast itself writes a .logs"),
        (
            "[[output]]\nname = \"a\"\ntemplate = \"overlay.toml\"\n[[output]]\nname = \"a\"\ntemplate = \"overlay.toml\"\n",
            "both overlay mine and overlay mine",
        ),
        ("[[output]]\nname = \"a\"\ntemplate = \"none.hbs\"\n", "cannot read"),
        (
            "[packages]\ninstall = [\"{{option.a}}\"]\n[option.a]\ntype = \"string\"\ndefault = \"Bad=1\"\ndoc = \"A.\"\n",
            "`Bad=1` is not a package's name",
        ),
        (
            "[[file]]\npath = \"/etc/x\"\ncontent = \"\"\n[[file]]\npath = \"/etc/x\"\ncontent = \"\"\n",
            "both overlay mine and overlay mine",
        ),
        ("[[lint]]\nwhen = \"{{image.name}}\"\nmessage = \"not {{image.name}}\"\n", "not test"),
    ] {
        let errors = with(declaration, "").errors();
        let flat: String = errors
            .lines()
            .map(|line| line.trim_matches([' ', '│', '×', '╰', '─']))
            .collect::<Vec<_>>()
            .join(" ");
        assert!(flat.contains(wanted), "{declaration}\n\nshould say {wanted:?}, says\n{errors}");
    }
    assert!(with(OPTION, "a = \"x\"\n").load().is_ok());
}

#[test]
fn an_error_in_a_template_has_the_templates_line() {
    let world = with("[[file]]\npath = \"/etc/x\"\ntemplate = \"x.hbs\"\n", "");
    world.write("overlays/mine/x.hbs", "one\ntwo {{nothing}}\n");
    let errors = world.errors();
    assert!(errors.contains("overlays/mine/x.hbs:2:"), "{errors}");
    world.write("overlays/mine/x.hbs", "one\n\n{{#if option.no}}{{/if}}\n");
    let errors = world.errors();
    assert!(errors.contains("overlays/mine/x.hbs:3:7"), "{errors}");
}

#[test]
fn types_of_options_take_what_they_say() {
    for (declared, right, wrong) in [
        ("type = \"integer\"\nmin = 1\nmax = 9", "5", "10"),
        ("type = \"port\"", "80", "0"),
        ("type = \"size\"\nmin = \"1 MiB\"", "\"2 MiB\"", "\"1 KiB\""),
        ("type = \"duration\"\nmax = \"1 h\"", "\"30 min\"", "\"2 h\""),
        ("type = \"time\"", "\"03:30\"", "\"24:00\""),
        ("type = \"enum\"\nvalues = [\"a\", \"b\"]", "\"a\"", "\"c\""),
        ("type = \"list\"\nof = \"cidr\"", "[\"10.0.0.0/8\"]", "[\"10.0.0.0/99\"]"),
        ("type = \"list\"\nof = \"enum\"\nvalues = [\"a\"]", "[\"a\"]", "[\"b\"]"),
        ("type = \"list\"\nof = \"socket\"", "[\"tcp/80\"]", "[\"80\"]"),
        ("type = \"string\"\nstarts-with = \"grub.pbkdf2.\"", "\"grub.pbkdf2.x\"", "\"secret\""),
        (
            "type = \"password-hash\"",
            "\"$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7\"",
            "\"secret\"",
        ),
        ("type = \"email\"", "\"a@b.example\"", "\"a\""),
        ("type = \"string\"", "\"a\"", "\"a\\nb\""),
    ] {
        let declaration = format!("[option.a]\ndoc = \"A.\"\n{declared}\n");
        assert!(with(&declaration, &format!("a = {right}\n")).load().is_ok(), "{declared}: {right}");
        let errors = with(&declaration, &format!("a = {wrong}\n")).errors();
        assert!(errors.contains("overlay.mine.a"), "{declared}: {errors}");
    }
}

#[test]
fn two_overlays_on_one_port_are_refused() {
    let world = with(
        "needs = [\"ssh\"]\n[opens]\ntcp = [\"{{option.a}}\"]\n[option.a]\ntype = \"port\"\ndefault = 22\ndoc = \"A.\"\n",
        "",
    );
    let errors = world.errors();
    assert!(errors.contains("overlay mine and overlay ssh both open tcp/22"), "{errors}");
}

#[test]
fn directories_alike_are_shared() {
    let directory = "summary = \"x\"\n[[directory]]\npath = \"/etc/shared\"\n";
    let recipe = format!("{HEAD}{USER}[overlay.a]\n[overlay.b]\n");
    let world = World::new(&[
        ("overlays/a/overlay.toml", directory),
        ("overlays/b/overlay.toml", directory),
        ("recipe.toml", &recipe),
    ]);
    assert!(world.plan().files.contains_key("/etc/shared"));
    world.write("overlays/b/overlay.toml", &format!("{directory}mode = \"0700\"\n"));
    assert!(world.errors().contains("both overlay a and overlay b write /etc/shared"));
}

#[test]
fn keys_that_come_later_count_as_keys() {
    let declaration = "[[ssh-keys]]\nusers = ['{{#each users}}{{#if @first}}{{name}}{{/if}}{{/each}}']\n\
         [[group]]\nname = 'keyholders'\nmembers = 'ssh-keys'\n\
         [[access]]\nto = 'login'\nby = 'ssh-key'\ngroups = ['keyholders']\n";
    let world = |declaration: &str| {
        World::new(&[
            ("overlays/mine/overlay.toml", &format!("summary = \"Mine\"\n{declaration}")),
            ("recipe.toml", &format!("{HEAD}[[user]]\nname = 'ops'\n[overlay.mine]\n")),
        ])
    };
    let plan = world(declaration).plan();
    assert!(plan.users[0].later_keys && plan.users[0].groups.contains("keyholders"));
    let other = "[[ssh-keys]]\nusers = ['nobody-known']\n";
    assert!(world(other).errors().contains("no user `nobody-known`"));
    let (_, without) = declaration.split_once("[[group]]").unwrap();
    assert!(world(&format!("[[group]]{without}")).errors().contains("nobody could log in"));
}
