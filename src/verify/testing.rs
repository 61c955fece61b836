//! A small plan and lock for the tests of this stage.

use crate::archive::lock::{Lock, LockedPackage, VERSION};
use crate::recipe::plan::{Origin, Plan, Port, Services, User};
use crate::recipe::testing::empty_plan;
use std::collections::{BTreeMap, BTreeSet};

pub fn plan() -> Plan {
    let origin = || Origin::Overlay("ssh".into());
    Plan {
        users: vec![User {
            name: "admin".into(),
            uid: None,
            groups: BTreeSet::new(),
            ssh_keys: Vec::new(),
            later_keys: false,
            password_hash: None,
            expire_password: false,
            shell: "/bin/bash".into(),
            comment: String::new(),
        }],
        services: Services { enable: BTreeMap::from([("ssh".into(), origin())]), ..Services::default() },
        opens: BTreeSet::from([Port {
            protocol: "tcp".into(),
            number: 2222,
            listens: true,
            from: Vec::new(),
            origin: origin(),
        }]),
        overlays: BTreeMap::from([("ssh".into(), BTreeMap::from([("port".into(), 2222.into())]))]),
        ..empty_plan("sample")
    }
}

pub fn lock() -> Lock {
    let package = |name: &str, version: &str| LockedPackage {
        name: name.into(),
        version: version.into(),
        architecture: "amd64".into(),
        archive: "debian".into(),
        path: String::new(),
        size: 1,
        installed_size: 1,
        sha256: String::new(),
        because: Vec::new(),
    };
    Lock {
        version: VERSION,
        source_date_epoch: 0,
        request: String::new(),
        asks: Vec::new(),
        indexes: Vec::new(),
        packages: vec![package("libc6", "2.41-12"), package("openssh-server", "1:10.0p1-7")],
        tools: Vec::new(),
    }
}
