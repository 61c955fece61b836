//! What a check file says, looked at before anything is done: what cannot fail, cannot work or would not be heeded is
//! refused.

use super::expect::regex;
use super::{
    CAPABILITIES, Check, Client, Condition, Exit, ExitWord, Expect, FACTS, Kind, Own, Step, Talk, Text, Tree,
    VALUES, Which, console,
};
use crate::error::{Error, Result};
use crate::nearest;

/// Where the lab is asked for that a step cannot do without.
const LAB: &str = "lab";

/// Whether this can be the name of a check or of a sabotage.
pub fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty() && name.chars().all(plain)
}

/// A check, but for the files beside it.
///
/// # Errors
/// When it makes no sense; which check it is is not said.
pub fn check(check: &Check) -> Result<()> {
    if !is_name(&check.name) {
        return Err(Error::usage("a check's name is lower-case words joined by `-`"));
    }
    if check.steps.is_empty() {
        return Err(Error::usage("it has no steps, so it would always pass"));
    }
    if check.steps.iter().all(|step| !step.when.is_empty()) {
        return Err(Error::usage("every step has a condition, so it could pass without any")
            .hint("a condition of all steps is one of the check"));
    }
    for need in &check.needs {
        if !CAPABILITIES.contains(&need.as_str()) && need.strip_prefix("tool:").is_none_or(str::is_empty) {
            let known = CAPABILITIES.join(", ");
            return Err(Error::usage(format!("it needs `{need}`, which is not known"))
                .hint(format!("known: {known}, tool:NAME")));
        }
    }
    if check.firmware == Which::These(Vec::new()) {
        return Err(Error::usage("`firmware` names none, so it would never be made"));
    }
    conditions(check.when.iter().chain(check.steps.iter().flat_map(|step| &step.when)))?;
    if let Some(own) = &check.machine {
        machine(check, own)?;
    }
    if check.steps.iter().any(|step| step.differs) != check.machine.as_ref().is_some_and(|own| own.clone) {
        return Err(Error::usage("`machine.clone` and steps with `differs` belong together"));
    }
    for (index, one) in check.steps.iter().enumerate() {
        let numbered = |error: Error| error.doing(format!("step {}", index + 1));
        step(check.kind, one).map_err(numbered)?;
        if restarts(one) && !check.destructive && check.machine.is_none() {
            return Err(numbered(
                Error::usage("it restarts a machine that other checks look at")
                    .hint("the check must say `destructive = true`"),
            ));
        }
        if !check.needs.iter().any(|need| need == LAB) && wants_lab(one) {
            return Err(numbered(
                Error::usage("it is done in the lab")
                    .hint(format!("the check must say `needs = [\"{LAB}\"]`")),
            ));
        }
    }
    if !check.steps.iter().any(|step| can_fail(step) && step.when.is_empty()) {
        let when = if check.steps.iter().any(can_fail) { "under some conditions" } else { "always" };
        return Err(Error::usage(format!("none of its steps can fail, so it would {when} pass"))
            .hint("have a step look at something, with an expectation"));
    }
    let files = |step: &Step| step.tree.is_some();
    if check.steps.iter().any(files) && !check.steps.iter().all(files) {
        return Err(Error::usage("the files are looked at before the boots, and the digest after them")
            .hint("make two checks of it"));
    }
    Ok(())
}

/// Conditions on the plan.
///
/// # Errors
/// When one asks for nothing, or looks where nothing ever is.
pub fn conditions<'a>(conditions: impl IntoIterator<Item = &'a Condition>) -> Result<()> {
    for condition in conditions {
        let path = &condition.path;
        let Condition { equals, differs, contains, present, .. } = condition;
        if [equals, differs, contains].iter().all(|wanted| wanted.is_none()) && present.is_none() {
            return Err(Error::usage(format!("the condition on {path} asks for nothing"))
                .hint("add `equals`, `differs`, `contains` or `present`"));
        }
        let first = path.split('.').next().unwrap_or_default();
        if !VALUES.contains(&first) {
            let error = Error::usage(format!("the condition on {path}: there is no `{first}` in a plan"));
            return Err(match nearest::one(first, VALUES) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint(format!("known: {}", VALUES.join(", "))),
            });
        }
    }
    Ok(())
}

fn restarts(step: &Step) -> bool {
    let restarts = |talk: &Talk| talk.restart == Some(true);
    step.reboot == Some(true) || step.console.iter().flatten().any(restarts)
}

/// Whether it cannot be done without the lab.
fn wants_lab(step: &Step) -> bool {
    let letters = step.mail.is_some() || step.mail_server.is_some();
    let from = step.connect.as_ref().is_some_and(|connect| connect.from.is_some());
    letters || from || step.publish.is_some() || step.serves.is_some() || step.stops.is_some()
}

