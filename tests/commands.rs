//! The command line as a whole: what is asked for wrongly, what commands answer from, and who listens to them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::world::World;
use common::{Bench, HEAD, Ran, USER};

/// A recipe with a lock that fits it.
fn locked() -> World {
    let world = World::new();
    world.lock().works();
    world
}

#[test]
fn the_command_line() {
    let bench = Bench::new();
    bench.run(["bulid", "r.toml"]).code(2).says("'build'");
    assert!(bench.run(["help", "build"]).works().stdout.contains("--keep-failed"));
    bench.run(["build"]).code(2).says("<RECIPE>");
    bench.run(["build", "--ofline", "r.toml"]).code(2).says("'--offline'");
    bench.run(["build", "r.toml", "--firmware", "coreboot"]).code(2).says("secure-boot");
    bench.run(["overlays", "fierwall"]).code(2).says("did you mean firewall?");
    bench.run(["overlays", "zzz"]).code(2).says("there are: accounts");
    let mut command = bench.command(["cache", "gc"]);
    Ran::of(command.env("GOLDCAST_CACHE_SIZE", "much")).code(2).says("GOLDCAST_CACHE_SIZE is set to it");
    bench.assert_nothing_written();
}

#[test]
fn an_overlay_beside_a_recipe_has_a_page_and_is_in_the_schema() {
    let mut bench = Bench::new();
    bench.write("recipes/r.toml", format!("{HEAD}{USER}"));
    let declared =
        "summary = 'Our application'\n[option.colour]\ntype = 'string'\ndefault = 'red'\ndoc = 'Its.'\n";
    bench.write("overlays/app/overlay.toml", declared);
    let check = "[[check]]\nname = \"app-answers\"\nkind = \"inside\"\nproves = \"it answers\"\n\
                 [[check.steps]]\nrun = \"true\"\nexpect.stdout.equals = \"\"\n";
    bench.write("qemu-tests/app.toml", check);
    bench.run(["overlays", "app"]).code(2).says("there is no overlay `app`");
    let page = bench.run(["overlays", "app", "--beside", "recipes/r.toml"]).works().stdout;
    for words in
        ["# app\n\nOur application.", "| `colour` | string | `\"red\"` |", "| `app-answers` | it answers |"]
    {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!bench.run(["schema", "recipe"]).works().stdout.contains("colour"));
    let schema = bench.run(["schema", "recipe", "--beside", "recipes/r.toml"]).works().stdout;
    assert!(schema.contains("colour"));
}

/// The `tee` behind a run is ended by the same Ctrl-C: the run still ends in its own order.
#[test]
fn nobody_listens_to_what_a_run_tells() {
    let mut bench = Bench::new();
    bench.write("r.toml", format!("{HEAD}{USER}"));
    for (arguments, code) in [(&["check", "none.toml"][..], 2), (&["lock", "--offline", "r.toml"][..], 1)] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let status = bench.command(arguments).stderr(writer).status().unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn a_quiet_run_tells_nothing_when_all_is_well() {
    let world = locked();
    let ran = world.bench.run(["lock", "--quiet", "--update", "--", "tiny.toml"]).works();
    assert_eq!(ran.never_says("lock …").never_says("tiny.lock").stdout, "");
    world.bench.run(["lock", "--quiet", "none.toml"]).code(2).says("cannot read recipe none.toml");
}

#[test]
fn events_are_lines_of_json_and_the_last_one_tells_of_a_failure() {
    let world = locked();
    let events = |ran: &Ran| -> Vec<serde_json::Value> {
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let told = events(&world.bench.run(["lock", "--json", "--update", "--", "tiny.toml"]).works());
    assert!(told.iter().any(|event| event["event"] == "ended" && event["seconds"].is_number()), "{told:?}");
    let told = events(&world.bench.run(["lock", "--json", "none.toml"]).code(2));
    let last = told.last().unwrap();
    assert_eq!(
        (&last["event"], &last["stage"], &last["status"]),
        (&"failed".into(), &"run".into(), &2.into())
    );
}

#[test]
fn the_list_of_checks_is_of_those_that_would_run() {
    let world = locked();
    let list = |more: &[&str]| -> Vec<String> {
        let ran = world.bench.run(["verify", "--list", "tiny.toml"].iter().chain(more)).works();
        ran.stdout.lines().filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect()
    };
    let all = list(&[]);
    let name = "system-running";
    assert!(all.len() > 3 && all.iter().any(|check| check == name), "{all:?}");
    assert_eq!(list(&["--only", name]), [name]);
    let rest: Vec<String> = all.into_iter().filter(|check| check != name).collect();
    assert_eq!(list(&["--skip", name]), rest);
    // Nor is anything fetched or built for one that there is not.
    for command in [&["verify", "--list"][..], &["verify"], &["build"]] {
        let unknown = world.bench.run(command.iter().chain(&["--only", "sytem-running", "tiny.toml"]));
        unknown.code(2).says("did you mean system-running?").never_says("] download");
        assert!(!world.bench.path("out").exists());
    }
}

#[test]
fn a_lock_that_no_longer_fits_answers_and_says_so() {
    let mut world = locked();
    world.recipe("install = [\"greeter\", \"telnet-ssl\"]");
    let bench = &world.bench;
    for arguments in [["why", "greeter", "tiny.toml"], ["verify", "--list", "tiny.toml"]] {
        let ran = bench.run(arguments).works();
        ran.says("it now asks for telnet-ssl").says("`goldcast lock tiny.toml`");
    }
    bench.run(["why", "telnet-ssl", "tiny.toml"]).code(2).says("it now asks for telnet-ssl");
    bench.run(["why", "usr/bin/greet", "tiny.toml"]).code(2).says("absolute path: /usr/bin/greet");
}

#[test]
fn an_image_that_is_not_there_is_missed_before_the_tools_are() {
    let world = locked();
    for command in ["verify", "run"] {
        let ran = world.bench.run([command, "--offline", "tiny.toml"]);
        ran.code(2).says("there is no image out/tiny/tiny.raw");
    }
}

#[test]
fn a_program_that_is_not_in_a_kept_tree_is_told_to_a_person() {
    let bench = Bench::new();
    let tree = bench.cache().join("failed/tiny");
    for name in ["dev", "proc", "sys", "run", "tmp"] {
        fs_err::create_dir_all(tree.join(name)).unwrap();
    }
    let ran = bench.run(["shell", "tiny", "--", "/nosuch"]).code(125);
    let ran = ran.says("starting /nosuch inside the sandbox").says("No such file or directory");
    ran.never_says("goldcast-sandbox-error");
}
