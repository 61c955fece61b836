//! All that checks fill in, filled in before a machine boots: a name that is not there is told at once, and not when half
//! of a proof is done and lost.

use super::expect::regex;
use super::{
    Account, Check, Chosen, Connect, Context, Expect, Lacks, Mail, OneOf, Publish, Ssh, Step, Talk, Text,
    Tree, Word,
};
use crate::error::{Error, Result};

/// Fills in what the checks that are going to be made will fill in, with a stand-in for what is not known yet.
///
/// # Errors
/// When a name is not there, with the check that uses it.
pub fn rehearse(chosen: &[Chosen], context: &Context) -> Result<()> {
    for Chosen { check, firmwares, skipped } in chosen {
        let needs = |wanted: &str| check.needs.iter().any(|need| need == wanted);
        // What cannot be made for want of somebody who can log in may well name him.
        if skipped.is_some() || (needs("user") && context.user().is_none()) {
            continue;
        }
        let foreseen = context.foreseen(check, firmwares.first().copied());
        let named = |error: Error| error.doing(format!("check {} in {}", check.name, check.source));
        for template in templates(check) {
            let unknown = |error: Error| match template.contains("lab.") && !needs("lab") {
                true => named(error).hint("the check must say `needs = [\"lab\"]`"),
                false => named(error),
            };
            foreseen.fill(&template).map_err(unknown)?;
        }
        for step in &check.steps {
            forms(step, &foreseen).map_err(named)?;
        }
    }
    Ok(())
}

/// Whether patterns are some, and ports, once they are filled in.
fn forms(step: &Step, context: &Context) -> Result<()> {
    // What an earlier step keeps is not known yet.
    let known = |text: &String| !text.contains("kept.");
    let banner = step.connect.iter().filter_map(|connect| connect.banner.as_ref());
    let talk = step.console.iter().flatten().flat_map(|talk| talk.wait.iter().chain(&talk.lacks));
    let matches = [&step.expect.stdout.matches, &step.expect.stderr.matches].into_iter().flatten();
    for pattern in banner.chain(talk).chain(matches).filter(|pattern| known(pattern)) {
        regex(&context.fill(pattern)?)?;
    }
    let ports = step.connect.iter().map(|connect| &connect.port);
    let ports = ports.chain(step.ssh.iter().map(|ssh| &ssh.port)).chain(&step.serves);
    for port in ports.map(Word::text).filter(known) {
        let filled = context.fill(&port)?;
        if filled.parse::<u16>().is_err() {
            return Err(Error::usage(format!("'{filled}' is not a port")));
        }
    }
    Ok(())
}

/// Every text of a check that may contain `{{…}}`.
fn templates(check: &Check) -> Vec<String> {
    let logs_in = |step: &Step| {
        let key = step.ssh.as_ref().is_some_and(|ssh| ssh.key && ssh.authorize);
        key || step.key_for.is_some()
    };
    let mut all: Vec<String> = check.steps.iter().flat_map(of_step).collect();
    if check.steps.iter().any(logs_in) {
        all.extend(check.let_in.iter().flat_map(|way| [way.run.clone(), way.undo.clone()]));
    }
    all.extend(check.volume.values().filter_map(|bytes| String::from_utf8(bytes.clone()).ok()));
    all
}

/// Taken apart field by field: one that is added has to be thought of here.
fn of_step(step: &Step) -> Vec<String> {
    let Step {
        run,
        outside,
        script: _,
        inside: _,
        key_for,
        serves,
        stops: _,
        connect,
        ssh,
        mail,
        mail_server: _,
        publish,
        tree,
        digest: _,
        reboot: _,
        console,
        when: _,
        env,
        keep: _,
        expect: Expect { exit: _, stdout, stderr },
        differs: _,
        within: _,
        timeout: _,
    } = step;
    let mut texts: Vec<&String> = run.iter().collect();
    let mut words: Vec<&Word> = env.values().chain(outside.iter().flatten()).collect();
    words.extend([key_for, serves].into_iter().flatten());
    if let Some(Connect { port, address, from, open: _, send, banner }) = connect {
        words.push(port);
        words.extend([address, from, send].into_iter().flatten());
        texts.extend(banner);
    }
    if let Some(ssh) = ssh {
        of_session(ssh, &mut texts, &mut words);
    }
    if let Some(Mail { contains, to, from, count: _, encrypted: _, account }) = mail {
        words.extend(contains.iter().chain(from).chain(to));
        words.extend(account.iter().flat_map(|Account { user, password }| [user, password]));
    }
    if let Some(Publish { host, suite, component, package, version, postinst, news }) = publish {
        words.extend([suite, package, version]);
        words.extend([host, component, postinst, news].into_iter().flatten());
    }
    for Talk { restart: _, send, wait, lacks, within: _ } in console.iter().flatten() {
        words.extend(send);
        texts.extend(wait.iter().chain(lacks));
    }
    if let Some(Tree { absent, no_files, empty, present, one_of, lacks }) = tree {
        texts.extend([absent, no_files, empty, present].into_iter().flatten());
        texts.extend(one_of.iter().flat_map(|OneOf { path, contents }| contents.iter().chain([path])));
        texts.extend(lacks.iter().flat_map(|Lacks { files, words }| files.iter().chain(words)));
    }
    for Text { equals, empty: _, contains, lacks, matches, lines: _, json: _ } in [stdout, stderr] {
        texts.extend(equals.iter().chain(matches).chain(contains).chain(lacks));
    }
    texts.into_iter().cloned().chain(words.into_iter().map(Word::text)).collect()
}

