//! An image as it was handed out: its manifest, and beside it the plan and the lock that it was made from.

use super::manifest::Manifest;
use crate::archive::lock::Lock;
use crate::error::{Context, Error, Result};
use crate::recipe::Plan;
use std::path::{Path, PathBuf};

/// The ending of the manifest's name.
pub const MANIFEST: &str = ".manifest.json";
/// The ending of the plan's name.
pub const PLAN: &str = ".plan.json";
/// The ending of the lock's name.
pub const LOCK: &str = ".lock";

/// What was published.
#[derive(Debug)]
pub struct Published {
    /// Where it lies.
    pub directory: PathBuf,
    /// The manifest.
    pub manifest: Manifest,
    /// The plan, which is the one that the manifest means.
    pub plan: Plan,
    /// The lock, which is the one that the manifest means.
    pub lock: Lock,
}

impl Published {
    /// Reads what was published with `image`: one of its files, its manifest, or the directory with all of them.
    ///
    /// # Errors
    /// Exit status 2 when something is missing or does not belong to the rest.
    pub fn read(image: &Path) -> Result<Self> {
        let (directory, manifest) = find(image)?;
        let read = |ending: &str, what: &str| -> Result<(PathBuf, String)> {
            let path = directory.join(format!("{}{ending}", manifest.name));
            let text = fs_err::read_to_string(&path).map_err(|error| {
                Error::usage(format!("the {what} of {} is not beside it", manifest.name)).because(error).hint(
                    format!(
                        "a build leaves it as {}; publish it with the image",
                        path.file_name().unwrap_or_default().display()
                    ),
                )
            })?;
            Ok((path, text))
        };
        let (path, text) = read(PLAN, "plan")?;
        let plan: Plan = serde_json::from_str(&text).doing_with(|| format!("reading {}", path.display()))?;
        belongs(&path, &digest_of_plan(&plan)?, &manifest.plan_sha256)?;
        let (path, _) = read(LOCK, "lock")?;
        let lock = Lock::read(&path)?;
        belongs(&path, &lock.digest()?, &manifest.lock_sha256)?;
        Ok(Self { directory, manifest, plan, lock })
    }
}

fn belongs(path: &Path, found: &str, expected: &str) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::usage(format!("{} does not belong to the image's manifest", path.display()))
        .because(format!("its digest is {found}, the manifest says {expected}")))
}

/// The directory of an image, and its manifest.
fn find(image: &Path) -> Result<(PathBuf, Manifest)> {
    let metadata = fs_err::metadata(image)
        .map_err(|error| Error::usage(format!("there is no image {}", image.display())).because(error))?;
    let directory = match (metadata.is_dir(), image.parent()) {
        (true, _) => image.to_path_buf(),
        (false, Some(parent)) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        (false, _) => PathBuf::from("."),
    };
    let name = image.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in fs_err::read_dir(&directory)? {
        let path = entry?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !file.ends_with(MANIFEST) {
            continue;
        }
        let manifest = Manifest::read(&path)?;
        let meant = metadata.is_dir()
            || file == name
            || manifest.artifacts.iter().any(|artifact| artifact.file == name);
        if meant {
            found.push(manifest);
        }
    }
    match (found.pop(), found.is_empty()) {
        (Some(manifest), true) => Ok((directory, manifest)),
        (None, _) => Err(Error::usage(format!("there is no manifest of {} beside it", image.display()))
            .hint(format!("a build leaves it as NAME{MANIFEST}; publish it with the image"))),
        (Some(_), false) => Err(Error::usage(format!("{} holds several images", directory.display()))
            .hint("name a file of one of them")),
    }
}

/// Whether the image with this manifest was made from this plan and lock.
pub fn is_of(manifest: &Manifest, plan: &Plan, lock: &Lock) -> Result<bool> {
    Ok(manifest.plan_sha256 == digest_of_plan(plan)? && manifest.lock_sha256 == lock.digest()?)
}

/// sha256 (hex) of the plan without the paths of its sources, so that it is the same in any directory.
pub fn digest_of_plan(plan: &Plan) -> Result<String> {
    use sha2::{Digest, Sha256};
    let text = serde_json::to_vec(&without_sources(plan)).doing("writing down the plan")?;
    Ok(hex::encode(Sha256::digest(text)))
}

/// The plan as it is published: where the building host has its files and repositories is no part of it.
pub fn without_sources(plan: &Plan) -> Plan {
    let mut plan = Plan { sources: Default::default(), ..plan.clone() };
    for repository in &mut plan.repositories {
        repository.mirror = None;
    }
    plan
}
