//! A line of `authorized_keys` (sshd(8), "AUTHORIZED_KEYS FILE FORMAT") and the key in it (RFC 4253 6.6).

use super::form::Fault;
use crate::nearest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What a lint needs to know of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshKey {
    /// The key's type: `ssh-ed25519`.
    pub kind: String,
    /// The words after the key.
    pub comment: String,
    /// The key itself, in OpenSSH's wire format.
    pub blob: Vec<u8>,
    /// Whoever has it starts a command that stands in its line, and nothing else.
    pub forced: bool,
}

/// Options of a line that are there or not, and those with a value (sshd(8)).
const FLAGS: &[&str] = &[
    "agent-forwarding",
    "cert-authority",
    "no-agent-forwarding",
    "no-port-forwarding",
    "no-pty",
    "no-touch-required",
    "no-user-rc",
    "no-x11-forwarding",
    "port-forwarding",
    "pty",
    "restrict",
    "user-rc",
    "verify-required",
    "x11-forwarding",
];
const VALUED: &[&str] =
    &["command", "environment", "expiry-time", "from", "permitlisten", "permitopen", "principals", "tunnel"];

/// Fewest bits of an RSA key: NIST SP 800-57 for use beyond 2030, and OpenSSH's `RequiredRSASize` here.
const RSA_BITS: usize = 3072;

const KINDS: &[&str] = &[
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-dss",
];

/// Reads one line; weak kinds and broken keys are refused.
pub fn parse(line: &str) -> Result<SshKey, Fault> {
    const MAKE: &str = "make one with `ssh-keygen -t ed25519` and paste the line of the `.pub` file";
    let line = line.trim();
    if line.contains("PRIVATE KEY") {
        return Err(
            Fault::new("it is a private key").help("paste the line of the `.pub` file; never a private key")
        );
    }
    if line.starts_with('#') {
        return Err(Fault::new("it is a comment"));
    }
    let words = words(line)?;
    let Some(position) = words.iter().take(2).position(|word| KINDS.contains(&word.as_str())) else {
        let first = words.first().map_or("", String::as_str);
        let fault =
            Fault::new(format!("`{}` is not a type of key", first.chars().take(40).collect::<String>()));
        if first.contains("-cert-v01@") {
            return Err(Fault::new("it is a certificate; authorized_keys takes keys"));
        }
        return Err(match nearest::one(first, KINDS.iter().copied()) {
            Some(near) => fault.help(format!("did you mean `{near}`?")),
            None => fault.help(MAKE),
        });
    };
    let forced = match position {
        0 => false,
        _ => options(&words[0])?.iter().any(|option| option == "command"),
    };
    let kind = words[position].clone();
    if kind == "ssh-dss" {
        return Err(Fault::new("DSA keys are broken and OpenSSH no longer takes them").help(MAKE));
    }
    let Some(encoded) = words.get(position + 1) else {
        return Err(Fault::new("the key after its type is missing").help(MAKE));
    };
    let blob = STANDARD
        .decode(encoded)
        .map_err(|_| Fault::new("the key is not base64: it was cut, wrapped or is an example").help(MAKE))?;
    verify(&kind, &blob)?;
    Ok(SshKey { kind, comment: words[position + 2..].join(" "), blob, forced })
}

/// The names of the options in front of a key, in lower case. sshd takes no line with one that it does not know.
fn options(word: &str) -> Result<Vec<String>, Fault> {
    let mut names = Vec::new();
    for option in split(word, |c| c == ',')? {
        let (name, value) =
            option.split_once('=').map_or((&*option, None), |(name, value)| (name, Some(value)));
        let lower = name.to_lowercase();
        let quoted =
            value.is_some_and(|value| value.len() > 1 && value.starts_with('"') && value.ends_with('"'));
        if VALUED.contains(&&*lower) && !quoted {
            return Err(Fault::new(format!("the option `{name}` has no value"))
                .help(format!("write `{lower}=\"…\"`")));
        }
        if FLAGS.contains(&&*lower) && value.is_some() {
            return Err(Fault::new(format!("the option `{name}` takes no value")));
        }
        if !VALUED.contains(&&*lower) && !FLAGS.contains(&&*lower) {
            let shown: String = name.chars().take(40).collect();
            let fault = Fault::new(format!("`{shown}` is no option of a key: sshd would take no such line"));
            return Err(match nearest::one(&lower, FLAGS.iter().chain(VALUED).copied()) {
                Some(near) => fault.help(format!("did you mean `{near}`?")),
                None => fault.help("begin with the type of the key, `ssh-ed25519`"),
            });
        }
        names.push(lower);
    }
    Ok(names)
}

