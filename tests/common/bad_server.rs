//! A mirror and a proxy on loopback, which can be told to behave badly.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What is done with a path that has a text in it.
#[derive(Debug, Clone, Copy)]
pub enum Habit {
    /// The connection closes after this many bytes of each answer, though all were announced.
    Truncated(usize),
    /// The answer does not come.
    Stuck,
}

/// The server; it ends with the test process.
pub struct Server {
    base: String,
    shared: Arc<Shared>,
}

struct Shared {
    root: PathBuf,
    habits: Mutex<HashMap<String, Habit>>,
    log: Mutex<Vec<String>>,
}

impl Server {
    /// Serves the files below this directory on a free port. As a proxy it serves any host from there.
    pub fn start(root: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let shared =
            Arc::new(Shared { root: root.to_path_buf(), habits: Mutex::default(), log: Mutex::default() });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = Arc::clone(&serving);
                std::thread::spawn(move || drop(serve(stream, &serving)));
            }
        });
        Self { base, shared }
    }

    /// The address of a path on it.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// From now on, paths with this in them are answered so.
    pub fn spoil(&self, part: &str, habit: Habit) {
        self.shared.habits.lock().unwrap().insert(part.into(), habit);
    }

    /// From now on, everything is answered well.
    pub fn mend(&self) {
        self.shared.habits.lock().unwrap().clear();
    }

    /// What was asked for so far; a proxy's with the host.
    pub fn log(&self) -> Vec<String> {
        self.shared.log.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut out = stream.try_clone()?;
    let mut lines = BufReader::new(stream).lines();
    let mut host = String::new();
    while let Some(request) = lines.next() {
        let request = request?;
        let mut words = request.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut from = None;
        for line in lines.by_ref() {
            let line = line?.to_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(text) = line.strip_prefix("range: bytes=") {
                from = text.trim_end_matches('-').parse::<usize>().ok();
            }
        }
        if method == "CONNECT" {
            // A tunnel to a host: what comes through it is answered here.
            host = target.trim_end_matches(":80").to_owned();
            write!(out, "HTTP/1.1 200 OK\r\n\r\n")?;
            continue;
        }
        let target = target.strip_prefix("http://").map_or(format!("{host}{target}"), str::to_owned);
        shared.log.lock().unwrap().push(target.clone());
        let path = target.split_once('/').map_or("", |(_, path)| path);
        let Ok(body) = fs_err::read(shared.root.join(path)) else {
            write!(out, "HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n")?;
            continue;
        };
        let habits = shared.habits.lock().unwrap().clone();
        let habit = habits.iter().find(|(part, _)| path.contains(part.as_str())).map(|(_, habit)| *habit);
        let part = body.get(from.unwrap_or(0)..).unwrap_or_default();
        match from {
            None => write!(out, "HTTP/1.1 200 OK\r\n")?,
            Some(from) => {
                let (last, whole) = (body.len().saturating_sub(1), body.len());
                write!(out, "HTTP/1.1 206 Part\r\ncontent-range: bytes {from}-{last}/{whole}\r\n")?;
            }
        }
        write!(out, "content-length: {}\r\n\r\n", part.len())?;
        match habit {
            Some(Habit::Truncated(keep)) => {
                out.write_all(&part[..keep.min(part.len())])?;
                return out.shutdown(std::net::Shutdown::Both);
            }
            Some(Habit::Stuck) => {
                std::thread::sleep(Duration::from_secs(60));
                return Ok(());
            }
            None => out.write_all(part)?,
        }
    }
    Ok(())
}
