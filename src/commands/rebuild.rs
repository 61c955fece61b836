//! `goldcast rebuild --check`: whether a published image is what its plan and lock give.

use super::image::{self, How};
use super::session::Session;
use crate::cli::rebuild::Rebuild;
use crate::diff::{self, Options};
use crate::error::{Error, Result};
use crate::output::directory::{self, Staging};
use crate::output::names::{Names, bare};
use crate::output::published::Published;
use crate::progress::Progress;
use crate::rootfs::workspace::Storage;
use crate::store::Trail;
use std::path::Path;

/// Runs the command.
pub fn rebuild(arguments: &Rebuild) -> Result<()> {
    let published = Published::read(&arguments.image)?;
    let Published { directory, manifest, lock, .. } = &published;
    let session =
        Session::of_plan(&arguments.image, published.plan.clone(), &arguments.network, &arguments.talk)?;
    let version = env!("CARGO_PKG_VERSION");
    if manifest.goldcast != version {
        session.progress.warn(format!(
            "the image was made by goldcast {}, this is {version}: the same bytes are promised for one version only",
            manifest.goldcast
        ));
    }
    // What is called by the manifest's name must be what the manifest says.
    let mut unlike = Vec::new();
    for artifact in &manifest.artifacts {
        let path = directory.join(&artifact.file);
        if path.is_file() && directory::sha256(&path)? != artifact.sha256 {
            unlike.push(format!("{} is not the file that its manifest names", path.display()));
        }
    }
    let tools = session.tools(lock)?;
    // Other runs work there too: it stays when these outputs go.
    fs_err::create_dir_all(session.work())?;
    let staging = Staging::new(&session.work().join("rebuilt"), Names::of(&session.plan))?;
    let trail = Trail::new(&session.store, &arguments.image);
    let how = How { storage: Storage::Auto, keep_failed: false, anew: true };
    let image = image::make(&session, lock, &tools, &staging, &trail, how)?;
    for artifact in &manifest.artifacts {
        let name = bare(&artifact.file);
        match image.artifacts.iter().find(|made| made.file == name) {
            Some(made) if made.sha256 == artifact.sha256 => {}
            Some(made) => {
                unlike.push(format!("{name}: {} published, {} rebuilt", artifact.sha256, made.sha256))
            }
            None => unlike.push(format!("{name}: the plan does not ask for it")),
        }
    }
    if unlike.is_empty() {
        let files: Vec<&str> = manifest.artifacts.iter().map(|artifact| artifact.file.as_str()).collect();
        return session.progress.answer(format!("identical: {}", files.join(", ")));
    }
    for line in &unlike {
        session.progress.answer(line)?;
    }
    report(&published, staging.path(), &session.progress)?;
    Err(Error::new(format!("the image {} is not what its plan and lock give", manifest.name))
        .because(unlike.remove(0)))
}

/// Shows where the published image differs from the rebuilt one, by the first of its files that both have.
fn report(published: &Published, rebuilt: &Path, progress: &Progress) -> Result<()> {
    for artifact in &published.manifest.artifacts {
        let name = bare(&artifact.file);
        let (theirs, ours) = (published.directory.join(&artifact.file), rebuilt.join(name));
        if theirs.is_file() && ours.is_file() {
            let options = Options { only: Vec::new(), stat: false };
            return progress
                .answer(format!("\n{}", diff::images(&theirs, &ours, &options)?.render().trim_end()));
        }
    }
    Ok(())
}
