//! The filesystems that an image's tree is spread over: the root, and a partition for each further mount point.

use super::Identity;
use crate::recipe::plan::{Plan, RootSize};
use std::fmt::Write;

/// The root filesystem's mount point.
pub const ROOT: &str = "/";
/// Bytes at which ext4 ends, with blocks of 4 KiB and no further features: a filesystem of the image, and mostly a file on
/// the building host.
pub const END: u64 = 1 << 44;
/// Bytes of an ext4 label (ext4(5), `s_volume_name`).
const LABEL: usize = 16;

/// A filesystem of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filesystem {
    /// Where it is mounted; what lies there in the tree is in it.
    pub mount: String,
    /// Its size.
    pub size: RootSize,
    /// Bytes kept free where the size is `auto`.
    pub free: u64,
    /// Its mount options, as fstab(5) has them.
    pub options: String,
}

impl Filesystem {
    /// The filesystems of a plan: the root, then the others by mount point, an outer one before those in it.
    pub fn of(plan: &Plan) -> Vec<Self> {
        let root = Self {
            mount: ROOT.into(),
            size: plan.image.root_size,
            free: plan.image.root_free,
            options: "defaults,errors=remount-ro".into(),
        };
        let others = plan.partitions.iter().map(|partition| Self {
            mount: partition.mount.clone(),
            size: RootSize::Bytes(partition.size),
            free: 0,
            options: partition.options.join(","),
        });
        std::iter::once(root).chain(others).collect()
    }

    /// Whether it is the root filesystem.
    pub fn is_root(&self) -> bool {
        self.mount == ROOT
    }

    /// The name of its partition: `root`, `var-log`.
    pub fn name(&self) -> String {
        name(&self.mount)
    }

    /// Its label.
    pub fn label(&self) -> String {
        label(&self.mount)
    }
}

/// What the partition of a mount point is called.
pub fn name(mount: &str) -> String {
    match mount.trim_start_matches('/') {
        "" => "root".into(),
        below => below.replace('/', "-"),
    }
}

/// The label of a mount point's filesystem: the name, as far as there is room for it.
pub fn label(mount: &str) -> String {
    let mut label = name(mount);
    label.truncate(LABEL);
    label.trim_end_matches('-').to_owned()
}

/// What is below a mount point, without a `/` in front: `log` for `/var/log` in `/var`.
pub fn below<'a>(path: &'a str, mount: &str) -> Option<&'a str> {
    match path.strip_prefix(mount.trim_end_matches('/'))? {
        "" => Some(""),
        rest => rest.strip_prefix('/'),
    }
}

/// fstab(5).
pub fn fstab(identity: &Identity, filesystems: &[Filesystem]) -> String {
    let mut text = String::from("# <file system> <mount point> <type> <options> <dump> <pass>\n");
    for filesystem in filesystems {
        let uuid = identity.volume(&filesystem.mount).filesystem;
        let pass = if filesystem.is_root() { 1 } else { 2 };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "UUID={uuid} {} ext4 {} 0 {pass}", filesystem.mount, filesystem.options);
        if filesystem.is_root() {
            let _ = writeln!(
                text,
                "UUID={} /boot/efi vfat umask=0077,nodev,nosuid,noexec,nofail 0 0",
                identity.esp_uuid()
            );
        }
    }
    text
}

/// What an fstab(5) mounts by UUID beside the root: UUIDs in lower case, with the mount points, outer ones first.
pub fn mounts(fstab: &str) -> Vec<(String, String)> {
    let mut mounts: Vec<(String, String)> = fstab
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let uuid = fields.next()?.strip_prefix("UUID=")?.to_ascii_lowercase();
            let mount = fields.next()?.trim_end_matches('/');
            mount.starts_with('/').then(|| (uuid, mount.to_owned()))
        })
        .collect();
    mounts.sort_by(|a, b| a.1.cmp(&b.1));
    mounts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filesystem(mount: &str) -> Filesystem {
        Filesystem {
            mount: mount.into(),
            size: RootSize::Bytes(64 << 20),
            free: 0,
            options: "nodev,nosuid".into(),
        }
    }

    #[test]
    fn names_and_labels_tell_the_mount_point() {
        let told = |mount| (filesystem(mount).name(), filesystem(mount).label());
        assert_eq!(told("/"), ("root".into(), "root".into()));
        assert_eq!(told("/var/log"), ("var-log".into(), "var-log".into()));
        assert_eq!(told("/var/lib/postgresql"), ("var-lib-postgresql".into(), "var-lib-postgres".into()));
        assert_eq!(told("/var/lib/machine/a").1, "var-lib-machine");
    }

    #[test]
    fn what_is_below_is_by_whole_names() {
        for (path, mount, wanted) in [
            ("/var/log", "/var", Some("log")),
            ("/var/log", "/", Some("var/log")),
            ("/var", "/var", Some("")),
            ("/variable", "/var", None),
            ("/srv", "/var", None),
        ] {
            assert_eq!(below(path, mount), wanted, "{path} {mount}");
        }
    }

    #[test]
    fn fstab_without_partitions_has_root_and_esp() {
        let identity = Identity::from_lock("0");
        let root = Filesystem { options: "defaults,errors=remount-ro".into(), ..filesystem("/") };
        assert_eq!(
            fstab(&identity, &[root]),
            "# <file system> <mount point> <type> <options> <dump> <pass>\n\
             UUID=d65a657d-3e4c-5baa-b398-eb20b9b66d24 / ext4 defaults,errors=remount-ro 0 1\n\
             UUID=E7A8-B724 /boot/efi vfat umask=0077,nodev,nosuid,noexec,nofail 0 0\n"
        );
    }

    #[test]
    fn fstab_is_read_back() {
        let identity = Identity::from_lock("0");
        let text = fstab(&identity, &[filesystem("/"), filesystem("/var"), filesystem("/var/log")]);
        assert!(text.lines().last().unwrap().ends_with(" /var/log ext4 nodev,nosuid 0 2"), "{text}");
        let uuid = |mount: &str| identity.volume(mount).filesystem.to_string();
        assert_eq!(
            mounts(&text),
            [
                ("e7a8-b724".into(), "/boot/efi".into()),
                (uuid("/var"), "/var".into()),
                (uuid("/var/log"), "/var/log".into()),
            ]
        );
        assert_eq!(mounts("# x\nUUID=a none swap sw 0 0\nLABEL=b /b ext4\nUUID=\nUUID=c"), []);
    }
}
