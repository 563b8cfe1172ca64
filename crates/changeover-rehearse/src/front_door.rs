//! The front door: the TCP proxy that clients connect through.
//!
//! It is deliberately dumb, because what it smoothed over would not be measured. Each accepted connection dials the
//! upstream of that moment once; refused, or no upstream, closes it at once. An established connection stays with
//! its instance until one of the two ends it: nothing is moved, retried or held back.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long dialling the upstream may take. Only an upstream whose backlog is full lets us wait at all.
const DIAL_TIMEOUT: Duration = Duration::from_secs(2);

/// How long to wait after a failed accept, which is the process running out of something: retrying at once would
/// only burn the processor that could free it.
const ACCEPT_PAUSE: Duration = Duration::from_millis(5);

/// Bytes of a connection's buffer in each direction; most requests and answers fit.
const BUFFER: usize = 8 * 1024;

/// A listening front door. Dropping it closes it and every connection through it.
#[derive(Debug)]
pub struct FrontDoor {
    addr: SocketAddr,
    upstream: Arc<Mutex<Option<SocketAddr>>>,
    acceptor: JoinHandle<()>,
    connections: TaskTracker,
    /// Cancelled to end the connections.
    end: CancellationToken,
}

impl FrontDoor {
    /// Listens on `addr`; port 0 takes a free one. There is no upstream yet. Must be called within a runtime.
    ///
    /// # Errors
    ///
    /// When the address cannot be had.
    pub async fn bind(addr: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let upstream = Arc::new(Mutex::new(None));
        let connections = TaskTracker::new();
        let end = CancellationToken::new();
        let acceptor = tokio::spawn(accept(
            listener,
            Arc::clone(&upstream),
            connections.clone(),
            end.clone(),
        ));
        Ok(FrontDoor {
            addr,
            upstream,
            acceptor,
            connections,
            end,
        })
    }

    /// Where clients connect.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Points it at another upstream, or at none. Connections accepted from now on dial this one; established ones
    /// stay where they are.
    pub fn switch(&self, upstream: Option<SocketAddr>) {
        *self.upstream.lock().unwrap_or_else(PoisonError::into_inner) = upstream;
    }

    /// Accepts no more, lets the connections end by themselves for at most `grace`, and then ends the rest.
    pub async fn shutdown(mut self, grace: Duration) {
        self.acceptor.abort();
        // Cancelled or not, it has let go of the listener when this returns.
        let _ = (&mut self.acceptor).await;
        self.connections.close();
        if tokio::time::timeout(grace, self.connections.wait())
            .await
            .is_err()
        {
            self.end.cancel();
            self.connections.wait().await;
        }
    }
}

impl Drop for FrontDoor {
    fn drop(&mut self) {
        self.acceptor.abort();
        self.end.cancel();
    }
}

/// Raises the limit of open files to what the process may have, at most 65,536: five lanes of up to 256 operations
/// in flight take two sockets each for the front door and one for the client. Returns the limit that now holds.
///
/// # Errors
///
/// When the limit can be neither read nor set.
pub fn raise_file_limit() -> io::Result<u64> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    // Programs that close every possible descriptor inherit the limit from us; a billion would take them minutes.
    const ENOUGH: u64 = 65_536;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = hard.min(ENOUGH);
    if soft >= wanted {
        return Ok(soft);
    }
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)?;
    Ok(wanted)
}

async fn accept(
    listener: TcpListener,
    upstream: Arc<Mutex<Option<SocketAddr>>>,
    connections: TaskTracker,
    end: CancellationToken,
) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // The upstream of the moment of accepting, not of some later moment.
        let upstream = *upstream.lock().unwrap_or_else(PoisonError::into_inner);
        let end = end.clone();
        connections.spawn(async move {
            // Which end closed, and how, is for the two ends to see; there is nobody to tell here.
            let _ = end.run_until_cancelled(carry(client, upstream)).await;
        });
    }
}

async fn carry(mut client: TcpStream, upstream: Option<SocketAddr>) -> io::Result<()> {
    let Some(upstream) = upstream else {
        return Ok(());
    };
    let mut server = tokio::time::timeout(DIAL_TIMEOUT, TcpStream::connect(upstream)).await??;
    // Fails only on a connection that is over already, and that will show.
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    if forward(&mut client, &mut server).await.is_err() {
        // A reset is passed on as a reset, so that no end takes a torn connection for a finished one.
        let _ = client.set_zero_linger();
        let _ = server.set_zero_linger();
    }
    Ok(())
}

/// Carries both directions until both are over.
async fn forward(client: &mut TcpStream, server: &mut TcpStream) -> io::Result<()> {
    let (client_in, client_out) = client.split();
    let (server_in, server_out) = server.split();
    let up = async {
        match copy(client_in, server_out).await {
            // An instance that no longer listens may have said why: its last words are still to be carried, and the
            // other direction will meet the same end after them.
            Err(CopyError::Write) => Ok(()),
            Err(CopyError::Read(error)) => Err(error),
            Ok(()) => Ok(()),
        }
    };
    let down = async {
        match copy(server_in, client_out).await {
            // A client that no longer listens is gone, and the instance shall know it.
            Err(CopyError::Write) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(CopyError::Read(error)) => Err(error),
            Ok(()) => Ok(()),
        }
    };
    tokio::try_join!(up, down).map(|_| ())
}

enum CopyError {
    Read(io::Error),
    Write,
}

/// Carries one direction to its end, and passes the end on as a half-close.
async fn copy(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> Result<(), CopyError> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = from.read(&mut buffer).await.map_err(CopyError::Read)?;
        if read == 0 {
            // Nobody there to take it is no error of this direction: everything was carried.
            let _ = to.shutdown().await;
            return Ok(());
        }
        to.write_all(&buffer[..read])
            .await
            .map_err(|_| CopyError::Write)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_limit_is_enough_for_full_lanes_or_all_there_is() {
        let limit = raise_file_limit().unwrap();
        let (soft, hard) =
            nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(limit, soft);
        assert!(soft >= 5 * 256 * 3 || soft == hard, "{soft} of {hard}");
    }
}
