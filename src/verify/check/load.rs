//! Reading check files: from the binary, and from `qemu-tests/` beside a recipe.

use super::{Check, Context, LetIn, Prepare, validate};
use crate::error::{Error, Result};
use crate::nearest;
use include_dir::{Dir, include_dir};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

static BUILT_IN: Dir = include_dir!("$CARGO_MANIFEST_DIR/qemu-tests");
/// The file whose checks, and sabotages, every image gets.
pub const BASE: &str = "base";
/// An upper bound for a check file or script that somebody points goldcast at by mistake.
const SIZE_LIMIT: u64 = 1 << 20;

/// Checks in the order they are listed.
#[derive(Debug, Clone, Default)]
pub struct Checks {
    /// The checks.
    pub all: Vec<Check>,
    /// What is done to each machine before they are made.
    pub(super) prepare: Vec<Prepare>,
}

/// Checks of an image, as data: what holds when each passes, and the steps that show it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(title = "Checks of a goldcast image")]
struct CheckFile {
    /// The checks, in the order in which they are made.
    #[serde(default)]
    check: Vec<Check>,
    /// How the run's key gets in where the file's overlay asks for more than a key.
    #[serde(default)]
    let_in: Option<LetIn>,
    /// What is done to each machine, so that the lab reaches it.
    #[serde(default)]
    prepare: Option<Prepare>,
}

/// The JSON Schema of a check file.
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(CheckFile)
}

/// The checks for an image with these overlays: the ones every image gets, one file an overlay, and every file of
/// `directories` (the user's own, the nearest first) that is not for an overlay that is off. Of files of one name the
/// nearest counts, and a built-in one least.
pub fn load<'a>(overlays: impl Iterator<Item = &'a str>, directories: &[PathBuf]) -> Result<Checks> {
    let mut stems = vec![BASE];
    stems.extend(overlays);
    let mut checks = Checks::default();
    let mut let_in: Vec<(String, LetIn)> = Vec::new();
    let mut read_already = BTreeSet::new();
    for stem in &stems {
        let file = format!("{stem}.toml");
        if directories.iter().any(|directory| directory.join(&file).is_file()) {
            continue;
        }
        let Some(file) = BUILT_IN.get_file(file) else { continue };
        let text = file.contents_utf8().unwrap_or_default();
        let source = format!("qemu-tests/{stem}.toml");
        let file = parse(&source, text, &BuiltIn)?;
        checks.add(file.check)?;
        checks.prepare.extend(file.prepare);
        let_in.extend(file.let_in.map(|let_in| (source, let_in)));
    }
    for directory in directories {
        for path in declarations(directory)? {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let off = BUILT_IN.get_file(format!("{stem}.toml")).is_some() && !stems.contains(&&*stem);
            if !off && read_already.insert(stem.to_string()) {
                let source = path.display().to_string();
                let file = parse(&source, &read(&path)?, &Beside(directory))?;
                checks.add(file.check)?;
                checks.prepare.extend(file.prepare);
                let_in.extend(file.let_in.map(|let_in| (source, let_in)));
            }
        }
    }
    for check in &mut checks.all {
        let others = let_in.iter().filter(|(source, _)| *source != check.source);
        check.let_in = others.map(|(_, let_in)| let_in.clone()).collect();
    }
    Ok(checks)
}

/// The TOML files of a directory, by name.
///
/// # Errors
/// When it cannot be read.
pub fn declarations(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs_err::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// What lies beside a check file.
trait Around {
    /// A script.
    fn script(&self, name: &str) -> Result<String>;
    /// The files of a directory, by their paths in it.
    fn directory(&self, name: &str) -> Result<BTreeMap<String, Vec<u8>>>;
}

/// Beside the files in the binary.
struct BuiltIn;

impl Around for BuiltIn {
    fn script(&self, name: &str) -> Result<String> {
        let file = BUILT_IN.get_file(name).and_then(|file| file.contents_utf8());
        file.map(str::to_owned).ok_or_else(|| Error::usage(format!("there is no script {name}")))
    }

    fn directory(&self, name: &str) -> Result<BTreeMap<String, Vec<u8>>> {
        let directory = BUILT_IN.get_dir(name);
        let directory = directory.ok_or_else(|| Error::usage(format!("there is no directory {name}")))?;
        let (mut found, mut pending) = (BTreeMap::new(), vec![directory]);
        while let Some(next) = pending.pop() {
            pending.extend(next.dirs());
            for file in next.files() {
                let path = file.path().strip_prefix(name).unwrap_or(file.path());
                found.insert(path.to_string_lossy().into_owned(), file.contents().to_vec());
            }
        }
        Ok(found)
    }
}

/// Beside the files of a directory of the user's; behind that what is built in, which a file that takes the place of a
/// built-in one goes on using.
struct Beside<'a>(&'a Path);