/// Whether how the machine is can make it fail.
fn can_fail(step: &Step) -> bool {
    let prepares = step.mail_server.is_some() || step.publish.is_some() || step.stops.is_some();
    let expect = &step.expect;
    let anything = expect.exit == Some(Exit::Word(ExitWord::Any))
        && [&expect.stdout, &expect.stderr].into_iter().all(|text| *text == Text::default());
    let only_runs = step.run.is_some() || step.outside.is_some() || step.script.is_some();
    !prepares && step.serves.is_none() && (!only_runs || !anything || step.differs)
}

fn machine(check: &Check, machine: &Own) -> Result<()> {
    if check.kind == Kind::Static {
        return Err(Error::usage("a check that reads the disk has no machine"));
    }
    if check.destructive {
        return Err(Error::usage("nobody else uses its machine: leave `destructive` out"));
    }
    machine.bytes()?;
    let Some(volume) = &machine.volume else { return Ok(()) };
    if volume.label.is_empty() || volume.label.len() > 11 || !volume.label.is_ascii() {
        return Err(Error::usage("a volume's label has one to eleven ASCII characters"));
    }
    Ok(())
}

fn step(kind: Kind, step: &Step) -> Result<()> {
    let kinds = [
        ("run", step.run.is_some(), &[Kind::Inside, Kind::Outside][..]),
        ("outside", step.outside.is_some(), &[Kind::Outside]),
        ("script", step.script.is_some(), &[Kind::Inside, Kind::Outside]),
        ("stops", step.stops.is_some(), &[Kind::Outside]),
        ("connect", step.connect.is_some(), &[Kind::Outside]),
        ("ssh", step.ssh.is_some(), &[Kind::Outside]),
        ("mail", step.mail.is_some(), &[Kind::Inside, Kind::Outside]),
        ("mail-server", step.mail_server.is_some(), &[Kind::Inside, Kind::Outside]),
        ("publish", step.publish.is_some(), &[Kind::Inside, Kind::Outside]),
        ("tree", step.tree.is_some(), &[Kind::Static]),
        ("digest", step.digest.is_some(), &[Kind::Static]),
        ("reboot", step.reboot == Some(true), &[Kind::Inside, Kind::Outside]),
        ("console", step.console.is_some(), &[Kind::Inside, Kind::Outside]),
    ];
    let named: Vec<_> = kinds.iter().filter(|(_, present, _)| *present).collect();
    let [(name, _, fits)] = named[..] else {
        let all: Vec<&str> = kinds.iter().map(|(name, ..)| *name).collect();
        return Err(Error::usage(format!("a step names exactly one of {}", all.join(", "))));
    };
    if !fits.contains(&kind) {
        return Err(Error::usage(format!("`{name}` does not fit a check of this kind")));
    }
    if let Some(connect) = step.connect.as_ref().filter(|it| it.open != it.banner.is_some()) {
        let told = Error::usage("`open = true` and `banner` belong together");
        let help =
            "say what comes from there, a regular expression: `banner = \"^SSH-2\"`; `send` is asked first";
        return Err(if connect.open { told.hint(help) } else { told });
    }
    if let Some(banner) = step.connect.as_ref().and_then(|connect| connect.banner.as_deref()) {
        pattern(banner)?;
    }
    if step.connect.as_ref().is_some_and(|connect| connect.send.is_some() && !connect.open) {
        return Err(Error::usage("nothing can be sent to a port that must be shut"));
    }
    if step.inside && (step.script.is_none() || kind != Kind::Outside) {
        return Err(Error::usage("`inside` belongs to a `script` of a check that looks from outside"));
    }
    if step.differs && (step.run.is_none() && step.script.is_none() || !step.inside && kind != Kind::Inside) {
        return Err(Error::usage("`differs` belongs to what runs in the machine"));
    }
    let outside = step.script.is_some() && !step.inside && kind == Kind::Outside;
    for (name, present) in [("key-for", step.key_for.is_some()), ("serves", step.serves.is_some())] {
        if present && !outside {
            return Err(Error::usage(format!("`{name}` belongs to a `script` that looks from outside")));
        }
    }
    if step.key_for.is_some() && step.serves.is_some() {
        return Err(Error::usage("a server gets no key: leave `key-for` or `serves` out"));
    }
    if step.ssh.as_ref().is_some_and(|ssh| ssh.command.is_some() && ssh.program != Client::Ssh) {
        return Err(Error::usage("`command` is for the program ssh"));
    }
    if step.mail.as_ref().is_some_and(|mail| mail.contains.is_empty()) {
        return Err(Error::usage("`mail` names no words, so any letter would do"));
    }
    if step.within.is_some() && step.mail.as_ref().is_some_and(|mail| mail.count == Some(0)) {
        return Err(Error::usage("`within` waits for nothing: before a letter can come there is none")
            .hint("have a step before it wait for what comes later than such a letter would"));
    }
    if step.ssh.as_ref().is_some_and(|ssh| !ssh.reach && ssh.login) {
        return Err(Error::usage("with `reach = false` there is no login: say `login = false`"));
    }
    if step.outside.as_ref().is_some_and(Vec::is_empty) {
        return Err(Error::usage("`outside` names no program"));
    }
    if step.console.as_ref().is_some_and(|dialogue| !dialogue.iter().any(console::listens)) {
        return Err(Error::usage("`console` waits for nothing, so it would always hold"));
    }
    step.console.iter().flatten().try_for_each(console::validate)?;
    step.tree.as_ref().map_or(Ok(()), tree)?;
    heeded(name, step)?;
    [&step.expect.stdout, &step.expect.stderr].into_iter().try_for_each(text)
}

