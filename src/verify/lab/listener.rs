//! A TCP server of the lab: one thread that waits, one for each client.

use super::background::Background;
use crate::error::{Context, Result};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often a waiting server looks whether it is to end.
const TICK: Duration = Duration::from_millis(100);
/// How long a client may be silent.
const SILENCE: Duration = Duration::from_secs(30);

/// A running server; it takes no more clients when this is dropped.
pub struct Listener(#[expect(dead_code, reason = "held, not read: the server lives as long")] Background);

impl Listener {
    /// Listens at these ports of an address, in the network namespace of the calling thread. What `talk` returns as an
    /// error is a client that broke off: its own loss.
    pub fn start(
        address: IpAddr,
        ports: &[u16],
        talk: impl Fn(TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Result<Self> {
        let mut listeners = Vec::new();
        for port in ports {
            let address = SocketAddr::new(address, *port);
            let listener =
                TcpListener::bind(address).doing_with(|| format!("opening the lab's {address}"))?;
            listener.set_nonblocking(true)?;
            listeners.push(listener);
        }
        let talk = Arc::new(talk);
        Ok(Self(Background::start(move |stop| {
            while !stop.load(Ordering::Relaxed) {
                let clients: Vec<TcpStream> =
                    listeners.iter().filter_map(|listener| Some(listener.accept().ok()?.0)).collect();
                if clients.is_empty() {
                    std::thread::sleep(TICK);
                }
                for stream in clients {
                    let talk = Arc::clone(&talk);
                    std::thread::spawn(move || ready(&stream).and_then(|()| talk(stream)));
                }
            }
        })))
    }
}

fn ready(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))
}

#[cfg(test)]
pub mod testing {
    use std::net::{Ipv4Addr, SocketAddr, TcpListener};

    /// A port on loopback that is free now.
    pub fn free() -> SocketAddr {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
    }
}
