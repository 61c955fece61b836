//! Which checks run: what applies to the plan, what the user asks for, and on which firmware.

use super::{Check, Checks, Condition, Context, Often, Which};
use crate::error::{Error, Result};
use crate::nearest;
use crate::verify::firmware::Firmware;

/// What the user asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only these checks, by name; all when empty.
    pub only: Vec<String>,
    /// Not these.
    pub skip: Vec<String>,
    /// One firmware, and no destructive checks.
    pub quick: bool,
}

impl Selection {
    /// Why a check is left out, when it is.
    fn leaves_out(&self, check: &Check) -> Option<&'static str> {
        if self.skip.contains(&check.name) {
            Some("skipped by --skip")
        } else if !self.only.is_empty() && !self.only.contains(&check.name) {
            Some("not among --only")
        } else if self.quick && check.machine.is_some() {
            Some("left out by --quick: it needs a boot of its own")
        } else if self.quick && check.destructive {
            Some("left out by --quick: it would change the machine")
        } else {
            None
        }
    }
}

/// A check that applies, with where it runs.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// The check.
    pub check: Check,
    /// On these firmwares; empty for a static one.
    pub firmwares: Vec<Firmware>,
    /// Why it does not run, when the user left it out.
    pub skipped: Option<&'static str>,
}

/// The checks that apply to the plan, in file order, with the steps that do. `firmwares` are the ones booted, the first first.
pub fn select(
    checks: &Checks,
    context: &Context,
    firmwares: &[Firmware],
    wishes: &Selection,
) -> Result<Vec<Chosen>> {
    for name in wishes.only.iter().chain(&wishes.skip) {
        if !checks.all.iter().any(|check| check.name == *name) {
            let error = Error::usage(format!("there is no check named {name}"));
            return Err(match nearest::one(name, checks.all.iter().map(|check| check.name.as_str())) {
                Some(near) => error.hint(format!("did you mean {near}?")),
                None => error.hint("`goldcast verify --list` names them all"),
            });
        }
    }
    let mut chosen = Vec::new();
    let applies = |conditions: &[Condition]| conditions.iter().all(|condition| context.holds(condition));
    for check in checks.all.iter().filter(|check| applies(&check.when)) {
        let on: Vec<Firmware> = match (check.kind, &check.firmware) {
            (super::Kind::Static, _) => Vec::new(),
            (_, Which::Word(Often::All)) => firmwares.to_vec(),
            (_, Which::Word(Often::Families)) => one_of_each_family(firmwares),
            (_, Which::Word(Often::Once)) => firmwares.first().copied().into_iter().collect(),
            (_, Which::These(these)) => {
                let booted: Vec<Firmware> = firmwares.iter().copied().filter(|f| these.contains(f)).collect();
                if booted.is_empty() {
                    continue;
                }
                booted
            }
        };
        let skipped = wishes.leaves_out(check);
        let mut check = check.clone();
        check.steps.retain(|step| applies(&step.when));
        chosen.push(Chosen { check, firmwares: on, skipped });
    }
    match wishes.only.iter().find(|name| !chosen.iter().any(|chosen| chosen.check.name == **name)) {
        None => Ok(chosen),
        Some(name) => {
            let here = checks.all.iter().any(|check| check.name == *name && applies(&check.when));
            let why = match here {
                true => "it is for a firmware that is not booted",
                false => "a condition of it does not hold for this recipe",
            };
            Err(Error::usage(format!("the check {name} would not be made")).because(why))
        }
    }
}

