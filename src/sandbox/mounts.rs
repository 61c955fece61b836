//! The filesystem that a run sees.

use super::spec::{Bind, Root, Spec};
use crate::error::{Context, Error, Result};
use crate::tree::inside::{self, Tree, by_descriptor};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{SFlag, fstat};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

const NOTHING: Option<&str> = None;

/// Devices that programs may expect; none of them reaches hardware.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Files of /proc by which root changes the machine itself, when root inside is root outside. Every container engine
/// keeps them so, and nothing in a package expects otherwise.
const MACHINE: [&str; 8] = ["acpi", "asound", "bus", "fs", "irq", "scsi", "sys", "sysrq-trigger"];

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
    // What is mounted from here on is looked up inside: where the tree has a link, the machine's path is another one.
    let root = Tree::open(&new)?;
    kernel_filesystems(&root)?;
    // Tools are trusted: they set up networks that goldcast made for them, and may make sandboxes of their own, in which
    // the kernel lets nobody mount a /proc while a part of the one that is there is covered.
    if matches!(spec.root, Root::Tree(_)) {
        keep_machine(&root)?;
    }
    for (entry, source) in spec.binds.iter().zip(&sources) {
        bind_inside(&root, entry, source)?;
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
struct Handle(OwnedFd);

impl Handle {
    fn open(path: &Path) -> Result<Self> {
        use fs_err::os::unix::fs::OpenOptionsExt;
        let file = fs_err::OpenOptions::new().read(true).custom_flags(nix::libc::O_PATH).open(path);
        Ok(Self(file.doing("opening what the sandbox is to see")?.into_file().into()))
    }

    /// What is at `path` in the new root, with what was mounted there last.
    fn inside(root: &Tree, path: &str) -> Result<Self> {
        Self::maybe_inside(root, path)?
            .ok_or_else(|| Error::new(format!("there is no /{path} to mount on in the sandbox's root")))
    }

    fn maybe_inside(root: &Tree, path: &str) -> Result<Option<Self>> {
        Ok(root.hold(path)?.map(Self))
    }

    fn path(&self) -> PathBuf {
        by_descriptor(&self.0)
    }

    fn is_dir(&self) -> Result<bool> {
        Ok(SFlag::from_bits_truncate(fstat(&self.0)?.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR)
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

fn tmpfs_inside(root: &Tree, path: &str, options: &str) -> Result<()> {
    tmpfs(&Handle::inside(root, path)?.path(), options)
        .doing_with(|| format!("covering /{path} inside the sandbox"))
}

fn kernel_filesystems(root: &Tree) -> Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    devices(root)?;
    tmpfs_inside(root, "run", "mode=0755")?;
    tmpfs_inside(root, "tmp", "mode=1777")?;
    // Scripts that look at the machine's hardware would make the image depend on the build host.
    let sys = Handle::inside(root, "sys")?;
    mount(Some("tmpfs"), &sys.path(), Some("tmpfs"), flags | MsFlags::MS_RDONLY, Some("mode=0555"))
        .doing("covering /sys inside the sandbox")?;
    let proc = Handle::inside(root, "proc")?;
    mount(Some("proc"), &proc.path(), Some("proc"), flags, NOTHING).map_err(|error| {
        Error::from(error)
            .doing("mounting /proc inside the sandbox")
            .hint("a container that masks parts of /proc forbids this; run it with `--security-opt systempaths=unconfined` or `--privileged`")
    })
}

/// Keeps a run from changing the machine by way of /proc.
fn keep_machine(root: &Tree) -> Result<()> {
    for name in MACHINE {
        let path = format!("proc/{name}");
        // Which of them there are depends on the kernel.
        let Some(found) = Handle::maybe_inside(root, &path)? else { continue };
        bind(&found.path(), &found.path(), true)?;
        read_only(&Handle::inside(root, &path)?.path())
            .doing_with(|| format!("making /{path} read-only inside the sandbox"))?;
    }
    Ok(())
}

fn devices(root: &Tree) -> Result<()> {
    tmpfs_inside(root, "dev", "mode=0755")?;
    let held = Handle::inside(root, "dev")?;
    let dev = held.path();
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

fn bind_inside(root: &Tree, entry: &Bind, source: &Handle) -> Result<()> {
    let inside = entry.inside.strip_prefix("/").unwrap_or(&entry.inside);
    if root.kind(inside)?.is_none() {
        if source.is_dir()? {
            root.make(inside)?;
        } else {
            let (parent, name) = inside::split(inside)?;
            root.make(parent)?.create(name, 0o644, &[])?;
        }
    }
    let target = || {
        let found = root.hold(inside)?.map(Handle);
        found.ok_or_else(|| {
            Error::new(format!("/{} in the tree is a link that leads nowhere", inside.display()))
        })
    };
    bind(&source.path(), &target()?.path(), true)
        .doing_with(|| format!("showing {} inside the sandbox", entry.host.display()))?;
    if entry.writable {
        return Ok(());
    }
    // Looked up again: what is there now is what was mounted.
    read_only(&target()?.path())
        .doing_with(|| format!("making /{} read-only inside the sandbox", inside.display()))
}

fn bind(from: &Path, to: &Path, writable: bool) -> Result<()> {
    mount(Some(from), to, NOTHING, MsFlags::MS_BIND | MsFlags::MS_REC, NOTHING)
        .doing_with(|| format!("showing {} at {} inside the sandbox", from.display(), to.display()))?;
    if writable { Ok(()) } else { read_only(to) }
}

fn read_only(to: &Path) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use super::super::spec::Network;
    use super::*;
    use nix::sched::{CloneFlags, unshare};

    /// Works in the sandbox of a tree, on a thread with mounts of its own. Nothing happens without root's powers.
    fn inside(root: Root, binds: Vec<Bind>, work: impl FnOnce(Result<()>) + Send) {
        let spec = Spec {
            root,
            binds,
            network: Network::None,
            argv: Vec::new(),
            env: Vec::new(),
            cwd: "/".into(),
            hostname: String::new(),
            groups: false,
            terminal: false,
        };
        let thread = || {
            if unshare(CloneFlags::CLONE_NEWNS).is_ok() {
                work(enter(&spec));
            }
        };
        std::thread::scope(|scope| scope.spawn(thread).join()).unwrap();
    }

    fn tree() -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        OWN.iter().for_each(|name| fs_err::create_dir(tree.path().join(name)).unwrap());
        tree
    }

    /// Whether a file could be written to; nothing is.
    fn writable(path: &str) -> bool {
        match fs_err::OpenOptions::new().write(true).open(path) {
            Ok(_) => true,
            // A kernel need not have it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            Err(error) if error.kind() == std::io::ErrorKind::ReadOnlyFilesystem => false,
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_script_cannot_change_the_machine() {
        let tree = tree();
        inside(Root::Tree(tree.path().into()), Vec::new(), |entered| {
            entered.unwrap();
            for path in ["/proc/sys/kernel/panic", "/proc/sys/net/ipv4/ip_forward", "/proc/sysrq-trigger"] {
                assert!(!writable(path), "{path}");
            }
            assert!(writable("/proc/self/oom_score_adj") && writable("/dev/null"));
            fs_err::read_to_string("/proc/sys/kernel/panic").unwrap();
        });
    }

    #[test]
    fn a_tool_sets_up_the_network_that_it_is_in() {
        let tree = tree();
        inside(Root::ReadOnly(tree.path().into()), Vec::new(), |entered| {
            entered.unwrap();
            assert!(writable("/proc/sys/net/ipv4/ip_forward"));
        });
    }

    #[test]
    fn mounts_stay_inside_whatever_links_are_in_the_tree() {
        let machine = tempfile::tempdir().unwrap();
        let tree = tree();
        let at = |name: &str| tree.path().join(name);
        fs_err::remove_dir(at("tmp")).unwrap();
        fs_err::create_dir(at("elsewhere")).unwrap();
        symlink("/elsewhere", at("tmp")).unwrap();
        symlink(machine.path(), at("usr")).unwrap();
        let shown =
            |host: &Path, inside: &str| Bind { host: host.into(), inside: inside.into(), writable: false };
        let text = machine.path().join("text");
        fs_err::write(&text, "shown").unwrap();
        let root = || Root::Tree(tree.path().into());
        let binds = vec![shown(&text, "/tmp/below/text"), shown(machine.path(), "/run/all")];
        inside(root(), binds, |entered| {
            entered.unwrap();
            assert_eq!(fs_err::read_to_string("/elsewhere/below/text").unwrap(), "shown");
            assert!(!writable("/tmp/below/text") && !writable("/run/all/text"));
        });
        inside(root(), vec![shown(&text, "/usr/program")], |entered| {
            entered.unwrap_err();
        });
        assert_eq!(fs_err::read_dir(machine.path()).unwrap().count(), 1);
        assert_eq!(fs_err::read_dir(at("elsewhere")).unwrap().count(), 0);
    }
}
