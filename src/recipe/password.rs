//! Hashes of passwords: crypt(5), and GRUB's own.

use super::form::Fault;

/// How well a hash withstands guessing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strength {
    /// Made for passwords: yescrypt, gost-yescrypt, bcrypt.
    Strong,
    /// Fast to guess on graphics cards: sha512crypt, or a strong one with a low cost.
    Weak,
}

const HOW: &str = "hash it with `mkpasswd -m yescrypt` (package whois) and paste what it prints";

/// Checks that the text is a hash that Debian's libcrypt takes and that is fit for passwords.
pub fn parse(text: &str) -> Result<Strength, Fault> {
    let fields: Vec<&str> = text.split('$').collect();
    if !text.starts_with('$') || fields.len() < 3 {
        if text.len() == 13 && text.bytes().all(crypt64) {
            return Err(Fault::new("a DES hash is guessed within hours").help(HOW));
        }
        if text.starts_with(['!', '*']) {
            return Err(Fault::new("it is a lock, not a hash")
                .help("leave password-hash out: the password is locked then"));
        }
        return Err(
            Fault::new("it looks like a clear-text password, which a recipe must never hold").help(HOW)
        );
    }
    let damaged = || Fault::new("the hash is damaged: its parts do not have the right length").help(HOW);
    let strength = match fields.as_slice() {
        ["", "y" | "gy", parameters, salt, hash] => {
            let sound = !parameters.is_empty()
                && parameters.bytes().all(crypt64)
                && (1..=86).contains(&salt.len())
                && salt.bytes().all(crypt64)
                && hash.len() == 43
                && hash.bytes().all(crypt64);
            sound.then_some(Strength::Strong)
        }
        ["", "2a" | "2b" | "2y", cost, hash] => {
            let sound = hash.len() == 53 && hash.bytes().all(crypt64) && cost.len() == 2;
            match cost.parse::<u8>() {
                Ok(cost @ 4..=31) if sound => Some(if cost < 10 { Strength::Weak } else { Strength::Strong }),
                _ => None,
            }
        }
        ["", "6", salt, hash] => sha512(salt, hash),
        ["", "6", rounds, salt, hash] => {
            let rounds = rounds.strip_prefix("rounds=").and_then(|rounds| rounds.parse::<u32>().ok());
            rounds.filter(|rounds| (1000..=999_999_999).contains(rounds)).and_then(|_| sha512(salt, hash))
        }
        ["", "1" | "md5", ..] => return Err(Fault::new("an MD5 hash is guessed within hours").help(HOW)),
        ["", "5", ..] => return Err(Fault::new("sha256crypt is outdated").help(HOW)),
        ["", "2" | "2x", ..] => return Err(Fault::new("that old form of bcrypt is broken").help(HOW)),
        ["", kind, ..] => {
            let kind: String = kind.chars().take(20).collect();
            return Err(Fault::new(format!("`${kind}$` is not a kind of hash that is taken")).help(HOW));
        }
        _ => None,
    };
    strength.ok_or_else(damaged)
}

fn sha512(salt: &str, hash: &str) -> Option<Strength> {
    let sound = (1..=16).contains(&salt.len())
        && salt.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':')
        && hash.len() == 86
        && hash.bytes().all(crypt64);
    sound.then_some(Strength::Weak)
}

/// The alphabet of crypt(5)'s own base64.
fn crypt64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'/'
}

/// How GRUB's own hash is made.
const HOW_GRUB: &str =
    "make one with grub-mkpasswd-pbkdf2 (package grub-common), and paste from `grub.pbkdf2` on";
/// Rounds that grub-mkpasswd-pbkdf2(1) takes by itself, and as many as a boot loader gets through in a minute.
const GRUB_ROUNDS: std::ops::RangeInclusive<u32> = 10_000..=10_000_000;

