//! Carrying out checks: one implementation a step kind.

use super::expect::Came;
use super::login::told;
use super::serve::Servers;
use super::{Check, Context, Digest, ImageTree, Kind, Mail, Publish, Step, Word, connect, console, ssh};
use crate::error::{Error, Exit, Result};
use crate::sandbox::{Command, Network, Tools};
use crate::verify::agent::{Lost, Ran};
use crate::verify::lab::{Account, Lab, Letter, Service};
use crate::verify::machine::Machine;
use crate::verify::report::{CheckResult, Evidence, Outcome};
use crate::verify::text::{excerpt, plain};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long one try of a step may take when it does not say; generous, for emulated machines.
const TIMEOUT: u64 = 120;
/// Pause between two tries of a step with `within`.
const PAUSE: Duration = Duration::from_millis(500);
/// How long after the last letter that is wanted another one counts.
const LATE: Duration = Duration::from_secs(5);
/// What a script or program in the lab ends with when it cannot tell, as tests of Automake and Debian do (autopkgtest's
/// README.package-tests, `skippable`).
const UNABLE: i32 = 77;
/// What timeout(1) is told, so that what does not heed its signal ends as well: seconds until it is killed.
pub(super) const STOPS: [&str; 2] = ["--kill-after", "5"];
/// Longest piece of output kept as evidence.
pub(super) const KEPT: usize = 4000;

/// What the checks are carried out on.
pub enum Place<'a> {
    /// A booted machine.
    Machine(&'a mut Machine),
    /// The lab's end of the wire to a booted machine, while others are at work on that: for checks that are
    /// [over the wire](Check::over_the_wire).
    Wire,
    /// The image's files, and its digest before and after the boots.
    Image {
        /// Its root filesystem, or why that cannot be read.
        tree: &'a std::result::Result<ImageTree, String>,
        /// The sha256 that the proof names.
        before: &'a str,
        /// The sha256 after the boots, once they are over.
        after: Option<&'a str>,
    },
}

/// Carries out checks in one place.
pub struct Runner<'a> {
    /// Where.
    place: Place<'a>,
    /// The programs to do it with.
    pub(super) tools: &'a Tools,
    /// Values and facts, for the firmware at hand.
    pub(super) context: Context,
    /// A directory for keys and the like.
    pub(super) work: &'a Path,
    /// The outside of the machine, or why there is none.
    lab: std::result::Result<&'a Lab, &'a str>,
    /// How many letters had come when the check began.
    letters: usize,
    /// The key for SSH sessions, once one was needed.
    pub(super) key: Option<ssh::Key>,
    /// A second machine of the same image, where there is one.
    second: Option<&'a mut Machine>,
    /// What the check at hand has at the outside host.
    pub(super) servers: Servers,
}

/// How one try of a step came out.
pub(super) enum Try {
    /// As it must be.
    Held(Evidence),
    /// Not as it must be.
    Broke(Evidence),
    /// It could not be tried: this is no statement about the image.
    Unable(Evidence),
}

impl<'a> Runner<'a> {
    /// A runner that has done nothing yet. In a lab, `context` gets the lab's names.
    ///
    /// # Errors
    /// When the lab's keys cannot be read.
    pub fn new(
        place: Place<'a>,
        tools: &'a Tools,
        context: &Context,
        work: &'a Path,
        lab: std::result::Result<&'a Lab, &'a str>,
    ) -> Result<Self> {
        let context = match lab {
            Ok(lab) => context.in_lab(lab)?,
            Err(_) => context.clone(),
        };
        Ok(Self {
            place,
            tools,
            context,
            work,
            lab,
            letters: 0,
            key: None,
            second: None,
            servers: Servers::default(),
        })
    }

    /// The same with a key that was made already.
    pub fn with_key(mut self, key: ssh::Key) -> Self {
        self.key = Some(key);
        self
    }