impl Around for Beside<'_> {
    fn script(&self, name: &str) -> Result<String> {
        let path = self.0.join(name);
        match path.is_file() {
            true => read(&path),
            false => BuiltIn
                .script(name)
                .map_err(|_| Error::usage(format!("there is no script {}", path.display()))),
        }
    }

    fn directory(&self, name: &str) -> Result<BTreeMap<String, Vec<u8>>> {
        let top = self.0.join(name);
        if !top.is_dir() {
            return BuiltIn
                .directory(name)
                .map_err(|_| Error::usage(format!("there is no directory {}", top.display())));
        }
        let mut found = BTreeMap::new();
        for path in files_below(&top)? {
            if fs_err::metadata(&path)?.len() > SIZE_LIMIT {
                return Err(Error::usage(format!("{} is too large for a check", path.display())));
            }
            let inner = path.strip_prefix(&top).unwrap_or(&path);
            found.insert(inner.to_string_lossy().into_owned(), fs_err::read(&path)?);
        }
        Ok(found)
    }
}

/// What is below a directory and is none itself.
///
/// # Errors
/// When a directory there cannot be read.
pub fn files_below(directory: &Path) -> Result<Vec<PathBuf>> {
    let (mut files, mut pending) = (Vec::new(), vec![directory.to_path_buf()]);
    while let Some(next) = pending.pop() {
        for entry in fs_err::read_dir(&next)? {
            let path = entry?.path();
            if path.is_dir() { pending.push(path) } else { files.push(path) }
        }
    }
    Ok(files)
}

fn read(path: &Path) -> Result<String> {
    if fs_err::metadata(path)?.len() > SIZE_LIMIT {
        return Err(Error::usage(format!("{} is too large for a check", path.display())));
    }
    Ok(fs_err::read_to_string(path)?)
}

impl Checks {
    /// What is to be done to a machine of this plan before the checks, filled in.
    pub fn prepare(&self, context: &Context) -> Result<Vec<Prepare>> {
        let needed = |prepare: &&Prepare| prepare.when.iter().all(|condition| context.holds(condition));
        let filled = |prepare: &Prepare| Ok(Prepare { run: context.fill(&prepare.run)?, ..prepare.clone() });
        self.prepare.iter().filter(needed).map(filled).collect()
    }

    fn add(&mut self, more: Vec<Check>) -> Result<()> {
        for check in more {
            if let Some(same) = self.all.iter().find(|known| known.name == check.name) {
                return Err(Error::usage(format!("two checks are named {}", check.name))
                    .because(format!("{} and {}", same.source, check.source)));
            }
            self.all.push(check);
        }
        Ok(())
    }
}

/// The checks of one file.
fn parse(source: &str, text: &str, around: &dyn Around) -> Result<CheckFile> {
    let mut file: CheckFile = toml::from_str(text).map_err(|error| explain(source, text, &error))?;
    for check in &mut file.check {
        check.source = source.to_owned();
        validate::check(check).map_err(|error| error.doing(format!("check {} in {source}", check.name)))?;
        let mut scripts = BTreeMap::new();
        for name in check.steps.iter().filter_map(|step| step.script.as_deref()) {
            is_beside(name, check, source)?;
            let read =
                around.script(name).map_err(|e| e.doing(format!("check {} in {source}", check.name)))?;
            scripts.insert(name.to_owned(), read);
        }
        if let Some(volume) = check.machine.as_ref().and_then(|machine| machine.volume.as_ref()) {
            is_beside(&volume.directory, check, source)?;
            let files = around.directory(&volume.directory);
            check.volume = files.map_err(|e| e.doing(format!("check {} in {source}", check.name)))?;
        }
        check.scripts = scripts;
    }
    if let Some(prepare) = &file.prepare {
        let conditions = validate::conditions(&prepare.when);
        conditions.map_err(|error| error.doing(format!("[prepare] in {source}")))?;
    }
    Ok(file)
}

