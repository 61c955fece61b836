//! `[[partition]]`.

use super::{HEAD, USER, World};

fn partition(mount: &str, more: &str) -> String {
    format!("[[partition]]\nmount = \"{mount}\"\nsize = \"1 GiB\"\n{more}")
}

fn recipe(partitions: &str) -> World {
    World::recipe(&format!("{HEAD}{partitions}{USER}"))
}

fn told(world: &World) -> Vec<String> {
    let plan = world.plan();
    plan.partitions.iter().map(|p| format!("{} {} {}", p.mount, p.size >> 20, p.options.join(","))).collect()
}

#[test]
fn they_are_planned_by_mount_point_with_safe_options() {
    let text = [
        partition("/var/log/audit", ""),
        partition("/var", "options = [\"noatime\"]\n"),
        partition("/var/log", "options = [\"exec\"]\n"),
        partition("/opt", "options = [\"suid\"]\n"),
    ];
    let world = recipe(&text.concat());
    assert_eq!(
        told(&world),
        [
            "/opt 1024 nodev",
            "/var 1024 nodev,nosuid,noatime",
            "/var/log 1024 nodev,nosuid",
            "/var/log/audit 1024 nodev,nosuid,noexec",
        ]
    );
    let plan = world.plan();
    let again: crate::recipe::plan::Plan =
        serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
    assert_eq!(again, plan);
}

#[test]
fn a_plan_without_partitions_does_not_mention_them() {
    assert!(!serde_json::to_string(&recipe("").plan()).unwrap().contains("partitions"));
}

#[test]
fn what_is_wrong_has_its_place() {
    for (text, place, words) in [
        (partition("/etc/x", ""), "recipe.toml:7:9", "the system reads there what is to be mounted"),
        (partition("/usr", ""), "recipe.toml:7:9", "/usr is part of the root filesystem"),
        (partition("/", ""), "recipe.toml:7:9", "it is the root directory"),
        (partition("/proc/x", ""), "recipe.toml:7:9", "made by the running system"),
        (partition("/tmp", ""), "recipe.toml:7:9", "[overlay.mounts]"),
        ("[[partition]]\nmount = \"/srv\"\n".into(), "recipe.toml:6:1", "`partition.size` is missing"),
        (
            "[[partition]]\nmount = \"/srv\"\nsize = \"1 G\"\n".into(),
            "recipe.toml:8:8",
            "did you mean `1 GiB`",
        ),
        (
            "[[partition]]\nmount = \"/srv\"\nsize = \"1 MiB\"\n".into(),
            "recipe.toml:8:8",
            "from 64 MiB to 8 TiB",
        ),
        ("[[partition]]\nmount = \"/srv\"\nsize = \"2 GB\"\n".into(), "recipe.toml:8:8", "must be whole MiB"),
        (partition("/srv", "options = [\"noexce\"]\n"), "recipe.toml:9:12", "did you mean `noexec`"),
        (
            partition("/srv", "options = [\"nofail\"]\n"),
            "recipe.toml:9:12",
            "would write into the root filesystem",
        ),
        (
            partition("/srv", "options = [\"exec\", \"noexec\"]\n"),
            "recipe.toml:9:20",
            "the other is at recipe.toml:9:12",
        ),
        (partition("/srv", "label = \"x\"\n"), "recipe.toml:9:1", "its name and label follow from `mount`"),
        (partition("/var", "options = [\"noexec\"]\n"), "recipe.toml:9:12", "dpkg runs packages' scripts"),
        (
            partition("/var/lib/dpkg", "options = [\"noexec\"]\n"),
            "recipe.toml:9:12",
            "dpkg runs packages' scripts",
        ),
        (
            format!("{}{}", partition("/srv", ""), partition("/srv", "")),
            "recipe.toml:10:9",
            "the first is at recipe.toml:7:9",
        ),
        (
            format!("{}{}", partition("/srv/a", ""), partition("/srv-a", "")),
            "recipe.toml:10:9",
            "two partitions",
        ),
        (
            format!("{}{}", partition("/var/lib/postgresql", ""), partition("/var/lib/postgres-backup", "")),
            "recipe.toml:10:9",
            "/var/lib/postgres-backup would both have the label",
        ),
        (partition("/root-------------x", ""), "recipe.toml:7:9", "would both have the label `root`"),
        (partition("/cidata", ""), "recipe.toml:7:9", "would have the label `cidata`"),
        (partition("/Config/2", ""), "recipe.toml:7:9", "would have the label `Config-2`"),
        (
            format!("{}{}", partition("/home", ""), partition("/srv", "")).replace("1 GiB", "8 TiB"),
            "recipe.toml:11:8",
            "all partitions take 16 TiB, and a disk image holds less than 16 TiB",
        ),
        ("[[partitions]]\nmount = \"/srv\"\n".into(), "recipe.toml:6:3", "write `[[partition]]`"),
    ] {
        let told = recipe(&text).errors();
        // Lines are broken where the width of the drawing ends.
        let flat = told.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
        assert!(told.contains(place) && flat.contains(words), "{text}\n{told}");
    }
}

