use super::*;
use crate::store::client::{Client, Failure};
use crate::store::server::{Reply, Server};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Mutex;
use ureq::unversioned::transport::LazyBuffers;

fn proxies(variables: &[(&str, &str)]) -> Proxies {
    Proxies::new(|name| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    })
}

fn read(client: &Client, url: &str, offset: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    client.open(url, offset, false).unwrap().body.read_to_end(&mut bytes).unwrap();
    bytes
}

fn why(client: &Client, url: &str) -> String {
    match client.open(url, 0, false) {
        Err(Failure::Absent(text)) => text,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("{url} was had"),
    }
}

/// By which variable's proxy an address goes.
fn by<'a>(proxies: &'a Proxies, url: &str) -> Option<&'a str> {
    proxies.of(&url.parse().unwrap()).unwrap().map(|named| named.variable.as_str())
}

#[test]
fn http_is_asked_for_in_absolute_form_on_one_connection() {
    let proxy = Server::start();
    proxy.put("http://mirror.invalid/debian/x?y=z", Reply::Good(b"abcdef".to_vec()));
    let client = Client::by(proxies(&[("http_proxy", &proxy.url(""))]));
    for _ in 0..3 {
        assert_eq!(read(&client, "http://mirror.invalid/debian/x?y=z", 0), b"abcdef");
    }
    assert_eq!(read(&client, "http://mirror.invalid/debian/x?y=z", 4), b"ef");
    assert!(why(&client, "http://mirror.invalid/no").contains("404"));
    let heads = proxy.heads();
    assert_eq!(heads.len(), 5);
    for head in &heads[..4] {
        assert_eq!(head.lines[0], "GET http://mirror.invalid/debian/x?y=z HTTP/1.1");
        let hosts: Vec<_> =
            head.lines.iter().filter(|line| line.to_lowercase().starts_with("host:")).collect();
        assert_eq!(hosts.len(), 1);
        assert!(hosts[0].ends_with(" mirror.invalid"), "{hosts:?}");
        assert!(!head.lines.iter().any(|line| line.to_lowercase().starts_with("proxy-")));
    }
    assert!(heads.iter().all(|head| head.connection == 0));
}

#[test]
fn another_port_stays_and_a_user_of_the_mirror_is_not_in_the_target() {
    let proxy = Server::start();
    proxy.put("http://mirror.invalid:8080/x", Reply::Good(b"abc".to_vec()));
    let client = Client::by(proxies(&[("http_proxy", &proxy.url("/"))]));
    assert_eq!(read(&client, "http://me:secret@mirror.invalid:8080/x", 0), b"abc");
}

#[test]
fn user_and_password_go_to_the_proxy_with_every_request() {
    let proxy = Server::start();
    proxy.put("http://mirror.invalid/x", Reply::Good(b"abc".to_vec()));
    let address = proxy.url("").replace("http://", "http://user:p%40ss@");
    let client = Client::by(proxies(&[("all_proxy", &address)]));
    for _ in 0..2 {
        read(&client, "http://mirror.invalid/x", 0);
    }
    assert!(client.open("https://mirror.invalid/x", 0, false).is_err());
    let sent = format!("Proxy-Authorization: Basic {}", STANDARD.encode("user:p@ss"));
    assert_eq!(proxy.heads().len(), 3);
    for head in proxy.heads() {
        assert_eq!(head.lines.iter().filter(|line| **line == sent).count(), 1, "{:?}", head.lines);
    }
}

#[test]
fn a_proxy_that_wants_a_password_says_so() {
    let proxy = Server::start();
    proxy.put("http://mirror.invalid/x", Reply::Failing(407, 9, Vec::new()));
    let client = Client::by(proxies(&[("http_proxy", &proxy.url(""))]));
    assert!(why(&client, "http://mirror.invalid/x").contains("user:password@"));
}

#[test]
fn https_asks_for_a_tunnel() {
    let proxy = Server::start();
    let client =
        Client::by(proxies(&[("http_proxy", "http://127.0.0.1:9"), ("https_proxy", &proxy.url(""))]));
    assert_eq!(why(&client, "https://mirror.invalid/x"), "the proxy answered 404 Not Found");
    assert_eq!(proxy.heads()[0].lines[0], "CONNECT mirror.invalid:443 HTTP/1.1");
}

