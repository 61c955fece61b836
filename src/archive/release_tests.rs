use super::*;
use crate::archive::testing::{Signer, release_text};
use proptest::prelude::*;

const NOW: i64 = 1_800_000_000;
const DAY: i64 = 86400;

fn expected() -> Expected<'static> {
    Expected { suite: "trixie-security", alias: None, now: NOW, not_before: None }
}

fn text(date: i64, valid_until: Option<i64>) -> String {
    release_text("trixie-security", date, valid_until, &[("main/binary-amd64/Packages.xz", b"x")])
}

fn refused(bytes: &[u8], signer: &Signer, expected: &Expected<'_>) -> String {
    let error = Release::verify(bytes, &signer.keyring(), expected).unwrap_err();
    assert!(error.what().contains("trixie-security is refused"), "{error}");
    error.render()
}

#[test]
fn a_good_index_is_accepted_with_its_signer() {
    let signer = Signer::new(NOW - 9 * DAY);
    let bytes = signer.sign(&text(NOW - DAY, Some(NOW + DAY)), NOW - DAY);
    let release = Release::verify(&bytes, &signer.keyring(), &expected()).unwrap();
    assert_eq!(release.signed_by, signer.fingerprint());
    assert_eq!((release.date, release.valid_until), (NOW - DAY, Some(NOW + DAY)));
    assert!(release.by_hash && !release.separate_all);
    assert_eq!(release.files["main/binary-amd64/Packages.xz"].1, 1);
}

#[test]
fn one_good_signature_among_several_is_enough() {
    let (ours, other) = (Signer::new(NOW - 9 * DAY), Signer::new(NOW - 9 * DAY));
    let bytes = other.sign_with(&[&ours], &text(NOW - DAY, None), NOW - DAY);
    for signer in [&ours, &other] {
        let release = Release::verify(&bytes, &signer.keyring(), &expected()).unwrap();
        assert_eq!(release.signed_by, signer.fingerprint());
    }
}

#[test]
fn an_unsigned_index_is_refused() {
    let signer = Signer::new(NOW - 9 * DAY);
    assert!(refused(text(NOW - DAY, None).as_bytes(), &signer, &expected()).contains("it is not signed"));
    assert!(refused(b"<html>please log in</html>", &signer, &expected()).contains("login page"));
    assert!(refused(b"", &signer, &expected()).contains("it is not signed"));
}

#[test]
fn a_changed_index_is_refused() {
    let signer = Signer::new(NOW - 9 * DAY);
    let bytes = String::from_utf8(signer.sign(&text(NOW - DAY, None), NOW - DAY)).unwrap();
    let changed = bytes.replace("Packages.xz", "Packages.xx");
    assert!(refused(changed.as_bytes(), &signer, &expected()).contains("its signature is bad"));
}

#[test]
fn text_around_the_signed_part_is_refused() {
    let signer = Signer::new(NOW - 9 * DAY);
    let bytes = String::from_utf8(signer.sign(&text(NOW - DAY, None), NOW - DAY)).unwrap();
    let before = format!("Valid-Until: Sat, 12 Sep 2099 07:55:41 UTC\n{bytes}");
    assert!(refused(before.as_bytes(), &signer, &expected()).contains("text before the signed part"));
    let after = format!("{bytes}\nCodename: trixie\n");
    assert!(refused(after.as_bytes(), &signer, &expected()).contains("text after the signature"));
    let twice = format!("{bytes}\n{bytes}");
    assert!(refused(twice.as_bytes(), &signer, &expected()).contains("more than one signature"));
    let cut = &bytes[..bytes.len() - 40];
    assert!(refused(cut.as_bytes(), &signer, &expected()).contains("cut short"));
}

#[test]
fn a_signature_by_a_stranger_is_refused_with_its_key() {
    let (ours, stranger) = (Signer::new(NOW - 9 * DAY), Signer::new(NOW - 9 * DAY));
    let bytes = stranger.sign(&text(NOW - DAY, None), NOW - DAY);
    let error = refused(&bytes, &ours, &expected());
    assert!(error.contains("no key that goldcast trusts"), "{error}");
    assert!(error.contains(&format!("signed by the unknown key {}", stranger.signing_key())), "{error}");
}

#[test]
fn a_key_that_had_expired_when_it_signed_is_refused() {
    let signer = Signer::expiring(NOW - 9 * DAY, 3 * DAY);
    let bytes = signer.sign(&text(NOW - 8 * DAY, None), NOW - 8 * DAY);
    Release::verify(&bytes, &signer.keyring(), &expected()).unwrap();
    let bytes = signer.sign(&text(NOW - DAY, None), NOW - DAY);
    assert!(refused(&bytes, &signer, &expected()).contains("none of its signatures can be accepted"));
}

