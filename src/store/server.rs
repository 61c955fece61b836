//! A small HTTP server on loopback for tests, with every bad habit a mirror can have. As a proxy it has what is put up
//! under whole addresses.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How a path is answered.
#[derive(Clone)]
pub enum Reply {
    /// In full, or the range asked for.
    Good(Vec<u8>),
    /// In full whatever range is asked for.
    NoRanges(Vec<u8>),
    /// The connection closes after this many bytes of each answer, though all were announced.
    Truncated(Vec<u8>, usize),
    /// This status for the first times, then in full.
    Failing(u16, usize, Vec<u8>),
    /// Byte by byte chunks with this pause between them.
    Slow(Vec<u8>, Duration),
    /// Elsewhere.
    Moved(String),
}

/// What a request began with.
#[derive(Clone)]
pub struct Head {
    /// The connection it came on, counted from 0.
    pub connection: usize,
    /// Its lines, from the request line on.
    pub lines: Vec<String>,
}

/// The server; it ends with the test process.
pub struct Server {
    base: String,
    replies: Arc<Mutex<HashMap<String, Reply>>>,
    log: Arc<Mutex<Vec<String>>>,
    heads: Arc<Mutex<Vec<Head>>>,
}

impl Server {
    /// Starts on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let replies: Arc<Mutex<HashMap<String, Reply>>> = Arc::default();
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let heads: Arc<Mutex<Vec<Head>>> = Arc::default();
        let all = (Arc::clone(&replies), Arc::clone(&log), Arc::clone(&heads));
        std::thread::spawn(move || {
            for (connection, stream) in listener.incoming().flatten().enumerate() {
                let (shared, journal, heads) = all.clone();
                let note = move |lines| heads.lock().unwrap().push(Head { connection, lines });
                std::thread::spawn(move || drop(serve(stream, &shared, &journal, note)));
            }
        });
        Self { base, replies, log, heads }
    }

    /// Puts a path up; returns its address.
    pub fn put(&self, path: &str, reply: Reply) -> String {
        self.replies.lock().unwrap().insert(path.to_string(), reply);
        self.url(path)
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Requests so far: the path, and the range when one was asked for.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// The heads of the requests so far.
    pub fn heads(&self) -> Vec<Head> {
        self.heads.lock().unwrap().clone()
    }
}

fn serve(
    stream: TcpStream,
    replies: &Mutex<HashMap<String, Reply>>,
    log: &Mutex<Vec<String>>,
    note: impl Fn(Vec<String>),
) -> std::io::Result<()> {
    let mut out = stream.try_clone()?;
    let mut lines = BufReader::new(stream).lines();
    while let Some(request) = lines.next() {
        let request = request?;
        let path = request.split(' ').nth(1).unwrap_or_default().to_string();
        let mut range = None;
        let mut head = vec![request];
        for line in lines.by_ref() {
            let line = line?;
            if line.is_empty() {
                break;
            }
            head.push(line.clone());
            let line = line.to_lowercase();
            if let Some(text) = line.strip_prefix("range: bytes=") {
                range = text.trim_end_matches('-').parse::<usize>().ok();
            }
        }
        note(head);
        let entry = range.map_or(path.clone(), |from| format!("{path} from {from}"));
        log.lock().unwrap().push(entry);
        let mut status = None;
        let reply = {
            let mut replies = replies.lock().unwrap();
            if let Some(Reply::Failing(code, left @ 1.., _)) = replies.get_mut(&path) {
                *left -= 1;
                status = Some(*code);
            }
            replies.get(&path).cloned()
        };
        let (Some(reply), None) = (reply, status) else {
            let status = status.unwrap_or(404);
            write!(out, "HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n")?;
            continue;
        };
        if let Reply::Moved(to) = &reply {
            write!(out, "HTTP/1.1 302 Moved\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n")?;
            continue;
        }
        if let Reply::NoRanges(_) = reply {
            range = None;
        }
        let (Reply::Good(body)
        | Reply::NoRanges(body)
        | Reply::Truncated(body, _)
        | Reply::Failing(_, _, body)
        | Reply::Slow(body, _)) = &reply
        else {
            continue;
        };
        let from = range.unwrap_or(0);
        let Some(part) = body.get(from..).filter(|part| range.is_none() || !part.is_empty()) else {
            write!(out, "HTTP/1.1 416 No\r\ncontent-length: 0\r\n\r\n")?;
            continue;
        };
        match range {
            None => write!(out, "HTTP/1.1 200 OK\r\n")?,
            Some(from) => {
                let (last, whole) = (body.len() - 1, body.len());
                write!(out, "HTTP/1.1 206 Part\r\ncontent-range: bytes {from}-{last}/{whole}\r\n")?;
            }
        }
        write!(out, "content-length: {}\r\n\r\n", part.len())?;
        match reply {
            Reply::Truncated(_, keep) => {
                out.write_all(&part[..keep.min(part.len())])?;
                return out.shutdown(std::net::Shutdown::Both);
            }
            Reply::Slow(_, wait) => {
                for chunk in part.chunks(part.len().div_ceil(10).max(1)) {
                    out.write_all(chunk)?;
                    std::thread::sleep(wait);
                }
            }
            _ => out.write_all(part)?,
        }
    }
    Ok(())
}