/// What a step of this kind does not look at would be written in vain.
fn heeded(kind: &str, step: &Step) -> Result<()> {
    let runs = ["run", "outside", "script"].contains(&kind);
    let ends = runs && step.serves.is_none();
    let said = [
        ("expect", step.expect != Expect::default(), ends || kind == "ssh"),
        ("keep", step.keep.is_some(), ends || kind == "ssh"),
        ("env", !step.env.is_empty(), runs),
        ("timeout", step.timeout.is_some(), ends || kind == "ssh" || kind == "connect"),
    ];
    match said.iter().find(|(_, present, heeded)| *present && !heeded) {
        Some((name, ..)) if step.serves.is_some() => {
            Err(Error::usage(format!("`{name}` is not heeded for a script that `serves`")))
        }
        Some((name, ..)) => Err(Error::usage(format!("`{name}` is not heeded for `{kind}`"))),
        None => Ok(()),
    }
}

fn tree(tree: &Tree) -> Result<()> {
    let lists = [&tree.absent, &tree.no_files, &tree.empty, &tree.present];
    if lists.iter().all(|list| list.is_empty()) && tree.one_of.is_empty() && tree.lacks.is_empty() {
        return Err(Error::usage("`tree` asks for nothing, so it would always hold"));
    }
    if tree.lacks.iter().any(|lacks| lacks.files.is_empty() || lacks.words.is_empty()) {
        return Err(Error::usage("`lacks` names no files or no words, so it would always hold"));
    }
    let read =
        tree.lacks.iter().flat_map(|lacks| &lacks.files).chain(tree.one_of.iter().map(|one| &one.path));
    for path in lists.into_iter().flatten().chain(read) {
        path_of_a_tree(path)?;
    }
    Ok(())
}

/// Refuses a path that no file of an image has, for what must not be there never would be.
fn path_of_a_tree(path: &str) -> Result<()> {
    let mut parts = path.strip_prefix('/').unwrap_or(path).split('/');
    let filled = path.starts_with("{{");
    if !(path.starts_with('/') || filled) || parts.any(|part| ["", ".", ".."].contains(&part)) {
        return Err(Error::usage(format!("no file of an image has the path `{path}`"))
            .hint("a path begins with `/`, does not end with one, and holds no `//`, `.` or `..`"));
    }
    Ok(())
}

/// A regular expression; one that is filled in is looked at later.
fn pattern(pattern: &str) -> Result<()> {
    if pattern.contains("{{") { Ok(()) } else { regex(pattern).map(drop) }
}