/// Checks that the text is a hash for GRUB's `password_pbkdf2`, as grub-mkpasswd-pbkdf2(1) prints it.
pub fn parse_grub(text: &str) -> Result<(), Fault> {
    if text.starts_with('$') {
        return Err(Fault::new("it is a hash for /etc/shadow, which GRUB cannot read").help(HOW_GRUB));
    }
    let Some(parts) = text.strip_prefix("grub.pbkdf2.") else {
        let why = "it looks like a clear-text password, which a recipe must never hold";
        return Err(Fault::new(why).help(HOW_GRUB));
    };
    let parts: Vec<&str> = parts.split('.').collect();
    let ["sha512", rounds, salt, hash] = parts[..] else {
        return Err(Fault::new("it is not of the form grub.pbkdf2.sha512.ROUNDS.SALT.HASH").help(HOW_GRUB));
    };
    let digits = rounds.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || !rounds.parse().is_ok_and(|rounds: u32| GRUB_ROUNDS.contains(&rounds)) {
        let (least, most) = (GRUB_ROUNDS.start(), GRUB_ROUNDS.end());
        return Err(Fault::new(format!("the rounds must be from {least} to {most}")).help(HOW_GRUB));
    }
    let hex = |text: &str, bytes: std::ops::RangeInclusive<usize>| {
        text.len().is_multiple_of(2)
            && bytes.contains(&(text.len() / 2))
            && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    if !hex(salt, 16..=256) || !hex(hash, 64..=64) {
        let why = "the hash is damaged: its parts do not have the right length";
        return Err(Fault::new(why).help(HOW_GRUB));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hashes() {
        let sha512 = format!("$6$saltsalt${}", "a".repeat(86));
        let rounds = format!("$6$rounds=5000$saltsalt${}", "a".repeat(86));
        let bcrypt = format!("$2b$12${}", "a".repeat(53));
        let cheap = format!("$2b$05${}", "a".repeat(53));
        let yescrypt = "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7";
        for (hash, strength) in [
            (yescrypt, Strength::Strong),
            (&yescrypt.replace("$y$", "$gy$"), Strength::Strong),
            (&bcrypt, Strength::Strong),
            (&cheap, Strength::Weak),
            (&sha512, Strength::Weak),
            (&rounds, Strength::Weak),
        ] {
            assert_eq!(parse(hash), Ok(strength), "{hash}");
        }
        for (bad, why) in [
            ("hunter2", "clear-text"),
            ("ab.cdefghijkl", "DES"),
            ("$1$salt$0123456789012345678901", "MD5"),
            ("$5$salt$x", "sha256crypt"),
            ("$y$j9T$short$x", "damaged"),
            ("$6$salt$x", "damaged"),
            ("$2b$99$x", "damaged"),
            ("$2x$10$x", "broken"),
            ("$argon2id$v=19$x", "`$argon2id$`"),
            ("!", "a lock"),
            ("$pa$$word", "`$pa$`"),
            ("", "clear-text"),
        ] {
            let fault = parse(bad).expect_err(bad);
            assert!(fault.why.contains(why), "{bad}: {}", fault.why);
        }
    }

    #[test]
    fn hashes_for_grub() {
        let (salt, hash) = ("0A".repeat(64), "f1".repeat(64));
        let whole =
            |rounds: &str, salt: &str, hash: &str| format!("grub.pbkdf2.sha512.{rounds}.{salt}.{hash}");
        assert_eq!(parse_grub(&whole("10000", &salt, &hash)), Ok(()));
        for (bad, why) in [
            ("hunter2".to_owned(), "clear-text"),
            ("$y$j9T$x$y".into(), "/etc/shadow"),
            (whole("10", &salt, &hash), "rounds"),
            (whole("+10000", &salt, &hash), "rounds"),
            (whole("99999999", &salt, &hash), "rounds"),
            (whole("10000", "0A", &hash), "damaged"),
            (whole("10000", &salt, "f1"), "damaged"),
            (whole("10000", &salt, &"g1".repeat(64)), "damaged"),
            (whole("10000", &salt, &format!("{hash}\nx")), "damaged"),
            (whole("10000", &salt, &hash).replace("sha512", "sha1"), "form"),
            ("grub.pbkdf2.sha512".into(), "form"),
        ] {
            let fault = parse_grub(&bad).expect_err(&bad);
            assert!(fault.why.contains(why), "{bad}: {}", fault.why);
        }
    }

    proptest! {
        #[test]
        fn a_hash_never_breaks_the_line_of_etc_shadow(text in "(\\$|[a-z6y:\\n./=]){0,100}") {
            if parse(&text).is_ok() {
                prop_assert!(!text.contains([':', '\n']));
            }
        }
    }
}
