//! `connect`: a TCP connection to the machine.

use super::Connect;
use super::expect::regex;
use super::run::{KEPT, Runner, Try};
use crate::error::{Error, Result};
use crate::verify::report::Evidence;
use crate::verify::text::{excerpt, plain};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect as dial, setsockopt,
};
use nix::sys::socket::{socket, sockopt::SendTimeout};
use nix::sys::time::{TimeVal, TimeValLike};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// How long a port in the lab is waited for that is to be shut: what is dropped never answers.
const SHUT: Duration = Duration::from_secs(8);
/// The most that is read of an answer.
const ANSWER_LIMIT: usize = 256 * 1024;

/// Connects, and looks at what comes of it.
///
/// # Errors
/// When the machine is gone, or the step makes no sense.
pub fn connect(runner: &mut Runner<'_>, step: &Connect, limit: Duration) -> Result<Try> {
    let port = runner.port(&step.port.text())?;
    let (mut address, wired) = runner.reach(port)?;
    let parse = |word: &super::Word| -> Result<IpAddr> {
        let filled = runner.fill(&word.text())?;
        filled.parse().map_err(|_| Error::usage(format!("'{filled}' is not an address")))
    };
    let mut did = format!("connect to tcp {port}");
    if let Some(other) = &step.address {
        address.set_ip(parse(other)?);
        did.push_str(&format!(" at {}", address.ip()));
    }
    let from = step.from.as_ref().map(parse).transpose()?;
    if let Some(from) = from {
        did.push_str(&format!(" from {from}"));
    }
    let send = step.send.as_ref().map(|send| runner.fill(&send.text())).transpose()?;
    let pattern = step.banner.as_ref().map(|pattern| runner.fill(pattern)).transpose()?;
    if from.is_some() && !wired {
        return Err(Error::usage(
            "the check must say `needs = [\"lab\"]`: it names where a connection comes from",
        ));
    }
    // In the lab a connection is the guest's own answer, and silence is a door that is shut.
    let limit = if wired && !step.open { limit.min(SHUT) } else { limit };
    let said = greeting(address, from, send.as_deref(), limit)?;
    judged(&said, did, pattern.as_deref(), step.open, wired)
}

/// What came, held against what is wanted: `open` with something that matches the pattern, or shut.
fn judged(said: &Said, did: String, pattern: Option<&str>, open: bool, wired: bool) -> Result<Try> {
    Ok(match (said, pattern, open) {
        (Said::Refused, _, open) => {
            let seen = Evidence::new(did, "refused");
            if open { Try::Broke(seen.wanted("the port is closed")) } else { Try::Held(seen) }
        }
        (Said::HungUp(how), _, true) => Try::Broke(Evidence::new(did, *how).wanted("no greeting comes")),
        // On the lab's wire nobody but the guest takes a connection: something listens there.
        (Said::HungUp(how), _, false) if wired => {
            Try::Broke(Evidence::new(did, format!("connected, {how}")).wanted("the port is open"))
        }
        (Said::HungUp(how), _, false) => Try::Held(Evidence::new(did, *how)),
        (Said::Bytes(text), Some(pattern), true) => {
            let seen = Evidence::new(did, excerpt(&plain(text), KEPT));
            match regex(pattern)?.is_match(text) {
                true => Try::Held(seen),
                false => Try::Broke(seen.wanted(format!("what it says does not match /{pattern}/"))),
            }
        }
        (Said::Bytes(text), ..) => {
            Try::Broke(Evidence::new(did, excerpt(&plain(text), KEPT)).wanted("something answers there"))
        }
        (Said::Nothing, _, true) => Try::Broke(Evidence::new(did, "silence").wanted("no greeting in time")),
        (Said::Unanswered, _, open) => {
            let seen = Evidence::new(did, "no answer");
            if open { Try::Broke(seen.wanted("the port does not answer")) } else { Try::Held(seen) }
        }
        (Said::Unreached, _, open) => {
            let seen = Evidence::new(did, "nobody has that address");
            if open { Try::Broke(seen.wanted("the machine is not there")) } else { Try::Unable(seen) }
        }
        (Said::Nothing, _, false) if wired => {
            Try::Broke(Evidence::new(did, "connected, silence").wanted("the port is open"))
        }
        (Said::Nothing, _, false) => {
            Try::Unable(Evidence::new(did, "silence: open and quiet cannot be told from dropped here"))
        }
    })
}

