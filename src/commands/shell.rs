//! `--keep-failed` and `goldcast shell`: looking at a tree that could not be finished.

use super::session::Session;
use crate::cli::shell::Shell;
use crate::error::{Context, Error, Result};
use crate::rootfs::workspace::Workspace;
use crate::sandbox::{self, Command, Root};
use crate::store::Store;
use crate::tree;
use std::path::{Path, PathBuf};

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
    let tree = place(&store, &arguments.name);
    if !tree.is_dir() {
        return Err(Error::usage(format!("no failed build of {} was kept", arguments.name))
            .hint("build it with --keep-failed"));
    }
    sandbox::enter()?;
    let (program, rest) = match arguments.command.split_first() {
        Some((program, rest)) => (program.as_str(), rest),
        None => ("/bin/sh", &[][..]),
    };
    let status = enter(&tree, program, rest)?;
    if status == 0 { Ok(()) } else { Err(Error::new(format!("{program} ended with status {status}"))) }
}

fn enter(tree: &Path, program: &str, arguments: &[String]) -> Result<i32> {
    Command::new(Root::Tree(tree.to_path_buf()), program)
        .args(arguments)
        .interactive()
        .doing("entering the tree")
}
