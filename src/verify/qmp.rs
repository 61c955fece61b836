//! A small synchronous client of QEMU's machine protocol (QMP, docs/interop/qmp-spec).

use crate::error::{Context, Error, Result};
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Longest line accepted; QEMU's own answers stay far below.
const LINE_LIMIT: usize = 16 << 20;

/// Something that happened in the machine, unasked.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// `RESET`, `STOP`, `GUEST_PANICKED`, `SHUTDOWN` …
    pub name: String,
    /// What QEMU says about it.
    pub data: Value,
}

/// One line that QEMU sent, by its meaning.
#[derive(Debug, PartialEq)]
enum Message {
    Greeting,
    Return(Value),
    Failure(String),
    Event(Event),
}

/// A connection to QEMU in command mode.
#[derive(Debug)]
pub struct Qmp {
    stream: UnixStream,
    pending: Vec<u8>,
    events: Vec<Event>,
}

impl Qmp {
    /// Takes a fresh connection: awaits the greeting and leaves negotiation mode.
    pub fn start(stream: UnixStream, timeout: Duration) -> Result<Self> {
        let mut qmp = Self { stream, pending: Vec::new(), events: Vec::new() };
        let deadline = Instant::now() + timeout;
        match qmp.message(deadline)? {
            Some(Message::Greeting) => {}
            _ => return Err(Error::new("QEMU did not greet on its control socket")),
        }
        qmp.execute("qmp_capabilities", Value::Null, timeout)?;
        Ok(qmp)
    }

    /// Runs a command and returns its answer; events that come in between are kept for [`Qmp::events`].
    pub fn execute(&mut self, command: &str, arguments: Value, timeout: Duration) -> Result<Value> {
        let mut request = json!({ "execute": command });
        if !arguments.is_null() {
            request["arguments"] = arguments;
        }
        let mut line = request.to_string();
        line.push('\n');
        self.stream.set_write_timeout(Some(timeout))?;
        self.stream.write_all(line.as_bytes()).doing_with(|| format!("asking QEMU to {command}"))?;
        let deadline = Instant::now() + timeout;
        loop {
            match self.message(deadline)? {
                Some(Message::Return(value)) => return Ok(value),
                Some(Message::Failure(why)) => {
                    return Err(Error::new(format!("QEMU refused {command}")).because(why));
                }
                Some(Message::Event(event)) => self.events.push(event),
                Some(Message::Greeting) => {}
                None => {
                    return Err(Error::new(format!(
                        "QEMU did not answer {command} within {} s",
                        timeout.as_secs()
                    )));
                }
            }
        }
    }

    /// A command of QEMU's human monitor, for what QMP lacks; returns its text.
    pub fn human(&mut self, line: &str, timeout: Duration) -> Result<String> {
        let answer = self.execute("human-monitor-command", json!({ "command-line": line }), timeout)?;
        Ok(answer.as_str().unwrap_or_default().trim().to_owned())
    }

    /// The events since the last call, waiting at most `wait` for a first one.
    pub fn events(&mut self, wait: Duration) -> Result<Vec<Event>> {
        let deadline = Instant::now() + wait;
        while let Some(message) =
            self.message(if self.events.is_empty() { deadline } else { Instant::now() })?
        {
            if let Message::Event(event) = message {
                self.events.push(event);
            }
        }
        Ok(std::mem::take(&mut self.events))
    }

    /// As [`Qmp::events`] without a wait, also of a QEMU that has hung up since.
    pub fn last_events(&mut self) -> Vec<Event> {
        let told = self.events(Duration::ZERO);
        told.unwrap_or_else(|_| std::mem::take(&mut self.events))
    }

    /// The run state: `running`, `internal-error`, `guest-panicked`, `shutdown` …
    pub fn status(&mut self) -> Result<String> {
        let answer = self.execute("query-status", Value::Null, Duration::from_secs(10))?;
        Ok(answer["status"].as_str().unwrap_or("unknown").to_owned())
    }

    /// The next message, or nothing when the deadline passes first.
    fn message(&mut self, deadline: Instant) -> Result<Option<Message>> {
        loop {
            if let Some(end) = self.pending.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                let text = String::from_utf8_lossy(&line);
                if text.trim().is_empty() {
                    continue;
                }
                return parse(text.trim()).map(Some);
            }
            if self.pending.len() > LINE_LIMIT {
                return Err(Error::new("QEMU sent an endless line on its control socket"));
            }
            // A zero timeout would mean "for ever" to the kernel.
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.stream.set_read_timeout(Some(left))?;
            let mut chunk = [0; 8192];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(Error::new("QEMU closed its control socket")),
                Ok(count) => self.pending.extend_from_slice(&chunk[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Ok(None);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).doing("listening to QEMU"),
            }
        }
    }
}