/// Splits at white space, as sshd does with the options in front.
fn words(line: &str) -> Result<Vec<String>, Fault> {
    let mut words = split(line, char::is_whitespace)?;
    words.retain(|word| !word.is_empty());
    Ok(words)
}

/// Splits outside of double quotes.
fn split(line: &str, at: impl Fn(char) -> bool) -> Result<Vec<String>, Fault> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    let mut escaped = false;
    for c in line.chars() {
        if at(c) && !quoted {
            words.push(String::new());
            continue;
        }
        if c == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = c == '\\' && !escaped;
        if let Some(word) = words.last_mut() {
            word.push(c);
        }
    }
    // A comment may hold an apostrophe or a quote; only an option's quote must close.
    if quoted && words.len() < 3 {
        return Err(Fault::new("a quote in the options is not closed"));
    }
    Ok(words)
}

fn verify(kind: &str, blob: &[u8]) -> Result<(), Fault> {
    let cut = || Fault::new("the key is damaged: its parts do not add up").help("paste the whole line again");
    let mut reader = Reader(blob);
    let inner = reader.string().ok_or_else(cut)?;
    if inner != kind.as_bytes() {
        return Err(Fault::new(format!(
            "the line says {kind}, the key inside says {}",
            String::from_utf8_lossy(inner).escape_debug()
        )));
    }
    match kind {
        "ssh-ed25519" | "sk-ssh-ed25519@openssh.com" => {
            if reader.string().ok_or_else(cut)?.len() != 32 {
                return Err(cut());
            }
        }
        "ssh-rsa" => {
            let exponent = bits(reader.string().ok_or_else(cut)?);
            let modulus = bits(reader.string().ok_or_else(cut)?);
            if exponent < 2 {
                return Err(cut());
            }
            if modulus < RSA_BITS {
                return Err(Fault::new(format!(
                    "an RSA key of {modulus} bits is too short; {RSA_BITS} at least"
                ))
                .help("make one with `ssh-keygen -t ed25519`"));
            }
            if modulus > 16_384 {
                return Err(Fault::new("OpenSSH takes RSA keys of at most 16384 bits"));
            }
        }
        _ => {
            let curve = reader.string().ok_or_else(cut)?;
            let length = match curve {
                b"nistp256" => 65,
                b"nistp384" => 97,
                b"nistp521" => 133,
                _ => return Err(cut()),
            };
            let named = kind.split('@').next().unwrap_or("").as_bytes().ends_with(curve);
            let point = reader.string().ok_or_else(cut)?;
            if !named || point.len() != length || point.first() != Some(&4) {
                return Err(cut());
            }
        }
    }
    if kind.starts_with("sk-") {
        reader.string().ok_or_else(cut)?;
    }
    if reader.0.is_empty() { Ok(()) } else { Err(cut()) }
}

