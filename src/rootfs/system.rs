//! What every system has and no package brings: its name, and where its own updates come from.

use super::filter;
use crate::archive::distribution::Distribution;
use crate::archive::mirrors::Mirrors;
use crate::error::{Error, Result};
use crate::recipe::plan::Plan;
use crate::tree::inside::{self, Tree};
use std::path::Path;

/// Writes hostname(5), hosts(5), and what the running system's own package tools go by.
pub fn configure(plan: &Plan, tree: &Path) -> Result<()> {
    let tree = Tree::open(tree)?;
    let name = &plan.image.hostname;
    tree.write("etc/hostname", format!("{name}\n"))?;
    let hosts = format!(
        "127.0.0.1\tlocalhost\n127.0.1.1\t{name}\n\n\
         ::1\t\tlocalhost ip6-localhost ip6-loopback\n\
         ff02::1\t\tip6-allnodes\nff02::2\t\tip6-allrouters\n"
    );
    tree.write("etc/hosts", hosts)?;
    if tree.find("etc/apt")?.is_some() {
        sources(plan, &tree)?;
    }
    if let Some(settings) = filter::settings(&plan.packages) {
        let (directory, name) = inside::split(Path::new(filter::SETTINGS))?;
        tree.make(directory)?.write(name, settings.as_bytes())?;
    }
    Ok(())
}

/// /etc/apt/sources.list.d/debian.sources, deb822 (sources.list(5)). The mirror is the recipe's or the
/// distribution's own, never the build host's: the same recipe gives the same bytes everywhere.
fn sources(plan: &Plan, tree: &Tree) -> Result<()> {
    let distribution = Distribution::named(&plan.distribution.name)?;
    let release = distribution.release(&plan.distribution.release)?;
    let nowhere = Path::new("/nonexistent");
    let mirrors = Mirrors::decide(distribution, None, plan.distribution.mirror.as_deref(), None, nowhere)?;
    let keyring = release.keyring;
    if !tree.exists(keyring.trim_start_matches('/')).unwrap_or(false) {
        return Err(Error::new("the image has apt but no keys to verify packages with")
            .hint("add \"debian-archive-keyring\" to [packages] install"));
    }
    let mut text = String::new();
    for archive in distribution.archives {
        let suites: Vec<&str> = release
            .suites
            .iter()
            .filter(|suite| suite.archive == archive.name)
            .map(|suite| suite.name)
            .collect();
        if suites.is_empty() {
            continue;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!(
            "Types: deb\nURIs: {}\nSuites: {}\nComponents: {}\nSigned-By: {keyring}\n",
            mirrors.base(archive.name)?,
            suites.join(" "),
            release.components.join(" ")
        ));
    }
    tree.make("etc/apt")?.remove("sources.list")?;
    tree.make("etc/apt/sources.list.d")?.write("debian.sources", text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::testing::empty_plan;
    use std::os::unix::fs::symlink;

    #[test]
    fn settings_are_written_into_the_tree_only() {
        let machine = tempfile::tempdir().unwrap();
        let tree = tempfile::tempdir().unwrap();
        let at = |name: &str| tree.path().join(name);
        for name in ["hostname", "hosts"] {
            fs_err::write(machine.path().join(name), "theirs").unwrap();
            fs_err::create_dir_all(at("etc")).unwrap();
            symlink(machine.path().join(name), at("etc").join(name)).unwrap();
        }
        // Seen from the machine it is a directory, but not for apt in the tree.
        symlink(machine.path(), at("etc/apt")).unwrap();
        configure(&empty_plan("x"), tree.path()).unwrap();
        assert_eq!(fs_err::read_to_string(at("etc/hostname")).unwrap(), "x\n");
        fs_err::remove_file(at("etc/apt")).unwrap();
        fs_err::create_dir_all(at("usr/share/keyrings")).unwrap();
        fs_err::create_dir(at("etc/apt")).unwrap();
        fs_err::write(at("usr/share/keyrings/debian-archive-keyring.pgp"), "").unwrap();
        fs_err::write(at("etc/apt/sources.list"), "").unwrap();
        symlink(machine.path(), at("etc/apt/sources.list.d")).unwrap();
        configure(&empty_plan("x"), tree.path()).unwrap_err();
        fs_err::remove_file(at("etc/apt/sources.list.d")).unwrap();
        configure(&empty_plan("x"), tree.path()).unwrap();
        assert!(
            at("etc/apt/sources.list.d/debian.sources").is_file() && !at("etc/apt/sources.list").exists()
        );
        assert_eq!(fs_err::read_dir(machine.path()).unwrap().count(), 2);
        for name in ["hostname", "hosts"] {
            assert_eq!(fs_err::read_to_string(machine.path().join(name)).unwrap(), "theirs");
        }
    }
}
