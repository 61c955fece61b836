//! The addresses that the image has of its own, and who must be around it so that it reaches and is reached.

use super::hosts;
use crate::recipe::plan::Plan;
use ipnet::{IpNet, Ipv4AddrRange, Ipv4Net, Ipv6AddrRange};
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The IPv4 address that the lab gives to a guest that asks for one, of a block for documentation (RFC 5737).
pub const LEASED: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 100);
/// The IPv6 address that a guest makes itself from its card's (RFC 4291, appendix A) and the lab's prefix, of the one for
/// documentation (RFC 3849).
pub const ADVERTISED: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x1, 0, 0x5054, 0xff, 0xfe12, 0x3456);

/// The lowest addresses that somebody may have: what is below is a host's on its own wire (RFC 1122, section 3.2.1.3), or
/// set aside (RFC 4291, section 2.4).
const LOWEST: Ipv4Addr = Ipv4Addr::new(1, 0, 0, 1);
const LOWEST6: Ipv6Addr = Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 1);

/// Where the guest is found in the networks of a proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// The guest's IPv4 address in the lab.
    pub guest: Ipv4Addr,
    /// Its IPv6 address in the lab; nothing when the image takes none, or has no router to answer others through.
    pub guest6: Option<Ipv6Addr>,
    /// `guest` with the length of its prefix, when it is fixed in the image rather than asked for.
    fixed: Option<Ipv4Net>,
    /// The routers and name servers that the image names.
    around: Vec<IpAddr>,
    /// The networks that may reach SSH; none: all.
    networks: Vec<IpNet>,
    /// An address of those networks that can be taken in the lab.
    pub listed: Option<IpAddr>,
    /// One of the networks that fail2ban never shuts out, from which SSH may be reached.
    pub spared: Option<IpAddr>,
    /// The hosts that the image calls by an address.
    hosts: Vec<IpAddr>,
}

impl Default for Addresses {
    /// Of a guest that asks for them.
    fn default() -> Self {
        Self {
            guest: LEASED,
            guest6: Some(ADVERTISED),
            fixed: None,
            around: Vec::new(),
            networks: Vec::new(),
            listed: None,
            spared: None,
            hosts: Vec::new(),
        }
    }
}

impl Addresses {
    /// Those that the plan has.
    pub fn of(plan: &Plan) -> Self {
        let texts = |overlay: &str, option: &str| -> Vec<&str> {
            let list = plan.overlays.get(overlay).and_then(|options| options.get(option)?.as_array());
            list.into_iter().flatten().filter_map(Value::as_str).collect()
        };
        let is = |option: &str| {
            let network = plan.overlays.get("network");
            network.and_then(|network| network.get(option)?.as_bool()).unwrap_or(true)
        };
        let own: Vec<IpNet> = texts("network", "address").into_iter().filter_map(network).collect();
        let four = own.iter().find_map(|own| match own {
            IpNet::V4(four) => Some(*four),
            IpNet::V6(_) => None,
        });
        let six = own.iter().find_map(|own| match own {
            IpNet::V6(six) => Some(six.addr()),
            IpNet::V4(_) => None,
        });
        let fixed = four.filter(|_| !is("dhcp"));
        let parsed = |option: &str| -> Vec<IpAddr> {
            texts("network", option).into_iter().filter_map(|address| address.parse().ok()).collect()
        };
        let (routers, names) = (parsed("gateway"), parsed("dns"));
        let routed6 = routers.iter().any(IpAddr::is_ipv6);
        let mut addresses = Self {
            guest: fixed.map_or(LEASED, |four| four.addr()),
            guest6: if is("router-advertisements") { Some(ADVERTISED) } else { six.filter(|_| routed6) },
            fixed,
            around: [routers, names].concat(),
            networks: texts("firewall", "ssh-from").into_iter().filter_map(network).collect(),
            listed: None,
            spared: None,
            hosts: hosts::addresses(plan),
        };
        addresses.listed = addresses.networks.iter().find_map(|network| addresses.visitor(*network));
        let spared = texts("fail2ban", "ignore").into_iter().filter_map(network);
        addresses.spared = spared
            .filter_map(|network| addresses.visitor(network))
            .find(|visitor| !addresses.shuts_out(*visitor));
        addresses
    }

