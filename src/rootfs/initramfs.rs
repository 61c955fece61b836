//! The initramfs, made beside everything that it does not depend on.
//!
//! It is made from a tree of packages and the few files of the plan that initramfs-tools(7) reads, in a view of its own:
//! so it is the same whatever else the plan says, and another setting elsewhere does not mean another initramfs. For the
//! same reason fstab(5) names no disk there: an initramfs takes types of filesystems from it, and its disk from the boot
//! loader, while another lock means another disk.

use super::accounts::Accounts;
use super::scripts::Chroot;
use super::{Spec, apply, boot, finalize};
use crate::disk::Identity;
use crate::disk::filesystem::{self, Filesystem};
use crate::error::{Context, Result};
use crate::recipe::plan::{Content, File, Origin, Plan};
use crate::tree::copy;
use crate::tree::inside::Tree;
use std::collections::BTreeMap;
use std::path::Path;

/// Files of a plan that may shape an initramfs, by the beginning of their path.
const EARLY: [&str; 23] = [
    "/etc/console-setup/",
    "/etc/crypttab",
    "/etc/cryptsetup-initramfs/",
    // Without it Debian's hook takes microcode along only where /proc/cpuinfo shows a processor of AMD's.
    "/etc/default/amd64-microcode",
    "/etc/default/console-setup",
    "/etc/default/intel-microcode",
    "/etc/default/keyboard",
    "/etc/dropbear/",
    "/etc/fstab",
    "/etc/initramfs-tools/",
    "/etc/iscsi/",
    "/etc/kernel/",
    "/etc/kernel-img.conf",
    "/etc/lvm/",
    "/etc/mdadm/",
    "/etc/modprobe.d/",
    "/etc/modules",
    "/etc/multipath",
    "/etc/systemd/network/",
    "/etc/udev/",
    "/usr/lib/firmware/",
    "/usr/lib/modules/",
    "/usr/share/initramfs-tools/",
];

/// Where update-initramfs(8) leaves what it made: in `boot`, and its digests.
const STATE: &str = "var/lib/initramfs-tools";

/// The fstab(5) of no disk. What further partitions a disk has changes nothing: an initramfs mounts the root alone.
fn fstab(spec: &Spec<'_>) -> String {
    let filesystems = Filesystem::of(spec.plan);
    filesystem::fstab(&Identity::nameless(), &filesystems[..1])
}

/// The plan's files that may shape an initramfs, by path.
fn early(plan: &Plan) -> BTreeMap<String, File> {
    let shapes = |path: &&String| EARLY.iter().any(|start| path.starts_with(start));
    let files = plan.files.iter().filter(|(path, _)| shapes(path));
    files.map(|(path, file)| (path.clone(), file.clone())).collect()
}

/// The files beside packages that the initramfs is made from, by path.
pub fn sources(spec: &Spec<'_>) -> BTreeMap<String, File> {
    let mut sources = early(spec.plan);
    sources.entry("/etc/fstab".to_owned()).or_insert_with(|| File {
        content: Content::Regular(fstab(spec).into_bytes()),
        mode: 0o644,
        owner: "root".into(),
        group: "root".into(),
        origin: Origin::Goldcast("fstab".into()),
    });
    sources
}

/// Makes the initramfs of every kernel in `tree`, a view of its own, and puts what came of it into the new directory
/// `out`, at the paths that it has in the tree.
pub fn make(spec: &Spec<'_>, tree: &Path, scratch: &Path, out: &Path) -> Result<()> {
    let chroot = Chroot::new(tree, scratch, spec.lock.source_date_epoch)?;
    boot::early(&fstab(spec), tree)?;
    let accounts = Accounts::of(tree);
    for (path, file) in sources(spec) {
        let mut file = file;
        // Accounts of the plan are not made yet, and nobody asks here whom a file belongs to.
        if accounts.user(&file.owner).is_none() || accounts.group(&file.group).is_none() {
            (file.owner, file.group) = ("root".to_owned(), "root".to_owned());
        }
        apply::write(tree, &path, &file, &accounts)
            .doing_with(|| format!("writing {path} for the initramfs"))?;
    }
    boot::update_initramfs(tree, &chroot)?;
    let boot = out.join("boot");
    fs_err::create_dir_all(&boot)?;
    let tree = Tree::open(tree)?;
    if let Some(made) = tree.place("boot")? {
        for entry in fs_err::read_dir(made)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with("initrd.img") {
                copy::tree(&entry.path(), &boot.join(entry.file_name()))?;
            }
        }
    }
    if let Some(state) = tree.place(STATE)?.filter(|state| state.is_dir()) {
        copy::tree(&state, &out.join(STATE))?;
    }
    finalize::clamp_times(out, spec.lock.source_date_epoch)
}

/// Puts what [`make`] left in `out` into the tree.
pub fn place(out: &Path, tree: &Path) -> Result<()> {
    let tree = Tree::open(tree)?;
    for directory in ["boot", STATE] {
        if !out.join(directory).is_dir() {
            continue;
        }
        tree.make(directory)?;
        let Some(place) = tree.place(directory)? else { continue };
        for entry in fs_err::read_dir(out.join(directory))? {
            let entry = entry?;
            copy::tree(&entry.path(), &place.join(entry.file_name()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::testing::empty_plan;

    #[test]
    fn settings_of_hooks_shape_an_initramfs_and_other_files_do_not() {
        let mut plan = empty_plan("x");
        let settings =
            ["/etc/default/amd64-microcode", "/etc/default/intel-microcode", "/etc/modprobe.d/x.conf"];
        for path in settings.into_iter().chain(["/etc/default/nginx", "/etc/motd"]) {
            let file = File {
                content: Content::Regular(Vec::new()),
                mode: 0o644,
                owner: "root".into(),
                group: "root".into(),
                origin: Origin::Goldcast("x".into()),
            };
            plan.files.insert(path.to_owned(), file);
        }
        assert_eq!(early(&plan).into_keys().collect::<Vec<_>>(), settings);
    }

    #[test]
    fn what_was_made_is_put_into_the_tree_only() {
        let machine = tempfile::tempdir().unwrap();
        let tree = tempfile::tempdir().unwrap();
        let out = tempfile::tempdir().unwrap();
        for name in ["boot", STATE] {
            fs_err::create_dir_all(out.path().join(name)).unwrap();
            fs_err::write(out.path().join(name).join("made"), "made").unwrap();
        }
        let var = tree.path().join("var");
        std::os::unix::fs::symlink(machine.path(), &var).unwrap();
        place(out.path(), tree.path()).unwrap_err();
        assert_eq!(fs_err::read_dir(machine.path()).unwrap().count(), 0);
        fs_err::remove_file(&var).unwrap();
        std::os::unix::fs::symlink("/real", &var).unwrap();
        fs_err::create_dir(tree.path().join("real")).unwrap();
        place(out.path(), tree.path()).unwrap();
        for path in ["boot/made", "real/lib/initramfs-tools/made"] {
            assert_eq!(fs_err::read_to_string(tree.path().join(path)).unwrap(), "made");
        }
    }
}
