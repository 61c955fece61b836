//! What the tests of this stage share.

use super::release::Keyring;
use crate::recipe::plan::{Origin, Packages, Plan};
use crate::recipe::testing::empty_plan;
use sequoia_openpgp::Cert;
use sequoia_openpgp::cert::CertBuilder;
use sequoia_openpgp::serialize::SerializeInto;
use sequoia_openpgp::serialize::stream::{self, Message};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A plan that asks for these packages and denies those.
pub fn plan(install: &[&str], deny: &[&str]) -> Plan {
    let asked = |names: &[&str]| -> BTreeMap<String, Vec<Origin>> {
        names.iter().map(|name| (name.to_string(), vec![Origin::Recipe("recipes/web.toml".into())])).collect()
    };
    Plan {
        packages: Packages { install: asked(install), deny: asked(deny), ..Packages::default() },
        ..empty_plan("web")
    }
}

/// A key that signs indexes.
pub struct Signer(Cert);

impl Signer {
    /// A key made at this time, in seconds since 1970.
    pub fn new(made: i64) -> Self {
        Self::made(made, None)
    }

    /// A key that expires so many seconds after it was made.
    pub fn expiring(made: i64, after: i64) -> Self {
        Self::made(made, Some(Duration::from_secs(after as u64)))
    }

    fn made(made: i64, validity: Option<Duration>) -> Self {
        let builder = CertBuilder::general_purpose(Some("archive@test"));
        let builder = builder.set_creation_time(at(made)).set_validity_period(validity);
        Self(builder.generate().unwrap().0)
    }

    /// It, as the only trusted key.
    pub fn keyring(&self) -> Keyring {
        Keyring::read([self.armoured().as_slice()]).unwrap()
    }

    /// Its public part.
    pub fn armoured(&self) -> Vec<u8> {
        self.0.clone().strip_secret_key_material().armored().to_vec().unwrap()
    }

    /// Its fingerprint.
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint().to_hex()
    }

    /// The fingerprint of the key within it that signs.
    pub fn signing_key(&self) -> String {
        self.0
            .keys()
            .filter(|key| key.key().pk_algo().for_signing())
            .last()
            .unwrap()
            .key()
            .fingerprint()
            .to_hex()
    }

    /// The text clear-signed at this time.
    pub fn sign(&self, text: &str, when: i64) -> Vec<u8> {
        self.sign_with(&[], text, when)
    }

    /// As [`Signer::sign`], with more signers.
    pub fn sign_with(&self, others: &[&Self], text: &str, when: i64) -> Vec<u8> {
        // The key's own expiry must not keep a test from making the signature that is to be refused.
        let key = |signer: &Self| {
            let keys = signer.0.keys().secret();
            let keys = keys.filter(|key| key.key().pk_algo().for_signing()).map(|key| key.key().clone());
            keys.last().unwrap().into_keypair().unwrap()
        };
        let mut bytes = Vec::new();
        let message = Message::new(&mut bytes);
        let mut signer = stream::Signer::new(message, key(self)).unwrap().cleartext().creation_time(at(when));
        for other in others {
            signer = signer.add_signer(key(other)).unwrap();
        }
        let mut message = signer.build().unwrap();
        message.write_all(text.as_bytes()).unwrap();
        message.finalize().unwrap();
        bytes
    }
}

fn at(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds as u64)
}

/// A Release file that lists these index files.
pub fn release_text(suite: &str, date: i64, valid_until: Option<i64>, files: &[(&str, &[u8])]) -> String {
    let show = |seconds| {
        jiff::Timestamp::from_second(seconds).unwrap().strftime("%a, %d %b %Y %H:%M:%S UTC").to_string()
    };
    let mut text = format!("Origin: Test\nSuite: {suite}\nCodename: {suite}\nDate: {}\n", show(date));
    if let Some(until) = valid_until {
        text.push_str(&format!("Valid-Until: {}\n", show(until)));
    }
    text.push_str("Acquire-By-Hash: yes\nArchitectures: amd64\nSHA256:\n");
    for (path, bytes) in files {
        text.push_str(&format!(" {} {} {path}\n", hex::encode(Sha256::digest(bytes)), bytes.len()));
    }
    text
}