    /// What nobody can ask the guest, for whom reads the report.
    pub fn unasked(&self) -> Vec<String> {
        let without = "nothing was asked over IPv6: the image has no address there that others reach";
        self.guest6.is_none().then(|| without.to_owned()).into_iter().collect()
    }

    /// Whether the image keeps somebody who comes from there away from SSH.
    pub fn shuts_out(&self, address: IpAddr) -> bool {
        !self.networks.is_empty() && !self.networks.iter().any(|network| network.contains(&address))
    }

    /// An address of this network that somebody else than the guest may have, and that the guest can answer.
    fn visitor(&self, network: IpNet) -> Option<IpAddr> {
        match network {
            IpNet::V4(network) => {
                let first = network.hosts().next()?.max(LOWEST);
                let mut hosts = Ipv4AddrRange::new(first, network.broadcast());
                hosts.find(|host| *host != self.guest).map(IpAddr::V4)
            }
            IpNet::V6(network) => {
                let guest = self.guest6?;
                // The first address of a network is all its routers' (RFC 4291, section 2.6.1), but of one for two.
                let routers = usize::from(network.prefix_len() < 127);
                let first = network.hosts().nth(routers)?.max(LOWEST6);
                let mut hosts = Ipv6AddrRange::new(first, network.broadcast());
                hosts.find(|host| *host != guest).map(IpAddr::V6)
            }
        }
    }

    /// Who else is at the other end of the guest's wire.
    pub fn at_the_other_end(&self) -> Vec<IpAddr> {
        let mut others = self.around.clone();
        others.extend(self.listed.into_iter().chain(self.spared));
        others.extend(&self.hosts);
        others.sort_unstable();
        others.dedup();
        others
    }

    /// QEMU's own network (qemu(1), `-netdev user`) with the guest's router where a fixed address has it.
    ///
    /// A router that is not in the network of that address, and a network that is too small for QEMU's servers, are
    /// beyond what it can do: the guest has no way out then.
    pub fn user_network(&self) -> String {
        const PLAIN: &str = "user,id=net";
        let roomy = |fixed: &Ipv4Net| (8..=28).contains(&fixed.prefix_len());
        let Some(fixed) = self.fixed.filter(roomy) else { return PLAIN.into() };
        let mut inside = self.around.iter().filter_map(|address| match address {
            IpAddr::V4(address) => Some(*address).filter(|address| fixed.contains(address)),
            IpAddr::V6(_) => None,
        });
        let Some(router) = inside.next() else { return PLAIN.into() };
        // QEMU's name server is one of the image's where that is possible.
        let names = inside.chain(fixed.hosts()).find(|address| ![router, self.guest].contains(address));
        let names = names.map(|names| format!(",dns={names}")).unwrap_or_default();
        format!("{PLAIN},net={},host={router},dhcpstart={}{names}", fixed.trunc(), self.guest)
    }

    /// The guest as QEMU's `hostfwd` names it: nothing stands for the address that its DHCP server gives.
    pub fn forwarded_to(&self) -> String {
        self.fixed.map(|_| self.guest.to_string()).unwrap_or_default()
    }
}

