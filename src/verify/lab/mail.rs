//! A mail server that takes everything and keeps it: SMTP (RFC 5321), as far as a relay's client speaks it.

use super::certificates::Certificates;
use super::listener::Listener;
use super::mail_ports::MailPorts;
use crate::error::Result;
use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::StreamOwned;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Longest line and longest letter taken; a client that sends more is cut off.
const LINE_LIMIT: u64 = 16 << 10;
const LETTER_LIMIT: usize = 4 << 20;

const GREETING: &[u8] = b"220 lab.test ESMTP\r\n";

/// A letter as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Letter {
    /// The envelope's sender.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// Headers and body.
    pub text: String,
    /// Whether it came over TLS.
    pub encrypted: bool,
    /// Who sent it, if the client said so; anybody is believed.
    pub account: Option<Account>,
}

/// Who a client says it is, and the proof of that (RFC 4954).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The name.
    pub user: String,
    /// What nobody else is to know.
    pub password: String,
}

/// How the server treats its clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// It takes letters in the clear at every port, and knows of no encryption.
    #[default]
    On,
    /// It hangs up on everybody.
    Off,
    /// It offers STARTTLS, and speaks TLS from the start at the recipe's port if that says so, or else at port 465.
    Tls,
}

/// A running server; it ends when this is dropped.
pub struct MailServer {
    shared: Arc<Shared>,
    _listener: Listener,
}

struct Shared {
    letters: Mutex<Vec<Letter>>,
    service: Mutex<Service>,
    ports: MailPorts,
    certificates: Certificates,
}

impl Shared {
    fn letters(&self) -> MutexGuard<'_, Vec<Letter>> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn service(&self) -> MutexGuard<'_, Service> {
        self.service.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MailServer {
    /// Listens at these ports of an address, in the network namespace of the calling thread.
    pub fn start(address: IpAddr, ports: MailPorts, certificates: Certificates) -> Result<Self> {
        let numbers = ports.numbers();
        let (letters, service) = (Mutex::default(), Mutex::default());
        let shared = Arc::new(Shared { letters, service, ports, certificates });
        let server = Arc::clone(&shared);
        let listener = Listener::start(address, &numbers, move |stream| server.serve(stream))?;
        Ok(Self { shared, _listener: listener })
    }

    /// Every letter so far, the oldest first.
    pub fn letters(&self) -> Vec<Letter> {
        self.shared.letters().clone()
    }

    /// From now on it treats new clients so.
    pub fn switch(&self, service: Service) {
        *self.shared.service() = service;
    }
}

/// What a session did.
enum End {
    Over,
    /// The client asks for encryption (RFC 3207).
    StartTls,
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let service = *self.service();
        if service == Service::Off {
            return Ok(());
        }
        let (tls, called) = (service == Service::Tls, stream.local_addr()?);
        if !(tls && self.ports.encrypted_from_start(called.port())) {
            stream.write_all(GREETING)?;
            if let End::Over = self.talk(&mut stream, tls, false)? {
                return Ok(());
            }
            let mut secure = StreamOwned::new(self.certificates.connection(called.ip())?, stream);
            return self.talk(&mut secure, false, true).map(drop);
        }
        let mut secure = StreamOwned::new(self.certificates.connection(called.ip())?, stream);
        secure.write_all(GREETING)?;
        self.talk(&mut secure, false, true).map(drop)
    }

    /// One client's session, until it ends or goes on encrypted.
    fn talk(&self, stream: impl Read + Write, offer: bool, encrypted: bool) -> std::io::Result<End> {
        let mut stream = BufReader::new(stream);
        let mut account = None;
        let mut letter = Letter { encrypted, ..Letter::default() };
        while let Some(line) = line(&mut stream)? {
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            let answer: &[u8] = match verb.as_str() {
                "EHLO" if offer => b"250-lab.test\r\n250-STARTTLS\r\n250 8BITMIME\r\n",
                "EHLO" if encrypted => {
                    b"250-lab.test\r\n250-8BITMIME\r\n250-AUTH PLAIN LOGIN\r\n250 SIZE 4194304\r\n"
                }
                "EHLO" => b"250-lab.test\r\n250-8BITMIME\r\n250 SIZE 4194304\r\n",
                "STARTTLS" if offer => {
                    stream.get_mut().write_all(b"220 go on\r\n")?;
                    return Ok(End::StartTls);
                }
                "AUTH" if encrypted => {
                    account = log_in(&line, &mut stream)?;
                    if account.is_some() { b"235 known\r\n" } else { b"501 not understood\r\n" }
                }
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
                    stream.get_mut().write_all(b"354 go on\r\n")?;
                    letter.text = data(&mut stream)?;
                    letter.account.clone_from(&account);
                    let new = Letter { encrypted, ..Letter::default() };
                    self.letters().push(std::mem::replace(&mut letter, new));
                    b"250 kept\r\n"
                }
                "RSET" => {
                    letter = Letter { encrypted, ..Letter::default() };
                    b"250 OK\r\n"
                }
                "QUIT" => return stream.get_mut().write_all(b"221 bye\r\n").map(|()| End::Over),
                _ => b"502 not here\r\n",
            };
            stream.get_mut().write_all(answer)?;
        }
        Ok(End::Over)
    }
}