    /// The same with a second machine, for steps that compare the two.
    pub fn beside(mut self, second: Option<&'a mut Machine>) -> Self {
        self.second = second;
        self
    }

    /// Fills in `{{…}}`, as in a step.
    pub fn fill(&self, template: &str) -> Result<String> {
        self.context.fill(template)
    }
}

impl Runner<'_> {
    /// Carries out one check. An error is an interrupt or a check that makes no sense, never a failed check.
    pub fn check(&mut self, check: &Check) -> Result<CheckResult> {
        let begun = Instant::now();
        self.servers = Servers::fresh(self.work)?;
        self.context.begin(&check.name);
        if let (Ok(lab), Place::Machine(_)) = (self.lab, &self.place) {
            lab.mail().switch(Service::On);
            self.letters = lab.mail().letters().len();
        }
        let missing = match self.gone()? {
            Some(why) => Some(format!("the machine was gone before: {why}")),
            None => self.missing(check),
        };
        let (outcome, evidence) = match missing {
            Some(missing) => (Outcome::CouldNotCheck, vec![Evidence::note(missing)]),
            None => self.steps(check)?,
        };
        self.servers = Servers::default();
        Ok(CheckResult::of(check, outcome, begun.elapsed(), evidence))
    }

    fn steps(&mut self, check: &Check) -> Result<(Outcome, Vec<Evidence>)> {
        let mut evidence = Vec::new();
        for step in &check.steps {
            match self.step(check, step)? {
                Try::Held(seen) => evidence.push(seen),
                Try::Broke(seen) => {
                    evidence.push(seen);
                    return Ok((Outcome::Failed, evidence));
                }
                Try::Unable(seen) => {
                    evidence.push(seen);
                    return Ok((Outcome::CouldNotCheck, evidence));
                }
            }
        }
        Ok((Outcome::Passed, evidence))
    }

    /// What the check needs and is not there.
    fn missing(&self, check: &Check) -> Option<String> {
        check.needs.iter().find_map(|need| match need.as_str() {
            "user" if self.context.user().is_none() => {
                Some("the recipe has no user who can log in".to_owned())
            }
            "lab" => self.lab.as_ref().err().map(|why| format!("it needs the lab: {why}")),
            need => {
                let program = need.strip_prefix("tool:")?;
                let found = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"]
                    .iter()
                    .any(|directory| self.tools.path(&format!("{directory}/{program}")).exists());
                (!found).then(|| format!("the tools tree has no {program}"))
            }
        })
    }

    /// Why nothing can be asked of the machine any more.
    fn gone(&mut self) -> Result<Option<String>> {
        match &mut self.place {
            Place::Machine(machine) => machine.gone(),
            Place::Image { .. } | Place::Wire => Ok(None),
        }
    }

    fn step(&mut self, check: &Check, step: &Step) -> Result<Try> {
        let deadline = step.within.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        loop {
            crate::interrupt::check()?;
            let tried = match self.attempt(check, step) {
                Ok(tried) => tried,
                Err(error) if error.exit() == Exit::Failed => {
                    Try::Unable(Evidence::new(step.describe(), error.to_string()))
                }
                Err(error) => return Err(error.doing(format!("check {} in {}", check.name, check.source))),
            };
            match (&tried, deadline) {
                (Try::Broke(_), Some(deadline)) if Instant::now() < deadline && self.gone()?.is_none() => {
                    std::thread::sleep(PAUSE);
                }
                _ => return Ok(tried),
            }
        }
    }

    fn attempt(&mut self, check: &Check, step: &Step) -> Result<Try> {
        let limit = Duration::from_secs(step.timeout.unwrap_or(TIMEOUT));
        if let Place::Image { tree, before, after } = &self.place {
            return image_step(step, &self.context, tree, before, *after);
        }
        if let Some(script) = &step.run {
            return self.inside(step, &self.context.fill(script)?, script.trim(), limit);
        }
        if let Some(name) = &step.script {
            let text = check.scripts.get(name).cloned().unwrap_or_default();
            if let Some(port) = &step.serves {
                let port = self.port(&port.text())?;
                return self.serve(step, text, name, port);
            }
            return if check.kind == Kind::Inside || step.inside {
                self.inside(step, &text, name, limit)
            } else {
                self.script(check, step, text, name, limit)
            };
        }
        if let Some(name) = &step.stops {
            return Ok(self.stop(name));
        }
        if let Some(argv) = &step.outside {
            let argv = argv.iter().map(|word| self.context.fill(&word.text())).collect::<Result<Vec<_>>>()?;
            let command = self.outside(step, &argv, limit)?;
            return self.finish(step, command, &argv.join(" "), limit);
        }
        if let Some(connect) = &step.connect {
            return connect::connect(self, connect, limit);
        }
        if let Some(session) = &step.ssh {
            return self.ssh(check, step, session, limit);
        }
        if let Some(wanted) = &step.mail {
            return self.mail(wanted);
        }
        if let Some(service) = step.mail_server {
            self.outside_host()?.mail().switch(service);
            return Ok(Try::Held(Evidence::new("the mail server", format!("{service:?}").to_lowercase())));
        }
        if let Some(new) = &step.publish {
            return self.publish(new);
        }
        if step.reboot == Some(true) {
            let up = self.machine()?.reboot();
            return match up {
                Ok(seconds) => {
                    Ok(Try::Held(Evidence::new("restart", format!("up again after {seconds:.1} s"))))
                }
                // It came up before: that it does not again is a finding, where QEMU is not what is gone.
                Err(error) if error.exit() == Exit::Failed && self.machine()?.accountable() => {
                    Ok(Try::Broke(Evidence::new("restart", "").wanted(error.to_string())))
                }
                Err(error) => Err(error),
            };
        }
        if let Some(talk) = &step.console {
            return console::dialogue(self, talk);
        }
        Err(Error::usage("this step cannot be carried out on a machine"))
    }

    /// The machine that it works on.
    pub fn machine(&mut self) -> Result<&mut Machine> {
        match &mut self.place {
            Place::Machine(machine) => Ok(machine),
            Place::Wire | Place::Image { .. } => Err(Error::usage("there is no machine for this step")),
        }
    }

    /// Where a TCP port of the machine is reached, and whether that is over the lab's wire: then what does not answer
    /// is shut.
    pub(super) fn reach(&mut self, port: u16) -> Result<(SocketAddr, bool)> {
        match &mut self.place {
            Place::Wire => Ok((SocketAddr::from((self.outside_host()?.addresses().guest, port)), true)),
            _ => {
                let machine = self.machine()?;
                Ok((machine.reach(port)?, machine.wired()))
            }
        }
    }

    pub(super) fn outside_host(&self) -> Result<&Lab> {
        self.lab.map_err(|why| Error::usage(format!("the check must say `needs = [\"lab\"]`: {why}")))
    }

    fn publish(&self, new: &Publish) -> Result<Try> {
        let package = new.package(&self.context)?;
        let told = format!("{} {} in {}", package.name, package.version, package.suite);
        self.outside_host()?.publish(package);
        Ok(Try::Held(Evidence::new("the lab's archive", told)))
    }

    /// The letters that came. Where their number is said, one that is too many may come after the last that is wanted.
    fn mail(&self, wanted: &Mail) -> Result<Try> {
        let tried = self.letters_like(wanted)?;
        if wanted.count.is_none() || !matches!(tried, Try::Held(_)) {
            return Ok(tried);
        }
        let settled = Instant::now() + LATE;
        while Instant::now() < settled {
            crate::interrupt::check()?;
            std::thread::sleep(PAUSE);
        }
        self.letters_like(wanted)
    }

    fn letters_like(&self, wanted: &Mail) -> Result<Try> {
        let words =
            wanted.contains.iter().map(|word| self.context.fill(&word.text())).collect::<Result<Vec<_>>>()?;
        let filled =
            |word: &Option<Word>| word.as_ref().map(|word| self.context.fill(&word.text())).transpose();
        let (from, to) = (filled(&wanted.from)?, filled(&wanted.to)?);
        let account = match &wanted.account {
            Some(account) => Some(Account {
                user: self.context.fill(&account.user.text())?,
                password: self.context.fill(&account.password.text())?,
            }),
            None => None,
        };
        let letters = self.outside_host()?.mail().letters();
        let new = letters.get(self.letters..).unwrap_or_default();
        let fits = |letter: &&Letter| {
            words.iter().all(|word| letter.text.contains(word))
                && from.as_ref().is_none_or(|from| letter.from == *from)
                && to.as_ref().is_none_or(|to| letter.to.contains(to))
                && wanted.encrypted.is_none_or(|encrypted| letter.encrypted == encrypted)
                && (account.is_none() || letter.account == account)
        };
        let found: Vec<&Letter> = new.iter().filter(fits).collect();
        let enough = wanted.count.map_or(!found.is_empty(), |count| found.len() == count);
        let shown = match found.first().or(new.last().as_ref()) {
            Some(letter) => {
                let account = letter.account.as_ref();
                let by = account.map(|by| format!("by {} with the password '{}'\n", by.user, by.password));
                let (by, to) = (by.unwrap_or_default(), letter.to.join(", "));
                format!("{by}from {} to {to}\n{}", letter.from, letter.text)
            }
            None => "no letter".to_owned(),
        };
        let seen = Evidence::new(
            format!("letters with {}", words.join(", ")),
            format!("{} of {} letters\n{}", found.len(), new.len(), excerpt(&plain(&shown), KEPT)),
        );
        Ok(match enough {
            true => Try::Held(seen),
            false => {
                let number =
                    wanted.count.map_or_else(|| "at least one".to_owned(), |count| count.to_string());
                Try::Broke(seen.wanted(format!("{number} such letters")))
            }
        })
    }

    fn env(&self, step: &Step) -> Result<Vec<(String, String)>> {
        step.env.iter().map(|(name, word)| Ok((name.clone(), self.context.fill(&word.text())?))).collect()
    }

    fn inside(&mut self, step: &Step, script: &str, shown: &str, limit: Duration) -> Result<Try> {
        let mut whole = String::new();
        for (name, value) in self.env(step)? {
            whole.push_str(&format!("export {name}='{}'\n", value.replace('\'', r"'\''")));
        }
        whole.push_str(script);
        let (out, tried) = {
            let ran = self.machine()?.run(&whole, limit);
            self.judge(step, shown, limit, ran)?
        };
        if !step.differs || !matches!(tried, Try::Held(_)) {
            return Ok(tried);
        }
        let Some(second) = &mut self.second else {
            return Err(Error::usage("`differs` needs a check with `machine.clone`"));
        };
        let ran = second.run(&whole, limit);
        let (other, tried) = self.judge(step, shown, limit, ran)?;
        if !matches!(tried, Try::Held(_)) {
            return Ok(tried);
        }
        let seen = Evidence::new(shown, format!("here:\n{}\nthere:\n{}", saw(&out, ""), saw(&other, "")));
        let same: Vec<&str> = out.lines().filter(|line| other.lines().any(|there| there == *line)).collect();
        Ok(match (same.is_empty(), out.trim().is_empty()) {
            (true, false) => Try::Held(seen),
            (true, true) => Try::Broke(seen.wanted("it writes nothing that could differ")),
            (false, _) => {
                let same = excerpt(&plain(&same.join("\n")), KEPT);
                Try::Broke(seen.wanted(format!("both machines have:\n{same}")))
            }
        })
    }

    /// What a script in a machine did, held against the step: its output, and how the try came out.
    fn judge(
        &mut self,
        step: &Step,
        shown: &str,
        limit: Duration,
        ran: std::result::Result<Ran, Lost>,
    ) -> Result<(String, Try)> {
        let ran = match ran {
            Ok(ran) => ran,
            Err(Lost::Broken(error)) => return Err(error),
            Err(lost) => {
                // The machine was there before this step: that it is gone now is a finding.
                let why = lost.into_error().to_string();
                return Ok((String::new(), Try::Broke(Evidence::new(shown, "").wanted(why))));
            }
        };
        let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        if ran.timed_out {
            return Ok((String::new(), late(shown, &out, &err, limit)));
        }
        if ran.truncated {
            // What must not be in it may be in what is not there.
            let seen = Evidence::new(shown, saw(&out, &err)).wanted("it writes more than 4 MiB");
            return Ok((String::new(), Try::Unable(seen)));
        }
        let out = out.into_owned();
        let tried = self.compare(step, shown, ran.exit, &out, &err, Vec::new())?;
        Ok((out, tried))
    }

    /// A script beside the check file, outside.
    fn script(
        &mut self,
        check: &Check,
        step: &Step,
        text: String,
        name: &str,
        limit: Duration,
    ) -> Result<Try> {
        let user = step.key_for.as_ref().map(|user| self.context.fill(&user.text())).transpose()?;
        if let Some(unable) =
            user.as_ref().map_or(Ok(None), |user| self.let_in(user, &check.let_in, limit))?
        {
            return Ok(unable);
        }
        let mut command = self.outside(step, &["bash".into(), "-s".into()], limit)?.stdin(text.into_bytes());
        let Some(user) = user else { return self.finish(step, command, name, limit) };
        if let Some(key) = &self.key {
            command = key.lend(command);
        }
        let tried = self.finish(step, command, &told(name, &check.let_in), limit)?;
        self.as_before(&user, &check.let_in, limit)?;
        Ok(tried)
    }

    pub(super) fn outside(&self, step: &Step, argv: &[String], limit: Duration) -> Result<Command> {
        let mut command = self
            .tools
            .command("timeout")
            .args(STOPS)
            .arg(limit.as_secs().max(1).to_string())
            .args(argv)
            // The tools tree has no other.
            .env("LC_ALL", "C")
            .env("LANG", "C")
            .network(Network::Inherit);
        for (name, value) in self.env(step)? {
            command = command.env(name, value);
        }
        Ok(self.servers.share(command))
    }

    fn finish(&mut self, step: &Step, command: Command, shown: &str, limit: Duration) -> Result<Try> {
        let begun = Instant::now();
        let output = command.output()?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if out_of_time(output.status, begun.elapsed(), limit) {
            // Whatever it is expected to end with or to lack: it was stopped before it had said all.
            return Ok(late(shown, &out, &err, limit));
        }
        // timeout(1): 126 and 127 are "cannot be run" and "not found".
        if matches!(output.status, UNABLE | 126 | 127) {
            return Ok(Try::Unable(Evidence::new(shown, err.trim())));
        }
        self.compare(step, shown, output.status, &out, &err, Vec::new())
    }

    /// The port that a word names.
    pub(super) fn port(&self, word: &str) -> Result<u16> {
        let filled = self.context.fill(word)?;
        filled.parse().map_err(|_| Error::usage(format!("'{filled}' is not a port")))
    }

    pub(super) fn compare(
        &mut self,
        step: &Step,
        did: &str,
        exit: i32,
        out: &str,
        err: &str,
        mut complaints: Vec<String>,
    ) -> Result<Try> {
        complaints.extend(step.expect.complaints(Came { exit, stdout: out, stderr: err }, &self.context)?);
        let seen = Evidence { exit: Some(exit), ..Evidence::new(did, saw(out, err)) };
        if let Some(name) = step.keep.as_ref().filter(|_| complaints.is_empty()) {
            self.context.keep(name, out.trim());
        }
        Ok(if complaints.is_empty() {
            Try::Held(seen)
        } else {
            Try::Broke(seen.wanted(complaints.join("\n")))
        })
    }
}