/// Bits of a positive mpint (RFC 4251 5).
fn bits(number: &[u8]) -> usize {
    let significant = number.iter().position(|byte| *byte != 0).map_or(&[][..], |first| &number[first..]);
    significant.first().map_or(0, |first| significant.len() * 8 - first.leading_zeros() as usize)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn string(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (string, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(string)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(kind: &str, parts: &[&[u8]]) -> String {
        let mut blob = Vec::new();
        for part in std::iter::once(&kind.as_bytes()).chain(parts) {
            blob.extend(u32::try_from(part.len()).unwrap().to_be_bytes());
            blob.extend(*part);
        }
        format!("{kind} {} me@laptop", STANDARD.encode(blob))
    }

    /// An RSA public key whose modulus has this many bits.
    pub fn rsa(bits: usize) -> String {
        let mut modulus = vec![0xff; bits / 8];
        modulus.insert(0, 0);
        line("ssh-rsa", &[&[1, 0, 1], &modulus])
    }

    /// An ed25519 public key of this byte, repeated.
    pub fn ed25519(byte: u8) -> String {
        line("ssh-ed25519", &[&[byte; 32]])
    }

    /// An ECDSA public key on nistp256.
    pub fn ecdsa() -> String {
        line("ecdsa-sha2-nistp256", &[b"nistp256", &[4; 65]])
    }

    #[test]
    fn good_keys() {
        let from_ssh_keygen =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti me@laptop";
        for good in [
            from_ssh_keygen.to_owned(),
            ed25519(7),
            rsa(3072),
            rsa(4096),
            ecdsa(),
            line("sk-ssh-ed25519@openssh.com", &[&[1; 32], b"ssh:"]),
            line("sk-ecdsa-sha2-nistp256@openssh.com", &[b"nistp256", &[4; 65], b"ssh:"]),
            format!("restrict,command=\"echo \\\"a b\\\"\" {}", ed25519(7)),
            format!("{} it's \"quoted", ed25519(7)),
            format!("no-X11-forwarding,from=\"*.example.org,192.0.2.0/24\" {}", ed25519(7)),
            format!("cert-authority,principals=\"admin\" {}", ed25519(7)),
        ] {
            assert!(parse(&good).is_ok(), "{good}: {:?}", parse(&good));
        }
        assert_eq!(parse(from_ssh_keygen).unwrap().comment, "me@laptop");
        let forced = |options: &str| parse(&format!("{options} {}", ed25519(7))).unwrap().forced;
        assert!(forced("restrict,Command=\"true\"") && !forced("restrict"));
    }

    #[test]
    fn bad_keys_and_why() {
        let good = ed25519(7);
        for (bad, why) in [
            (String::new(), "not a type of key"),
            ("ssh-ed25519".into(), "missing"),
            ("ssh-ed25519 AAAA… admin@laptop".into(), "not base64"),
            ("ssh-ed25519 AAAA admin@laptop".into(), "damaged"),
            ("ssh-ed2551 AAAA".into(), "not a type of key"),
            ("# ssh-ed25519 AAAA".into(), "comment"),
            ("-----BEGIN OPENSSH PRIVATE KEY-----".into(), "private key"),
            (line("ssh-dss", &[&[1; 128]]), "DSA"),
            (rsa(1024), "1024 bits"),
            (rsa(2048), "2048 bits"),
            (line("ssh-ed25519", &[&[1; 31]]), "damaged"),
            (line("ssh-ed25519", &[&[1; 32], b"more"]), "damaged"),
            (good.replacen("ssh-ed25519", "ssh-rsa", 1), "the key inside says ssh-ed25519"),
            (line("ecdsa-sha2-nistp384", &[b"nistp256", &[4; 65]]), "damaged"),
            (line("ecdsa-sha2-nistp256", &[b"nistp256", &[2; 33]]), "damaged"),
            (line("ssh-ed25519-cert-v01@openssh.com", &[]), "certificate"),
            (format!("command=\"x {good}"), "not closed"),
            (format!("laptop: {good}"), "`laptop:` is no option"),
            (format!("restrcit {good}"), "`restrcit` is no option"),
            (format!("restrict,no-pty,from= {good}"), "`from` has no value"),
            (format!("restrict, {good}"), "`` is no option"),
            (format!("from=192.0.2.1 {good}"), "`from` has no value"),
            (format!("no-pty=\"x\" {good}"), "takes no value"),
            (rsa(3072).replace('=', ""), "not base64"),
        ] {
            let fault = parse(&bad).expect_err(&bad);
            assert!(fault.why.contains(why), "{bad}: {}", fault.why);
        }
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused(text in ".{0,80}", bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&text);
            for kind in KINDS {
                let _ = parse(&format!("{kind} {}", STANDARD.encode(&bytes)));
                let _ = verify(kind, &bytes);
            }
        }
    }
}
