//! The serial line of a machine, as somebody at its other end has it: boot loader, kernel, login prompt.

use super::text::plain;
use crate::error::{Context, Error, Result};
use regex::Regex;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How long one look at the line takes.
const TICK: Duration = Duration::from_millis(100);
/// Pause between two keys. A boot loader that has the line twice, as a port and as the firmware's console, asks both in
/// turn: keys that come at once may change places, and where several machines share a processor a moment is not enough.
const KEY_PAUSE: Duration = Duration::from_millis(200);
/// More than a boot with all its messages says.
const SPOKEN_LIMIT: usize = 16 << 20;

/// How a wait came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// What was waited for.
    Wanted,
    /// What must not come.
    Unwanted,
    /// Neither, in time.
    Nothing,
}

/// One end of the line.
#[derive(Debug)]
pub struct Console {
    stream: UnixStream,
    raw: Vec<u8>,
    /// What was said so far, as a person reads it.
    text: String,
    /// Up to where it has been looked at.
    read: usize,
}

impl Console {
    /// The end of this connection.
    pub fn new(stream: UnixStream) -> Result<Self> {
        stream.set_read_timeout(Some(TICK))?;
        stream.set_write_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self { stream, raw: Vec::new(), text: String::new(), read: 0 })
    }

    /// All that was said.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Types this, key by key. What was said before is no answer to it.
    pub fn send(&mut self, keys: &str, watch: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        self.listen()?;
        self.read = self.text.len();
        let mut bytes = [0; 4];
        for key in keys.chars() {
            watch()?;
            self.stream.write_all(key.encode_utf8(&mut bytes).as_bytes()).doing("typing on the console")?;
            std::thread::sleep(KEY_PAUSE);
        }
        Ok(())
    }

    /// Reads on until one of the two comes, or for `limit`. The next wait begins behind what was waited for.
    pub fn wait(
        &mut self,
        wanted: Option<&Regex>,
        unwanted: Option<&Regex>,
        limit: Duration,
        watch: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Heard> {
        let deadline = Instant::now() + limit;
        loop {
            watch()?;
            self.listen()?;
            let new = self.text.get(self.read..).unwrap_or_default();
            let found = wanted.and_then(|wanted| wanted.find(new)).map(|found| (found.start(), found.end()));
            let refused = unwanted.and_then(|unwanted| unwanted.find(new)).map(|refused| refused.start());
            match (found, refused) {
                (Some((start, end)), refused) if refused.is_none_or(|refused| start < refused) => {
                    self.read += end;
                    return Ok(Heard::Wanted);
                }
                (_, Some(_)) => return Ok(Heard::Unwanted),
                _ if Instant::now() > deadline => return Ok(Heard::Nothing),
                _ => {}
            }
        }
    }

    /// Takes what has come within a tick.
    fn listen(&mut self) -> Result<()> {
        let mut chunk = [0; 65536];
        match self.stream.read(&mut chunk) {
            Ok(0) => return Err(Error::new("the machine's serial line is closed")),
            Ok(count) => self.raw.extend_from_slice(chunk.get(..count).unwrap_or_default()),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => return Ok(()),
                _ => return Err(error).doing("listening to the machine's serial line"),
            },
        }
        if self.raw.len() > SPOKEN_LIMIT {
            return Err(Error::new("the machine talks endlessly on its serial line"));
        }
        // A character that has come in part would be read as another one; an escape sequence reads as nothing.
        self.text = plain(&String::from_utf8_lossy(whole(&self.raw)));
        Ok(())
    }
}

/// The bytes up to a character at the end that is not whole yet.
fn whole(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => bytes.get(..error.valid_up_to()).unwrap_or(bytes),
        _ => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calm() -> Result<()> {
        Ok(())
    }

    fn pattern(text: &str) -> Regex {
        Regex::new(text).unwrap()
    }

    #[test]
    fn a_dialogue_goes_on_behind_what_was_waited_for() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut console = Console::new(ours).unwrap();
        let far = std::thread::spawn(move || {
            theirs.write_all(b"\x1b[2Jlog\x1b[1;3Hin: \xe2\x94").unwrap();
            let mut typed = [0; 5];
            theirs.read_exact(&mut typed).unwrap();
            theirs.write_all(b"\x80\r\npassword: \x1b[").unwrap();
            theirs
        });
        let limit = Duration::from_secs(5);
        let login = pattern("login: ");
        assert_eq!(console.wait(Some(&login), None, limit, &mut calm).unwrap(), Heard::Wanted);
        console.send("admin", &mut calm).unwrap();
        let heard = console.wait(Some(&pattern("password: ")), Some(&login), limit, &mut calm).unwrap();
        assert_eq!(heard, Heard::Wanted, "what was said before is no answer: {}", console.text());
        let short = Duration::from_millis(300);
        assert_eq!(console.wait(Some(&login), None, short, &mut calm).unwrap(), Heard::Nothing);
        far.join().unwrap();
        assert!(console.wait(Some(&login), None, limit, &mut calm).is_err(), "the other end is gone");
        assert_eq!(console.text(), "login: \u{2500}\npassword: ");
    }

    #[test]
    fn what_comes_first_counts() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut console = Console::new(ours).unwrap();
        theirs.write_all(b"a shell# and then a question?").unwrap();
        let limit = Duration::from_secs(5);
        let (shell, question) = (pattern("#"), pattern(r"\?"));
        let heard = console.wait(Some(&question), Some(&shell), limit, &mut calm).unwrap();
        assert_eq!(heard, Heard::Unwanted);
        let heard = console.wait(Some(&shell), Some(&question), limit, &mut calm).unwrap();
        assert_eq!(heard, Heard::Wanted);
        let heard = console.wait(None, Some(&pattern("nothing")), Duration::ZERO, &mut calm).unwrap();
        assert_eq!(heard, Heard::Nothing);
    }

    #[test]
    fn what_has_come_in_part_does_not_move_what_is_there() {
        assert_eq!(whole(b"a\xe2\x94"), b"a");
        assert_eq!(whole(b"a\xff"), b"a\xff");
        let told = "a\u{1b}[1;3Hb\u{2500}\u{1b}]0;title\u{7}c\u{1b}]3008;x\u{1b}\\d";
        for end in 0..=told.len() {
            let part = plain(&String::from_utf8_lossy(whole(&told.as_bytes()[..end])));
            assert!(plain(told).starts_with(&part), "{part:?}");
        }
    }
}