fn text(text: &Text) -> Result<()> {
    text.matches.as_deref().map_or(Ok(()), pattern)?;
    if let Some(lines) = &text.lines {
        let known = || FACTS.iter().map(|(name, _)| *name);
        let Some((fact, ..)) = lines.fact() else {
            return Err(Error::usage("`lines` names exactly one of equal, within, include"));
        };
        if !known().any(|name| name == fact) {
            let error = Error::usage(format!("there is no fact named `{fact}`"));
            return Err(match nearest::one(fact, known()) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint(format!("known: {}", known().collect::<Vec<_>>().join(", "))),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(kind: &str, text: &str) -> String {
        let text = format!("name = 'a'\nkind = '{kind}'\nproves = 'x'\n{text}");
        check(&toml::from_str(&text).unwrap()).map_or_else(|error| error.render(), |()| String::new())
    }

    #[test]
    fn what_would_not_be_heeded_is_refused() {
        for (kind, text, why) in [
            (
                "outside",
                "[[steps]]\nconnect = { port = 80, open = true, banner = 'x' }\nexpect.stdout.contains = ['x']",
                "`expect` is not heeded for `connect`",
            ),
            (
                "outside",
                "[[steps]]\nconnect = { port = 80, open = false }\nkeep = 'x'",
                "`keep` is not heeded",
            ),
            ("inside", "[[steps]]\nreboot = true\ntimeout = 5", "`timeout` is not heeded for `reboot`"),
            ("static", "[[steps]]\ntree = { absent = ['/x'] }\nenv = { A = 'b' }", "`env` is not heeded"),
            (
                "outside",
                "needs = ['lab']\n[[steps]]\nscript = 'x'\nserves = 80\nexpect.stdout.empty = true",
                "a script that `serves`",
            ),
            (
                "inside",
                "needs = ['lab']\n[[steps]]\nmail = { contains = ['x'], count = 0 }\nwithin = 60",
                "waits for nothing",
            ),
            (
                "outside",
                "[[steps]]\nconnect = { port = 80, open = true, banner = '(' }",
                "not a regular expression",
            ),
            ("inside", "firmware = []\n[[steps]]\nrun = 'x'", "never be made"),
        ] {
            let told = refused(kind, text);
            assert!(told.contains(why), "{text}: {told}");
        }
        let heeded =
            "[[steps]]\nssh = { user = 'u', port = 22 }\nexpect.stdout.equals = 'x'\nkeep = 'y'\ntimeout = 5";
        assert_eq!(refused("outside", heeded), "");
    }

    #[test]
    fn a_check_that_looks_at_nothing_is_refused() {
        let prepares = "needs = ['lab']\n[[steps]]\nmail-server = 'off'\n";
        let runs = "[[steps]]\nrun = 'x'\nexpect.exit = 'any'\n";
        assert!(refused("inside", prepares).contains("always pass"));
        assert!(refused("inside", runs).contains("always pass"));
        let sometimes =
            format!("{runs}[[steps]]\nrun = 'y'\nwhen = [{{ path = 'overlay.x', present = true }}]");
        assert!(refused("inside", &sometimes).contains("under some conditions"));
        assert_eq!(refused("inside", &format!("{runs}expect.stdout.lacks = ['y']")), "");
        assert_eq!(refused("inside", &format!("{runs}[[steps]]\nrun = 'y'")), "");
    }

    #[test]
    fn nobody_restarts_the_machine_that_others_look_at() {
        let console = "[[steps]]\nconsole = [{ restart = true }, { wait = 'login: ' }]";
        for step in ["[[steps]]\nreboot = true", console] {
            assert!(refused("inside", step).contains("`destructive = true`"), "{step}");
            assert_eq!(refused("inside", &format!("destructive = true\n{step}")), "");
            assert_eq!(refused("inside", &format!("machine = {{}}\n{step}")), "");
        }
    }

    #[test]
    fn what_is_done_in_the_lab_says_so() {
        for step in
            ["mail = { contains = ['x'] }", "connect = { port = 1, from = '192.0.2.11', open = false }"]
        {
            let text = format!("[[steps]]\n{step}");
            assert!(refused("outside", &text).contains("needs = [\"lab\"]"), "{step}");
            assert_eq!(refused("outside", &format!("needs = ['lab']\n{text}")), "", "{step}");
        }
    }

    #[test]
    fn a_condition_on_what_no_plan_has_is_refused() {
        let on = |path: &str| {
            refused(
                "inside",
                &format!("when = [{{ path = '{path}', present = false }}]\n[[steps]]\nrun = 'x'"),
            )
        };
        assert!(on("overlays.ssh").contains("did you mean `overlay`?"));
        // It is known only once a machine boots.
        assert!(on("firmware").contains("no `firmware` in a plan"));
        assert_eq!(on("partition./var/log.noexec"), "");
    }

    #[test]
    fn paths_that_no_file_has_are_refused() {
        let told = |tree: &str| refused("static", &format!("[[steps]]\ntree = {{ {tree} }}"));
        for tree in [
            "absent = ['etc/shadow']",
            "empty = ['/var/log/']",
            "no-files = ['/etc//x']",
            "present = ['/etc/../x']",
            "lacks = [{ files = ['etc/**'], words = ['x'] }]",
            "one-of = [{ path = '', contents = [''] }]",
        ] {
            assert!(told(tree).contains("no file of an image"), "{tree}: {}", told(tree));
        }
        assert!(told("").contains("asks for nothing"));
        assert!(told("lacks = [{ files = ['/etc/**'], words = [] }]").contains("always hold"));
        assert_eq!(told("absent = ['/a.b/**', '{{overlay.nginx.root}}/x', '/.x']"), "");
        let both = "[[steps]]\ntree = { absent = ['/x'] }\n[[steps]]\ndigest = 'unchanged'";
        assert!(refused("static", both).contains("two checks"));
    }
}
