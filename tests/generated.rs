//! What is generated from the code and kept in the repository is what the code would generate now: `make docs`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Bench, children};
use std::path::{Path, PathBuf};
use std::process::Command;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

/// The committed file has this text.
#[track_caller]
fn fresh(file: &str, text: &str) {
    let kept = fs_err::read_to_string(docs().join(file)).unwrap();
    assert!(kept == text, "docs/{file} is out of date: run `make docs` and commit what it changes");
}

#[test]
fn schemas() {
    for kind in ["recipe", "checks", "proof", "manifest", "diff", "events"] {
        let text = Bench::new().run(["schema", kind]).works().stdout;
        fresh(&format!("{kind}.schema.json"), &text);
        let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(schema["$schema"].is_string() && schema["title"].is_string(), "{kind}");
    }
}

#[test]
fn completions() {
    for (shell, file) in [("bash", "goldcast.bash"), ("zsh", "_goldcast"), ("fish", "goldcast.fish")] {
        let text = Bench::new().run(["completions", shell]).works().stdout;
        fresh(&format!("completions/{file}"), &text);
    }
}

#[test]
fn bash_completes_commands_and_options() {
    let script = docs().join("completions/goldcast.bash");
    let ask = "source \"$1\"; COMP_WORDS=($2); COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 )); \
               _goldcast goldcast \"${COMP_WORDS[COMP_CWORD]}\" x; echo \"${COMPREPLY[@]}\"";
    for (typed, wanted) in [("goldcast ver", "verify"), ("goldcast build --keep", "--keep-failed")] {
        let output = Command::new("bash").args(["-c", ask, "bash"]).arg(&script).arg(typed).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), wanted, "{output:?}");
    }
}

#[test]
fn overlay_pages() {
    let bench = Bench::new();
    bench.run(["overlays", "--pages", "pages"]).works();
    let pages = children(&bench.path("pages"));
    assert_eq!(
        children(&docs().join("overlays")).len(),
        pages.len(),
        "run `make docs` and commit what it changes"
    );
    for page in pages {
        let name = page.file_name().unwrap().to_string_lossy().into_owned();
        fresh(&format!("overlays/{name}"), &bench.read(&format!("pages/{name}")));
    }
}

/// The page is that of the results that are kept, and every rule that fails has its reason.
#[test]
fn what_judges_say() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("judges/page");
    let output = Command::new("bash").arg(page).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fresh("judges.md", &String::from_utf8_lossy(&output.stdout));
}

/// The checks that a reason for the judges leans on are there.
#[test]
fn checks_that_reasons_name() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let checks: String = children(&here.join("qemu-tests"))
        .iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "toml"))
        .map(|file| fs_err::read_to_string(file).unwrap())
        .collect();
    for file in children(&here.join("judges/reasons")) {
        let reasons = fs_err::read_to_string(&file).unwrap();
        let named: Vec<&str> =
            reasons.split("(check `").skip(1).filter_map(|rest| rest.split('`').next()).collect();
        assert!(named.len() > 10, "{}: {named:?}", file.display());
        for name in named {
            assert!(
                checks.contains(&format!("\nname = \"{name}\"\n")),
                "{} names the check {name}, which is not there",
                file.display()
            );
        }
    }
}

#[test]
fn manual_pages() {
    let bench = Bench::new();
    bench.run(["man", "man"]).works();
    let names = |dir: &Path| -> Vec<String> {
        let mut names: Vec<_> = children(dir)
            .iter()
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    let made = names(&bench.path("man"));
    assert!(
        made.contains(&"goldcast.1".to_owned()) && made.contains(&"goldcast-build.1".to_owned()),
        "{made:?}"
    );
    assert_eq!(names(&docs().join("man")), made, "run `make docs` and commit what it changes");
    for name in made {
        fresh(&format!("man/{name}"), &bench.read(&format!("man/{name}")));
    }
}