#[test]
fn an_expired_index_is_refused_with_how_long_ago() {
    let signer = Signer::new(NOW - 99 * DAY);
    let bytes = signer.sign(&text(NOW - 10 * DAY, Some(NOW - 3 * DAY)), NOW - 10 * DAY);
    let error = refused(&bytes, &signer, &expected());
    assert!(error.contains("it has expired 3 days ago") && error.contains("clock"), "{error}");
    Release::verify(&bytes, &signer.keyring(), &Expected { now: NOW - 4 * DAY, ..expected() }).unwrap();
}

#[test]
fn an_index_from_the_future_is_refused() {
    let signer = Signer::new(NOW - 99 * DAY);
    let bytes = signer.sign(&text(NOW + 2 * DAY, None), NOW);
    assert!(refused(&bytes, &signer, &expected()).contains("dated in the future"));
    let bytes = signer.sign(&text(NOW, None), NOW + 2 * DAY);
    let error = refused(&bytes, &signer, &expected());
    assert!(error.contains("signed in the future") && error.contains("clock"), "{error}");
    // A clock that is some minutes slow is no reason to stop.
    let bytes = signer.sign(&text(NOW + 600, None), NOW + 600);
    Release::verify(&bytes, &signer.keyring(), &expected()).unwrap();
}

#[test]
fn another_suite_is_refused_by_name() {
    let signer = Signer::new(NOW - 9 * DAY);
    let bytes = signer.sign(&text(NOW - DAY, None), NOW - DAY);
    let asked = Expected { suite: "trixie", ..expected() };
    let error = Release::verify(&bytes, &signer.keyring(), &asked).unwrap_err().to_string();
    assert!(error.contains("trixie was asked for, but it is the index of trixie-security"), "{error}");
    let asked = Expected { suite: "trixie-security/app/7", ..expected() };
    assert!(Release::verify(&bytes, &signer.keyring(), &asked).is_err());
    let asked = Expected { alias: Some("trixie-security"), ..asked };
    Release::verify(&bytes, &signer.keyring(), &asked).unwrap();
}

#[test]
fn an_older_index_than_the_locks_is_refused() {
    let signer = Signer::new(NOW - 99 * DAY);
    let bytes = signer.sign(&text(NOW - 10 * DAY, None), NOW - 10 * DAY);
    let locked = |seconds| Expected { not_before: Some(seconds), ..expected() };
    assert!(refused(&bytes, &signer, &locked(NOW - 8 * DAY)).contains("rolled back"));
    Release::verify(&bytes, &signer.keyring(), &locked(NOW - 10 * DAY)).unwrap();
}

#[test]
fn fields_that_cannot_be_read_are_named() {
    let signer = Signer::new(NOW - 9 * DAY);
    for (from, to, why) in [
        ("Date: ", "Date: soon ", "its date field is no date"),
        ("Date: ", "Dated: ", "it has no Date field"),
        ("SHA256:", "MD5Sum:", "it lists no SHA256"),
        (" 1 main", " one main", "a line that cannot be read"),
    ] {
        let changed = text(NOW - DAY, None).replace(from, to);
        let bytes = signer.sign(&changed, NOW - DAY);
        let error = refused(&bytes, &signer, &expected());
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn a_repeated_field_overrides_nothing() {
    let text = "Codename: a\nDate: x\n y\nCodename: b\n";
    let fields = Fields::of(text);
    assert_eq!(fields.get("codename"), Some("a"));
    assert_eq!(fields.get("date"), Some("x\n y"));
}

#[test]
fn the_built_in_keys_can_be_read() {
    for release in crate::archive::distribution::DEBIAN.releases {
        let keyring = Keyring::read(release.keys.iter().map(|key| key.as_bytes())).unwrap();
        assert_eq!(keyring.0.len(), release.keys.len());
    }
    let both = crate::archive::distribution::DEBIAN.releases[0].keys[..2].join("\n");
    assert_eq!(Keyring::read([both.as_bytes()]).unwrap().0.len(), 2);
    assert_eq!(Keyring::read([&b"no keys"[..]]).err().unwrap().exit().code(), 2);
}

proptest! {
    #[test]
    fn any_bytes_are_refused(bytes: Vec<u8>) {
        let keyring = Keyring::read(crate::archive::distribution::DEBIAN.releases[0].keys.iter().map(|key| key.as_bytes()));
        prop_assert!(Release::verify(&bytes, &keyring.unwrap(), &expected()).is_err());
    }

    #[test]
    fn any_fields_are_parsed_or_refused(text in "([A-Za-z0-9-]{0,8}[: \n]{0,3}){0,20}") {
        let _ = parse(&text, String::new());
    }

    #[test]
    fn any_keyring_is_read_or_refused(bytes: Vec<u8>) {
        let _ = Keyring::read([bytes.as_slice()]);
    }
}
