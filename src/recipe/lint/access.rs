//! Lockout: somebody must be able to log in, and become root.

use super::super::contribute::Access;
use super::super::node::Node;
use super::super::plan::User;
use super::super::problem::Problems;
use super::super::source::At;
use super::super::ssh_key;
use super::placeholders;

/// Refuses an image that nobody could log in to, and warns of accounts and keys that are of no use.
///
/// Every image has a login prompt on its consoles, so a password is a way in; all other ways are declared by
/// overlays (`[[access]]`).
pub fn access(recipe: &Node, users: &[User], ways: &[Access], problems: &mut Problems) {
    let at = |user: &User| -> At {
        let node = recipe.list("user").find(|node| node.text("name") == Some(&user.name));
        node.and_then(|node| node.get("name")).map_or(recipe.at, |node| node.at)
    };
    let logins: Vec<&Access> = ways.iter().filter(|way| !way.root).collect();
    let roots: Vec<&Access> = ways.iter().filter(|way| way.root).collect();
    let able: Vec<&User> = users.iter().filter(|user| logs_in(user, &logins)).collect();
    if able.is_empty() {
        let at = users.first().map_or(recipe.at, at);
        problems.error(at, "nobody could log in to this image", "locked out", Some(why_not(users, &logins)));
        return;
    }
    if !able.iter().any(|user| roots.iter().any(|way| opens(way, user))) {
        let message = "nobody who can log in can become root: the system could not be administered";
        let help = "turn on [overlay.accounts] and put a user into the group `sudo`";
        problems.warning(
            able.first().map_or(recipe.at, |user| at(user)),
            message,
            "can log in",
            Some(help.into()),
        );
    } else {
        for user in &able {
            let named = roots.iter().find(|way| way.groups.iter().any(|group| user.groups.contains(group)));
            let Some(way) = named.filter(|_| !roots.iter().any(|way| opens(way, user))) else { continue };
            let message =
                format!("{} is in group {} but cannot become root", user.name, way.groups.join(" or "));
            let help = format!("overlay {} asks for a {}, which {} has not", way.overlay, way.by, user.name);
            problems.warning(at(user), message, "this user", Some(help));
        }
    }
    for user in users {
        useless_keys(user, &logins, at(user), problems);
    }
    let alone = !able.iter().any(|user| logs_in(&without_placeholders(user), &logins));
    placeholders::keys(recipe, alone, problems);
}

/// Whether somebody can log in as this user, on a console or from outside.
fn logs_in(user: &User, logins: &[&Access]) -> bool {
    user.has_shell() && (user.password_hash.is_some() || logins.iter().any(|way| lets_in(way, user)))
}

/// The user with those keys alone that somebody may have.
fn without_placeholders(user: &User) -> User {
    let mut user = user.clone();
    user.ssh_keys.retain(|line| !placeholders::is_key(line));
    user
}

fn useless_keys(user: &User, logins: &[&Access], at: At, problems: &mut Problems) {
    let by_key: Vec<&&Access> = logins.iter().filter(|way| way.by == "ssh-key").collect();
    if user.ssh_keys.is_empty() {
        return;
    }
    if by_key.is_empty() {
        let message = format!("the ssh keys of {} are of no use: no overlay lets keys in", user.name);
        problems.warning(at, message, "this user", Some("turn on [overlay.ssh]".into()));
    } else if !by_key.iter().any(|way| opens(way, user)) {
        let groups: Vec<&str> = by_key.iter().flat_map(|way| way.groups.iter().map(String::as_str)).collect();
        let message = format!("the ssh keys of {} are of no use: they do not open anything", user.name);
        let help =
            format!("only members of {} get in, with keys of the types that are taken", groups.join(", "));
        problems.warning(at, message, "this user", Some(help));
    }
}

fn why_not(users: &[User], logins: &[&Access]) -> String {
    if users.is_empty() {
        return "add a [[user]] with `ssh-keys` and turn on [overlay.ssh], or with `password-hash`".into();
    }
    let mut reasons: Vec<String> = Vec::new();
    for user in users {
        let reason = if !user.has_shell() {
            format!("its shell is {}", user.shell)
        } else if user.ssh_keys.is_empty() {
            "it has neither `ssh-keys` nor a `password-hash`".into()
        } else if logins.is_empty() {
            "its ssh keys open nothing while [overlay.ssh] is off, and it has no `password-hash`".into()
        } else if logins.iter().any(|way| opens(way, user)) {
            "its ssh keys start a command of their own and nothing else".into()
        } else {
            let groups: Vec<&str> =
                logins.iter().flat_map(|way| way.groups.iter().map(String::as_str)).collect();
            format!("its ssh keys are not taken, or it is in none of these groups: {}", groups.join(", "))
        };
        reasons.push(format!("{}: {reason}", user.name));
    }
    reasons.join("\n")
}

/// Whether the user has a shell at the end of this way: a key with a command of its own starts only that.
fn lets_in(way: &Access, user: &User) -> bool {
    let free = |line: &String| ssh_key::parse(line).is_ok_and(|key| !key.forced);
    opens(way, user) && (way.by != "ssh-key" || user.later_keys || user.ssh_keys.iter().any(free))
}

/// Whether the user may take this way.
fn opens(way: &Access, user: &User) -> bool {
    let member = way.groups.is_empty() || way.groups.iter().any(|group| user.groups.contains(group));
    let named = way.users.is_empty() || way.users.contains(&user.name);
    let taken = |line: &String| {
        ssh_key::parse(line).is_ok_and(|key| way.key_types.is_empty() || way.key_types.contains(&key.kind))
    };
    let has = match way.by.as_str() {
        "ssh-key" => user.later_keys || user.ssh_keys.iter().any(taken),
        "password" => user.password_hash.is_some(),
        _ => true,
    };
    member && named && has && !way.nobody
}
