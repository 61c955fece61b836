//! The name of the guest's network card: an image may be for a machine whose card has another one than QEMU's.

use super::{agent, lab};
use crate::recipe::plan::Plan;
use serde_json::Value;

/// The most characters of a name (linux/if.h, IFNAMSIZ, without its NUL).
const LONGEST: usize = 15;

/// A name that the overlay network's `interface` matches. Nothing where the image takes any card, or where what is not
/// to match is all that it says.
pub fn name(plan: &Plan) -> Option<String> {
    let patterns = plan.overlays.get("network")?.get("interface").and_then(Value::as_str)?;
    let first = patterns.split_whitespace().next().filter(|first| !first.starts_with('!'))?;
    let name = matching(first)?;
    let all_digits = name.bytes().all(|byte| byte.is_ascii_digit());
    (name.len() <= LONGEST && !all_digits).then_some(name)
}

/// Something that the shell's pattern (glob(7)) matches, except for sets that name what they leave out.
fn matching(pattern: &str) -> Option<String> {
    let mut name = String::new();
    let mut rest = pattern.chars();
    while let Some(character) = rest.next() {
        match character {
            '*' | '?' => name.push('0'),
            '[' => {
                name.push(rest.next().filter(|first| !['!', '^', '['].contains(first))?);
                rest.find(|character| *character == ']')?;
            }
            plain => name.push(plain),
        }
    }
    Some(name)
}

/// The SMBIOS type 11 strings that give the card this name (systemd.link(5), by way of
/// systemd-network-generator.service(8), which an image need not have on).
pub fn credentials(name: &str) -> [String; 2] {
    let link = format!("[Match]\nMACAddress={}\n[Link]\nName={name}\n", lab::MAC);
    let wants = "[Unit]\nWants=systemd-network-generator.service\n";
    [
        agent::credential("network.link.10-card", &link),
        agent::credential("systemd.unit-dropin.sysinit.target~card", wants),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::testing::empty_plan;
    use serde_json::json;

    fn of(interface: Value) -> Option<String> {
        let mut plan = empty_plan("sample");
        plan.overlays.insert("network".into(), [("interface".to_owned(), interface)].into());
        name(&plan)
    }

    #[test]
    fn the_card_has_the_name_that_the_image_is_for() {
        assert_eq!(of(json!("enp1s0")), Some("enp1s0".into()));
        assert_eq!(of(json!("eno1 enp1s0")), Some("eno1".into()));
    }

    #[test]
    fn a_pattern_is_matched() {
        assert_eq!(of(json!("en*")), Some("en0".into()));
        assert_eq!(of(json!("enp?s[1-3]f*")), Some("enp0s1f0".into()));
    }

    #[test]
    fn the_card_keeps_its_name_where_any_does() {
        assert_eq!(name(&empty_plan("sample")), None);
        assert_eq!(of(Value::Null), None);
        assert_eq!(of(json!("*")), None);
        assert_eq!(of(json!("!wl*")), None);
        assert_eq!(of(json!("en[!1]")), None);
        assert_eq!(of(json!("en[1")), None);
        assert_eq!(of(json!("a-name-that-is-too-long")), None);
    }
}
