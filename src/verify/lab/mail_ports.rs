//! Where the lab's mail server answers: at the ports that relays have, and at the one that the recipe's has.

use crate::recipe::plan::Plan;
use serde_json::Value;
use std::collections::BTreeMap;

/// Among servers, and for clients with and without STARTTLS; at 465 a session is encrypted from its start (RFC 8314).
const USUAL: [(u16, bool); 3] = [(25, false), (465, true), (587, false)];
/// Where others of the lab answer: names, and the archive.
const TAKEN: [u16; 2] = [53, 80];

/// The ports of a mail server, each with whether a session there is encrypted from its start, as far as the server
/// encrypts at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailPorts(pub(super) BTreeMap<u16, bool>);

impl MailPorts {
    /// Those that the plan's relay may have.
    pub fn of(plan: &Plan) -> Self {
        let option = |name: &str| plan.overlays.get("mail")?.get(name);
        let port = option("port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok());
        let tls = option("tls").and_then(Value::as_str) == Some("tls");
        let relay = port.filter(|port| !TAKEN.contains(port)).map(|port| (port, tls));
        Self(USUAL.into_iter().chain(relay).collect())
    }

    /// All of them.
    pub fn numbers(&self) -> Vec<u16> {
        self.0.keys().copied().collect()
    }

    /// Whether a session at this one begins with the handshake of TLS.
    pub fn encrypted_from_start(&self, port: u16) -> bool {
        self.0.get(&port) == Some(&true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::testing::empty_plan;
    use serde_json::json;

    fn of(mail: Value) -> MailPorts {
        let mut plan = empty_plan("sample");
        plan.overlays.insert("mail".into(), mail.as_object().unwrap().clone().into_iter().collect());
        MailPorts::of(&plan)
    }

    #[test]
    fn relays_have_the_usual_ports_and_the_one_of_the_recipe() {
        let without = MailPorts::of(&empty_plan("sample"));
        assert_eq!(without.numbers(), [25, 465, 587]);
        assert_eq!(of(json!({ "port": 587, "tls": "starttls" })), without);
        assert_eq!(of(json!({ "port": 2525, "tls": "starttls" })).numbers(), [25, 465, 587, 2525]);
        assert_eq!(of(json!({ "port": 80, "tls": "none" })), without);
    }

    #[test]
    fn what_the_recipe_says_of_its_port_goes_before_what_is_usual() {
        let from_start = |port: u16, tls: &str| {
            let ports = of(json!({ "port": port, "tls": tls }));
            [25, 465, 587, 2525].map(|port| ports.encrypted_from_start(port))
        };
        assert_eq!(from_start(587, "starttls"), [false, true, false, false]);
        assert_eq!(from_start(465, "tls"), [false, true, false, false]);
        assert_eq!(from_start(465, "starttls"), [false, false, false, false]);
        assert_eq!(from_start(587, "tls"), [false, true, true, false]);
        assert_eq!(from_start(2525, "tls"), [false, true, false, true]);
        assert_eq!(from_start(2525, "none"), [false, true, false, false]);
    }
}