/// A proxy that answers one request for a tunnel so: its address, and what comes by the tunnel then.
fn tunnel(answer: String) -> (String, std::thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = BufReader::new(stream.try_clone().unwrap()).lines();
        while !request.next().unwrap().unwrap().is_empty() {}
        stream.write_all(answer.as_bytes()).unwrap();
        let mut bytes = vec![0; 4096];
        // Who is refused may hang up in any way.
        let count = stream.read(&mut bytes).unwrap_or(0);
        bytes.truncate(count);
        bytes
    });
    (address, serving)
}

#[test]
fn a_proxy_that_makes_no_tunnel_is_asked_again_only_where_that_may_pass() {
    for (status, passes, told) in [
        (403, false, "the proxy answered 403"),
        (407, false, "user:password@"),
        (429, true, "the proxy answered 429"),
        (503, true, "the proxy answered 503"),
    ] {
        let (proxy, serving) = tunnel(format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n"));
        let client = Client::by(proxies(&[("https_proxy", &proxy)]));
        let (may_pass, text) = match client.open("https://mirror.invalid/x", 0, false) {
            Err(Failure::Passing(text)) => (true, text),
            Err(Failure::Absent(text)) => (false, text),
            other => panic!("{:?}", other.err()),
        };
        assert!(may_pass == passes && text.contains(told), "{status}: {text}");
        drop(client);
        serving.join().unwrap();
    }
}

#[test]
fn a_tunnel_is_one_to_the_host_and_has_tls_in_it() {
    let (proxy, hello) = tunnel("HTTP/1.1 200 Go on\r\n\r\n".into());
    // Both: the way to the proxy of https is no http address that goes by a proxy.
    let client = Client::by(proxies(&[("http_proxy", "127.0.0.1:9"), ("https_proxy", &proxy)]));
    assert!(client.open("https://mirror.invalid/x", 0, false).is_err());
    let hello = hello.join().unwrap();
    assert_eq!(hello[0], 22, "a handshake record (RFC 8446, 5.1)");
    assert!(hello.windows(14).any(|part| part == b"mirror.invalid"));
}

#[test]
fn what_no_proxy_names_is_asked_directly() {
    let (proxy, mirror) = (Server::start(), Server::start());
    let url = mirror.put("/x", Reply::Good(b"abc".to_vec()));
    let client = Client::by(proxies(&[("http_proxy", &proxy.url("")), ("no_proxy", "localhost, 127.0.0.1")]));
    assert_eq!(read(&client, &url, 0), b"abc");
    assert!(proxy.log().is_empty());
    assert_eq!(mirror.heads()[0].lines[0], "GET /x HTTP/1.1");
}

#[test]
fn redirects_choose_their_own_way() {
    let (proxy, mirror) = (Server::start(), Server::start());
    let url = mirror.put("/x", Reply::Moved("http://mirror.invalid/y".into()));
    proxy.put("http://mirror.invalid/y", Reply::Moved("http://other.invalid/z".into()));
    proxy.put("http://other.invalid/z", Reply::Good(b"abc".to_vec()));
    let client = Client::by(proxies(&[("http_proxy", &proxy.url("")), ("no_proxy", "127.0.0.1")]));
    assert_eq!(read(&client, &url, 0), b"abc");
    assert_eq!(proxy.log(), ["http://mirror.invalid/y", "http://other.invalid/z"]);
}

#[test]
fn a_proxy_of_another_kind_is_refused() {
    let mirror = Server::start();
    let url = mirror.put("/x", Reply::Good(b"abc".to_vec()));
    let client = Client::by(proxies(&[("all_proxy", "socks5://user:secret@127.0.0.1:1080")]));
    for url in [url.as_str(), "https://127.0.0.1:9/x"] {
        let why = why(&client, url);
        assert!(why.contains("all_proxy names a socks5 proxy") && why.contains("http://host:port"), "{why}");
        assert!(!why.contains("secret"));
    }
    assert!(mirror.log().is_empty());
    // The one that is more to the point wins.
    let proxy = Server::start();
    proxy.put(&url, Reply::Good(b"def".to_vec()));
    let both = [("all_proxy", "socks5://127.0.0.1:1080"), ("http_proxy", &*proxy.url(""))];
    assert_eq!(read(&Client::by(proxies(&both)), &url, 0), b"def");
    for bad in ["http://", "user:secret://x@host"] {
        let client = Client::by(proxies(&[("http_proxy", bad)]));
        let why = why(&client, &url);
        assert!(why.contains("http_proxy is not the address of a proxy") && !why.contains("secret"), "{why}");
    }
}

#[test]
fn a_proxy_that_is_not_there_is_named() {
    let variables = [("http_proxy", "127.0.0.1:9"), ("https_proxy", "http://127.0.0.1:9")];
    let client = Client::by(proxies(&variables));
    for (variable, _) in variables {
        let url = format!("{}://mirror.invalid/x", variable.trim_end_matches("_proxy"));
        let Err(Failure::Passing(text)) = client.open(&url, 0, false) else { panic!() };
        assert!(text.contains(&format!("cannot reach the proxy 127.0.0.1:9 of {variable}: ")), "{text}");
    }
}

#[test]
fn the_variables_count_in_curls_order() {
    let none = proxies(&[("http_proxy", " "), ("no_proxy", "*")]);
    assert_eq!(by(&none, "http://x/"), None);
    let some = proxies(&[("HTTP_PROXY", "a:1"), ("all_proxy", "b:2"), ("https_proxy", "")]);
    assert_eq!(by(&some, "http://x/"), Some("HTTP_PROXY"));
    assert_eq!(by(&some, "https://x/"), Some("all_proxy"));
    let some = proxies(&[("HTTP_PROXY", "a:1"), ("http_proxy", "b:2")]);
    assert_eq!(by(&some, "http://x/"), Some("http_proxy"));
    assert_eq!(by(&some, "https://x/"), None);
}

#[test]
fn entries_of_no_proxy_are_matched() {
    for (entries, url, direct) in [
        ("*", "https://x/", true),
        ("a.example", "http://a.example/", true),
        ("a.example", "http://A.Example./", true),
        ("a.example", "http://b.a.example/", true),
        ("a.example", "http://ba.example/", false),
        (".example", "http://a.example/", true),
        ("*.example", "http://a.example/", true),
        ("x,a.example:80", "http://a.example/", true),
        ("x a.example:80", "https://a.example/", false),
        ("a.example:8080", "http://a.example:8080/", true),
        ("a.example:port", "http://a.example/", false),
        (".,,:80", "http://a.example/", false),
        ("10.0.0.0/8", "http://10.1.2.3/", true),
        ("10.0.0.0/8", "http://11.1.2.3/", false),
        ("2.3", "http://10.1.2.3/", false),
        ("::1", "http://[::1]/", true),
        ("[::1]:80", "http://[::1]:81/", false),
        ("[::1]:81", "http://[::1]:81/", true),
        ("fd00::/8", "http://[fd12::1]/", true),
        ("10.0.0.0/8", "http://[fd12::1]/", false),
    ] {
        let proxies = proxies(&[("all_proxy", "http://p:1"), ("no_proxy", entries)]);
        assert_eq!(by(&proxies, url).is_none(), direct, "{entries} {url}");
    }
}

/// A connection that sends 16 bytes at a time.
#[derive(Debug)]
struct Narrow {
    buffers: LazyBuffers,
    sent: Arc<Mutex<Vec<u8>>>,
}

impl Transport for Narrow {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        let output = &self.buffers.output()[..amount];
        self.sent.lock().unwrap().extend(output);
        Ok(())
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
        Ok(true)
    }

    fn is_open(&mut self) -> bool {
        true
    }
}

#[test]
fn only_the_first_line_changes_also_where_the_request_no_longer_fits() {
    let sent = Arc::default();
    let inner = Box::new(Narrow { buffers: LazyBuffers::new(16, 16), sent: Arc::clone(&sent) });
    let (origin, credentials) = ("http://mirror.invalid".into(), "P: q\r\n".into());
    let mut connection = ByProxy { inner, origin, credentials, begins: true };
    for _ in 0..2 {
        for line in ["GET / HTTP/1.1\r\n", "a: GET /\r\n\r\n"] {
            connection.buffers().output()[..line.len()].copy_from_slice(line.as_bytes());
            connection.transmit_output(line.len(), NextTimeout::default()).unwrap();
        }
        connection.await_input(NextTimeout::default()).unwrap();
        let sent = std::mem::take(&mut *sent.lock().unwrap());
        let wanted = "GET http://mirror.invalid/ HTTP/1.1\r\nP: q\r\na: GET /\r\n\r\n";
        assert_eq!(String::from_utf8(sent).unwrap(), wanted);
    }
    assert!(!format!("{connection:?}").contains("P: q"));
}
