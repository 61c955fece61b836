//! What a TCP port says to somebody who has just come.

use crate::error::{Error, Result};
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// What came over a fresh connection.
pub enum Said {
    /// The first that was said.
    Bytes(String),
    /// The other side ended it, or refused it.
    Closed(&'static str),
    /// A connection came about, and nothing was said.
    Nothing,
    /// No connection came about, and nothing refused it.
    Unanswered,
}

/// QEMU's network accepts for the guest and then hangs up when the guest refuses, so an early end is "closed".
pub fn greeting(address: std::net::SocketAddr, limit: Duration) -> Result<Said> {
    let mut stream = match TcpStream::connect_timeout(&address, limit) {
        Ok(stream) => stream,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Ok(Said::Closed("refused")),
        Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) => {
            return Ok(Said::Unanswered);
        }
        Err(error) => return Err(Error::new(format!("connecting to {address}")).because(error)),
    };
    let deadline = Instant::now() + limit;
    let mut bytes = [0; 512];
    loop {
        crate::interrupt::check()?;
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Said::Nothing);
        }
        stream.set_read_timeout(Some(left.min(Duration::from_millis(200))))?;
        match stream.read(&mut bytes) {
            Ok(0) => return Ok(Said::Closed("hung up at once")),
            Ok(count) => return Ok(Said::Bytes(String::from_utf8_lossy(&bytes[..count]).into_owned())),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                ErrorKind::ConnectionReset => return Ok(Said::Closed("reset")),
                _ => return Err(Error::new(format!("listening to {address}")).because(error)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpListener;

    fn served(serve: impl FnOnce(TcpStream) + Send + 'static) -> Said {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || serve(listener.accept().unwrap().0));
        greeting(address, Duration::from_millis(600)).unwrap()
    }

    #[test]
    fn a_port_that_speaks_one_that_hangs_up_and_one_that_is_silent() {
        let said = served(|mut stream| stream.write_all(b"SSH-2.0-x\r\n").unwrap());
        assert!(matches!(said, Said::Bytes(text) if text.starts_with("SSH-2.0")));
        assert!(matches!(served(drop), Said::Closed(_)));
        assert!(matches!(served(|_stream| std::thread::sleep(Duration::from_secs(2))), Said::Nothing));
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(matches!(greeting(nobody, Duration::from_secs(1)).unwrap(), Said::Closed("refused")));
    }
}
