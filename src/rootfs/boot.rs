//! What a tree needs to boot: fstab(5), the initramfs, GRUB's menu and modules.
//!
//! Debian's own tools make the last two, so that an update inside the running system makes the same again.

use super::scripts::Chroot;
use crate::disk::Identity;
use crate::disk::filesystem::{Filesystem, fstab};
use crate::error::{Context, Error, Result};
use crate::recipe::plan::Plan;
use crate::tree::inside::Tree;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Files of packages that goldcast writes itself, beside the plan's.
pub const OWN_FILES: [&str; 1] = ["/etc/default/grub"];

/// GRUB's menu.
pub const MENU: &str = "boot/grub/grub.cfg";
/// Consoles: the screen, and the first serial port, which becomes /dev/console.
const CONSOLES: &str = "console=tty0 console=ttyS0,115200n8";

/// Writes fstab and what else of goldcast's own the initramfs is made from.
pub fn early(fstab: &str, tree: &Path) -> Result<()> {
    let tree = Tree::open(tree)?;
    tree.write("etc/fstab", fstab)?;
    match tree.find("etc/initramfs-tools/conf.d")? {
        Some(settings) => settings.write("resume", b"RESUME=none\n"),
        None => Ok(()),
    }
}

/// Makes the mount points that are not in the tree.
fn mount_points(filesystems: &[Filesystem], tree: &Tree) -> Result<()> {
    for filesystem in filesystems.iter().filter(|filesystem| !filesystem.is_root()) {
        tree.make(filesystem.mount.trim_start_matches('/'))
            .doing_with(|| format!("making the mount point {}", filesystem.mount))?;
    }
    Ok(())
}

/// Writes fstab, makes mount points and writes the settings that the initramfs and GRUB read.
pub fn configure(plan: &Plan, identity: &Identity, tree: &Path) -> Result<()> {
    let filesystems = Filesystem::of(plan);
    early(&fstab(identity, &filesystems), tree)?;
    let tree = Tree::open(tree)?;
    tree.make("boot/efi")?;
    mount_points(&filesystems, &tree)?;
    let arguments: Vec<&str> = plan.kernel_arguments.iter().map(|argument| argument.value.as_str()).collect();
    let settings = format!(
        "# Read by update-grub(8).\n\
         GRUB_DEFAULT=0\n\
         GRUB_TIMEOUT=3\n\
         GRUB_DISTRIBUTOR=Debian\n\
         GRUB_CMDLINE_LINUX_DEFAULT=\"\"\n\
         GRUB_CMDLINE_LINUX=\"{}\"\n\
         GRUB_TERMINAL=\"console serial\"\n\
         GRUB_SERIAL_COMMAND=\"serial --unit=0 --speed=115200\"\n\
         GRUB_DISABLE_OS_PROBER=true\n",
        std::iter::once(CONSOLES).chain(arguments).collect::<Vec<_>>().join(" ")
    );
    tree.make("etc/default")?.write("grub", settings.as_bytes())?;
    if tree.exists("usr/share/doc/grub-cloud-amd64")? {
        // grub-cloud-amd64 renews both boot loaders on update, once this file says that the disk is its own.
        tree.write("etc/grub.d/enable_cloud", "")?;
    }
    Ok(())
}

/// Makes the initramfs of every kernel in the tree.
pub fn update_initramfs(tree: &Path, chroot: &Chroot) -> Result<()> {
    if !Tree::open(tree)?.exists("usr/sbin/update-initramfs")? {
        return Err(Error::new(
            "there is no update-initramfs in the image, and without an initramfs it cannot boot",
        )
        .hint("add \"initramfs-tools\" to [packages] install, or extend a base recipe"));
    }
    chroot.command("update-initramfs").args(["-c", "-k", "all"]).run().doing("making the initramfs")?;
    Ok(())
}

