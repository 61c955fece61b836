//! `goldcast diff`: two images, and what is different about them.

use super::image::{self, How};
use super::session::{Locking, Session};
use crate::cli::common::Talk;
use crate::cli::diff::Diff;
use crate::diff::{self, Image, Options};
use crate::error::{Context, Error, Exit, Result};
use crate::output::directory::Staging;
use crate::output::names::Names;
use crate::recipe::plan::Format;
use crate::rootfs::workspace::Storage;
use crate::sandbox;
use crate::stdout;
use crate::store::Trail;
use std::path::{Path, PathBuf};

/// Runs the command. As diff(1) does, it ends with 1 when something differs and with 2 when it could not tell.
pub fn diff(arguments: &Diff) -> Result<()> {
    if compare(arguments).map_err(Error::trouble)? {
        std::process::exit(Exit::Failed.code());
    }
    Ok(())
}

fn compare(arguments: &Diff) -> Result<bool> {
    if [&arguments.a, &arguments.b].into_iter().any(|path| is_recipe(path)) {
        // Building needs the user namespace, which a process enters before it does anything else.
        sandbox::enter()?;
    }
    crate::interrupt::listen()?;
    let options = Options { only: arguments.only.clone(), stat: arguments.stat };
    // What is no image is told before the other one is built.
    for path in [&arguments.a, &arguments.b].into_iter().filter(|path| !is_recipe(path)) {
        Image::open(path)?;
    }
    // The builds stay until they are compared.
    let (a, b) = (subject(&arguments.a, arguments)?, subject(&arguments.b, arguments)?);
    let mut report = diff::images(&a.path, &b.path, &options)?;
    // A build that was made for this is gone when its path is read.
    for (side, given) in [(&mut report.a, &arguments.a), (&mut report.b, &arguments.b)] {
        if is_recipe(given) {
            side.path = given.display().to_string();
        }
    }
    let text = match arguments.json {
        true => serde_json::to_string_pretty(&report).doing("writing the report")? + "\n",
        false => report.render(),
    };
    stdout::write(text)?;
    Ok(report.differs())
}

/// What is compared, and the directory that goes with it when it was built for that.
struct Subject {
    path: PathBuf,
    _built: Option<Staging>,
}

/// An image as it is, or the fresh build of a recipe.
fn subject(path: &Path, arguments: &Diff) -> Result<Subject> {
    if !is_recipe(path) {
        return Ok(Subject { path: path.to_path_buf(), _built: None });
    }
    let mut session = Session::open(path, &arguments.network, &Talk::default())?;
    // The disk is what is compared; making the other formats of it takes long.
    session.plan.image.formats = vec![Format::Raw];
    let lock = session.lock(&Locking::Refused)?;
    let tools = session.tools(&lock)?;
    // Other runs work there too: it stays when these outputs go.
    fs_err::create_dir_all(session.work())?;
    let staging = Staging::new(&session.work().join("compared"), Names::of(&session.plan))?;
    let trail = Trail::new(&session.store, path);
    let how = How { storage: Storage::Auto, keep_failed: false, anew: false };
    image::make(&session, &lock, &tools, &staging, &trail, how)?;
    let path = staging.path().join(format!("{}.raw", session.plan.name));
    Ok(Subject { path, _built: Some(staging) })
}

fn is_recipe(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "toml")
}
