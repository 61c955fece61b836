//! A mail server that takes everything and keeps it: SMTP (RFC 5321), as far as a relay's client speaks it.

use crate::error::{Context, Result};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often a waiting server looks whether it is to end.
const TICK: Duration = Duration::from_millis(100);
/// How long a client may be silent.
const SILENCE: Duration = Duration::from_secs(30);
/// Longest line and longest letter taken; a client that sends more is cut off.
const LINE_LIMIT: u64 = 16 << 10;
const LETTER_LIMIT: usize = 4 << 20;

/// A letter as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The envelope's sender.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// Headers and body.
    pub text: String,
}

/// A running server; it ends when this is dropped.
pub struct MailServer {
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    letters: Mutex<Vec<Letter>>,
    /// It hangs up on everybody.
    down: AtomicBool,
    stop: AtomicBool,
}

impl Shared {
    fn letters(&self) -> MutexGuard<'_, Vec<Letter>> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MailServer {
    /// Listens at these ports of an address, in the network namespace of the calling thread.
    pub fn start(address: IpAddr, ports: &[u16]) -> Result<Self> {
        let mut listeners = Vec::new();
        for port in ports {
            let listener = TcpListener::bind(SocketAddr::new(address, *port));
            listeners.push(listener.doing("opening the lab's mail server")?);
        }
        for listener in &listeners {
            listener.set_nonblocking(true)?;
        }
        let shared = Arc::new(Shared::default());
        let server = Arc::clone(&shared);
        let thread = std::thread::spawn(move || serve(&listeners, &server));
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Every letter so far, the oldest first.
    pub fn letters(&self) -> Vec<Letter> {
        self.shared.letters().clone()
    }

    /// Switches it on or off; off, it hangs up on whoever calls.
    pub fn switch(&self, on: bool) {
        self.shared.down.store(!on, Ordering::Relaxed);
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn serve(listeners: &[TcpListener], shared: &Arc<Shared>) {
    while !shared.stop.load(Ordering::Relaxed) {
        let callers: Vec<TcpStream> = listeners
            .iter()
            .filter_map(|listener| listener.accept().ok())
            .map(|(stream, _)| stream)
            .collect();
        if callers.is_empty() {
            std::thread::sleep(TICK);
        }
        for stream in callers {
            if shared.down.load(Ordering::Relaxed) {
                continue;
            }
            let shared = Arc::clone(shared);
            // A client that breaks off loses its own letter only.
            std::thread::spawn(move || stream_of(stream).and_then(|stream| talk(stream, &shared)));
        }
    }
}

fn stream_of(stream: TcpStream) -> std::io::Result<TcpStream> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    Ok(stream)
}

/// One client's session.
fn talk(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut out = stream.try_clone()?;
    let mut input = BufReader::new(stream);
    let mut letter = Letter { from: String::new(), to: Vec::new(), text: String::new() };
    out.write_all(b"220 lab.test ESMTP\r\n")?;
    while let Some(line) = line(&mut input)? {
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let answer: &[u8] = match verb.as_str() {
            "EHLO" => b"250-lab.test\r\n250-8BITMIME\r\n250 SIZE 4194304\r\n",
            "HELO" | "NOOP" => b"250 lab.test\r\n",
            "MAIL" => {
                letter.from = address(&line);
                b"250 OK\r\n"
            }
            "RCPT" => {
                letter.to.push(address(&line));
                b"250 OK\r\n"
            }
            "DATA" => {
                out.write_all(b"354 go on\r\n")?;
                letter.text = data(&mut input)?;
                let new = Letter { from: String::new(), to: Vec::new(), text: String::new() };
                shared.letters().push(std::mem::replace(&mut letter, new));
                b"250 kept\r\n"
            }
            "RSET" => {
                letter = Letter { from: String::new(), to: Vec::new(), text: String::new() };
                b"250 OK\r\n"
            }
            "QUIT" => return out.write_all(b"221 bye\r\n"),
            _ => b"502 not here\r\n",
        };
        out.write_all(answer)?;
    }
    Ok(())
}

/// A line without its end; nothing when the client has hung up.
fn line(input: &mut impl BufRead) -> std::io::Result<Option<String>> {
    let mut bytes = Vec::new();
    let count = input.take(LINE_LIMIT).read_until(b'\n', &mut bytes)?;
    if count as u64 == LINE_LIMIT {
        return Err(std::io::Error::other("the line is too long"));
    }
    Ok((count > 0).then(|| String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned()))
}

/// What stands between `<` and `>`.
fn address(line: &str) -> String {
    let inner = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inner.map_or("", |(inner, _)| inner).to_owned()
}

/// A letter's lines up to the single dot (RFC 5321 section 4.5.2).
fn data(input: &mut impl BufRead) -> std::io::Result<String> {
    let mut text = String::new();
    while let Some(line) = line(input)? {
        if line == "." {
            return Ok(text);
        }
        text.push_str(line.strip_prefix('.').unwrap_or(&line));
        text.push('\n');
        if text.len() > LETTER_LIMIT {
            return Err(std::io::Error::other("the letter is too long"));
        }
    }
    Err(std::io::Error::other("the letter has no end"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn server() -> (MailServer, SocketAddr) {
        let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = probe.local_addr().unwrap();
        drop(probe);
        (MailServer::start(address.ip(), &[address.port()]).unwrap(), address)
    }

    #[test]
    fn a_letter_is_kept_as_it_came() {
        let (server, address) = server();
        let mut client = TcpStream::connect(address).unwrap();
        client
            .write_all(
                b"EHLO guest\r\nMAIL FROM:<root@guest>\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n\
                  Subject: hello\r\n\r\n..dotted\r\nlast\r\n.\r\nQUIT\r\n",
            )
            .unwrap();
        let mut said = String::new();
        client.read_to_string(&mut said).unwrap();
        assert!(said.ends_with("250 kept\r\n221 bye\r\n"), "{said}");
        let wanted = Letter {
            from: "root@guest".into(),
            to: vec!["a@x".into(), "b@x".into()],
            text: "Subject: hello\n\n.dotted\nlast\n".into(),
        };
        assert_eq!(server.letters(), [wanted]);
    }

    #[test]
    fn a_letter_without_an_end_is_none_and_a_server_that_is_off_says_nothing() {
        let (server, address) = server();
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"MAIL FROM:<a>\r\nDATA\r\nhalf a let").unwrap();
        drop(client);
        server.switch(false);
        let mut client = TcpStream::connect(address).unwrap();
        let mut said = String::new();
        client.read_to_string(&mut said).ok();
        assert_eq!(said, "");
        assert_eq!(server.letters(), []);
    }
}
