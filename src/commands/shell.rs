//! `--keep-failed` and `goldcast shell`: looking at a tree that could not be finished.

use super::session::Session;
use crate::cli::shell::Shell;
use crate::error::{Context, Error, Result};
use crate::rootfs::workspace::Workspace;
use crate::sandbox::{self, Command, Root};
use crate::store::Store;
use crate::tree;
use std::path::{Component, Path, PathBuf};

fn place(store: &Store, name: &str) -> PathBuf {
    store.dir().join("failed").join(name)
}

/// Keeps the tree of a failed build, and adds to the error how to enter it.
pub fn keep(session: &Session, workspace: &Workspace, error: Error) -> Error {
    let name = &session.plan.name;
    let kept = place(&session.store, name);
    let Some(failed) = workspace.worked_on() else { return error };
    match tree::copy::tree(&failed, &kept) {
        Ok(()) => error.replay(format!("goldcast shell {name}")),
        Err(second) => error.because(format!("and the tree could not be kept: {second}")),
    }
}

/// Runs the command.
pub fn shell(arguments: &Shell) -> Result<()> {
    let store = Store::open(Store::default_dir()?)?;
    let tree = kept(&store, &arguments.name)?;
    sandbox::enter()?;
    let (program, rest) = match arguments.command.split_first() {
        Some((program, rest)) => (program.as_str(), rest),
        None => ("/bin/sh", &[][..]),
    };
    super::end_as(enter(&tree, program, rest)?)
}

/// The tree that was kept of the image with this name.
fn kept(store: &Store, name: &str) -> Result<PathBuf> {
    let tree = place(store, name);
    let mut parts = Path::new(name).components();
    // Nothing and `..` are directories as well, of the cache's own.
    let is_name = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
    if is_name && tree.is_dir() {
        return Ok(tree);
    }
    let mut names = Vec::new();
    for entry in fs_err::read_dir(place(store, ""))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    let hint = match names[..] {
        [] => "build it with --keep-failed; this command then takes the image's name".to_owned(),
        _ => format!("kept are: {}; --keep-failed keeps another", names.join(", ")),
    };
    Err(Error::usage(format!("no failed build of {name:?} was kept")).hint(hint))
}

fn enter(tree: &Path, program: &str, arguments: &[String]) -> Result<i32> {
    Command::new(Root::Tree(tree.to_path_buf()), program)
        .args(arguments)
        .interactive()
        .doing("entering the tree")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_of_a_kept_build_leads_into_one() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().to_path_buf()).unwrap();
        let hint = |name: &str| kept(&store, name).unwrap_err().advice().unwrap_or_default().to_owned();
        assert!(hint("tiny").starts_with("build it with --keep-failed"));
        fs_err::create_dir(place(&store, "tiny")).unwrap();
        assert_eq!(kept(&store, "tiny").unwrap(), place(&store, "tiny"));
        for name in ["", ".", "..", "../failed/tiny", "recipes/tiny.toml"] {
            assert!(hint(name).starts_with("kept are: tiny;"), "{name:?}");
        }
    }
}
