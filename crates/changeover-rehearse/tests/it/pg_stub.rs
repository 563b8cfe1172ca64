//! A scripted peer that speaks just enough pgwire: startup, simple queries, and every kind of misbehaviour.
//!
//! Unless the script says otherwise it is a small set database: `ADD 'key' 1` and `READ 'key'`.

use changeover_model::target::ClientTemplate;
use changeover_rehearse::client::ClientTarget;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What the peer has heard and must react to.
pub(crate) struct Heard {
    /// The connection, 0 for the first.
    pub(crate) connection: usize,
    /// The query; `None` for the startup.
    pub(crate) query: Option<String>,
    /// Whether it is the connection's first query.
    pub(crate) first: bool,
}

impl Heard {
    pub(crate) fn is(&self, query: &str) -> bool {
        self.query.as_deref() == Some(query)
    }
}

/// What it does then.
pub(crate) enum Do {
    /// What a good server does.
    Serve,
    /// Sends this and goes on.
    Send(Vec<u8>),
    /// Sends this and closes.
    Close(Vec<u8>),
    /// Resets the connection.
    Reset,
    /// Says nothing until the token is cancelled, and then does what a good server does.
    ServeAfter(CancellationToken),
    /// Says nothing, ever.
    Nothing,
}

/// How much it has heard.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) connections: usize,
    /// Connections that the client has ended.
    pub(crate) ended: usize,
    pub(crate) queries: usize,
}

type Script = dyn Fn(&Heard) -> Do + Send + Sync;
type Sets = Mutex<BTreeMap<String, Vec<i64>>>;

pub(crate) struct PgStub {
    pub(crate) addr: SocketAddr,
    pub(crate) seen: watch::Receiver<Seen>,
    acceptor: JoinHandle<()>,
}

impl PgStub {
    pub(crate) async fn start(script: impl Fn(&Heard) -> Do + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (tell, seen) = watch::channel(Seen::default());
        let script: Arc<Script> = Arc::new(script);
        let sets = Arc::new(Sets::default());
        let acceptor = tokio::spawn(async move {
            let mut tasks = tokio::task::JoinSet::new();
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                tell.send_modify(|seen| seen.connections += 1);
                let peer = Peer {
                    connection,
                    stream,
                    script: Arc::clone(&script),
                    sets: Arc::clone(&sets),
                    tell: tell.clone(),
                };
                // An error is the client hanging up.
                tasks.spawn(peer.run());
            }
        });
        PgStub {
            addr,
            seen,
            acceptor,
        }
    }

    /// One that always does what a good server does.
    pub(crate) async fn good() -> Self {
        PgStub::start(|_| Do::Serve).await
    }

    pub(crate) fn target(&self, timeout: Duration) -> ClientTarget {
        target(self.addr, timeout)
    }
}

impl Drop for PgStub {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

/// The stub's language, at any address.
pub(crate) fn target(addr: SocketAddr, timeout: Duration) -> ClientTarget {
    let template = ClientTemplate {
        url: "postgres://tester@{sql_addr}/test".to_owned(),
        create: Vec::new(),
        write: "ADD {id} {value}".to_owned(),
        read: "READ {id}".to_owned(),
        version: None,
        catalog: None,
    };
    ClientTarget::new(&template, addr, timeout).unwrap()
}

/// An address that nobody listens on.
pub(crate) async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

struct Peer {
    connection: usize,
    stream: TcpStream,
    script: Arc<Script>,
    sets: Arc<Sets>,
    tell: watch::Sender<Seen>,
}

impl Peer {
    async fn run(mut self) -> io::Result<()> {
        let result = self.serve().await;
        self.tell.send_modify(|seen| seen.ended += 1);
        result
    }

