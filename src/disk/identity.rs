//! The names by which firmware, boot loader and kernel find the disk's parts: all derived from the lock.

use super::filesystem::ROOT;
use uuid::Uuid;

/// Namespace (RFC 9562 section 5.5) of every UUID that goldcast derives.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f2f_5ac1_91d4_4b5e_8c3a_0d7e_64f1_b2a9);

/// The identifiers of a partition with an ext4 filesystem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Volume {
    /// GUID of the partition.
    pub partition: Uuid,
    /// UUID of the filesystem.
    pub filesystem: Uuid,
    /// Seed of the filesystem's directory hashes.
    pub hash_seed: Uuid,
}

impl Volume {
    fn nameless() -> Self {
        Self { partition: Uuid::nil(), filesystem: Uuid::nil(), hash_seed: Uuid::nil() }
    }
}

/// Every identifier of a disk. The same lock gives the same identifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// GUID of the disk, in the GPT header.
    pub disk: Uuid,
    /// GUID of the BIOS boot partition.
    pub bios_partition: Uuid,
    /// GUID of the EFI system partition.
    pub esp_partition: Uuid,
    /// The root partition and its filesystem.
    pub root: Volume,
    /// Namespace of the names of further partitions, which are derived from their mount points.
    mounts: Uuid,
    /// Serial number of the EFI system partition's FAT filesystem.
    pub esp_filesystem: u32,
}

impl Identity {
    /// The identifiers for a lock, given by its digest in any form.
    pub fn from_lock(digest: &str) -> Self {
        let of = |part: &str| Uuid::new_v5(&NAMESPACE, format!("{digest}/{part}").as_bytes());
        let [a, b, c, d, ..] = of("esp filesystem").into_bytes();
        Self {
            disk: of("disk"),
            bios_partition: of("bios partition"),
            esp_partition: of("esp partition"),
            root: Volume {
                partition: of("root partition"),
                filesystem: of("root filesystem"),
                hash_seed: of("root filesystem hash seed"),
            },
            mounts: of("mounts"),
            esp_filesystem: u32::from_be_bytes([a, b, c, d]),
        }
    }

    /// Identifiers of no disk, for what is made before there is one and may not depend on which it will be.
    pub fn nameless() -> Self {
        Self {
            disk: Uuid::nil(),
            bios_partition: Uuid::nil(),
            esp_partition: Uuid::nil(),
            root: Volume::nameless(),
            mounts: Uuid::nil(),
            esp_filesystem: 0,
        }
    }

    /// The identifiers of the partition that is mounted there.
    pub fn volume(&self, mount: &str) -> Volume {
        if mount == ROOT {
            return self.root;
        }
        let of = |part: &str| Uuid::new_v5(&self.mounts, format!("{mount} {part}").as_bytes());
        Volume {
            partition: of("partition"),
            filesystem: of("filesystem"),
            hash_seed: of("filesystem hash seed"),
        }
    }

    /// The ESP's serial number as blkid(8) and fstab(5) write it: `XXXX-XXXX`.
    pub fn esp_uuid(&self) -> String {
        format!("{:04X}-{:04X}", self.esp_filesystem >> 16, self.esp_filesystem & 0xffff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn one_lock_one_identity() {
        assert_eq!(Identity::from_lock("abc"), Identity::from_lock("abc"));
        assert_ne!(Identity::from_lock("abc"), Identity::from_lock("abd"));
    }

    /// Changing how identifiers are derived changes every image: it must not happen unseen.
    #[test]
    fn derivation_is_pinned() {
        let identity = Identity::from_lock("0");
        assert_eq!(identity.root.filesystem.to_string(), "d65a657d-3e4c-5baa-b398-eb20b9b66d24");
        assert_eq!(identity.esp_uuid(), "E7A8-B724");
    }

    #[test]
    fn all_identifiers_differ_and_are_version_5() {
        let i = Identity::from_lock("abc");
        let of = |volume: Volume| [volume.partition, volume.filesystem, volume.hash_seed];
        let volumes = ["/", "/var", "/var/log"].map(|mount| of(i.volume(mount)));
        let all = [&[i.disk, i.bios_partition, i.esp_partition][..], &volumes.concat()].concat();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        assert!(all.iter().all(|uuid| uuid.get_version_num() == 5));
    }

    #[test]
    fn the_esp_uuid_is_written_as_blkid_writes_it() {
        let identity = Identity { esp_filesystem: 0x0a1b_002c, ..Identity::from_lock("abc") };
        assert_eq!(identity.esp_uuid(), "0A1B-002C");
    }
}