/// `192.0.2.10/24`, as the recipe's form has it; an address alone is the whole of its network.
fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| Some(IpNet::from(text.parse::<IpAddr>().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::testing::empty_plan;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn with(overlays: &[(&str, Value)]) -> Addresses {
        let mut plan = empty_plan("sample");
        for (name, options) in overlays {
            let options = options.as_object().unwrap().clone();
            plan.overlays.insert((*name).into(), options.into_iter().collect::<BTreeMap<_, _>>());
        }
        Addresses::of(&plan)
    }

    fn of(network: Value) -> Addresses {
        with(&[("network", network)])
    }

    #[test]
    fn a_guest_that_asks_is_where_the_lab_puts_it() {
        assert_eq!(Addresses::of(&empty_plan("sample")), Addresses::default());
        let asks = of(json!({ "dhcp": true, "address": ["203.0.113.5/24"], "gateway": [] }));
        assert_eq!((asks.guest, asks.guest6), (LEASED, Some(ADVERTISED)));
        assert_eq!(asks.user_network(), "user,id=net");
        assert_eq!(asks.forwarded_to(), "");
    }

    #[test]
    fn a_fixed_address_is_kept_with_its_router_and_name_servers() {
        let fixed = of(json!({
            "dhcp": false,
            "router-advertisements": false,
            "address": ["203.0.113.5/24", "2001:db8:7::5/64"],
            "gateway": ["203.0.113.1", "2001:db8:7::1"],
            "dns": ["198.51.100.53", "203.0.113.1"],
        }));
        assert_eq!(fixed.guest, Ipv4Addr::new(203, 0, 113, 5));
        assert_eq!(fixed.guest6, Some("2001:db8:7::5".parse().unwrap()));
        let around: Vec<String> = fixed.at_the_other_end().iter().map(IpAddr::to_string).collect();
        assert_eq!(around, ["198.51.100.53", "203.0.113.1", "2001:db8:7::1"]);
        let network = "user,id=net,net=203.0.113.0/24,host=203.0.113.1,dhcpstart=203.0.113.5";
        assert_eq!(fixed.user_network(), format!("{network},dns=203.0.113.2"));
        let names = json!({ "dhcp": false, "address": ["203.0.113.5/24"], "gateway": ["203.0.113.1"], "dns": ["203.0.113.53"] });
        assert_eq!(of(names).user_network(), format!("{network},dns=203.0.113.53"));
        assert_eq!(fixed.forwarded_to(), "203.0.113.5");
    }

    #[test]
    fn without_ipv6_there_is_no_ipv6_address() {
        let without =
            of(json!({ "dhcp": false, "router-advertisements": false, "address": ["203.0.113.5/24"] }));
        assert_eq!(without.guest6, None);
        assert_eq!(without.unasked().len(), 1);
        assert!(Addresses::default().unasked().is_empty());
    }

    #[test]
    fn an_ipv6_address_without_a_router_answers_nobody() {
        let with = |gateway: &[&str]| {
            let address = ["203.0.113.5/24", "2001:db8:7::5/64"];
            let options = json!({ "dhcp": false, "router-advertisements": false, "address": address, "gateway": gateway });
            of(options).guest6
        };
        assert_eq!(with(&["203.0.113.1"]), None);
        assert_eq!(with(&["203.0.113.1", "fe80::1"]), Some("2001:db8:7::5".parse().unwrap()));
    }

    #[test]
    fn a_router_outside_of_the_network_is_left_to_the_lab() {
        let routed = of(json!({ "dhcp": false, "address": ["203.0.113.5/32"], "gateway": ["198.51.100.1"] }));
        assert_eq!(routed.user_network(), "user,id=net");
        assert_eq!(routed.at_the_other_end(), [IpAddr::from([198, 51, 100, 1])]);
    }

    #[test]
    fn somebody_of_the_networks_that_may_come_is_at_the_other_end() {
        let listed = |networks: &[&str]| {
            let network = json!({ "dhcp": false, "address": ["203.0.113.1/24"] });
            with(&[("network", network), ("firewall", json!({ "ssh-from": networks }))]).listed
        };
        let address = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        assert_eq!(listed(&[]), None);
        assert_eq!(listed(&["198.51.100.7/32"]), address("198.51.100.7"));
        assert_eq!(listed(&["198.51.100.7"]), address("198.51.100.7"));
        assert_eq!(listed(&["198.51.100.6/31"]), address("198.51.100.6"));
        assert_eq!(listed(&["198.51.100.9/24"]), address("198.51.100.1"));
        assert_eq!(listed(&["0.0.0.0/0"]), address("1.0.0.1"));
        assert_eq!(listed(&["::/0"]), address("2000::1"));
        // The guest itself comes from nowhere.
        assert_eq!(listed(&["203.0.113.0/24"]), address("203.0.113.2"));
        assert_eq!(listed(&["203.0.113.1/32", "2001:db8:7::/48"]), address("2001:db8:7::1"));
        assert_eq!(listed(&["2001:db8:7::/127"]), address("2001:db8:7::"));
        assert_eq!(listed(&["0.1.0.0/16"]), None);
        assert_eq!(listed(&["2001:db8:7::9"]), address("2001:db8:7::9"));
    }

    #[test]
    fn whom_fail2ban_spares_is_at_the_other_end_where_he_reaches_ssh() {
        let image = |from: &[&str], ignore: &[&str]| {
            with(&[("firewall", json!({ "ssh-from": from })), ("fail2ban", json!({ "ignore": ignore }))])
        };
        let spared =
            |from: &[&str], ignore: &[&str]| image(from, ignore).spared.map(|spared| spared.to_string());
        assert_eq!(spared(&[], &[]), None);
        assert_eq!(spared(&[], &["198.51.100.0/24"]), Some("198.51.100.1".into()));
        let two = ["198.51.100.0/24", "203.0.113.9"];
        assert_eq!(spared(&["203.0.113.0/24"], &two), Some("203.0.113.9".into()));
        assert_eq!(spared(&["192.168.77.0/24"], &two), None);
        let there = image(&["203.0.113.0/24"], &two).at_the_other_end();
        assert_eq!(there, [IpAddr::from([203, 0, 113, 1]), IpAddr::from([203, 0, 113, 9])]);
    }

    #[test]
    fn who_is_of_no_network_that_may_come_is_shut_out() {
        let owner = [IpAddr::from([192, 0, 2, 11]), "2001:db8:2:11::1".parse().unwrap()];
        let shuts_out = |networks: &[&str]| {
            let image = with(&[("firewall", json!({ "ssh-from": networks }))]);
            owner.map(|address| image.shuts_out(address))
        };
        assert_eq!(shuts_out(&[]), [false, false]);
        assert_eq!(shuts_out(&["198.51.100.7"]), [true, true]);
        assert_eq!(shuts_out(&["198.51.100.7", "192.0.2.0/24"]), [false, true]);
        assert_eq!(shuts_out(&["192.0.2.10"]), [true, true]);
        assert_eq!(shuts_out(&["0.0.0.0/0"]), [false, true]);
        assert_eq!(shuts_out(&["::/0"]), [true, false]);
        assert_eq!(shuts_out(&["2001:db8:2:11::/64"]), [true, false]);
    }

    #[test]
    fn hosts_that_are_called_by_an_address_are_at_the_other_end() {
        let network = json!({ "dhcp": false, "address": ["203.0.113.5/24"], "gateway": ["203.0.113.1"] });
        let image = with(&[("network", network), ("mail", json!({ "relay": "203.0.113.25" }))]);
        assert_eq!(image.at_the_other_end(), [[203, 0, 113, 1], [203, 0, 113, 25]].map(IpAddr::from));
        // They are no name server of QEMU's.
        assert!(image.user_network().ends_with(",dns=203.0.113.2"));
    }

    #[test]
    fn networks_of_a_family_that_the_image_has_not_bring_nobody() {
        let network = json!({ "dhcp": false, "router-advertisements": false, "address": ["203.0.113.5/24"] });
        let image = with(&[("network", network), ("firewall", json!({ "ssh-from": ["2001:db8:7::/48"] }))]);
        assert_eq!(image.listed, None);
    }
}