    async fn serve(&mut self) -> io::Result<()> {
        let length = self.stream.read_u32().await?;
        self.body(length).await?;
        let mut good = [auth_ok(), ready()].concat();
        let mut query = None;
        for queries in 0.. {
            let heard = Heard {
                connection: self.connection,
                query,
                first: queries == 1,
            };
            match (self.script)(&heard) {
                Do::Serve => self.stream.write_all(&good).await?,
                Do::ServeAfter(token) => {
                    // A client that ends the connection meanwhile must not be kept; it never says more.
                    let mut next = [0];
                    tokio::select! {
                        () = token.cancelled() => {}
                        _ = self.stream.peek(&mut next) => return Ok(()),
                    }
                    self.stream.write_all(&good).await?;
                }
                Do::Send(bytes) => self.stream.write_all(&bytes).await?,
                Do::Close(bytes) => return self.stream.write_all(&bytes).await,
                Do::Reset => return self.stream.set_zero_linger(),
                Do::Nothing => {}
            }
            let kind = self.stream.read_u8().await?;
            let length = self.stream.read_u32().await?;
            let body = self.body(length).await?;
            if kind != b'Q' {
                return Ok(());
            }
            self.tell.send_modify(|seen| seen.queries += 1);
            let text = String::from_utf8(body).unwrap();
            let text = text.trim_end_matches('\0').to_owned();
            good = self.answer(&text);
            query = Some(text);
        }
        Ok(())
    }

    async fn body(&mut self, length: u32) -> io::Result<Vec<u8>> {
        let mut body = vec![0; length as usize - 4];
        self.stream.read_exact(&mut body).await?;
        Ok(body)
    }

    fn answer(&self, query: &str) -> Vec<u8> {
        let mut sets = self.sets.lock().unwrap();
        let words: Vec<_> = query.split(' ').collect();
        match words[..] {
            ["ADD", key, value] => {
                let set = sets.entry(key.to_owned()).or_default();
                set.push(value.parse().unwrap());
                [complete("INSERT 0 1"), ready()].concat()
            }
            ["READ", key] => {
                let set = sets.get(key).cloned().unwrap_or_default();
                let rows: Vec<_> = set.iter().map(i64::to_string).collect();
                let rows: Vec<_> = rows.iter().map(|row| vec![Some(&**row)]).collect();
                table(1, &rows)
            }
            _ => [error("42601", "syntax error"), ready()].concat(),
        }
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend((body.len() as u32 + 4).to_be_bytes());
    bytes.extend(body);
    bytes
}

pub(crate) fn auth_ok() -> Vec<u8> {
    message(b'R', &[0, 0, 0, 0])
}

pub(crate) fn ready() -> Vec<u8> {
    message(b'Z', b"I")
}

pub(crate) fn complete(tag: &str) -> Vec<u8> {
    message(b'C', format!("{tag}\0").as_bytes())
}

pub(crate) fn error(sqlstate: &str, text: &str) -> Vec<u8> {
    message(
        b'E',
        format!("SERROR\0VERROR\0C{sqlstate}\0M{text}\0\0").as_bytes(),
    )
}

pub(crate) fn description(columns: u16) -> Vec<u8> {
    let mut body = columns.to_be_bytes().to_vec();
    for _ in 0..columns {
        body.extend(b"value\0");
        // No table, type int8, 8 bytes, no modifier, text.
        body.extend([
            0, 0, 0, 0, 0, 0, 0, 0, 0, 20, 0, 8, 255, 255, 255, 255, 0, 0,
        ]);
    }
    message(b'T', &body)
}

pub(crate) fn row(values: &[Option<&str>]) -> Vec<u8> {
    let mut body = (values.len() as u16).to_be_bytes().to_vec();
    for value in values {
        match value {
            None => body.extend((-1_i32).to_be_bytes()),
            Some(value) => {
                body.extend((value.len() as u32).to_be_bytes());
                body.extend(value.as_bytes());
            }
        }
    }
    message(b'D', &body)
}

/// A whole answer to a read.
pub(crate) fn table(columns: u16, rows: &[Vec<Option<&str>>]) -> Vec<u8> {
    let mut bytes = description(columns);
    for values in rows {
        bytes.extend(row(values));
    }
    bytes.extend(complete(&format!("SELECT {}", rows.len())));
    bytes.extend(ready());
    bytes
}
