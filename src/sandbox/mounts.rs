//! The filesystem that a run sees.

use super::spec::{Bind, Root, Spec};
use crate::error::{Context, Error, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

const NOTHING: Option<&str> = None;

/// Devices that programs may expect; none of them reaches hardware.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Mounts everything and makes it the root.
pub fn enter(spec: &Spec) -> Result<()> {
    mount(NOTHING, "/", NOTHING, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NOTHING)
        .doing("detaching the sandbox's mounts")?;
    // The new root is put together on top of the tree's own directory, which may hide what is bound later:
    // so everything is opened first and bound by descriptor.
    let sources = spec.binds.iter().map(|entry| Handle::open(&entry.host)).collect::<Result<Vec<_>>>()?;
    let new = spec.root.tree().to_path_buf();
    let tree = Handle::open(&new)?;
    match &spec.root {
        Root::Tree(_) => bind(&tree.path(), &new, true)?,
        Root::ReadOnly(_) => read_only_root(&tree, &new)?,
    }
    kernel_filesystems(&new)?;
    for (entry, source) in spec.binds.iter().zip(&sources) {
        bind_inside(&new, entry, source)?;
    }
    nix::unistd::chdir(&new)?;
    // pivot_root(2), NOTES: with both arguments "." the old root is stacked on the new one and can be
    // unmounted at once, so no directory for it is needed in the tree.
    nix::unistd::pivot_root(".", ".").doing("changing the sandbox's root")?;
    umount2(".", MntFlags::MNT_DETACH).doing("leaving the host's filesystem")?;
    nix::unistd::chdir("/")?;
    Ok(())
}

/// A file or directory of the host, held so that it stays reachable when its path is covered.
struct Handle(fs_err::File);

impl Handle {
    fn open(path: &Path) -> Result<Self> {
        use fs_err::os::unix::fs::OpenOptionsExt;
        let file = fs_err::OpenOptions::new().read(true).custom_flags(nix::libc::O_PATH).open(path);
        Ok(Self(file.doing("opening what the sandbox is to see")?))
    }

    fn path(&self) -> PathBuf {
        use std::os::fd::AsRawFd;
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }

    fn is_dir(&self) -> Result<bool> {
        Ok(self.0.metadata()?.is_dir())
    }
}

/// Directories that every run gets fresh.
const OWN: [&str; 5] = ["dev", "proc", "sys", "run", "tmp"];

fn read_only_root(tree: &Handle, new: &Path) -> Result<()> {
    let through = tree.path();
    tmpfs(new, "mode=0755")?;
    for entry in fs_err::read_dir(&through)? {
        let name = entry?.file_name();
        let (from, to) = (through.join(&name), new.join(&name));
        let kind = fs_err::symlink_metadata(&from)?.file_type();
        if OWN.iter().any(|own| name == *own) {
            continue;
        }
        if kind.is_symlink() {
            symlink(fs_err::read_link(&from)?, &to)?;
        } else if kind.is_dir() {
            fs_err::create_dir(&to)?;
            bind(&from, &to, false)?;
        }
    }
    OWN.iter().try_for_each(|own| Ok(fs_err::create_dir(new.join(own))?))
}

fn tmpfs(at: &Path, options: &str) -> Result<()> {
    mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some(options))
        .doing_with(|| format!("mounting a memory filesystem at {}", at.display()))
}

fn kernel_filesystems(new: &Path) -> Result<()> {
    let proc = new.join("proc");
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    devices(&new.join("dev"))?;
    tmpfs(&new.join("run"), "mode=0755")?;
    tmpfs(&new.join("tmp"), "mode=1777")?;
    // Scripts that look at the machine's hardware would make the image depend on the build host.
    mount(Some("tmpfs"), &new.join("sys"), Some("tmpfs"), flags | MsFlags::MS_RDONLY, Some("mode=0555"))
        .doing("covering /sys inside the sandbox")?;
    mount(Some("proc"), &proc, Some("proc"), flags, NOTHING).map_err(|error| {
        Error::from(error)
            .doing("mounting /proc inside the sandbox")
            .hint("a container that masks parts of /proc forbids this; run it with `--security-opt systempaths=unconfined` or `--privileged`")
    })
}

fn devices(dev: &Path) -> Result<()> {
    tmpfs(dev, "mode=0755")?;
    for name in DEVICES {
        let target = dev.join(name);
        fs_err::write(&target, "")?;
        bind(&Path::new("/dev").join(name), &target, true)?;
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "fd/0"),
        ("stdout", "fd/1"),
        ("stderr", "fd/2"),
        ("ptmx", "pts/ptmx"),
    ] {
        symlink(target, dev.join(name))?;
    }
    fs_err::create_dir(dev.join("pts"))?;
    fs_err::create_dir(dev.join("shm"))?;
    let options = "newinstance,ptmxmode=0666,mode=620,gid=5";
    mount(
        Some("devpts"),
        &dev.join("pts"),
        Some("devpts"),
        MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC,
        Some(options),
    )
    .doing("mounting /dev/pts inside the sandbox")?;
    tmpfs(&dev.join("shm"), "mode=1777")
}

fn bind_inside(new: &Path, entry: &Bind, source: &Handle) -> Result<()> {
    let relative = entry.inside.strip_prefix("/").unwrap_or(&entry.inside);
    let target = new.join(relative);
    if target.symlink_metadata().is_err() {
        if source.is_dir()? {
            fs_err::create_dir_all(&target)?;
        } else {
            if let Some(parent) = target.parent() {
                fs_err::create_dir_all(parent)?;
            }
            fs_err::write(&target, "")?;
        }
    }
    bind(&source.path(), &target, entry.writable)
}

fn bind(from: &Path, to: &Path, writable: bool) -> Result<()> {
    mount(Some(from), to, NOTHING, MsFlags::MS_BIND | MsFlags::MS_REC, NOTHING)
        .doing_with(|| format!("showing {} at {} inside the sandbox", from.display(), to.display()))?;
    if writable {
        return Ok(());
    }
    // A bind mount takes its flags only when mounted again; in a user namespace the ones that the host set
    // are locked and must be repeated.
    let mut flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    let present = nix::sys::statvfs::statvfs(to)?.flags();
    for (has, flag) in [
        (nix::sys::statvfs::FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (nix::sys::statvfs::FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (nix::sys::statvfs::FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (nix::sys::statvfs::FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
        (nix::sys::statvfs::FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
    ] {
        if present.contains(has) {
            flags |= flag;
        }
    }
    mount(NOTHING, to, NOTHING, flags, NOTHING)
        .doing_with(|| format!("making {} read-only inside the sandbox", to.display()))
}
