//! The addresses that the image has of its own, and who must be around it so that it reaches and is reached.

use crate::recipe::plan::Plan;
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The IPv4 address that the lab gives to a guest that asks for one, of a block for documentation (RFC 5737).
pub const LEASED: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 100);
/// The IPv6 address that a guest makes itself from its card's (RFC 4291, appendix A) and the lab's prefix, of the one for
/// documentation (RFC 3849).
pub const ADVERTISED: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x1, 0, 0x5054, 0xff, 0xfe12, 0x3456);

/// Where the guest is found in the networks of a proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// The guest's IPv4 address in the lab.
    pub guest: Ipv4Addr,
    /// Its IPv6 address in the lab; nothing when the image takes none.
    pub guest6: Option<Ipv6Addr>,
    /// The length of the prefix of `guest`, when that is fixed in the image rather than asked for.
    fixed: Option<u8>,
    /// The routers and name servers that the image names.
    around: Vec<IpAddr>,
}

impl Default for Addresses {
    /// Of a guest that asks for them.
    fn default() -> Self {
        Self { guest: LEASED, guest6: Some(ADVERTISED), fixed: None, around: Vec::new() }
    }
}

impl Addresses {
    /// Those that the plan's network has.
    pub fn of(plan: &Plan) -> Self {
        let Some(network) = plan.overlays.get("network") else { return Self::default() };
        let texts = |option: &str| -> Vec<&str> {
            let list = network.get(option).and_then(Value::as_array);
            list.into_iter().flatten().filter_map(Value::as_str).collect()
        };
        let is = |option: &str| network.get(option).and_then(Value::as_bool).unwrap_or(true);
        let own: Vec<(IpAddr, u8)> = texts("address").into_iter().filter_map(with_prefix).collect();
        let four = own.iter().find_map(|(address, prefix)| match address {
            IpAddr::V4(address) => Some((*address, *prefix)),
            IpAddr::V6(_) => None,
        });
        let six = own.iter().find_map(|(address, _)| match address {
            IpAddr::V6(address) => Some(*address),
            IpAddr::V4(_) => None,
        });
        let fixed = four.filter(|_| !is("dhcp"));
        let around = texts("gateway").into_iter().chain(texts("dns"));
        Self {
            guest: fixed.map_or(LEASED, |(address, _)| address),
            guest6: if is("router-advertisements") { Some(ADVERTISED) } else { six },
            fixed: fixed.map(|(_, prefix)| prefix),
            around: around.filter_map(|address| address.parse().ok()).collect(),
        }
    }

    /// The routers and name servers that the image names, each once.
    pub fn around(&self) -> Vec<IpAddr> {
        let mut around = self.around.clone();
        around.sort_unstable();
        around.dedup();
        around
    }

    /// QEMU's own network (qemu(1), `-netdev user`) with the guest's router where a fixed address has it.
    ///
    /// A router that is not in the network of that address, and a network that is too small for QEMU's servers, are
    /// beyond what it can do: the guest has no way out then.
    pub fn user_network(&self) -> String {
        const PLAIN: &str = "user,id=net";
        let Some(prefix) = self.fixed.filter(|prefix| (8..=28).contains(prefix)) else { return PLAIN.into() };
        let network = self.guest.to_bits() & (u32::MAX << (32 - prefix));
        let inside = |address: &u32| address & (u32::MAX << (32 - prefix)) == network;
        let router = self.around.iter().find_map(|address| match address {
            IpAddr::V4(address) if inside(&address.to_bits()) => Some(*address),
            _ => None,
        });
        let Some(router) = router else { return PLAIN.into() };
        let taken = [router, self.guest];
        let names =
            (1..).map(|host| Ipv4Addr::from_bits(network + host)).find(|address| !taken.contains(address));
        let names = names.map(|names| format!(",dns={names}")).unwrap_or_default();
        format!(
            "{PLAIN},net={}/{prefix},host={router},dhcpstart={}{names}",
            Ipv4Addr::from_bits(network),
            self.guest
        )
    }

    /// The guest as QEMU's `hostfwd` names it: nothing stands for the address that its DHCP server gives.
    pub fn forwarded_to(&self) -> String {
        self.fixed.map(|_| self.guest.to_string()).unwrap_or_default()
    }
}

/// `192.0.2.10/24`, as the recipe's form has it.
fn with_prefix(text: &str) -> Option<(IpAddr, u8)> {
    let (address, prefix) = text.split_once('/')?;
    Some((address.parse().ok()?, prefix.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::testing::empty_plan;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn of(network: Value) -> Addresses {
        let mut plan = empty_plan("sample");
        let options = network.as_object().unwrap().clone();
        plan.overlays.insert("network".into(), options.into_iter().collect::<BTreeMap<_, _>>());
        Addresses::of(&plan)
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
        let around: Vec<String> = fixed.around().iter().map(IpAddr::to_string).collect();
        assert_eq!(around, ["198.51.100.53", "203.0.113.1", "2001:db8:7::1"]);
        let network = "user,id=net,net=203.0.113.0/24,host=203.0.113.1,dhcpstart=203.0.113.5,dns=203.0.113.2";
        assert_eq!(fixed.user_network(), network);
        assert_eq!(fixed.forwarded_to(), "203.0.113.5");
    }

    #[test]
    fn without_ipv6_there_is_no_ipv6_address() {
        let without =
            of(json!({ "dhcp": false, "router-advertisements": false, "address": ["203.0.113.5/24"] }));
        assert_eq!(without.guest6, None);
    }

    #[test]
    fn a_router_outside_of_the_network_is_left_to_the_lab() {
        let routed = of(json!({ "dhcp": false, "address": ["203.0.113.5/32"], "gateway": ["198.51.100.1"] }));
        assert_eq!(routed.user_network(), "user,id=net");
        assert_eq!(routed.around(), [IpAddr::from([198, 51, 100, 1])]);
    }
}
