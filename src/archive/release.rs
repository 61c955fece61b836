//! A suite's signed index of indexes: the InRelease file, verified and parsed.

use super::date;
use crate::error::{Error, Result};
use sequoia_openpgp as openpgp;

use openpgp::parse::Parse;
use openpgp::parse::stream::{
    MessageLayer, MessageStructure, VerificationError, VerificationHelper, VerifierBuilder,
};
use openpgp::policy::StandardPolicy;
use openpgp::serialize::SerializeInto;
use openpgp::{Cert, KeyHandle};
use std::collections::BTreeMap;
use std::io::Read;
use std::time::{Duration, UNIX_EPOCH};

/// No InRelease file is anywhere near this long, in bytes.
pub const LIMIT: u64 = 16 << 20;
/// How far ahead of this machine's clock an index may be dated, in seconds.
const CLOCK_TOLERANCE: i64 = 3600;

/// Who may sign.
#[derive(Clone)]
pub struct Keyring(Vec<Cert>);

impl Keyring {
    /// Reads certificates, each text armoured or binary, with one or several in it.
    pub fn read<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> Result<Self> {
        let mut certs = Vec::new();
        for text in texts {
            let parser = openpgp::cert::CertParser::from_bytes(text);
            for cert in parser.map_err(|error| bad_keyring(&error))? {
                certs.push(cert.map_err(|error| bad_keyring(&error))?);
            }
        }
        if certs.is_empty() {
            return Err(Error::usage("the keyring holds no certificate"));
        }
        Ok(Self(certs))
    }

    /// The certificates in OpenPGP's binary form, without any secret part that came with them.
    pub fn public(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for cert in &self.0 {
            bytes.extend(cert.to_vec().map_err(|error| bad_keyring(&error))?);
        }
        Ok(bytes)
    }

    /// Fingerprints of the primary keys, upper-case hex.
    pub fn fingerprints(&self) -> Vec<String> {
        self.0.iter().map(|cert| cert.fingerprint().to_hex()).collect()
    }
}

fn bad_keyring(error: &dyn std::fmt::Display) -> Error {
    Error::usage("the keyring cannot be read as OpenPGP certificates")
        .because(error)
        .hint("export it with `gpg --export --armor KEY`, or copy it from /usr/share/keyrings")
}

/// What is expected of an index before it is believed.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The suite's path below `dists/`, which its Codename or Suite field has to repeat.
    pub suite: &'a str,
    /// Another name that these fields may have for it.
    pub alias: Option<&'a str>,
    /// This moment, in seconds since 1970.
    pub now: i64,
    /// The date of the index that the lock was made from, in seconds since 1970: an older one is refused.
    pub not_before: Option<i64>,
}

/// A verified index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// When it was made, seconds since 1970.
    pub date: i64,
    /// Until when it may be used, seconds since 1970.
    pub valid_until: Option<i64>,
    /// sha256 (hex) and length of every index file, by path below the suite's directory.
    pub files: BTreeMap<String, (String, u64)>,
    /// Index files can be had under their hash, so that they never change while they are read.
    pub by_hash: bool,
    /// Packages of architecture `all` are in an index of their own and not in each architecture's.
    pub separate_all: bool,
    /// Fingerprint of the primary key whose signature was accepted, upper-case hex.
    pub signed_by: String,
}

impl Release {
    /// Verifies the signature of an InRelease file, then its fields; refused files say why by name.
    pub fn verify(inrelease: &[u8], keyring: &Keyring, expected: &Expected<'_>) -> Result<Self> {
        Self::verified(inrelease, keyring, expected)
            .map_err(|error| error.doing(format!("the index of {} is refused", expected.suite)))
    }

    fn verified(inrelease: &[u8], keyring: &Keyring, expected: &Expected<'_>) -> Result<Self> {
        let (text, signed_by) = signed_text(inrelease, keyring, expected.now)?;
        let release = parse(&text, signed_by)?;
        let fields = Fields::of(&text);
        check_suite(&fields, expected)?;
        check_dates(&release, expected)?;
        Ok(release)
    }
}

