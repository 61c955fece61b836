//! A clock that a guest can set itself by: SNTP (RFC 4330), the host's own time.

use super::background::Background;
use crate::error::{Context, Result};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds from 1900, where NTP's era begins, to 1970.
const ERA: u64 = 2_208_988_800;
/// How often a waiting server looks whether it is to end.
const TICK: Duration = Duration::from_millis(200);

/// A running server; it ends when this is dropped.
pub struct Clock(#[expect(dead_code, reason = "held, not read: the server lives as long")] Background);

impl Clock {
    /// Answers at this address, in the network namespace of the calling thread.
    pub fn start(address: IpAddr, port: u16) -> Result<Self> {
        let socket = UdpSocket::bind(SocketAddr::new(address, port)).doing("opening the lab's clock")?;
        socket.set_read_timeout(Some(TICK))?;
        Ok(Self(Background::start(move |stop| serve(&socket, stop))))
    }
}

fn serve(socket: &UdpSocket, stop: &AtomicBool) {
    let mut request = [0; 512];
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, from)) = socket.recv_from(&mut request) else { continue };
        if let Some(answer) = answer(&request[..length], SystemTime::now()) {
            // A client that is gone asks again.
            socket.send_to(&answer, from).ok();
        }
    }
}

/// The server's answer to a client's request (RFC 4330 section 5), stratum 2.
fn answer(request: &[u8], now: SystemTime) -> Option<[u8; 48]> {
    let header = request.get(..48)?;
    let (version, mode) = (header[0] >> 3 & 7, header[0] & 7);
    if mode != 3 {
        return None;
    }
    let now = timestamp(now);
    let mut answer = [0; 48];
    answer[0] = version << 3 | 4;
    answer[1] = 2;
    answer[2] = header[2];
    // 2^-20 s, a microsecond.
    answer[3] = (-20_i8).to_be_bytes()[0];
    answer[12..16].copy_from_slice(&[192, 0, 2, 1]);
    answer[16..24].copy_from_slice(&now);
    // Its transmit timestamp comes back as the originate timestamp: a client takes no other answer.
    answer[24..32].copy_from_slice(&header[40..48]);
    answer[32..40].copy_from_slice(&now);
    answer[40..48].copy_from_slice(&now);
    Some(answer)
}

/// NTP's 64-bit timestamp: seconds since 1900, and a fraction of 2^-32 s.
fn timestamp(time: SystemTime) -> [u8; 8] {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = (since.as_secs() + ERA) & 0xffff_ffff;
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    (seconds << 32 | fraction).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_answered_with_the_time_and_its_own_stamp() {
        let mut request = [0; 48];
        request[0] = 4 << 3 | 3;
        request[40..].copy_from_slice(b"stampABC");
        let now = UNIX_EPOCH + Duration::new(1_000_000_000, 500_000_000);
        let answer = answer(&request, now).unwrap();
        assert_eq!(answer[0], 4 << 3 | 4);
        assert_eq!(&answer[24..32], b"stampABC");
        let seconds = u32::from_be_bytes(answer[40..44].try_into().unwrap());
        assert_eq!(u64::from(seconds), 1_000_000_000 + ERA);
        assert_eq!(u32::from_be_bytes(answer[44..48].try_into().unwrap()), 1 << 31);
    }

    #[test]
    fn what_is_no_request_is_not_answered() {
        assert!(answer(&[0x23; 20], SystemTime::now()).is_none());
        assert!(answer(&[0x24; 48], SystemTime::now()).is_none());
    }
}
