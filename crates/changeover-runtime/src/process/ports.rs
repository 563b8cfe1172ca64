//! Addresses for instances: ports that nobody listens on and that the kernel will not give to somebody else.

use super::proc_fs;
use crate::RuntimeError;
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::sync::Mutex;

/// The ports we take from when the ephemeral range leaves them free.
const PORTS: Range<u16> = 20_000..32_000;

/// Hands out ports, each at most once.
#[derive(Debug)]
pub(crate) struct Ports {
    range: Range<u16>,
    next: Mutex<Position>,
}

#[derive(Debug)]
struct Position {
    port: u16,
    left: u16,
}

impl Ports {
    /// Ports below those that the kernel takes for outgoing connections: such a connection could sit on our port
    /// while an instance restarts. The start is random, so that runs side by side rarely meet.
    pub(crate) fn new() -> Self {
        let end = proc_fs::first_ephemeral_port()
            // Where the kernel's range reaches down to ours there is no better place; binding still tells.
            .filter(|&first| first > PORTS.start + 1000)
            .map_or(PORTS.end, |first| first.min(PORTS.end));
        let range = PORTS.start..end;
        let offset = RandomState::new().hash_one(std::process::id()) % range.len() as u64;
        // The remainder is below 12,000.
        let offset = u16::try_from(offset).unwrap_or(0);
        Ports {
            next: Mutex::new(Position {
                port: range.start + offset,
                left: range.end - range.start,
            }),
            range,
        }
    }

    /// A loopback address that can be bound now.
    pub(crate) fn reserve(&self) -> Result<SocketAddr, RuntimeError> {
        let mut next = self.next.lock().unwrap_or_else(|e| e.into_inner());
        while next.left > 0 {
            let port = next.port;
            next.left -= 1;
            next.port = if port + 1 == self.range.end {
                self.range.start
            } else {
                port + 1
            };
            let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            if TcpListener::bind(addr).is_ok() {
                return Ok(addr);
            }
        }
        Err(RuntimeError::new(format!(
            "no port of 127.0.0.1 between {} and {} is free; end what listens there, or start fewer instances",
            self.range.start,
            self.range.end - 1
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_port_is_handed_out_twice_and_a_taken_one_not_at_all() {
        let ports = Ports::new();
        let mut taken = BTreeSet::new();
        let held = ports.reserve().unwrap();
        taken.insert(held);
        let _listener = TcpListener::bind(held).unwrap();
        // All the way round, past the start and the port that is held.
        while let Ok(addr) = ports.reserve() {
            assert!(taken.insert(addr), "{addr} twice");
        }
        assert!(taken.len() > 1000);
        assert!(taken.iter().all(|addr| PORTS.contains(&addr.port())));
    }
}