/// The text that a trusted key signed, and that key's fingerprint. Only what the verifier hands out counts:
/// text around the signed part is refused, so that nobody mistakes it for signed.
fn signed_text(inrelease: &[u8], keyring: &Keyring, now: i64) -> Result<(String, String)> {
    const BEGIN: &[u8] = b"-----BEGIN PGP SIGNED MESSAGE-----";
    const END: &[u8] = b"-----END PGP SIGNATURE-----";
    let trimmed = inrelease.trim_ascii();
    if !trimmed.starts_with(BEGIN) {
        let found = inrelease.windows(BEGIN.len()).any(|window| window == BEGIN);
        return Err(if found {
            Error::new("there is text before the signed part")
        } else {
            Error::new("it is not signed")
                .hint("a proxy or a login page may have answered in the mirror's place")
        });
    }
    if !trimmed.ends_with(END) {
        return Err(Error::new("it is cut short, or there is text after the signature"));
    }
    if trimmed.windows(END.len()).filter(|window| *window == END).count() != 1 {
        return Err(Error::new("it holds more than one signature block"));
    }
    let policy = StandardPolicy::new();
    let helper = Helper { keyring, signer: None, problem: None, now };
    // A signature may be dated a little ahead of a clock that is slow; the Date field is checked afterwards.
    let at = UNIX_EPOCH + Duration::from_secs(now.saturating_add(CLOCK_TOLERANCE).max(0) as u64);
    let built =
        VerifierBuilder::from_bytes(trimmed).and_then(|builder| builder.with_policy(&policy, at, helper));
    let mut verifier = built.map_err(|error| match error.downcast::<Refused>() {
        Ok(refused) => refused.into_error(),
        Err(error) => Error::new("its signature cannot be read").because(error),
    })?;
    let mut text = Vec::new();
    if let Err(error) = verifier.read_to_end(&mut text) {
        let problem = verifier.helper_ref().problem.clone();
        return Err(match problem {
            Some(refused) => refused.into_error(),
            None => Error::new("its signature cannot be checked").because(error),
        });
    }
    let helper = verifier.into_helper();
    let signer = helper.signer.ok_or_else(|| Error::new("it is not signed"))?;
    let text = String::from_utf8(text).map_err(|_| Error::new("the signed text is not UTF-8"))?;
    Ok((text, signer))
}

/// Why no signature was accepted.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{what}")]
struct Refused {
    what: String,
    causes: Vec<String>,
    hint: Option<String>,
}

impl Refused {
    fn into_error(self) -> Error {
        let error = self.causes.into_iter().fold(Error::new(self.what), |error, cause| error.because(cause));
        match self.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

struct Helper<'a> {
    keyring: &'a Keyring,
    signer: Option<String>,
    problem: Option<Refused>,
    now: i64,
}

impl VerificationHelper for Helper<'_> {
    fn get_certs(&mut self, _ids: &[KeyHandle]) -> openpgp::Result<Vec<Cert>> {
        Ok(self.keyring.0.clone())
    }

    fn check(&mut self, structure: MessageStructure<'_>) -> openpgp::Result<()> {
        let mut problems = Vec::new();
        for layer in structure {
            let MessageLayer::SignatureGroup { results } = layer else { continue };
            for result in results {
                match result {
                    Ok(good) => {
                        self.signer = Some(good.ka.cert().fingerprint().to_hex());
                        return Ok(());
                    }
                    Err(error) => problems.push(describe(&error, self.now)),
                }
            }
        }
        let refused = refusal(problems);
        self.problem = Some(refused.clone());
        Err(refused.into())
    }
}

/// How bad a signature is; the worst names the error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    UnknownKey,
    Malformed,
    Key,
    Future,
    Bad,
}

fn describe(error: &VerificationError<'_>, now: i64) -> (Rank, String) {
    use VerificationError as E;
    match error {
        E::MissingKey { sig } => {
            // The fingerprint, where the signature tells it beside the shorter key id.
            let longest = sig.get_issuers().iter().map(KeyHandle::to_hex).max_by_key(String::len);
            (Rank::UnknownKey, format!("signed by the unknown key {}", longest.unwrap_or_default()))
        }
        E::BadSignature { sig, ka, error } => {
            let made = sig.signature_creation_time().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            let made = made.map(|time| time.as_secs() as i64);
            if let Some(made) = made.filter(|&made| made > now + CLOCK_TOLERANCE) {
                return (
                    Rank::Future,
                    format!("signed on {}, which this clock says is to come", date::show(made)),
                );
            }
            (
                Rank::Bad,
                format!("the signature by {} does not fit the text: {error}", ka.cert().fingerprint()),
            )
        }
        E::BadKey { ka, error, .. } => {
            (Rank::Key, format!("the key {} may not be used: {error}", ka.cert().fingerprint()))
        }
        E::UnboundKey { cert, error, .. } => {
            (Rank::Key, format!("the key {} may not be used: {error}", cert.fingerprint()))
        }
        E::MalformedSignature { error, .. } => {
            (Rank::Malformed, format!("a signature cannot be read: {error}"))
        }
        E::UnknownSignature { .. } => (Rank::Malformed, "a signature cannot be read".into()),
        _ => (Rank::Malformed, "a signature cannot be judged".into()),
    }
}

fn refusal(mut problems: Vec<(Rank, String)>) -> Refused {
    problems.sort_by_key(|(rank, _)| std::cmp::Reverse(*rank));
    let worst = problems.first().map(|(rank, _)| *rank);
    let (what, hint) = match worst {
        None => ("it is not signed", None),
        Some(Rank::Bad) => (
            "its signature is bad: the file was changed after it was signed",
            Some("the mirror, or a proxy on the way, changes files: try another --mirror"),
        ),
        Some(Rank::Future) => ("it is signed in the future", Some("set this machine's clock")),
        Some(Rank::UnknownKey) => (
            "no key that goldcast trusts has signed it",
            Some(
                "for a mirror signed with its own key, name the keyring in the recipe (distribution.keyring)",
            ),
        ),
        Some(Rank::Key | Rank::Malformed) => ("none of its signatures can be accepted", None),
    };
    let causes = problems.into_iter().map(|(_, text)| text).collect();
    Refused { what: what.into(), causes, hint: hint.map(String::from) }
}

