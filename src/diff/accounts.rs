//! Names of owners by an image's own account files: passwd(5), group(5).

use super::tree::Tree;
use std::collections::BTreeMap;

/// Names of users and groups by number.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    users: BTreeMap<u32, String>,
    groups: BTreeMap<u32, String>,
}

impl Accounts {
    /// The accounts of the system in a tree.
    pub fn of(tree: &Tree) -> Self {
        let read = |path| tree.text(path).map(|text| names(&text)).unwrap_or_default();
        Self { users: read("/etc/passwd"), groups: read("/etc/group") }
    }

    /// An owner for people: `0:42 (root:shadow)`.
    pub fn owner(&self, (user, group): (u32, u32)) -> String {
        let (user_name, group_name) = (self.users.get(&user), self.groups.get(&group));
        match (user_name, group_name) {
            (None, None) => format!("{user}:{group}"),
            _ => {
                let name = |name: Option<&String>| name.map_or("?", |name| name).to_owned();
                format!("{user}:{group} ({}:{})", name(user_name), name(group_name))
            }
        }
    }
}

/// Both files have the name in their first field and the number in the third; the first of a number counts, as for
/// getpwuid(3).
fn names(text: &str) -> BTreeMap<u32, String> {
    let mut names = BTreeMap::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(_), Some(number)) = (fields.next(), fields.next(), fields.next())
            && let (false, Ok(number)) = (name.is_empty(), number.parse())
        {
            names.entry(number).or_insert_with(|| super::text::printable(name.as_bytes()));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_have_the_first_name() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\ntoor:x:0:0::/:/bin/sh\n\n# x\nbad:x:y:\n+::::::\n";
        let users = names(passwd);
        assert_eq!(users, BTreeMap::from([(0, "root".to_owned())]));
        let accounts = Accounts { users, groups: names("root:x:0:\nshadow:x:42:\n") };
        assert_eq!(accounts.owner((0, 42)), "0:42 (root:shadow)");
        assert_eq!(accounts.owner((7, 42)), "7:42 (?:shadow)");
        assert_eq!(accounts.owner((7, 8)), "7:8");
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "[a-z0-9:\n\\PC]{0,200}") {
            for (number, name) in names(&text) {
                prop_assert!(!name.is_empty() && text.contains(&number.to_string()));
            }
        }

        #[test]
        fn what_is_written_is_found(
            users in proptest::collection::btree_map(any::<u32>(), "[a-z_][a-z0-9_-]{0,30}", 0..20),
        ) {
            let text: String = users.iter().map(|(id, name)| format!("{name}:x:{id}:0::/:/bin/sh\n")).collect();
            prop_assert_eq!(names(&text), users);
        }
    }
}