fn parse(line: &str) -> Result<Message> {
    let value: Value = serde_json::from_str(line).doing("reading what QEMU says")?;
    if value.get("QMP").is_some() {
        Ok(Message::Greeting)
    } else if let Some(name) = value.get("event").and_then(Value::as_str) {
        Ok(Message::Event(Event {
            name: name.to_owned(),
            data: value.get("data").cloned().unwrap_or_default(),
        }))
    } else if let Some(error) = value.get("error") {
        Ok(Message::Failure(error["desc"].as_str().unwrap_or("no reason given").to_owned()))
    } else if let Some(answer) = value.get("return") {
        Ok(Message::Return(answer.clone()))
    } else {
        Err(Error::new("QEMU said something that is not QMP").because(line))
    }
}

#[cfg(test)]
pub mod testing {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::sync::mpsc::{Receiver, channel};

    /// A peer that greets, then answers each request with the next of `answers`; and the requests, as they came.
    pub fn peer(answers: &'static [&'static str]) -> (Qmp, Receiver<Value>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (asked, requests) = channel();
        std::thread::spawn(move || {
            let mut write = theirs.try_clone().unwrap();
            write.write_all(b"{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n").unwrap();
            let mut answers = answers.iter();
            for line in BufReader::new(theirs).lines() {
                let request: Value = serde_json::from_str(&line.unwrap()).unwrap();
                if request["execute"] == "qmp_capabilities" {
                    write.write_all(b"{\"return\": {}}\r\n").unwrap();
                } else if let Some(answer) = answers.next() {
                    asked.send(request).ok();
                    // In two halves, as a socket may deliver it.
                    let (head, tail) = answer.split_at(answer.len() / 2);
                    write.write_all(head.as_bytes()).unwrap();
                    std::thread::sleep(Duration::from_millis(5));
                    write.write_all(tail.as_bytes()).unwrap();
                    write.write_all(b"\r\n").unwrap();
                }
            }
        });
        (Qmp::start(ours, Duration::from_secs(5)).unwrap(), requests)
    }
}

#[cfg(test)]
mod tests {
    use super::testing::peer;
    use super::*;

    #[test]
    fn an_answer_is_found_behind_events_and_the_events_are_kept() {
        let (mut qmp, _) = peer(&[concat!(
            r#"{"event": "STOP", "timestamp": {"seconds": 1, "microseconds": 2}}"#,
            "\r\n",
            r#"{"return": {"status": "internal-error", "running": false}}"#
        )]);
        assert_eq!(qmp.status().unwrap(), "internal-error");
        let events = qmp.events(Duration::from_millis(1)).unwrap();
        assert_eq!(events, [Event { name: "STOP".into(), data: Value::Null }]);
        assert!(qmp.events(Duration::from_millis(1)).unwrap().is_empty());
    }

    #[test]
    fn what_happened_before_qemu_hung_up_is_not_lost() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let off = concat!(r#"{"event": "SHUTDOWN", "data": {"guest": true}}"#, "\r\n");
        theirs.write_all(off.as_bytes()).unwrap();
        drop(theirs);
        let mut qmp = Qmp { stream: ours, pending: Vec::new(), events: Vec::new() };
        assert!(qmp.events(Duration::from_millis(1)).is_err());
        assert_eq!(qmp.last_events(), [Event { name: "SHUTDOWN".into(), data: json!({ "guest": true }) }]);
        assert!(qmp.last_events().is_empty());
    }

    #[test]
    fn a_refusal_names_the_command_and_the_reason() {
        let (mut qmp, _) = peer(&[r#"{"error": {"class": "GenericError", "desc": "no such device"}}"#]);
        let error = qmp.execute("screendump", json!({}), Duration::from_secs(5)).unwrap_err();
        assert_eq!(error.to_string(), "QEMU refused screendump: no such device");
    }

    #[test]
    fn silence_garbage_and_a_closed_socket_are_errors_not_hangs() {
        let (mut silent, _) = peer(&[]);
        let error = silent.execute("quit", Value::Null, Duration::from_millis(30)).unwrap_err();
        assert!(error.what().contains("did not answer quit"), "{error}");
        let (mut babbling, _) = peer(&["hello there"]);
        assert!(babbling.status().is_err());
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        assert!(Qmp::start(ours, Duration::from_secs(1)).is_err());
    }
}
