//! A plan for the tests of the stages that take one.

use super::plan::{Distribution, Image, Packages, Plan, RootSize, Services};
use std::collections::{BTreeMap, BTreeSet};

/// The plan of an image with this name that asks for nothing.
pub fn empty_plan(name: &str) -> Plan {
    Plan {
        name: name.into(),
        image: Image {
            root_size: RootSize::Auto,
            root_free: 0,
            max_memory: None,
            formats: Vec::new(),
            hostname: name.into(),
        },
        partitions: Vec::new(),
        distribution: Distribution {
            name: "debian".into(),
            release: "trixie".into(),
            architecture: "amd64".into(),
            mirror: None,
            keyring: None,
        },
        repositories: Vec::new(),
        packages: Packages::default(),
        users: Vec::new(),
        groups: BTreeMap::new(),
        files: BTreeMap::new(),
        debconf: Vec::new(),
        services: Services::default(),
        commands: Vec::new(),
        kernel_arguments: Vec::new(),
        opens: BTreeSet::new(),
        outputs: BTreeMap::new(),
        overlays: BTreeMap::new(),
        sources: BTreeMap::new(),
    }
}
