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

/// Runs the command. As `goldcast diff` does, it ends with 1 when the image is another one and with 2 when it could not tell.
pub fn rebuild(arguments: &Rebuild) -> Result<()> {
    compare(arguments).map_err(Error::trouble)?.map_or(Ok(()), Err)
}

/// Builds the image once more. What comes back, when something does, says that it is another one.
fn compare(arguments: &Rebuild) -> Result<Option<Error>> {
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
    let differs = format!("the image {} is not what its plan and lock give", manifest.name);
    // Nothing of this needs a build.
    for format in &session.plan.image.formats {
        let file = format!("{}.{}", session.plan.name, format.extension());
        if !manifest.artifacts.iter().any(|artifact| bare(&artifact.file) == file) {
            let why = format!("{file}: the plan asks for it, and the manifest does not name it");
            return Ok(Some(Error::new(differs).because(why)));
        }
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
        let files = manifest.artifacts.iter().map(|artifact| artifact.file.as_str());
        let (here, away): (Vec<&str>, Vec<&str>) = files.partition(|file| directory.join(file).is_file());
        for (told, files) in
            [("identical", here), ("identical by the manifest's sha256, but not beside it", away)]
        {
            if !files.is_empty() {
                session.progress.answer(format!("{told}: {}", files.join(", ")))?;
            }
        }
        return Ok(None);
    }
    for line in &unlike {
        session.progress.answer(line)?;
    }
    // That it is another image is known already.
    if let Err(error) = report(&published, staging.path(), &session.progress) {
        session.progress.answer(format!("where they differ cannot be shown: {error}"))?;
    }
    Ok(Some(Error::new(differs).because(unlike.remove(0))))
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