/// BIOS, and the strictest UEFI among these.
fn one_of_each_family(firmwares: &[Firmware]) -> Vec<Firmware> {
    let strictest = firmwares.iter().copied().filter(|firmware| firmware.is_uefi()).max();
    firmwares.iter().copied().filter(|firmware| !firmware.is_uefi() || Some(*firmware) == strictest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::testing::{lock, plan};

    fn checks() -> Checks {
        let text = r#"
            check = [
                { name = "always", kind = "inside", proves = "x", firmware = "all", steps = [{ run = "true" }] },
                { name = "once", kind = "inside", proves = "x", steps = [{ run = "true" }] },
                { name = "efi", kind = "inside", proves = "x", firmware = ["uefi", "secure-boot"], steps = [{ run = "true" }] },
                { name = "loader", kind = "inside", proves = "x", firmware = "families", steps = [{ run = "true" }] },
                { name = "rough", kind = "inside", proves = "x", destructive = true, steps = [{ run = "true" }] },
                { name = "off", kind = "inside", proves = "x", when = [{ path = "overlay.nope", present = true }], steps = [{ run = "true" }] },
                { name = "partly", kind = "inside", proves = "x", steps = [
                    { run = "true" },
                    { run = "false", when = [{ path = "overlay.nope", present = true }] },
                ] },
                { name = "files", kind = "static", proves = "x", steps = [{ tree = { absent = ["/x"] } }] },
            ]"#;
        #[derive(serde::Deserialize)]
        struct File {
            check: Vec<Check>,
        }
        Checks { all: toml::from_str::<File>(text).unwrap().check, ..Checks::default() }
    }

    fn chosen(wishes: Selection) -> Vec<(String, usize, bool)> {
        let context = Context::new(&plan(), &lock(), None);
        let chosen = select(&checks(), &context, &Firmware::ALL, &wishes).unwrap();
        chosen.into_iter().map(|c| (c.check.name, c.firmwares.len(), c.skipped.is_some())).collect()
    }

    #[test]
    fn checks_run_on_the_firmwares_they_name_and_inapplicable_ones_are_not_listed() {
        let expected = [
            ("always", 3),
            ("once", 1),
            ("efi", 2),
            ("loader", 2),
            ("rough", 1),
            ("partly", 1),
            ("files", 0),
        ];
        assert_eq!(
            chosen(Selection::default()),
            expected.map(|(name, count)| (name.to_owned(), count, false))
        );
    }

    #[test]
    fn steps_whose_condition_does_not_hold_are_not_taken() {
        let context = Context::new(&plan(), &lock(), None);
        let chosen = select(&checks(), &context, &Firmware::ALL, &Selection::default()).unwrap();
        let partly = chosen.into_iter().find(|chosen| chosen.check.name == "partly").unwrap();
        let scripts: Vec<_> = partly.check.steps.iter().filter_map(|step| step.run.as_deref()).collect();
        assert_eq!(scripts, ["true"]);
    }

    #[test]
    fn of_the_family_of_uefi_the_strictest_that_is_booted_counts() {
        use Firmware::{Bios, SecureBoot, Uefi};
        assert_eq!(one_of_each_family(&Firmware::ALL), [Bios, SecureBoot]);
        assert_eq!(one_of_each_family(&[Uefi, Bios]), [Uefi, Bios]);
        assert_eq!(one_of_each_family(&[Uefi]), [Uefi]);
        assert_eq!(one_of_each_family(&[]), []);
    }

    #[test]
    fn what_is_left_out_stays_in_the_list_as_skipped() {
        let skipped = |wishes: Selection| -> Vec<String> {
            chosen(wishes).into_iter().filter(|(.., skipped)| *skipped).map(|(name, ..)| name).collect()
        };
        assert_eq!(skipped(Selection { skip: vec!["once".into()], ..Default::default() }), ["once"]);
        assert_eq!(skipped(Selection { quick: true, ..Default::default() }), ["rough"]);
        let only = Selection { only: vec!["efi".into()], ..Default::default() };
        assert_eq!(skipped(only), ["always", "once", "loader", "rough", "partly", "files"]);
    }

    #[test]
    fn what_is_asked_for_by_name_and_does_not_apply_is_an_error() {
        let context = Context::new(&plan(), &lock(), None);
        let told = |name: &str, firmwares: &[Firmware]| {
            let wishes = Selection { only: vec![name.into()], ..Default::default() };
            select(&checks(), &context, firmwares, &wishes)
                .map_or_else(|error| error.to_string(), |_| "".into())
        };
        assert!(told("off", &Firmware::ALL).contains("does not hold for this recipe"));
        assert!(told("efi", &[Firmware::Bios]).contains("not booted"));
        assert_eq!(told("efi", &[Firmware::Uefi]), "");
        assert_eq!(told("files", &[Firmware::Bios]), "");
    }

    #[test]
    fn an_unknown_name_is_an_error_with_the_nearest() {
        let wishes = Selection { skip: vec!["alway".into()], ..Default::default() };
        let context = Context::new(&plan(), &lock(), None);
        let error = select(&checks(), &context, &Firmware::ALL, &wishes).unwrap_err();
        assert_eq!(error.advice(), Some("did you mean always?"));
    }
}
