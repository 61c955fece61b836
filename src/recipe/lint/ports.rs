//! Ports that belong to somebody: the services database, services(5).

use super::super::problem::Problems;
use super::super::switch::On;
use serde_json::Value as Json;

/// `PORT NAME` lines: TCP services of the services database below 32768.
const DATABASE: &str = include_str!("well-known-ports.txt");

/// The service that the number belongs to.
pub fn service(port: u64) -> Option<&'static str> {
    DATABASE.lines().find_map(|line| {
        let (number, name) = line.split_once(' ')?;
        (number.parse() == Ok(port)).then_some(name)
    })
}

/// Refuses another service's port for an option that declares a `well-known-guard`, unless that is lifted. The
/// option's own default is its own.
pub fn well_known_ports(on: &On<'_>, problems: &mut Problems) {
    for option in &on.overlay.options {
        let Some(guard) = &option.well_known_guard else { continue };
        let lifted = on.options.get(guard) == Some(&Json::Bool(true));
        let Some(value) = on.options.get(&option.name).filter(|value| **value != option.default) else {
            continue;
        };
        let Some((port, name)) = value.as_u64().and_then(|port| Some((port, service(port)?))) else {
            continue;
        };
        if lifted {
            continue;
        }
        let at = on.node.and_then(|node| node.get(&option.name)).map_or(on.at, |node| node.at);
        let message = format!("port {port} is the well-known port of {name}");
        let help = format!("take another, or say `{guard} = true` in [overlay.{}]", on.overlay.name);
        problems.error(at, message, "belongs to somebody else", Some(help));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_knows_the_usual_ones_and_reads_whole() {
        for (port, name) in
            [(22, Some("ssh")), (80, Some("http")), (443, Some("https")), (3306, Some("mysql")), (2222, None)]
        {
            assert_eq!(service(port), name, "{port}");
        }
        let mut last = 0;
        for line in DATABASE.lines() {
            let (number, name) = line.split_once(' ').unwrap();
            let number: u16 = number.parse().unwrap();
            assert!(number > last && !name.is_empty(), "{line}");
            last = number;
        }
    }
}
