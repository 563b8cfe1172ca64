//! How many TCP connections a process has open.
//!
//! Its descriptors tell which sockets it has, but not what they are. The kernel's list of connections is long where many
//! came and went, and to read it to its end while a step goes on would disturb what is measured. So it is asked what is
//! *not* a connection: who listens, which the list has first, and sockets of other kinds, which are few. And it is asked
//! only when a socket is seen for the second time: what is gone by then was a connection that came and went.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};

/// `TCP_LISTEN`, as `/proc/net/tcp` writes it.
const LISTENING: &str = "0A";

/// Little more than a line of the list: the kernel looks for as much as it is asked for.
const A_LINE: usize = 160;

/// The sockets of a process and those that it started.
#[derive(Debug, Default)]
pub(super) struct Connections {
    /// Whether a socket is a connection, by its inode.
    known: HashMap<u64, bool>,
    /// Those that were seen once.
    new: HashSet<u64>,
}

impl Connections {
    /// How many connections these processes have open now; `None` if that cannot be seen, as of another user's.
    pub(super) fn count(&mut self, family: &[u32]) -> Option<u64> {
        let (&first, others) = family.split_first()?;
        let mut sockets = sockets(first)?;
        // A child may be gone again.
        sockets.extend(
            others
                .iter()
                .filter_map(|&pid| self::sockets(pid))
                .flatten(),
        );
        let again: Vec<u64> = sockets.intersection(&self.new).copied().collect();
        if !again.is_empty() {
            let others = no_connections(first);
            let told = again
                .into_iter()
                .map(|socket| (socket, !others.contains(&socket)));
            self.known.extend(told);
        }
        self.known.retain(|socket, _| sockets.contains(socket));
        let is_new = |socket: &&u64| !self.known.contains_key(socket);
        self.new = sockets.iter().filter(is_new).copied().collect();
        let is_one = |socket: &&u64| self.known.get(socket).copied().unwrap_or(true);
        Some(sockets.iter().filter(is_one).count() as u64)
    }
}

/// The inodes of a process's sockets.
fn sockets(pid: u32) -> Option<HashSet<u64>> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let links = descriptors
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok());
    let inode = |link: std::path::PathBuf| {
        let number = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
        number.parse().ok()
    };
    Some(links.filter_map(inode).collect())
}

/// The sockets of the process's network that are no connections.
fn no_connections(pid: u32) -> HashSet<u64> {
    let mut found = HashSet::new();
    for list in ["tcp", "tcp6"] {
        let lines = lines(pid, list, A_LINE);
        let field =
            |line: &str, number: usize| line.split_whitespace().nth(number).map(str::to_owned);
        let listening = lines.take_while(|line| field(line, 3).as_deref() == Some(LISTENING));
        found.extend(listening.filter_map(|line| field(&line, 9)?.parse::<u64>().ok()));
    }
    // The column of the inode; see proc(5).
    for (list, column) in [("unix", 6), ("udp", 9), ("udp6", 9), ("netlink", 9)] {
        let lines = lines(pid, list, 1 << 14);
        let inode = |line: String| line.split_whitespace().nth(column)?.parse::<u64>().ok();
        found.extend(lines.filter_map(inode));
    }
    found
}

/// The lines of a list of the process's network, but for its heading.
fn lines(pid: u32, list: &str, ahead: usize) -> impl Iterator<Item = String> {
    let file = File::open(format!("/proc/{pid}/net/{list}")).ok();
    let lines = file.map(|file| BufReader::with_capacity(ahead, file).lines());
    lines.into_iter().flatten().skip(1).map_while(Result::ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    /// The inode of a socket of this process.
    fn inode(socket: &impl AsRawFd) -> u64 {
        let link = fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap();
        let text = link.to_str().unwrap().to_owned();
        text["socket:[".len()..text.len() - 1].parse().unwrap()
    }

    #[test]
    fn connections_are_counted_and_not_what_listens_or_speaks_otherwise() {
        let mut seen = Connections::default();
        let own = std::process::id();
        let (v4, v6) = (
            TcpListener::bind("127.0.0.1:0").unwrap(),
            TcpListener::bind("[::1]:0"),
        );
        let client = TcpStream::connect(v4.local_addr().unwrap()).unwrap();
        let (server, _) = v4.accept().unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (one, other) = UnixStream::pair().unwrap();
        // Other tests of this process have sockets too: what counts is what becomes of these.
        assert!(seen.count(&[own]).is_some_and(|count| count >= 6));
        assert!(seen.count(&[own]).is_some_and(|count| count >= 2));
        for (socket, is_one) in [
            (inode(&client), true),
            (inode(&server), true),
            (inode(&v4), false),
            (inode(&udp), false),
            (inode(&one), false),
            (inode(&other), false),
        ] {
            assert_eq!(seen.known.get(&socket), Some(&is_one));
        }
        if let Ok(v6) = &v6 {
            assert_eq!(seen.known.get(&inode(v6)), Some(&false));
        }
        let gone = inode(&client);
        drop(client);
        seen.count(&[own]);
        assert!(!seen.known.contains_key(&gone));
        assert_eq!(seen.count(&[u32::MAX]), None);
    }
}
