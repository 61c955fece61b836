//! Where a partition may be mounted, and with which options.

use super::form::{Fault, spelled};
use super::path::image_path;
use super::shape::Choice;

/// Characters that the name of a partition has room for, which ends with a zero (UEFI 2.10, 5.3.3).
const NAME: usize = 35;

/// Directories that stay with the root filesystem, they and all below, and why.
const REFUSED: [(&str, &str); 13] = [
    ("boot", "GRUB reads it from the root filesystem"),
    ("usr", "all programs are there, those that mount filesystems among them"),
    ("bin", "it is a link into /usr"),
    ("sbin", "it is a link into /usr"),
    ("lib", "it is a link into /usr"),
    ("lib32", "it is a link into /usr"),
    ("lib64", "it is a link into /usr"),
    ("etc", "the system reads there what is to be mounted"),
    ("root", "root must have a home when nothing else can be mounted"),
    ("tmp", "it is empty after each boot: [overlay.mounts] has its options"),
    ("var/run", "it is a link to /run"),
    ("var/lock", "it is a link below /run"),
    ("lost+found", "it is the filesystem's own"),
];

/// Whether a partition can be mounted there.
pub fn point(text: &str) -> Result<(), Fault> {
    image_path(text)?;
    // fstab(5) separates its fields by blanks, and names units by paths.
    spelled(text, 1024, |c| c == '/', |c| c.is_ascii_alphanumeric() || "/._+@-".contains(c))?;
    let below = text.trim_start_matches('/');
    let is_in = |directory: &str| {
        below.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if let Some((directory, why)) = REFUSED.iter().find(|(directory, _)| is_in(directory)) {
        return Err(Fault::new(format!("/{directory} is part of the root filesystem: {why}"))
            .help("for example /home, /srv, /var, /var/log, /var/log/audit, /var/tmp"));
    }
    if ["bios", "esp"].contains(&below) {
        return Err(Fault::new(format!("its partition would be called `{below}`, as another one is")));
    }
    if below.len() > NAME {
        return Err(Fault::new(format!("its partition's name would have more than {NAME} characters")));
    }
    Ok(())
}

/// What can be switched both ways: the word that takes away, and its contrary.
const SWITCHES: [(&str, &str); 3] = [("nodev", "dev"), ("nosuid", "suid"), ("noexec", "exec")];

/// The words that a recipe may say, mount(8).
pub fn words() -> Choice {
    let refused = vec![
        ("defaults", "leave `options` out"),
        ("ro", "a partition is written to: journals, logs, data"),
        ("noauto", "a partition that is not mounted is none: leave it out"),
        ("nofail", "without its partition the system would write into the root filesystem"),
        ("bind", "a partition is mounted, not a directory"),
        ("users", "root mounts it at boot"),
        ("user", "root mounts it at boot"),
    ];
    let known = [
        "nodev",
        "nosuid",
        "noexec",
        "dev",
        "suid",
        "exec",
        "noatime",
        "relatime",
        "strictatime",
        "lazytime",
        "nodiratime",
        "nosymfollow",
        "discard",
        "sync",
        "dirsync",
    ];
    Choice { refused, ..Choice::of("mount option", &known) }
}

/// Whether a word is one of [`words`].
pub fn option(text: &str) -> Result<(), Fault> {
    let words = words();
    if words.values.iter().any(|word| word == text) {
        return Ok(());
    }
    Err(Fault::new("it is unknown").help(format!("known: {}", words.values.join(", "))))
}

/// The word that says the contrary of this one.
pub fn contrary(word: &str) -> Option<&'static str> {
    SWITCHES.iter().find_map(|&(off, on)| match word {
        _ if word == off => Some(on),
        _ if word == on => Some(off),
        _ => None,
    })
}

/// The options of a partition: what was said, and what holds when nobody says otherwise. No devices and setuid programs
/// anywhere, and no programs at all where only logs and temporary files are (CIS Debian 13 1.1.2).
pub fn options<'a>(mount: &str, said: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
    let without_programs = ["/var/tmp", "/var/log"].iter().any(|directory| {
        mount.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    let mut options = Vec::new();
    for (off, on) in SWITCHES {
        let usual = off != "noexec" || without_programs;
        if said.clone().any(|word| word == off) || usual && !said.clone().any(|word| word == on) {
            options.push(off.to_owned());
        }
    }
    for word in said.filter(|word| contrary(word).is_none()) {
        if !options.iter().any(|known| known == word) {
            options.push(word.to_owned());
        }
    }
    if options.is_empty() {
        options.push("defaults".into());
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_starts_from_stays_with_the_root() {
        for mount in
            ["/home", "/srv", "/opt", "/var", "/var/log/audit", "/var/lib/a.b_c@d", "/usrlocal", "/data"]
        {
            assert_eq!(point(mount), Ok(()), "{mount}");
        }
        let long = format!("/{}", "a".repeat(36));
        for mount in [
            "/",
            "",
            "home",
            "/home/",
            "/a//b",
            "/var/../etc",
            "/boot",
            "/boot/efi",
            "/usr",
            "/usr/local",
            "/etc/x",
            "/dev/shm",
            "/proc",
            "/sys",
            "/run",
            "/run/x",
            "/tmp",
            "/tmp/x",
            "/bin",
            "/lib64",
            "/root",
            "/var/run",
            "/var/lock/x",
            "/lost+found",
            "/esp",
            "/bios",
            "/srv/a b",
            "/srv/a,b",
            "/srv/a\\b",
            "/srv/ä",
            &long,
        ] {
            assert!(point(mount).is_err(), "{mount}");
        }
        assert_eq!(point(&long[..36]), Ok(()));
    }

    #[test]
    fn options_hold_unless_the_contrary_is_said() {
        let told = |mount: &str, said: &[&str]| options(mount, said.iter().copied()).join(",");
        assert_eq!(told("/srv", &[]), "nodev,nosuid");
        assert_eq!(told("/home", &["noexec", "noatime", "noatime"]), "nodev,nosuid,noexec,noatime");
        assert_eq!(told("/var/log/audit", &[]), "nodev,nosuid,noexec");
        assert_eq!(told("/var/tmp", &["exec"]), "nodev,nosuid");
        assert_eq!(told("/var/logs", &[]), "nodev,nosuid");
        assert_eq!(told("/opt", &["suid", "nodev"]), "nodev");
        assert_eq!(told("/opt", &["suid", "dev"]), "defaults");
    }

    #[test]
    fn every_switch_is_a_word() {
        let words = words();
        assert!(
            SWITCHES
                .iter()
                .all(|(off, on)| [off, on].iter().all(|word| words.values.iter().any(|w| w == *word)))
        );
    }
}