/// What a command wrote, as far as it is kept.
fn saw(out: &str, err: &str) -> String {
    let mut saw = excerpt(&plain(out.trim_end()), KEPT);
    if !err.trim().is_empty() {
        saw.push_str(&format!("\n[error output] {}", excerpt(&plain(err.trim()), KEPT)));
    }
    saw.trim_start_matches('\n').to_owned()
}

/// What comes of a command that had to be stopped.
fn late(did: &str, out: &str, err: &str, limit: Duration) -> Try {
    let wanted = format!("it did not end within {} s", limit.as_secs());
    Try::Broke(Evidence::new(did, saw(out, err)).wanted(wanted))
}

/// Whether timeout(1) stopped it, rather than that it ended with such a status by itself.
fn out_of_time(status: i32, took: Duration, limit: Duration) -> bool {
    matches!(status, 124 | 137) && took >= limit
}

fn image_step(
    step: &Step,
    context: &Context,
    tree: &std::result::Result<ImageTree, String>,
    before: &str,
    after: Option<&str>,
) -> Result<Try> {
    if let Some(wanted) = &step.tree {
        let did = "read the root filesystem";
        return Ok(match tree {
            Err(why) => Try::Unable(Evidence::new(did, why.clone())),
            Ok(tree) => {
                let complaints = tree.complaints(wanted, context)?;
                let seen = Evidence::new(did, format!("{} entries", tree.count()));
                match complaints.is_empty() {
                    true => Try::Held(seen),
                    false => Try::Broke(seen.wanted(complaints.join("\n"))),
                }
            }
        });
    }
    match (step.digest, after) {
        (Some(Digest::Unchanged), Some(after)) if after == before => {
            Ok(Try::Held(Evidence::new("sha256 of the image after the last boot", after)))
        }
        (Some(Digest::Unchanged), Some(after)) => {
            let seen = Evidence::new("sha256 of the image after the last boot", after);
            Ok(Try::Broke(seen.wanted(format!("before the first it was {before}"))))
        }
        _ => Err(Error::usage("this step cannot be carried out on an image")),
    }
}