/// Makes GRUB's menu. grub-probe(8) looks for a disk, which is not there yet: what it would find is known.
pub fn menu(identity: &Identity, tree: &Path, scratch: &Path, chroot: &Chroot) -> Result<()> {
    let inside = Tree::open(tree)?;
    if !inside.exists("usr/sbin/grub-mkconfig")? {
        return Err(Error::new("there is no grub-mkconfig in the image, and without a menu it cannot boot")
            .hint("add \"grub-cloud-amd64\" to [packages] install, or extend a base recipe"));
    }
    let probe = script(scratch, "grub-probe", &probe_answers(identity))?;
    // grub-mkrelpath(1) names a path as its filesystem does, and the tree lies below its filesystem's root.
    let relative =
        script(scratch, "grub-mkrelpath", "#!/bin/sh\nfor path; do :; done\nrealpath -m -- \"$path\"\n")?;
    inside.make("boot/grub")?;
    // 10_linux writes root=UUID=… only when udev's link to it exists.
    let link = format!("/dev/disk/by-uuid/{}", identity.root.filesystem);
    chroot
        .command("grub-mkconfig")
        .args(["-o", &format!("/{MENU}")])
        .bind_read_only(&probe, "/usr/sbin/grub-probe")
        .bind_read_only(&relative, "/usr/bin/grub-mkrelpath")
        .bind_read_only(Path::new("/dev/null"), &link)
        .run()
        .doing("making GRUB's menu")?;
    let menu = inside.text(MENU)?.ok_or_else(|| Error::new("grub-mkconfig made no menu"))?;
    let entry = |line: &str| {
        let mut words = line.split_whitespace();
        words.next() == Some("linux")
            && words.next().is_some_and(|kernel| kernel.starts_with("/boot/vmlinuz-"))
            && line.contains(&format!("root=UUID={}", identity.root.filesystem))
    };
    if !menu.lines().any(entry) {
        return Err(Error::new("GRUB's menu holds no entry for the root filesystem")
            .because("grub-mkconfig found no kernel in /boot")
            .hint("add \"linux-image-amd64\" to [packages] install, or extend a base recipe"));
    }
    Ok(())
}

fn script(scratch: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = scratch.join(name);
    fs_err::write(&path, text)?;
    fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

/// A shell script that answers for grub-probe(8) as it would in the running image.
fn probe_answers(identity: &Identity) -> String {
    format!(
        r#"#!/bin/sh
target=
while [ $# -gt 0 ]; do
    case $1 in
    --target=*) target=${{1#--target=}} ;;
    -t | --target) target=$2; shift ;;
    esac
    shift
done
case $target in
device) echo /dev/disk/by-uuid/{root} ;;
fs_uuid) echo {root} ;;
partuuid) echo {partition} ;;
fs) echo ext2 ;;
partmap) echo gpt ;;
drive) echo "(hd0,gpt3)" ;;
compatibility_hint) echo hd0,gpt3 ;;
hints_string) echo --hint-bios=hd0,gpt3 --hint-efi=hd0,gpt3 --hint-baremetal=ahci0,gpt3 ;;
*) ;;
esac
"#,
        root = identity.root.filesystem,
        partition = identity.root.partition,
    )
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
        fs_err::write(machine.path().join("fstab"), "theirs").unwrap();
        for name in ["etc/initramfs-tools", "boot", "usr/share/doc/grub-cloud-amd64", "etc/grub.d", "there"] {
            fs_err::create_dir_all(at(name)).unwrap();
        }
        symlink(machine.path().join("fstab"), at("etc/fstab")).unwrap();
        symlink(machine.path(), at("etc/initramfs-tools/conf.d")).unwrap();
        symlink(machine.path().join("new"), at("etc/grub.d/enable_cloud")).unwrap();
        symlink("/there", at("etc/default")).unwrap();
        let (plan, identity) = (empty_plan("x"), Identity::from_lock("x"));
        configure(&plan, &identity, tree.path()).unwrap();
        assert!(fs_err::read_to_string(at("etc/fstab")).unwrap().contains(" / ext4 "));
        assert!(fs_err::read_to_string(at("there/grub")).unwrap().contains("GRUB_TIMEOUT=3\n"));
        assert!(at("etc/grub.d/enable_cloud").is_file() && at("boot/efi").is_dir());
        fs_err::remove_dir_all(at("boot")).unwrap();
        symlink(machine.path(), at("boot")).unwrap();
        configure(&plan, &identity, tree.path()).unwrap_err();
        assert_eq!(fs_err::read_dir(machine.path()).unwrap().count(), 1);
        assert_eq!(fs_err::read_to_string(machine.path().join("fstab")).unwrap(), "theirs");
    }
}