/// What came over a fresh connection.
enum Said {
    Bytes(String),
    /// No connection came about: it was refused.
    Refused,
    /// A connection came about, and was ended before a word. QEMU's network accepts for the guest and then hangs up when
    /// the guest refuses, so there it is a port that is shut.
    HungUp(&'static str),
    /// A connection came about, and nothing was said.
    Nothing,
    /// No connection came about, and nothing refused it.
    Unanswered,
    /// There is nobody at that address: nothing is known of its ports.
    Unreached,
}

/// Connects, and listens for a first word, or for the whole answer to what is sent.
fn greeting(address: SocketAddr, from: Option<IpAddr>, send: Option<&str>, limit: Duration) -> Result<Said> {
    let mut stream = match dialled(address, from, limit) {
        Ok(stream) => stream,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Ok(Said::Refused),
        Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) => {
            return Ok(Said::Unanswered);
        }
        Err(error) if error.kind() == ErrorKind::HostUnreachable => return Ok(Said::Unreached),
        Err(error) => return Err(Error::new(format!("connecting to {address}")).because(error)),
    };
    if let Some(send) = send {
        stream.set_write_timeout(Some(limit))?;
        if stream.write_all(send.as_bytes()).is_err() {
            return Ok(Said::HungUp("hung up while it was spoken to"));
        }
    }
    let deadline = Instant::now() + limit;
    let (mut all, mut bytes) = (Vec::new(), [0; 4096]);
    let said = |all: &[u8]| Said::Bytes(String::from_utf8_lossy(all).into_owned());
    loop {
        crate::interrupt::check()?;
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(if all.is_empty() { Said::Nothing } else { said(&all) });
        }
        stream.set_read_timeout(Some(left.min(Duration::from_millis(200))))?;
        match stream.read(&mut bytes) {
            Ok(0) if all.is_empty() => return Ok(Said::HungUp("hung up at once")),
            Ok(0) => return Ok(said(&all)),
            Ok(count) => {
                all.extend_from_slice(bytes.get(..count).unwrap_or_default());
                if send.is_none() || all.len() > ANSWER_LIMIT {
                    return Ok(said(&all));
                }
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                ErrorKind::ConnectionReset if !all.is_empty() => return Ok(said(&all)),
                ErrorKind::ConnectionReset => return Ok(Said::HungUp("reset")),
                _ => return Err(Error::new(format!("listening to {address}")).because(error)),
            },
        }
    }
}

/// A connection, which may come from a certain one of this host's addresses.
fn dialled(address: SocketAddr, from: Option<IpAddr>, limit: Duration) -> std::io::Result<TcpStream> {
    let Some(from) = from else { return TcpStream::connect_timeout(&address, limit) };
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(from, 0)))?;
    // socket(7): connecting in vain for so long gives EINPROGRESS.
    let seconds = i64::try_from(limit.as_secs().max(1)).unwrap_or(i64::MAX);
    setsockopt(&socket, SendTimeout, &TimeVal::seconds(seconds))?;
    match dial(socket.as_raw_fd(), &SockaddrStorage::from(address)) {
        Ok(()) => Ok(TcpStream::from(socket)),
        Err(nix::Error::EINPROGRESS) => Err(ErrorKind::TimedOut.into()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener};

    fn served(
        from: Option<IpAddr>,
        send: Option<&str>,
        serve: impl FnOnce(TcpStream) + Send + 'static,
    ) -> Said {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || serve(listener.accept().unwrap().0));
        greeting(address, from, send, Duration::from_millis(600)).unwrap()
    }

    #[test]
    fn a_port_that_speaks_one_that_hangs_up_and_one_that_is_silent() {
        let said = served(None, None, |mut stream| stream.write_all(b"SSH-2.0-x\r\n").unwrap());
        assert!(matches!(said, Said::Bytes(text) if text.starts_with("SSH-2.0")));
        assert!(matches!(served(None, None, drop), Said::HungUp(_)));
        let silent = served(None, None, |_stream| std::thread::sleep(Duration::from_secs(2)));
        assert!(matches!(silent, Said::Nothing));
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let refused = greeting(nobody, None, None, Duration::from_secs(1)).unwrap();
        assert!(matches!(refused, Said::Refused));
        let local = Some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3)));
        assert!(matches!(greeting(nobody, local, None, Duration::from_secs(1)).unwrap(), Said::Refused));
    }

    #[test]
    fn a_port_that_takes_a_connection_and_hangs_up_is_open_where_the_guest_itself_takes_it() {
        let judge =
            |said: &Said, open, wired| judged(said, "connect".into(), Some("^SSH"), open, wired).unwrap();
        let (dropped, refused) = (Said::HungUp("hung up at once"), Said::Refused);
        assert!(matches!(judge(&dropped, false, true), Try::Broke(_)));
        assert!(matches!(judge(&dropped, false, false), Try::Held(_)));
        assert!(matches!(judge(&dropped, true, true), Try::Broke(_)));
        assert!(matches!(judge(&refused, false, true), Try::Held(_)));
        assert!(matches!(judge(&refused, true, true), Try::Broke(_)));
        assert!(matches!(judge(&Said::Bytes("SSH-2.0".into()), true, true), Try::Held(_)));
    }

    #[test]
    fn a_question_is_answered_whole_to_whom_it_came_from() {
        let from = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
        let said = served(Some(from), Some("who\n"), |mut stream| {
            let mut asked = [0; 4];
            stream.read_exact(&mut asked).unwrap();
            stream.write_all(&asked).unwrap();
            std::thread::sleep(Duration::from_millis(50));
            stream.write_all(stream.peer_addr().unwrap().ip().to_string().as_bytes()).unwrap();
        });
        assert!(matches!(said, Said::Bytes(text) if text == "who\n127.0.0.2"));
    }
}
