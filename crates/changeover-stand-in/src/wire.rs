//! SQL listeners: pgwire is passed on to the reference database, save for what Materialize answers itself.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

/// Longer messages are none that a client of a rehearsal sends.
const MAX_MESSAGE: usize = 64 * 1024 * 1024;

/// Where the reference database answers, once that is known.
#[derive(Debug, Default)]
pub(crate) struct Upstream {
    addr: Mutex<Option<SocketAddr>>,
    known: Condvar,
}

impl Upstream {
    pub(crate) fn set(&self, addr: SocketAddr) {
        *self.addr.lock().unwrap_or_else(PoisonError::into_inner) = Some(addr);
        self.known.notify_all();
    }

    fn get(&self) -> SocketAddr {
        let mut addr = self.addr.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match *addr {
                Some(addr) => return addr,
                None => {
                    addr = self
                        .known
                        .wait(addr)
                        .unwrap_or_else(PoisonError::into_inner)
                }
            }
        }
    }
}

/// Answers on this listener for ever. Fact 5.3: it listens early, and connections wait until something answers.
pub(crate) fn serve(listener: TcpListener, upstream: Arc<Upstream>, version: String) {
    let version: Arc<str> = version.into();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (upstream, version) = (Arc::clone(&upstream), Arc::clone(&version));
            // Without a thread to be had the connection is closed, as by a server that is full.
            let _ = thread::Builder::new().spawn(move || {
                // Either side going away ends it.
                let _ = connection(client, upstream.get(), &version);
            });
        }
    });
}

fn connection(client: TcpStream, upstream: SocketAddr, version: &str) -> io::Result<()> {
    let server = TcpStream::connect(upstream)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut answers, mut to_client) = (server.try_clone()?, client.try_clone()?);
    thread::Builder::new().spawn(move || {
        let _ = io::copy(&mut answers, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
        let _ = answers.shutdown(Shutdown::Both);
    })?;
    let done = requests(&client, &server, version);
    let _ = server.shutdown(Shutdown::Both);
    done
}

fn requests(mut client: &TcpStream, mut server: &TcpStream, version: &str) -> io::Result<()> {
    // Startup, or a request for encryption, which is answered with a byte and followed by a startup.
    loop {
        let startup = untyped(&mut client)?;
        let code = startup.get(4..8).map(<[u8]>::to_vec).unwrap_or_default();
        server.write_all(&startup)?;
        if code == 196_608_u32.to_be_bytes() {
            break;
        }
    }
    loop {
        let mut kind = [0];
        client.read_exact(&mut kind)?;
        let body = untyped(&mut client)?;
        let mut message = kind.to_vec();
        message.extend(rewritten(kind[0], body, version));
        server.write_all(&message)?;
    }
}

/// A length, and as much as it says.
fn untyped(client: &mut &TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    client.read_exact(&mut length)?;
    let size = u32::from_be_bytes(length) as usize;
    if !(4..=MAX_MESSAGE).contains(&size) {
        return Err(io::Error::from(io::ErrorKind::InvalidData));
    }
    let mut message = length.to_vec();
    message.resize(size, 0);
    client.read_exact(&mut message[4..])?;
    Ok(message)
}

/// Fact 2.1: `mz_version()` answers version and commit. The reference database has no such function, so its call
/// becomes its answer in a query (`Q`) and in a statement that is parsed (`P`). Section 4 of the observations: the
/// catalog can be asked; here it is another one.
fn rewritten(kind: u8, body: Vec<u8>, version: &str) -> Vec<u8> {
    if !matches!(kind, b'Q' | b'P') {
        return body;
    }
    let version = format!("CAST('{version} (stand-in)' AS text)");
    let changes = [
        ("mz_version()", version.as_str()),
        ("mz_catalog.mz_objects", "information_schema.columns"),
    ];
    let found = changes.iter().find_map(|(from, to)| {
        let at = body
            .windows(from.len())
            .position(|it| it == from.as_bytes())?;
        Some((at, from.len(), to))
    });
    let Some((at, length, to)) = found else {
        return body;
    };
    let mut text = body[4..at].to_vec();
    text.extend(to.as_bytes());
    text.extend(&body[at + length..]);
    let length = u32::try_from(text.len() + 4).unwrap_or(u32::MAX);
    let mut message = length.to_be_bytes().to_vec();
    message.extend(text);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_question_for_the_version_is_rewritten() {
        let message = |text: &str| {
            let mut body = u32::try_from(text.len() + 5)
                .unwrap()
                .to_be_bytes()
                .to_vec();
            body.extend(text.as_bytes());
            body.push(0);
            body
        };
        let other = message("SELECT 1");
        assert_eq!(rewritten(b'Q', other.clone(), "v26.0.0"), other);
        let bound = message("mz_version()");
        assert_eq!(rewritten(b'B', bound.clone(), "v26.0.0"), bound);
        assert_eq!(
            rewritten(b'Q', message("SELECT mz_version()"), "v26.0.0"),
            message("SELECT CAST('v26.0.0 (stand-in)' AS text)")
        );
    }
}