#[test]
fn the_root_counts_among_what_a_disk_image_holds() {
    let with = |root: &str| {
        let head = HEAD.replace("\"test\"", &format!("\"test\"\nroot-size = \"{root}\""));
        World::recipe(&format!("{head}{}{USER}", partition("/srv", "").replace("1 GiB", "2 TiB")))
    };
    assert_eq!(told(&with("13 TiB")).len(), 1);
    let told = with("14 TiB").errors();
    assert!(told.contains("recipe.toml:3:13") && told.contains("take 16 TiB"), "{told}");
    let told = with("16 TiB").errors();
    assert!(told.contains("recipe.toml:3:13") && !told.contains("take 18 TiB"), "{told}");
}

#[test]
fn an_inner_partition_without_noexec_lets_dpkg_run() {
    let text = [partition("/var", "options = [\"noexec\"]\n"), partition("/var/lib/dpkg", "")];
    assert_eq!(told(&recipe(&text.concat())).len(), 2);
}

#[test]
fn a_base_and_the_recipe_may_not_both_have_it() {
    let world = World::new(&[
        ("recipe.toml", &format!("extends = [\"base.toml\"]\n{HEAD}{}{USER}", partition("/srv", ""))),
        ("base.toml", &format!("{}{}", partition("/srv", ""), partition("/var/log", ""))),
    ]);
    let told = world.errors();
    assert!(told.contains("recipe.toml:8:9") && told.contains("the first is at base.toml:2:9"), "{told}");
    world.write("recipe.toml", &format!("extends = [\"base.toml\"]\n{HEAD}{}{USER}", partition("/home", "")));
    assert_eq!(self::told(&world).len(), 3);
}

#[test]
fn more_than_anybody_needs_are_refused() {
    let many: String = (0..65).map(|number| partition(&format!("/srv/{number}"), "")).collect();
    let told = recipe(&many).errors();
    assert!(told.contains("more than 64 partitions") && told.contains("recipe.toml:199:9"), "{told}");
}

#[test]
fn overlay_mounts_takes_a_partition_for_what_it_is() {
    let mounts = |more: &str| format!("[overlay.mounts]\n{more}");
    let text = |options: &str, more: &str| {
        let partitions = [partition("/home", options), partition("/var/tmp", "options = [\"noatime\"]\n")];
        World::recipe(&format!("{HEAD}{}{USER}{}", partitions.concat(), mounts(more)))
    };
    let world = text("", "home-programs = false\n");
    assert_eq!(told(&world), ["/home 1024 nodev,nosuid,noexec", "/var/tmp 1024 nodev,nosuid,noexec,noatime"]);
    let plan = world.plan();
    for unit in ["home.mount", "var-tmp.mount"] {
        assert!(!plan.services.enable.contains_key(unit), "{unit}");
        assert!(!plan.files.contains_key(&format!("/etc/systemd/system/{unit}")), "{unit}");
    }
    assert_eq!(told(&text("", ""))[0], "/home 1024 nodev,nosuid");
    let errors = text("options = [\"exec\"]\n", "home-programs = false\n").errors();
    let wanted = "overlay mounts wants /home with `noexec`, not `exec`";
    assert!(errors.contains(wanted) && errors.contains("recipe.toml:9:12"), "{errors}");
    assert_eq!(told(&text("options = [\"exec\", \"suid\"]\n", "home = \"leave\"\n"))[0], "/home 1024 nodev");
}

#[test]
fn what_overlays_keep_there_must_fit() {
    let overlays =
        "[overlay.audit]\nlog-size = \"64 MiB\"\nlog-files = 20\n[overlay.journal]\nmax-use = \"600 MiB\"\n";
    let recipe = |partitions: &str| World::recipe(&format!("{HEAD}{partitions}{USER}{overlays}"));
    // 600 MiB and 256 MiB for the journal, 20 times 64 MiB and 75 MiB for the trail.
    let told = recipe(&partition("/var", "")).errors();
    let wanted = "overlay audit 1355 MiB, overlay journal 856 MiB: raise `size`, or lower their options";
    assert!(told.contains("recipe.toml:8:8") && told.contains("2211 MiB are wanted"), "{told}");
    assert!(told.contains(wanted), "{told}");
    let both = [partition("/var/log", ""), partition("/var/log/audit", "")].concat();
    let told = recipe(&both).errors();
    assert!(told.contains("recipe.toml:11:8") && told.contains("the partition for /var/log/audit"), "{told}");
    assert!(!told.contains("journal"), "{told}");
    assert_eq!(self::told(&recipe(&partition("/var/lib", ""))).len(), 1);
}

#[test]
fn overlay_audit_may_stop_the_machine_where_only_records_fill_the_disk() {
    let audit = "[overlay.audit]\non-full-disk = \"halt\"\n";
    let warnings = |partition: &str| World::recipe(&format!("{HEAD}{partition}{USER}{audit}")).warnings();
    let stops = |warning: &crate::recipe::Warning| warning.message.contains("a full disk stops");
    assert!(warnings("").iter().any(stops));
    assert!(!warnings(&partition("/var/log/audit", "")).iter().any(stops));
}