/// Who the client is that said `asked`, by PLAIN (RFC 4616) or LOGIN; nothing when it makes no sense.
fn log_in<S: Read + Write>(asked: &str, stream: &mut BufReader<S>) -> std::io::Result<Option<Account>> {
    let mut words = asked.split_whitespace().skip(1);
    let mechanism = words.next().unwrap_or_default().to_ascii_uppercase();
    let mut at_once = words.next().map(str::to_owned);
    let mut answer = |question: &str| -> std::io::Result<Option<String>> {
        let said = match at_once.take() {
            Some(said) => Some(said),
            None => {
                stream.get_mut().write_all(format!("334 {}\r\n", STANDARD.encode(question)).as_bytes())?;
                line(stream)?
            }
        };
        let bytes = said.and_then(|said| STANDARD.decode(said).ok());
        Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
    };
    Ok(match mechanism.as_str() {
        "PLAIN" => answer("")?.and_then(|said| {
            let mut parts = said.splitn(3, '\0').skip(1).map(str::to_owned);
            Some(Account { user: parts.next()?, password: parts.next()? })
        }),
        "LOGIN" => {
            let (user, password) = (answer("Username:")?, answer("Password:")?);
            user.zip(password).map(|(user, password)| Account { user, password })
        }
        _ => None,
    })
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
    use super::super::listener::testing::free;
    use super::*;
    use std::net::SocketAddr;

    fn server() -> (MailServer, SocketAddr) {
        server_that_encrypts(false)
    }

    /// One with a single port, maybe encrypted from the start.
    fn server_that_encrypts(from_start: bool) -> (MailServer, SocketAddr) {
        let address = free();
        let ports = MailPorts([(address.port(), from_start)].into());
        (MailServer::start(address.ip(), ports, Certificates::new().unwrap()).unwrap(), address)
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
            encrypted: false,
            account: None,
        };
        assert_eq!(server.letters(), [wanted]);
    }

    #[test]
    fn a_letter_without_an_end_is_none_and_a_server_that_is_off_says_nothing() {
        let (server, address) = server();
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"MAIL FROM:<a>\r\nDATA\r\nhalf a let").unwrap();
        drop(client);
        server.switch(Service::Off);
        let mut client = TcpStream::connect(address).unwrap();
        let mut said = String::new();
        client.read_to_string(&mut said).ok();
        assert_eq!(said, "");
        assert_eq!(server.letters(), []);
    }

    /// What a client does that asks for encryption and trusts the authority.
    fn encrypted(server: &MailServer, address: SocketAddr, session: &str) -> std::io::Result<()> {
        encrypted_at(server, address, "mail.example.test", session)
    }

    /// The same, of one that calls the server so.
    fn encrypted_at(
        server: &MailServer,
        address: SocketAddr,
        called: &'static str,
        session: &str,
    ) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"EHLO guest\r\nSTARTTLS\r\n")?;
        let mut plain = BufReader::new(&stream);
        while line(&mut plain)?.is_some_and(|line| !line.starts_with("220 go") && !line.starts_with("502")) {}
        over_tls(server, stream, called, session)
    }

    fn over_tls(
        server: &MailServer,
        stream: TcpStream,
        called: &'static str,
        session: &str,
    ) -> std::io::Result<()> {
        let mut trusted = rustls::RootCertStore::empty();
        let authority = server.shared.certificates.authority().as_bytes();
        trusted.add(rustls::pki_types::pem::PemObject::from_pem_slice(authority).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(trusted)
            .with_no_client_auth();
        let connection = rustls::ClientConnection::new(Arc::new(config), called.try_into().unwrap()).unwrap();
        let mut secure = StreamOwned::new(connection, stream);
        secure.write_all(session.as_bytes())?;
        secure.read_to_end(&mut Vec::new()).map(drop)
    }

    #[test]
    fn a_client_may_encrypt_where_that_is_offered_and_trusts_the_authority() {
        let (server, address) = server();
        const LETTER: &str = "MAIL FROM:<a@x>\r\nDATA\r\nsecret\r\n.\r\nQUIT\r\n";
        encrypted(&server, address, LETTER).unwrap_err();
        assert_eq!(server.letters(), []);
        server.switch(Service::Tls);
        encrypted(&server, address, LETTER).ok();
        let letters = server.letters();
        assert!(letters.len() == 1 && letters[0].encrypted && letters[0].text == "secret\n", "{letters:?}");
    }

    #[test]
    fn where_tls_comes_from_the_start_it_is_spoken_at_once_or_not_at_all() {
        let (server, address) = server_that_encrypts(true);
        const LETTER: &str = "MAIL FROM:<a@x>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n";
        let mut clear = TcpStream::connect(address).unwrap();
        clear.write_all(LETTER.as_bytes()).unwrap();
        clear.read_to_string(&mut String::new()).unwrap();
        server.switch(Service::Tls);
        over_tls(&server, TcpStream::connect(address).unwrap(), "mail.example.test", LETTER).ok();
        let encrypted: Vec<bool> = server.letters().iter().map(|letter| letter.encrypted).collect();
        assert_eq!(encrypted, [false, true]);
    }

    #[test]
    fn who_calls_it_by_its_address_trusts_it_as_well() {
        let (server, address) = server();
        server.switch(Service::Tls);
        const LETTER: &str = "MAIL FROM:<a@x>\r\nDATA\r\nsecret\r\n.\r\nQUIT\r\n";
        encrypted_at(&server, address, "127.0.0.2", LETTER).unwrap_err();
        assert_eq!(server.letters(), []);
        encrypted_at(&server, address, "127.0.0.1", LETTER).ok();
        assert!(server.letters().first().is_some_and(|letter| letter.encrypted));
    }

    #[test]
    fn who_a_letter_is_from_is_said_at_once_or_asked_for_but_never_in_the_clear() {
        let (server, address) = server();
        server.switch(Service::Tls);
        let one = |auth: &str| {
            let session = format!("EHLO a\r\n{auth}\r\nMAIL FROM:<a@x>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n");
            encrypted(&server, address, &session).ok();
            server.letters().pop().unwrap().account.map(|account| (account.user, account.password))
        };
        let wanted = Some(("me".to_owned(), "pa ss".to_owned()));
        assert_eq!(one("AUTH PLAIN AG1lAHBhIHNz"), wanted);
        assert_eq!(one("AUTH PLAIN\r\nAG1lAHBhIHNz"), wanted);
        assert_eq!(one("AUTH LOGIN\r\nbWU=\r\ncGEgc3M="), wanted);
        assert_eq!(one("AUTH LOGIN bWU=\r\ncGEgc3M="), wanted);
        assert_eq!(one("AUTH PLAIN bWU="), None);
        assert_eq!(one("AUTH OTHER bWU="), None);

        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"EHLO a\r\nAUTH PLAIN AG1lAHBhIHNz\r\nQUIT\r\n").unwrap();
        let mut said = String::new();
        client.read_to_string(&mut said).unwrap();
        assert!(said.contains("502") && !said.contains("AUTH"), "{said}");
    }
}