fn is_beside(name: &str, check: &Check, source: &str) -> Result<()> {
    match name.contains('/') || name.starts_with('.') {
        true => Err(Error::usage(format!("{name} of {} is not beside {source}", check.name))),
        false => Ok(()),
    }
}

/// serde's error with file, line, column, the line itself and the nearest known name.
fn explain(source: &str, text: &str, error: &toml::de::Error) -> Error {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    let before = text.get(..start).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let excerpt = text.lines().nth(line - 1).unwrap_or_default();
    let message = error.message();
    let drawn =
        format!("{source}:{line}:{column}\n{line:>5} | {excerpt}\n      | {}^", " ".repeat(column - 1));
    let told = Error::diagnostic(format!("{source}:{line}:{column}: {message}"), drawn);
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = quoted.next().filter(|_| message.starts_with("unknown"));
    match unknown.and_then(|name| nearest::one(name, quoted)) {
        Some(name) => told.hint(format!("did you mean `{name}`?")),
        None => told,
    }
}

/// The checks of every file in the binary.
#[cfg(test)]
pub fn shipped() -> Checks {
    let files = BUILT_IN.files().filter_map(|file| file.path().file_stem()?.to_str());
    load(files.filter(|name| *name != BASE), &[]).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Result<Vec<Check>> {
        struct Nothing;
        impl Around for Nothing {
            fn script(&self, name: &str) -> Result<String> {
                Ok(format!("# {name}"))
            }
            fn directory(&self, name: &str) -> Result<BTreeMap<String, Vec<u8>>> {
                Ok(BTreeMap::from([(format!("in {name}"), Vec::new())]))
            }
        }
        Ok(parse("x.toml", text, &Nothing)?.check)
    }

    fn refused(text: &str) -> String {
        one(text).unwrap_err().render()
    }

    #[test]
    fn scans_are_made_beside_other_checks_and_what_touches_the_machine_is_not() {
        let checks = shipped();
        let wire: Vec<&str> = checks
            .all
            .iter()
            .filter(|check| check.over_the_wire())
            .map(|check| check.name.as_str())
            .collect();
        for name in ["firewall-tcp4", "firewall-tcp6", "firewall-udp", "ssh-old-port-closed"] {
            assert!(wire.contains(&name), "{name} is not in {wire:?}");
        }
        // One logs in, one has a machine of its own, one runs a script in it, one is for a copy.
        for name in ["ssh-key-login", "identity-disk-grows", "system-running", "ssh-audit"] {
            assert!(checks.all.iter().any(|check| check.name == name), "{name}");
            assert!(!wire.contains(&name), "{name} is in {wire:?}");
        }
    }

    #[test]
    fn the_checks_that_the_readme_shows_are_accepted() {
        let shown = include_str!("../../../README.md")
            .split("```toml\n")
            .filter_map(|rest| rest.split_once("\n```"))
            .map(|(block, _)| block)
            .find(|block| block.contains("[[check]]"))
            .unwrap();
        let file = parse("qemu-tests/mine.toml", shown, &BuiltIn).unwrap();
        let names: Vec<&str> = file.check.iter().map(|check| check.name.as_str()).collect();
        assert_eq!(names, ["mine-utc", "mine-no-web"]);
    }

    #[test]
    fn a_machine_is_prepared_where_the_plan_shuts_the_lab_out() {
        use crate::verify::testing::{lock, plan};
        let prepared = |from: serde_json::Value| {
            let mut plan = plan();
            plan.overlays.insert("firewall".into(), BTreeMap::from([("ssh-from".into(), from)]));
            let checks = load(plan.topics(), &[]).unwrap();
            checks.prepare(&Context::new(&plan, &lock(), None)).unwrap()
        };
        assert!(prepared(serde_json::json!([])).is_empty());
        let [firewall] = &prepared(serde_json::json!(["198.51.100.7"]))[..] else { panic!("not prepared") };
        assert!(firewall.run.contains(" tcp dport 2222 ct state new jump ssh"), "{}", firewall.run);
    }

    #[test]
    fn no_two_checks_that_are_refused_come_from_one_address() {
        let checks = shipped();
        let refused = |step: &super::super::Step| {
            step.ssh.as_ref().is_some_and(|ssh| !ssh.login && ssh.from.is_none() && ssh.address.is_none())
        };
        let vain = checks.all.iter().filter(|check| check.steps.iter().any(refused));
        let names: Vec<&str> = vain.map(|check| check.name.as_str()).collect();
        assert!(names.len() >= 3, "{names:?}");
        let addresses: BTreeSet<_> = names.iter().map(|name| crate::verify::lab::stranger(name)).collect();
        assert_eq!(addresses.len(), names.len(), "give one of them another name: {names:?}");
    }

    #[test]
    fn only_a_machine_that_is_thrown_away_gets_new_accounts() {
        // Copies are made of the machine that the plain checks were made on. An account that came and went there is
        // a change that Monit tells on each of them, some minutes later.
        let mut looked_at = 0;
        for check in shipped().all.iter().filter(|check| !check.destructive && check.machine.is_none()) {
            let written = check.steps.iter().filter_map(|step| step.run.as_ref());
            for text in written.chain(check.scripts.values()) {
                looked_at += 1;
                assert!(!text.contains("useradd"), "{} makes an account", check.name);
            }
        }
        assert!(looked_at > 40, "{looked_at}");
    }

    const HEAD: &str = "[[check]]\nname = 'a-b'\nkind = 'inside'\nproves = 'x'\n";

    #[test]
    fn a_check_has_defaults_that_are_safe() {
        let check = one(&format!("{HEAD}[[check.steps]]\nrun = 'true'")).unwrap().remove(0);
        assert_eq!((check.severity, check.destructive), (super::super::Severity::Error, false));
        assert_eq!(check.source, "x.toml");
    }

    #[test]
    fn an_unknown_key_is_refused_with_place_and_nearest_name() {
        let told = refused(&format!("{HEAD}sevrity = 'error'\nsteps = []"));
        assert!(told.contains("x.toml:5:1") && told.contains("did you mean `severity`?"), "{told}");
        assert!(told.contains("    5 | sevrity = 'error'"), "{told}");
        let told = refused(&format!("{HEAD}[[check.steps]]\nrun = 'x'\nexpect.stdout.contain = ['x']"));
        assert!(told.contains("did you mean `contains`?"), "{told}");
    }

    #[test]
    fn checks_that_could_not_fail_or_could_not_work_are_refused() {
        for (text, why) in [
            ("steps = []", "always pass"),
            ("[[check.steps]]\nwithin = 3", "exactly one of"),
            ("[[check.steps]]\nrun = 'x'\noutside = ['x']", "exactly one of"),
            ("[[check.steps]]\ndigest = 'unchanged'", "does not fit"),
            ("[[check.steps]]\nrun = 'x'\nexpect.stdout.matches = '('", "not a regular expression"),
            ("[[check.steps]]\nrun = 'x'\nexpect.stdout.lines.equal = 'package'", "did you mean `packages`?"),
            ("needs = ['teleport']\n[[check.steps]]\nrun = 'x'", "`teleport`"),
            ("when = [{ path = 'a' }]\n[[check.steps]]\nrun = 'x'", "asks for nothing"),
            (
                "[[check.steps]]\nrun = 'x'\n[[check.steps]]\nrun = 'x'\nwhen = [{ path = 'a' }]",
                "asks for nothing",
            ),
            (
                "[[check.steps]]\nrun = 'x'\nwhen = [{ path = 'a', present = true }]",
                "every step has a condition",
            ),
            ("[[check.steps]]\nscript = '../x'", "not beside"),
            ("[[check.steps]]\nscript = 'x'\nkey-for = 'y'", "looks from outside"),
            ("machine.disk-size = '20'\n[[check.steps]]\nrun = 'x'", "not a size"),
            ("machine.clone = true\n[[check.steps]]\nrun = 'x'", "belong together"),
            (
                "machine.volume = { label = 'far-too-long', directory = 'd' }\n[[check.steps]]\nrun = 'x'",
                "eleven",
            ),
            (
                "machine.volume = { label = 'cidata', directory = '../d' }\n[[check.steps]]\nrun = 'x'",
                "not beside",
            ),
            ("destructive = true\nmachine = {}\n[[check.steps]]\nrun = 'x'", "nobody else"),
            ("[[check.steps]]\nscript = 'x'\nserves = 22", "looks from outside"),
            ("[[check.steps]]\nstops = 'x'", "does not fit"),
            ("[[check.steps]]\nconsole = [{ send = 'x' }]", "always hold"),
            ("[[check.steps]]\nconsole = [{ send = 'x', wait = 'y' }]", "one of restart"),
            ("[[check.steps]]\nconsole = [{ lacks = 'x' }]", "how long"),
            ("[[check.steps]]\nconsole = [{ wait = '(' }]", "not a regular expression"),
            ("firmware = 'twice'\n[[check.steps]]\nrun = 'x'", "must be \"all\""),
        ] {
            let told = refused(&format!("{HEAD}{text}"));
            assert!(told.contains(why), "{text}: {told}");
        }
        let outside = HEAD.replace("inside", "outside");
        let told = refused(&format!("{outside}[[check.steps]]\nconnect = {{ port = 80, open = true }}"));
        assert!(told.contains("say what comes from there"), "{told}");
        assert!(
            refused("[[check]]\nname = 'A b'\nkind = 'inside'\nproves = 'x'\nsteps = []")
                .contains("lower-case")
        );
    }

    #[test]
    fn every_file_in_the_binary_is_valid_and_belongs_together() {
        let stems: Vec<String> = BUILT_IN
            .files()
            .filter(|file| file.path().extension().is_some_and(|extension| extension == "toml"))
            .map(|file| file.path().file_stem().unwrap().to_string_lossy().into_owned())
            .filter(|stem| stem != BASE)
            .collect();
        let checks = load(stems.iter().map(String::as_str), &[]).unwrap();
        assert!(checks.all.len() >= 10);
        assert!(checks.all.iter().all(|check| check.proves.len() > 20), "say what it proves");
    }

    #[test]
    fn what_lets_the_key_in_is_for_the_checks_of_other_files() {
        let directory = tempfile::tempdir().unwrap();
        let let_in = "[let-in]\nhow = 'exempt'\nrun = 'true'\nundo = 'true'\n";
        let check = |name: &str| format!("[[check]]\nname = '{name}'\nkind = 'inside'\nproves = 'x'\n");
        let write = |file: &str, text: String| fs_err::write(directory.path().join(file), text).unwrap();
        write("asks.toml", format!("{let_in}{}[[check.steps]]\nrun = 'true'", check("asks")));
        write("other.toml", format!("{}[[check.steps]]\nrun = 'true'", check("other")));
        let checks = load(std::iter::empty(), &[directory.path().to_path_buf()]).unwrap();
        let ways = |name: &str| {
            let check = checks.all.iter().find(|check| check.name == name).unwrap();
            check.let_in.iter().map(|way| way.how.clone()).collect::<Vec<_>>()
        };
        assert_eq!((ways("asks"), ways("other")), (vec![], vec!["exempt".to_owned()]));
    }

    #[test]
    fn a_directory_adds_checks_and_may_not_take_a_name_twice() {
        let directory = tempfile::tempdir().unwrap();
        let own = format!("{HEAD}[[check.steps]]\nscript = 'own.sh'");
        fs_err::write(directory.path().join("own.toml"), &own).unwrap();
        let directories = [directory.path().to_path_buf()];
        let without = load(std::iter::empty(), &directories).unwrap_err();
        assert!(without.exit() == crate::error::Exit::Usage && without.to_string().contains("no script"));
        fs_err::write(directory.path().join("own.sh"), "true").unwrap();
        let checks = load(std::iter::empty(), &directories).unwrap();
        let check = checks.all.iter().find(|check| check.name == "a-b").unwrap();
        assert_eq!(check.scripts["own.sh"], "true");
        fs_err::write(directory.path().join("twice.toml"), &own).unwrap();
        assert!(
            load(std::iter::empty(), &directories)
                .unwrap_err()
                .to_string()
                .contains("two checks are named a-b")
        );
        // One that takes the place of a built-in file has the scripts and volumes of that.
        let kept = "[[check.steps]]\nscript = 'mail-plain.sh'\n[check.machine]\nvolume = { label = 'cidata', directory = 'identity-nocloud' }";
        fs_err::write(directory.path().join("twice.toml"), format!("{HEAD}{kept}").replace("a-b", "c"))
            .unwrap();
        let checks = load(std::iter::empty(), &directories).unwrap();
        let check = checks.all.iter().find(|check| check.name == "c").unwrap();
        assert!(check.scripts["mail-plain.sh"].contains("nullmailer") && !check.volume.is_empty());
        // A file for an overlay that is off stays off.
        fs_err::remove_file(directory.path().join("twice.toml")).unwrap();
        fs_err::rename(directory.path().join("own.toml"), directory.path().join("ssh.toml")).unwrap();
        assert!(load(std::iter::empty(), &directories).unwrap().all.iter().all(|check| check.name != "a-b"));
    }
}
