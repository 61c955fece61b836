//! Running commands inside the booted image without leaving anything in it.
//!
//! A small shell script travels as system credentials in SMBIOS type 11 strings
//! (systemd.system-credentials(7): `systemd.extra-unit.*`, `systemd.unit-dropin.*`), lives in /run only, and
//! speaks lines over a virtio-serial port.

use crate::error::{Context, Error, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// The name of the virtio-serial port.
pub const PORT: &str = "goldcast";
const UNIT: &str = "goldcast-agent.service";
const SCRIPT: &str = include_str!("agent.sh");
/// Twice what the agent sends at most (4 MiB each of output and errors, in base64).
const LINE_LIMIT: usize = 24 << 20;
/// How long the answer may take beyond the command's own limit: an emulated machine on a busy host is slow.
const GRACE: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(100);

/// The SMBIOS type 11 strings that put the agent into the machine. `nonce` comes back in its greeting.
pub fn credentials(nonce: &str) -> Vec<String> {
    // Wanted by sysinit.target without an order: it also answers when the boot ends in emergency mode.
    let unit = format!(
        "[Unit]\n\
         Description=goldcast's eyes while the image is proved\n\
         DefaultDependencies=no\n\
         IgnoreOnIsolate=yes\n\
         Conflicts=shutdown.target\n\
         Before=shutdown.target\n\
         [Service]\n\
         Environment=GOLDCAST_NONCE={nonce}\n\
         ExecStart=/bin/bash /run/credentials/@system/goldcast.agent\n\
         Restart=always\n\
         RestartSec=1\n\
         OOMScoreAdjust=-900\n\
         KillMode=mixed\n\
         TimeoutStopSec=5\n"
    );
    let wants = format!("[Unit]\nWants={UNIT}\n");
    [
        (format!("systemd.extra-unit.{UNIT}"), unit.as_str()),
        ("systemd.unit-dropin.sysinit.target~goldcast".to_owned(), wants.as_str()),
        ("goldcast.agent".to_owned(), SCRIPT),
    ]
    .into_iter()
    .map(|(name, text)| credential(&name, text))
    .collect()
}

/// One more such string: the boot ends before it begins, with the root filesystem read-only, and nothing is made
/// that a first boot makes.
pub fn nothing_else() -> String {
    // systemd-debug-generator(8) puts it where it counts before what the image names.
    let target = format!(
        "[Unit]\n\
         Description=A system that does nothing\n\
         DefaultDependencies=no\n\
         Wants={UNIT} systemd-udevd.service systemd-udev-trigger.service\n\
         AllowIsolate=yes\n"
    );
    credential("systemd.extra-unit.default.target", &target)
}

/// A string that makes this system credential.
pub fn credential(name: &str, text: &str) -> String {
    format!("io.systemd.credential.binary:{name}={}", BASE64.encode(text))
}

/// What a command inside the machine did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Its exit status, as bash reports it.
    pub exit: i32,
    /// It was stopped because it took longer than allowed.
    pub timed_out: bool,
    /// What it wrote to its output, at most 4 MiB.
    pub stdout: Vec<u8>,
    /// What it wrote to its errors, at most 4 MiB.
    pub stderr: Vec<u8>,
    /// Something was cut off the output or the errors.
    pub truncated: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Lost {
    /// The machine started anew while the command ran.
    Rebooted,
    /// The machine switched itself off while the command ran.
    Off,
    /// No answer in time.
    Silent,
    /// The watchdog, the socket or the protocol failed.
    Broken(Error),
}

impl Lost {
    /// The same as an [`Error`].
    pub fn into_error(self) -> Error {
        match self {
            Self::Rebooted => Error::new("the machine started anew while a command ran in it"),
            Self::Off => Error::new("the machine switched itself off while a command ran in it"),
            Self::Silent => Error::new("the machine stopped answering"),
            Self::Broken(error) => error,
        }
    }
}

/// The host's end of the conversation.
#[derive(Debug)]
pub struct Agent {
    stream: UnixStream,
    nonce: String,
    session: Option<String>,
    next: u64,
    pending: Vec<u8>,
    searched: usize,
}

/// A line from the agent, by its meaning.
#[derive(Debug, PartialEq)]
enum Line {
    Hello(String),
    Done { session: String, id: u64, ran: Ran },
    Noise,
}

impl Agent {
    /// Speaks over this connection with the agent that was given `nonce`.
    pub fn new(stream: UnixStream, nonce: &str) -> Result<Self> {
        stream.set_read_timeout(Some(TICK))?;
        stream.set_write_timeout(Some(TICK))?;
        Ok(Self { stream, nonce: nonce.to_owned(), session: None, next: 1, pending: Vec::new(), searched: 0 })
    }

    /// As [`Agent::new`], with an agent that has greeted somebody before and goes on with that boot.
    pub fn resume(stream: UnixStream, nonce: &str, session: &str) -> Result<Self> {
        Ok(Self { session: Some(session.to_owned()), ..Self::new(stream, nonce)? })
    }

    /// The boot that answers now: the kernel's boot id, once the agent has greeted.
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// Waits for the greeting of a boot other than `last`. `watch` is called all the time and may end the wait.
    pub fn await_hello(
        &mut self,
        last: Option<&str>,
        limit: Duration,
        watch: &mut dyn FnMut() -> Result<()>,
    ) -> Result<(), Lost> {
        let deadline = Instant::now() + limit;
        while self.session.is_none() || self.session.as_deref() == last {
            watch().map_err(Lost::Broken)?;
            if Instant::now() > deadline {
                return Err(Lost::Silent);
            }
            if let Some(Line::Hello(session)) = self.line_of_the_living(watch)? {
                self.session = Some(session);
            }
        }
        Ok(())
    }

    /// Runs a bash script as root in the machine, for at most `limit` (whole seconds).
    pub fn run(
        &mut self,
        script: &str,
        limit: Duration,
        watch: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Ran, Lost> {
        let Some(session) = self.session.clone() else {
            return Err(Lost::Broken(Error::new("nothing in the machine has greeted yet")));
        };
        let id = self.next;
        self.next += 1;
        let seconds = limit.as_secs().max(1);
        let request = format!("run {session} {id} {seconds} {}\n", BASE64.encode(script));
        let deadline = Instant::now() + limit + GRACE;
        self.write(request.as_bytes(), deadline, watch)?;
        loop {
            watch().map_err(Lost::Broken)?;
            if Instant::now() > deadline {
                return Err(Lost::Silent);
            }
            match self.line_of_the_living(watch)? {
                Some(Line::Done { session: from, id: of, ran }) if from == session && of == id => {
                    return Ok(ran);
                }
                Some(Line::Hello(new)) if new != session => {
                    self.session = Some(new);
                    return Err(Lost::Rebooted);
                }
                // The agent's own process was restarted within the same boot: the request is lost.
                Some(Line::Hello(_)) => return Err(Lost::Silent),
                _ => {}
            }
        }
    }

    fn write(
        &mut self,
        mut bytes: &[u8],
        deadline: Instant,
        watch: &mut dyn FnMut() -> Result<()>,
    ) -> Result<(), Lost> {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(0) => return Err(Lost::Broken(Error::new("the machine's port is closed"))),
                Ok(count) => bytes = &bytes[count..],
                Err(error) if waits(error.kind()) => {
                    watch().map_err(Lost::Broken)?;
                    if Instant::now() > deadline {
                        return Err(Lost::Silent);
                    }
                }
                Err(error) => {
                    watch().map_err(Lost::Broken)?;
                    return Err(Lost::Broken(Error::new("writing to the machine's port").because(error)));
                }
            }
        }
        Ok(())
    }

    /// As [`Agent::line`]; of a machine that has ended, `watch` says more than its port does.
    fn line_of_the_living(&mut self, watch: &mut dyn FnMut() -> Result<()>) -> Result<Option<Line>, Lost> {
        self.line().or_else(|error| {
            watch().map_err(Lost::Broken)?;
            Err(Lost::Broken(error))
        })
    }

    /// The next line, or nothing when none came within a tick.
    fn line(&mut self) -> Result<Option<Line>> {
        if let Some(line) = self.buffered() {
            return Ok(Some(line));
        }
        let mut chunk = [0; 65536];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(Error::new("the machine's port is closed")),
            Ok(count) => {
                self.pending.extend_from_slice(&chunk[..count]);
                if self.pending.len() > LINE_LIMIT {
                    return Err(Error::new("the machine sent an endless line"));
                }
                Ok(self.buffered())
            }
            Err(error) if waits(error.kind()) => Ok(None),
            Err(error) => Err(error).doing("listening to the machine's port"),
        }
    }

    fn buffered(&mut self) -> Option<Line> {
        // Long lines come in thousands of pieces: look only at what is new.
        let Some(end) = self.pending[self.searched..].iter().position(|&byte| byte == b'\n') else {
            self.searched = self.pending.len();
            return None;
        };
        let end = self.searched + end;
        let line: Vec<u8> = self.pending.drain(..=end).collect();
        self.searched = 0;
        Some(parse(&line, &self.nonce))
    }
}

