//! What the tests of this stage share.

use crate::recipe::plan::{Distribution, Image, Origin, Packages, Plan, RootSize, Services};
use std::collections::BTreeMap;

/// A plan that asks for these packages and denies those.
pub fn plan(install: &[&str], deny: &[&str]) -> Plan {
    let asked = |names: &[&str]| -> BTreeMap<String, Vec<Origin>> {
        names.iter().map(|name| (name.to_string(), vec![Origin::Recipe("recipes/web.toml".into())])).collect()
    };
    Plan {
        name: "web".into(),
        image: Image { root_size: RootSize::Auto, root_free: 0, formats: Vec::new(), hostname: "web".into() },
        distribution: Distribution {
            name: "debian".into(),
            release: "trixie".into(),
            architecture: "amd64".into(),
            mirror: None,
            keyring: None,
        },
        packages: Packages {
            install: asked(install),
            deny: asked(deny),
            max_count: None,
            max_installed: None,
        },
        users: Vec::new(),
        groups: BTreeMap::new(),
        files: BTreeMap::new(),
        debconf: Vec::new(),
        services: Services::default(),
        commands: Vec::new(),
        kernel_arguments: Vec::new(),
        opens: Default::default(),
        overlays: BTreeMap::new(),
        sources: BTreeMap::new(),
    }
}
