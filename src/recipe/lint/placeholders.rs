//! What the shipped recipes hold in place of what only their user can know: a key, a hash, a host.

use super::super::node::Node;
use super::super::problem::Problems;
use super::super::switch::On;

/// The keys `replace-me@example` (RFC 4253 6.6, in base64). Their private halves were thrown away.
const KEYS: [&str; 2] = [
    "AAAAC3NzaC1lZDI1NTE5AAAAIE5V1zhtFmdmJpo1cSd87FWmzdB+p/qMLp2QfhtFZ5P/",
    "AAAAC3NzaC1lZDI1NTE5AAAAIK1BM3wfc0I7G2E4IyDpc28oDDqwnVeiGcAB3MWz4NyI",
];

/// Overlay, option, the shipped value, and why it is of no use.
const OPTIONS: [(&str, &str, &str, &str); 4] = [
    (
        "recovery",
        "password-hash",
        "grub.pbkdf2.sha512.10000.10E1D87CA755824FBD9F9FEBD23F4CAAAA514832349BFB3AB9279C92377C7DDD8D8F34B05D155E345E43482554B651443F128643DB6EA14668DFEAACE7538DD0.98DB22045D5AEC13B451F49A838F21241DE572668D5031EBF3AB9F5B482BAFB2CB4D0A52170799E912C8E6858773AD85E3D92DE30345A6842C1F09726AEC1851",
        "nobody knows its password",
    ),
    ("mail", "relay", "smtp.example.org", "nothing takes letters there"),
    ("mail", "admin", "admin@example.org", "nobody reads letters there"),
    ("backup", "host", "backup.example.org", "nothing takes backups there"),
];

/// Whether a line of authorized_keys has a key of the shipped recipes.
pub fn is_key(line: &str) -> bool {
    line.split_whitespace().any(|word| KEYS.contains(&word))
}

/// Warns of keys of the shipped recipes; `alone` when there is no other way in.
pub fn keys(recipe: &Node, alone: bool, problems: &mut Problems) {
    let (message, help) = if alone {
        (
            "the only way in is the key replace-me@example of the shipped recipe, whose private half nobody has",
            "put yours in its place",
        )
    } else {
        (
            "the key replace-me@example is the shipped recipe's, whose private half nobody has",
            "put yours in its place where it stands: a recipe's keys are added to those of its base",
        )
    };
    for user in recipe.list("user") {
        for (_, at) in user.texts("ssh-keys").filter(|(line, _)| is_key(line)) {
            problems.warning(at, message, "nobody gets in with it", Some(help.into()));
        }
    }
}

/// Warns of options that still have the value of a shipped recipe.
pub fn options(on: &On<'_>, problems: &mut Problems) {
    for (overlay, option, value, why) in OPTIONS {
        let Some(table) = on.node.filter(|table| table.text(option) == Some(value)) else { continue };
        if on.overlay.name != overlay {
            continue;
        }
        let at = table.get(option).map_or(on.at, |node| node.at);
        let message = format!("`{option}` of overlay {overlay} is the shipped recipe's: {why}");
        problems.warning(at, message, "a placeholder", Some("put yours in its place".into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn those_of_the_shipped_recipes_are_known_and_no_others() {
        let mut all = String::new();
        for entry in fs_err::read_dir("recipes").unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                all.push_str(&fs_err::read_to_string(path).unwrap());
            }
        }
        let keys: BTreeSet<&str> = all
            .lines()
            .filter(|line| line.contains(" replace-me@example"))
            .flat_map(str::split_whitespace)
            .filter(|word| word.starts_with("AAAA"))
            .collect();
        assert_eq!(keys, BTreeSet::from(KEYS));
        for (_, option, value, _) in OPTIONS {
            assert!(all.contains(&format!("\n{option} = \"{value}\"\n")), "{option}");
        }
        assert!(is_key(&format!("restrict ssh-ed25519 {} me@laptop", KEYS[0])));
        assert!(!is_key("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti"));
    }
}
