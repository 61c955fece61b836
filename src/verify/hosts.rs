//! The hosts that the image is to call by an address: no name leads the lab's guest to them.

use crate::recipe::address;
use crate::recipe::plan::Plan;
use serde_json::Value;
use std::net::IpAddr;

/// The addresses of those that the lab stands in for: the relay of mail, whoever keeps backups, and package archives.
/// None that is the image's own, or that no host has.
pub fn addresses(plan: &Plan) -> Vec<IpAddr> {
    let option = |overlay: &str, option: &str| plan.overlays.get(overlay)?.get(option)?.as_str();
    let urls = plan.repositories.iter().map(|repository| repository.url.as_str());
    let urls = urls.chain(plan.distribution.mirror.as_deref()).chain(option("backup", "s3"));
    let named = option("mail", "relay").into_iter().chain(option("backup", "host"));
    let own = plan.overlays.get("network").and_then(|network| network.get("address")?.as_array());
    let own: Vec<IpAddr> =
        own.into_iter().flatten().filter_map(Value::as_str).filter_map(own_address).collect();
    named
        .chain(urls.filter_map(address::host))
        .filter_map(|host| host.parse::<IpAddr>().ok())
        .map(|address| address.to_canonical())
        .filter(|address| !own.contains(address) && somebodys(*address))
        .collect()
}

/// `192.0.2.10/24` without its prefix.
fn own_address(text: &str) -> Option<IpAddr> {
    text.split('/').next()?.parse().ok()
}

fn somebodys(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(four) if four.is_broadcast());
    !(broadcast || address.is_unspecified() || address.is_loopback() || address.is_multicast())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::plan::{Origin, Repository};
    use crate::recipe::testing::empty_plan;
    use serde_json::json;
    use std::collections::BTreeSet;

    fn with(overlay: &str, options: Value) -> Plan {
        let mut plan = empty_plan("sample");
        let options = options.as_object().unwrap().clone();
        plan.overlays.insert(overlay.into(), options.into_iter().collect());
        plan
    }

    fn of(plan: &Plan) -> Vec<String> {
        addresses(plan).iter().map(IpAddr::to_string).collect()
    }

    #[test]
    fn hosts_that_have_a_name_are_found_by_it() {
        assert!(of(&with("mail", json!({ "relay": "mail.example.org" }))).is_empty());
        assert!(
            of(&with("backup", json!({ "host": null, "s3": "https://s3.example.org:9000/b" }))).is_empty()
        );
    }

    #[test]
    fn relay_backups_and_archives_may_be_addresses() {
        assert_eq!(of(&with("mail", json!({ "relay": "198.51.100.25" }))), ["198.51.100.25"]);
        assert_eq!(of(&with("backup", json!({ "host": "2001:db8:9::1" }))), ["2001:db8:9::1"]);
        let s3 = with("backup", json!({ "s3": "https://[2001:db8:9::2]:9000/bucket" }));
        assert_eq!(of(&s3), ["2001:db8:9::2"]);
        let mut plan = empty_plan("sample");
        plan.distribution.mirror = Some("http://198.51.100.80/debian".into());
        plan.repositories.push(Repository {
            name: "extra".into(),
            url: "https://198.51.100.81:8443/debian".into(),
            mirror: None,
            suite: "stable".into(),
            components: BTreeSet::new(),
            keyring: Vec::new(),
            fingerprints: BTreeSet::new(),
            key_files: Vec::new(),
            packages: BTreeSet::new(),
            origin: Origin::Overlay("x".into()),
        });
        assert_eq!(of(&plan), ["198.51.100.81", "198.51.100.80"]);
    }

    #[test]
    fn the_image_itself_and_what_is_no_host_are_not_there() {
        let mut plan = with("network", json!({ "address": ["203.0.113.5/24", "2001:db8:7::5/64"] }));
        for (relay, found) in [
            ("203.0.113.5", None),
            ("2001:db8:7::5", None),
            ("127.0.0.1", None),
            ("::", None),
            ("224.0.0.1", None),
            ("255.255.255.255", None),
            ("::ffff:203.0.113.25", Some("203.0.113.25")),
        ] {
            plan.overlays.insert("mail".into(), [("relay".into(), relay.into())].into());
            assert_eq!(of(&plan).first().map(String::as_str), found, "{relay}");
        }
    }
}
