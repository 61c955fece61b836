//! What no image keeps, whoever puts it there: identities, traces of the build, what is emptied before it ships.

use super::form::Fault;
use super::plan::Content;

/// Files that only say that, where or when a build happened, and identities that each machine makes itself. Globs of one
/// level, below the root.
pub const TRACES: [&str; 21] = [
    "var/lib/dpkg/*-old",
    "var/lib/dpkg/lock",
    "var/lib/dpkg/lock-frontend",
    "var/lib/dpkg/triggers/Lock",
    "var/cache/debconf/*-old",
    "var/cache/ldconfig/aux-cache",
    "var/cache/apt/*.bin",
    "var/cache/apt/archives/*.deb",
    "var/cache/apt/archives/lock",
    "var/lib/apt/lists/*",
    "var/lib/apt/extended_states",
    "etc/*-",
    "etc/.pwd.lock",
    "etc/ssh/ssh_host_*",
    "var/lib/dbus/machine-id",
    "var/lib/systemd/random-seed",
    "var/lib/systemd/credential.secret",
    "var/lib/systemd/timers/*",
    "root/.bash_history",
    "root/.wget-hsts",
    "var/lib/ucf/*.[0-9]",
];

/// Directories whose whole content goes.
pub const EMPTIED: [&str; 3] = ["tmp", "var/tmp", "run"];

/// Where files go, and the directories that they were in stay.
pub const LOGS: &str = "var/log";

/// The file that says that no machine has this image yet (machine-id(5)).
pub const MACHINE_ID: &str = "etc/machine-id";

/// Refuses what would not be in the image although a recipe or an overlay writes it there.
pub fn refuse(path: &str, content: &Content) -> Result<(), Fault> {
    let path = path.trim_start_matches('/');
    let below = |directory: &str| path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'));
    let traces = || TRACES.iter().find(|pattern| matches(pattern, path));
    let (why, help) = if path == MACHINE_ID || path.starts_with("etc/ssh/ssh_host_") {
        ("each machine makes its own at its first boot", "an image's would be every machine's")
    } else if EMPTIED.iter().any(|directory| below(directory)) {
        (
            "what is there when the image is built is removed",
            "write a tmpfiles.d(5) file that makes it at boot",
        )
    } else if below(LOGS) && matches!(content, Content::Regular(_)) {
        ("an image has no logs", "a directory there stays; tmpfiles.d(5) makes a file at boot")
    } else if *content != Content::Directory && traces().is_some() {
        ("goldcast removes it, for it tells of a build or is one machine's", "write it to another place")
    } else {
        return Ok(());
    };
    Err(Fault::new(why).help(help))
}

/// Whether a path below the root is one that the pattern means.
fn matches(pattern: &str, path: &str) -> bool {
    let split = |text| str::rsplit_once(text, '/').unwrap_or(("", text));
    let ((directory, pattern), (parent, name)) = (split(pattern), split(path));
    directory == parent && glob(pattern, name)
}

/// Whether a name is one that a pattern of [`TRACES`] means by its last part: one `*`, and a digit's class at the end.
pub fn glob(pattern: &str, name: &str) -> bool {
    let (pattern, name) = match pattern.strip_suffix("[0-9]") {
        Some(rest) if name.ends_with(|c: char| c.is_ascii_digit()) => (rest, &name[..name.len() - 1]),
        Some(_) => return false,
        None => (pattern, name),
    };
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, end)) => {
            name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_image_does_not_keep_is_refused() {
        let file = || Content::Regular(Vec::new());
        for gone in [
            "/etc/machine-id",
            "/etc/ssh/ssh_host_ed25519_key",
            "/tmp/x",
            "/var/tmp/a/b",
            "/var/log/app.log",
            "/var/log/app/x.log",
            "/etc/passwd-",
            "/var/lib/ucf/hashfile.3",
        ] {
            assert!(refuse(gone, &file()).is_err(), "{gone}");
        }
        for kept in
            ["/etc/machine-info", "/etc/ssh/moduli", "/var/logs", "/etc/x/y-", "/var/lib/ucf/hashfile"]
        {
            assert!(refuse(kept, &file()).is_ok(), "{kept}");
        }
        assert!(refuse("/var/log/app", &Content::Directory).is_ok());
        assert!(refuse("/var/log/app", &Content::Link("x".into())).is_ok());
        assert!(refuse("/tmp/app", &Content::Directory).is_err());
    }

    #[test]
    fn patterns() {
        assert!(glob("*-old", "status-old") && !glob("*-old", "status"));
        assert!(glob("*-", "passwd-") && !glob("*-", "passwd"));
        assert!(glob("*.[0-9]", "hashfile.3") && !glob("*.[0-9]", "hashfile.x"));
    }
}
