//! Where a client connects: an address that is known, or a host whose name is asked for anew each time, because a
//! fail-over may move it.

use super::ClientError;
use super::error::connect_error;
use super::stream::{Counted, SentBytes, Socket};
use changeover_model::history::ErrorKind;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::{Instant, timeout_at};

/// Where to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// An address.
    Addr(SocketAddr),
    /// A host and a port.
    Host(String, u16),
    /// A socket of this machine.
    Socket(PathBuf),
}

impl Place {
    /// Connects by `deadline`, without delaying small writes, and counts what is sent. The addresses of a name are
    /// tried in turn, each with an equal share of the time: one that swallows everything must not hide the next.
    pub(super) async fn dial(
        &self,
        deadline: Instant,
    ) -> Result<(Counted<Socket>, SentBytes), ClientError> {
        let stream = match self {
            Place::Addr(addr) => tcp(*addr, deadline).await?,
            Place::Host(host, port) => {
                let found = timeout_at(deadline, lookup_host((host.as_str(), *port))).await;
                let found = found.map_err(|_| ClientError::timeout())?;
                let addrs: Vec<SocketAddr> = found.map_err(|e| of_lookup(&e))?.collect();
                in_turn(&addrs, deadline).await?
            }
            Place::Socket(path) => match timeout_at(deadline, UnixStream::connect(path)).await {
                Ok(Ok(stream)) => Socket::Right(stream),
                Ok(Err(error)) => return Err(of_socket(&error)),
                Err(_) => return Err(ClientError::timeout()),
            },
        };
        Ok(Counted::new(stream))
    }
}

async fn in_turn(addrs: &[SocketAddr], deadline: Instant) -> Result<Socket, ClientError> {
    let mut last = ClientError::new(ErrorKind::Refused, "the name has no address");
    for (tried, addr) in addrs.iter().enumerate() {
        let share = share(deadline, addrs.len() - tried);
        match tcp(*addr, Instant::now() + share).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// An equal share of what is left until `deadline`.
pub(super) fn share(deadline: Instant, attempts: usize) -> Duration {
    let left = deadline.saturating_duration_since(Instant::now());
    left / u32::try_from(attempts.max(1)).unwrap_or(u32::MAX)
}

async fn tcp(addr: SocketAddr, deadline: Instant) -> Result<Socket, ClientError> {
    let connect = async {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    match timeout_at(deadline, connect).await {
        Ok(Ok(stream)) => Ok(Socket::Left(stream)),
        Ok(Err(error)) => Err(connect_error(&error)),
        Err(_) => Err(ClientError::timeout()),
    }
}

/// Nobody is where a name that nobody knows leads to.
fn of_lookup(error: &io::Error) -> ClientError {
    ClientError::new(ErrorKind::Other, format!("the name is not known: {error}"))
}

/// A server that is gone takes its socket with it.
fn of_socket(error: &io::Error) -> ClientError {
    match error.kind() {
        io::ErrorKind::NotFound => ClientError::new(ErrorKind::Refused, error.to_string()),
        _ => connect_error(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_name_is_asked_for_and_a_missing_socket_is_a_refusal() {
        let deadline = Instant::now() + Duration::from_secs(60);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let place = Place::Host("localhost".to_owned(), port);
        assert!(place.dial(deadline).await.is_ok());
        let place = Place::Socket("/nowhere/.s.PGSQL.5432".into());
        let error = place.dial(deadline).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Refused);
        drop(listener);
        let place = Place::Host("127.0.0.1".to_owned(), port);
        let error = place.dial(deadline).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Refused);
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_share_the_time() {
        let deadline = Instant::now() + Duration::from_secs(6);
        assert_eq!(share(deadline, 3), Duration::from_secs(2));
        assert_eq!(share(Instant::now(), 0), Duration::ZERO);
    }
}
