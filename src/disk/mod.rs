//! From a tree to a disk that boots by BIOS, by UEFI and by UEFI with Secure Boot from the same bytes.
//!
//! Nothing here needs a block device, a mount or root: the partition table and the EFI system partition are
//! written by libraries, the root filesystem by mke2fs(8) at its place in the file, GRUB's BIOS image by
//! grub-mkimage(1), and its first sectors are joined as grub-install(8) would join them.

mod assemble;
mod boot_record;
mod esp;
mod ext4;
pub(crate) mod fat;
pub mod filesystem;
pub mod formats;
pub mod grub;
mod identity;
mod layout;
pub mod sparse;
mod survey;

pub use assemble::{Disk, PartitionInfo, Spec, write};
pub use filesystem::Filesystem;
pub use identity::{Identity, Volume};
pub use layout::{Layout, Partition, Role, SECTOR};
pub use sparse::{fingerprint, sha256};