/// The fields of one stanza, as slices of its text; a value keeps its continuation lines.
struct Fields<'a>(BTreeMap<String, &'a str>);

impl<'a> Fields<'a> {
    fn of(text: &'a str) -> Self {
        let mut fields = BTreeMap::new();
        let mut rest = text;
        while !rest.is_empty() {
            let mut end = 0;
            // A field goes on while lines begin with a space.
            loop {
                end += rest[end..].find('\n').map_or(rest.len() - end, |position| position + 1);
                if end >= rest.len() || !rest[end..].starts_with([' ', '\t']) {
                    break;
                }
            }
            let (field, after) = rest.split_at(end);
            rest = after;
            if let Some((name, value)) = field.split_once(':') {
                // The first one counts: a repeated field is not allowed to override it.
                fields.entry(name.trim().to_ascii_lowercase()).or_insert(value.trim());
            }
        }
        Self(fields)
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).copied()
    }
}

fn parse(text: &str, signed_by: String) -> Result<Release> {
    let fields = Fields::of(text);
    let time = |name: &str| -> Result<Option<i64>> {
        let Some(value) = fields.get(name) else { return Ok(None) };
        let parsed = date::parse(value);
        parsed.map(Some).ok_or_else(|| Error::new(format!("its {name} field is no date: {value:?}")))
    };
    let date = time("date")?.ok_or_else(|| Error::new("it has no Date field"))?;
    let list = fields.get("sha256").ok_or_else(|| Error::new("it lists no SHA256 hashes"))?;
    let mut files = BTreeMap::new();
    for line in list.lines().filter(|line| !line.trim().is_empty()) {
        let mut words = line.split_whitespace();
        let (hash, size, path) =
            (words.next(), words.next().and_then(|size| size.parse().ok()), words.next());
        let (Some(hash), Some(size), Some(path)) = (hash, size, path) else {
            return Err(Error::new(format!("its SHA256 list has a line that cannot be read: {line:?}")));
        };
        if !crate::store::is_sha256(hash) {
            return Err(Error::new(format!("its SHA256 list has a line that cannot be read: {line:?}")));
        }
        files.insert(path.to_string(), (hash.to_string(), size));
    }
    let words = |name: &str| fields.get(name).unwrap_or_default().split_whitespace();
    let all = words("architectures").any(|word| word == "all");
    let merged = words("no-support-for-architecture-all").any(|word| word == "Packages");
    Ok(Release {
        date,
        valid_until: time("valid-until")?,
        files,
        by_hash: fields.get("acquire-by-hash").is_some_and(|value| value.eq_ignore_ascii_case("yes")),
        separate_all: all && !merged,
        signed_by,
    })
}

fn check_suite(fields: &Fields<'_>, expected: &Expected<'_>) -> Result<()> {
    let suite = expected.suite;
    let names = [fields.get("codename"), fields.get("suite")];
    if names.iter().flatten().any(|name| *name == suite || expected.alias == Some(*name)) {
        return Ok(());
    }
    let found: Vec<&str> = names.into_iter().flatten().collect();
    let found = if found.is_empty() { "a suite without a name".to_string() } else { found.join(" / ") };
    Err(Error::new(format!("{suite} was asked for, but it is the index of {found}"))
        .hint("the mirror serves another suite under this address: name another one with --mirror"))
}

fn check_dates(release: &Release, expected: &Expected<'_>) -> Result<()> {
    let clock = format!("this machine's clock says {}", date::show(expected.now));
    if release.date > expected.now.saturating_add(CLOCK_TOLERANCE) {
        return Err(Error::new(format!("it is dated in the future, {}", date::show(release.date)))
            .because(clock)
            .hint("set this machine's clock"));
    }
    if let Some(until) = release.valid_until.filter(|&until| until < expected.now) {
        let ago = date::span(expected.now.saturating_sub(until));
        return Err(Error::new(format!("it has expired {ago} ago, on {}", date::show(until)))
            .because(clock)
            .hint("the mirror is out of date, or this machine's clock is wrong: set it, or try another --mirror"));
    }
    if let Some(locked) = expected.not_before.filter(|&locked| release.date < locked) {
        let back = date::span(locked.saturating_sub(release.date));
        return Err(Error::new(format!(
            "it is rolled back: made on {}, which is {back} before the index that the lock was made from",
            date::show(release.date)
        ))
        .hint(
            "the mirror lags behind, or somebody replays an old index: try again later or another --mirror",
        ));
    }
    Ok(())
}

#[cfg(test)]
#[path = "release_tests.rs"]
mod tests;