fn of_session<'a>(ssh: &'a Ssh, texts: &mut Vec<&'a String>, words: &mut Vec<&'a Word>) {
    let Ssh {
        user,
        port,
        command,
        program: _,
        key: _,
        authorize: _,
        from,
        address,
        reach: _,
        login: _,
        offers: _,
        options,
    } = ssh;
    words.extend([user, port].into_iter().chain(from).chain(address));
    texts.extend(command.iter().chain(options));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{self, Library};
    use crate::verify::check::{Selection, load, select};
    use crate::verify::firmware::Firmware;
    use crate::verify::testing::{lock, plan};
    use std::path::Path;

    fn told(check: &str) -> String {
        let check: Check = toml::from_str(&format!("name = 'a'\nproves = 'x'\n{check}")).unwrap();
        let firmwares = if check.kind == super::super::Kind::Static { vec![] } else { vec![Firmware::Bios] };
        let chosen = Chosen { check, firmwares, skipped: None };
        let done = rehearse(&[chosen], &Context::new(&plan(), &lock(), None));
        done.map_or_else(|error| error.render(), |()| String::new())
    }

    #[test]
    fn a_name_that_is_not_there_is_told_with_its_check_wherever_it_stands() {
        for step in [
            "run = '{{overlay.ssh.prot}}'",
            "run = 'x'\nenv = { A = '{{overlay.ssh.prot}}' }",
            "run = 'x'\nexpect.stdout.lacks = ['{{overlay.ssh.prot}}']",
            "ssh = { user = 'u', port = '{{overlay.ssh.prot}}' }",
            "ssh = { user = 'u', port = 1, options = ['Port={{overlay.ssh.prot}}'] }",
            "connect = { port = '{{overlay.ssh.prot}}', open = false }",
            "outside = ['x', '{{overlay.ssh.prot}}']",
            "mail = { contains = ['{{overlay.ssh.prot}}'] }",
            "console = [{ wait = '{{overlay.ssh.prot}}' }]",
            "publish = { suite = 'x', package = 'x', version = '{{overlay.ssh.prot}}' }",
        ] {
            let told = told(&format!("kind = 'outside'\n[[steps]]\n{step}"));
            assert!(told.contains("check a in") && told.contains("`overlay.ssh.prot`"), "{step}: {told}");
        }
        assert!(
            told("kind = 'static'\n[[steps]]\ntree = { absent = ['/{{firmware}}'] }").contains("firmware")
        );
    }

    #[test]
    fn what_comes_out_must_be_what_it_is_meant_to_be() {
        let outside = |step: &str| told(&format!("kind = 'outside'\n[[steps]]\n{step}"));
        let pattern = "connect = { port = 80, open = true, banner = '({{user.name}}' }";
        assert!(outside(pattern).contains("/(admin/ is not a regular expression"));
        let port = "ssh = { user = 'u', port = '{{user.name}}' }";
        assert!(outside(port).contains("'admin' is not a port"));
        let kept = "run = 'x'\nkeep = 'p'\n[[steps]]\nconnect = { port = '{{kept.p}}', open = false }";
        assert_eq!(outside(kept), "");
    }

    #[test]
    fn what_is_known_only_later_is_there_for_those_who_may_ask_for_it() {
        let lab = "kind = 'outside'\n[[steps]]\nrun = '{{lab.owner}} {{lab.stranger6}} {{lab.archive-key}} {{lab.mtu}}'";
        assert_eq!(told(&format!("needs = ['lab']\n{lab}")), "");
        assert!(told(lab).contains("needs = [\"lab\"]"));
        let kept = "kind = 'inside'\n[[steps]]\nrun = 'x'\nkeep = 'y'\n[[steps]]\nrun = '{{firmware}}{{kept.";
        assert_eq!(told(&format!("{kept}y}}}}'")), "");
        assert!(told(&format!("{kept}z}}}}'")).contains("`kept.z`"));
        let key = "kind = 'inside'\n[[steps]]\nrun = '{{run.key}}'";
        assert!(told(key).contains("`run.key`"));
        assert_eq!(told(&format!("machine = {{}}\n{key}")), "");
        assert_eq!(told("kind = 'inside'\nneeds = ['user']\n[[steps]]\nrun = '{{user.name}}'"), "");
    }

    #[test]
    fn goldcasts_own_checks_find_what_they_ask_for_in_every_recipe() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut seen = 0;
        for directory in ["recipes", "sabotage"] {
            for entry in fs_err::read_dir(here.join(directory)).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_none_or(|extension| extension != "toml") {
                    continue;
                }
                let plan = recipe::load(&path, &Library::beside(&path).unwrap()).unwrap().plan;
                let checks = load(plan.topics(), &[]).unwrap();
                let context = Context::new(&plan, &lock(), None);
                let chosen = select(&checks, &context, &Firmware::ALL, &Selection::default()).unwrap();
                assert!(chosen.len() > 5, "{}", path.display());
                rehearse(&chosen, &context).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                seen += 1;
            }
        }
        assert!(seen > 5, "{seen}");
    }
}