impl Step {
    /// What it does, in a few words.
    pub fn describe(&self) -> String {
        let words = |text: &str| text.trim().to_owned();
        match self {
            Self { run: Some(script), .. } => words(script),
            Self { outside: Some(argv), .. } => {
                argv.iter().map(super::Word::text).collect::<Vec<_>>().join(" ")
            }
            Self { script: Some(name), .. } => words(name),
            Self { connect: Some(connect), .. } => format!("connect to tcp {}", connect.port.text()),
            Self { ssh: Some(ssh), .. } => format!("ssh -p {} {}@…", ssh.port.text(), ssh.user.text()),
            Self { stops: Some(name), .. } => format!("stop {name}"),
            Self { mail: Some(_), .. } => "letters at the mail server".into(),
            Self { mail_server: Some(_), .. } => "switch the mail server".into(),
            Self { publish: Some(new), .. } => format!("publish {}", new.package.text()),
            Self { tree: Some(_), .. } => "read the root filesystem".into(),
            Self { digest: Some(_), .. } => "sha256 of the image".into(),
            Self { console: Some(_), .. } => "talk on the serial console".into(),
            _ => "restart".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_stopped_is_out_of_time() {
        let seconds = Duration::from_secs;
        assert!(out_of_time(124, seconds(10), seconds(10)) && out_of_time(137, seconds(15), seconds(10)));
        // A `timeout` of its own, one that was killed for another reason, and one that took its time.
        assert!(!out_of_time(124, seconds(3), seconds(10)) && !out_of_time(137, seconds(3), seconds(10)));
        assert!(!out_of_time(0, seconds(10), seconds(10)));
    }
}
