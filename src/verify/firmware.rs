//! The firmwares that an image is booted with, and what QEMU needs for each.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a machine starts the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Firmware {
    /// SeaBIOS: the boot sector of the disk.
    Bios,
    /// OVMF without Secure Boot: the removable-media path of the EFI system partition.
    Uefi,
    /// OVMF with Microsoft's keys enrolled and Secure Boot enforced.
    SecureBoot,
}

impl Firmware {
    /// Every firmware, in the order of the report.
    pub const ALL: [Self; 3] = [Self::Bios, Self::Uefi, Self::SecureBoot];

    /// The name in reports, file names and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bios => "bios",
            Self::Uefi => "uefi",
            Self::SecureBoot => "secure-boot",
        }
    }

    /// The firmware of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|firmware| firmware.name() == name)
    }

    /// Whether it is UEFI; of the two that are, the later in order is the stricter.
    pub fn is_uefi(self) -> bool {
        self != Self::Bios
    }

    /// Debian's `ovmf` files for it, inside the tools tree: the code and the template of its variables.
    pub(crate) fn flash(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Bios => None,
            Self::Uefi => Some(("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd")),
            Self::SecureBoot => {
                Some(("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"))
            }
        }
    }

    /// QEMU's `-machine` value. Secure Boot needs System Management Mode to guard the variables.
    pub(crate) fn machine(self) -> &'static str {
        match self {
            Self::SecureBoot => "q35,smm=on",
            Self::Bios | Self::Uefi => "q35,smm=off",
        }
    }
}

impl std::fmt::Display for Firmware {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