fn waits(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// Whatever does not fit the protocol is noise: the guest is not trusted to speak well.
fn parse(line: &[u8], nonce: &str) -> Line {
    let Ok(text) = std::str::from_utf8(line) else { return Line::Noise };
    let words: Vec<&str> = text.trim_end().split(' ').collect();
    match words[..] {
        ["hello", "1", from, session] if from == nonce && !session.is_empty() => {
            Line::Hello(session.to_owned())
        }
        ["done", session, id, exit, late, out_size, err_size, out, err] => {
            done(session, id, exit, late, [out_size, err_size], [out, err]).unwrap_or(Line::Noise)
        }
        _ => Line::Noise,
    }
}

fn done(session: &str, id: &str, exit: &str, late: &str, sizes: [&str; 2], texts: [&str; 2]) -> Option<Line> {
    let stdout = BASE64.decode(texts[0].strip_prefix("o:")?).ok()?;
    let stderr = BASE64.decode(texts[1].strip_prefix("e:")?).ok()?;
    let truncated =
        sizes[0].parse::<usize>().ok()? > stdout.len() || sizes[1].parse::<usize>().ok()? > stderr.len();
    Some(Line::Done {
        session: session.to_owned(),
        id: id.parse().ok()?,
        ran: Ran { exit: exit.parse().ok()?, timed_out: late == "1", stdout, stderr, truncated },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};

    fn calm() -> Result<()> {
        Ok(())
    }

    /// The agent's side of the protocol, told by `answer(id, script)` what to send.
    fn pair(answer: impl Fn(&str, &str, &str) -> Vec<u8> + Send + 'static) -> Agent {
        let (ours, theirs) = UnixStream::pair().unwrap();
        std::thread::spawn(move || {
            let mut write = theirs.try_clone().unwrap();
            write.write_all(b"\x00\xffnoise\nhello 1 wrong s0\nhello 1 n0nce s1\n").unwrap();
            for line in BufReader::new(theirs).lines() {
                let line = line.unwrap();
                let words: Vec<&str> = line.split(' ').collect();
                assert_eq!((words[0], words.len()), ("run", 5), "{line}");
                let script = String::from_utf8(BASE64.decode(words[4]).unwrap()).unwrap();
                if write.write_all(&answer(words[1], words[2], &script)).is_err() {
                    return;
                }
            }
        });
        let mut agent = Agent::new(ours, "n0nce").unwrap();
        agent.await_hello(None, Duration::from_secs(5), &mut calm).unwrap();
        assert_eq!(agent.session(), Some("s1"));
        agent
    }

    fn reply(session: &str, id: &str, exit: i32, out: &[u8]) -> Vec<u8> {
        format!("done {session} {id} {exit} 0 {} 0 o:{} e:\n", out.len(), BASE64.encode(out)).into_bytes()
    }

    const LIMIT: Duration = Duration::from_secs(5);

    #[test]
    fn commands_follow_each_other_with_large_and_binary_output() {
        let large: Vec<u8> = (0..3_000_000_u32).map(|n| (n * 7 % 256) as u8).collect();
        let sent = large.clone();
        let mut agent = pair(move |session, id, script| match script {
            "big" => reply(session, id, 0, &sent),
            _ => reply(session, id, 3, b"\x00\xff\n"),
        });
        let ran = agent.run("big", LIMIT, &mut calm).unwrap();
        assert!(ran.stdout == large && !ran.truncated && ran.exit == 0);
        let ran = agent.run("small", LIMIT, &mut calm).unwrap();
        assert_eq!((ran.exit, &ran.stdout[..]), (3, &b"\x00\xff\n"[..]));
    }

    #[test]
    fn an_answer_to_another_question_or_from_another_boot_is_not_taken() {
        let mut agent = pair(|session, id, _| {
            let mut bytes = reply(session, "99", 1, b"old");
            bytes.extend(reply("s0", id, 1, b"before the reboot"));
            bytes.extend(b"done s1 garbage\n");
            bytes.extend(reply(session, id, 0, b"right"));
            bytes
        });
        assert_eq!(agent.run("x", LIMIT, &mut calm).unwrap().stdout, b"right");
    }

    #[test]
    fn a_reboot_under_a_command_is_noticed_and_the_new_boot_is_spoken_to() {
        let mut agent = pair(|session, id, script| match script {
            "reboot" => b"\nhello 1 n0nce s2\n".to_vec(),
            _ => reply(session, id, 0, session.as_bytes()),
        });
        assert!(matches!(agent.run("reboot", LIMIT, &mut calm), Err(Lost::Rebooted)));
        assert_eq!(agent.run("where", LIMIT, &mut calm).unwrap().stdout, b"s2");
    }

    #[test]
    fn the_watchdog_ends_a_wait_and_an_endless_line_is_refused() {
        let mut agent = pair(|_, _, script| match script {
            "flood" => vec![b'x'; LINE_LIMIT + 100_000],
            _ => Vec::new(),
        });
        let mut calls = 0;
        let lost = agent.run("hang", LIMIT, &mut || {
            calls += 1;
            if calls > 2 { Err(Error::new("QEMU is gone")) } else { Ok(()) }
        });
        assert!(matches!(lost, Err(Lost::Broken(error)) if error.what() == "QEMU is gone"));
        let lost = agent.run("flood", LIMIT, &mut calm);
        assert!(matches!(lost, Err(Lost::Broken(error)) if error.what().contains("endless")));
    }

    #[test]
    fn of_a_machine_that_has_ended_the_watchdog_tells_why() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let mut agent = Agent::new(ours, "n0nce").unwrap();
        let mut calls = 0;
        let lost = agent.await_hello(None, LIMIT, &mut || {
            calls += 1;
            if calls > 1 { Err(Error::new("QEMU ended: out of memory")) } else { Ok(()) }
        });
        assert!(matches!(lost, Err(Lost::Broken(error)) if error.what().contains("out of memory")));
    }

    #[test]
    fn a_cut_off_output_and_a_timeout_are_told() {
        let mut agent =
            pair(|session, id, _| format!("done {session} {id} 124 1 9999999 0 o:YWI= e:\n").into_bytes());
        let ran = agent.run("x", LIMIT, &mut calm).unwrap();
        assert!(ran.truncated && ran.timed_out);
        assert_eq!(ran.stdout, b"ab");
    }

    #[test]
    fn credentials_carry_the_unit_the_wish_and_the_script() {
        let all = credentials("abc");
        let unit =
            all.iter().find(|text| text.contains("systemd.extra-unit.goldcast-agent.service=")).unwrap();
        let (_, encoded) = unit.split_once(".service=").unwrap();
        let text = String::from_utf8(BASE64.decode(encoded).unwrap()).unwrap();
        assert!(text.contains("GOLDCAST_NONCE=abc") && text.contains("DefaultDependencies=no"));
        assert!(all.iter().all(|text| !text.contains(',') && !text.contains('\n')), "QEMU would split it");
    }
}
