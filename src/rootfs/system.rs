//! What every system has and no package brings: its name, and where its own updates come from.

use super::filter;
use crate::archive::distribution::Distribution;
use crate::archive::mirrors::Mirrors;
use crate::error::{Error, Result};
use crate::recipe::plan::Plan;
use std::path::Path;

/// Where Debian's keyring package keeps its keys; the name changed with Debian 13.
const KEYRINGS: [&str; 2] =
    ["usr/share/keyrings/debian-archive-keyring.pgp", "usr/share/keyrings/debian-archive-keyring.gpg"];

/// Writes hostname(5), hosts(5), and what the running system's own package tools go by.
pub fn configure(plan: &Plan, tree: &Path) -> Result<()> {
    let name = &plan.image.hostname;
    fs_err::write(tree.join("etc/hostname"), format!("{name}\n"))?;
    let hosts = format!(
        "127.0.0.1\tlocalhost\n127.0.1.1\t{name}\n\n\
         ::1\t\tlocalhost ip6-localhost ip6-loopback\n\
         ff02::1\t\tip6-allnodes\nff02::2\t\tip6-allrouters\n"
    );
    fs_err::write(tree.join("etc/hosts"), hosts)?;
    if tree.join("etc/apt").is_dir() {
        sources(plan, tree)?;
    }
    if let Some(settings) = filter::settings(&plan.packages) {
        let path = tree.join(filter::SETTINGS.trim_start_matches('/'));
        if let Some(directory) = path.parent() {
            fs_err::create_dir_all(directory)?;
        }
        fs_err::write(path, settings)?;
    }
    Ok(())
}

/// /etc/apt/sources.list.d/debian.sources, deb822 (sources.list(5)). The mirror is the recipe's or the
/// distribution's own, never the build host's: the same recipe gives the same bytes everywhere.
fn sources(plan: &Plan, tree: &Path) -> Result<()> {
    let distribution = Distribution::named(&plan.distribution.name)?;
    let release = distribution.release(&plan.distribution.release)?;
    let nowhere = Path::new("/nonexistent");
    let mirrors = Mirrors::decide(distribution, None, plan.distribution.mirror.as_deref(), None, nowhere)?;
    let keyring = KEYRINGS.iter().find(|path| tree.join(path).exists()).ok_or_else(|| {
        Error::new("the image has apt but no keys to verify packages with")
            .hint("add \"debian-archive-keyring\" to [packages] install")
    })?;
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
            "Types: deb\nURIs: {}\nSuites: {}\nComponents: {}\nSigned-By: /{keyring}\n",
            mirrors.base(archive.name)?,
            suites.join(" "),
            release.components.join(" ")
        ));
    }
    let list = tree.join("etc/apt/sources.list");
    if list.exists() {
        fs_err::remove_file(&list)?;
    }
    fs_err::create_dir_all(tree.join("etc/apt/sources.list.d"))?;
    fs_err::write(tree.join("etc/apt/sources.list.d/debian.sources"), text)?;
    Ok(())
}
