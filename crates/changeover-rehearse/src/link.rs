//! A link between two parties that can be broken on purpose: a TCP proxy of our own.
//!
//! Without a rule it carries everything, ends and resets included. Rules are looked at in the order in which they were
//! made, and the first decides; dropping its guard takes a rule away. What a rule keeps from arriving is held back and not
//! lost, as on a network whose packets get lost and are sent again: it arrives when the rule is gone, if both ends have
//! waited for it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// How long dialling the other end may take.
const DIAL: Duration = Duration::from_secs(2);

/// How long to wait after a failed accept.
const PAUSE: Duration = Duration::from_millis(5);

/// Bytes of a connection's buffer in each direction.
const BUFFER: usize = 8 * 1024;

/// How many of them may be under way in each direction.
const UNDER_WAY: usize = 64;

/// How a link is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Connections are reset, and so is each new one at once.
    Cut,
    /// Everything arrives later by so much.
    Delay(Duration),
    /// What the end that connects sends does not arrive.
    HalfOpen,
    /// Nothing arrives, either way. Connections are accepted.
    BlackHole,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// From the end that connects.
    There,
    Back,
}

/// What a rule did.
#[derive(Debug, Default)]
struct Counts {
    reset: AtomicU64,
    refused: AtomicU64,
    bytes: AtomicU64,
}

/// What a rule did so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// Established connections that were reset.
    pub reset: u64,
    /// New connections that were reset at once.
    pub refused: u64,
    /// Bytes that were held back or delayed.
    pub bytes: u64,
}

/// A link. Dropping it closes it and every connection through it.
#[derive(Debug)]
pub struct Link {
    addr: SocketAddr,
    shared: Arc<Shared>,
    acceptor: JoinHandle<()>,
    end: CancellationToken,
}

#[derive(Debug)]
struct Shared {
    rules: Mutex<Vec<Active>>,
    /// Told when the rules change, and when connections are to be reset.
    changed: watch::Sender<Changes>,
    connections: AtomicU64,
}

#[derive(Debug, Clone)]
struct Active {
    number: u64,
    rule: Rule,
    counts: Arc<Counts>,
}

/// How often something changed, by which waiting connections see that they must look again.
#[derive(Debug, Clone, Copy, Default)]
struct Changes {
    rules: u64,
    resets: u64,
}

/// Keeps a rule. Dropping it takes the rule away.
#[derive(Debug)]
pub struct Guard {
    shared: Arc<Shared>,
    number: u64,
    counts: Arc<Counts>,
}

impl Link {
    /// Listens on a free port of 127.0.0.1, and carries what comes to `upstream`. Must be called within a runtime.
    ///
    /// # Errors
    ///
    /// When no port can be had.
    pub async fn to(upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            rules: Mutex::default(),
            changed: watch::Sender::default(),
            connections: AtomicU64::new(0),
        });
        let end = CancellationToken::new();
        let acceptor = tokio::spawn(accept(listener, upstream, Arc::clone(&shared), end.clone()));
        Ok(Link {
            addr,
            shared,
            acceptor,
            end,
        })
    }

    /// Where the one end connects.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How many connections go through it now.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Breaks it by this rule, as long as the guard lives.
    pub fn breaks(&self, rule: Rule) -> Guard {
        let counts = Arc::new(Counts::default());
        let mut rules = self.shared.rules();
        let number = rules.last().map_or(0, |last| last.number + 1);
        rules.push(Active {
            number,
            rule,
            counts: Arc::clone(&counts),
        });
        drop(rules);
        self.shared.changed.send_modify(|changes| {
            changes.rules += 1;
            changes.resets += u64::from(rule == Rule::Cut);
        });
        if rule == Rule::Cut {
            counts.reset.store(self.connections(), Ordering::Relaxed);
        }
        Guard {
            shared: Arc::clone(&self.shared),
            number,
            counts,
        }
    }

    /// Resets every connection, once. Returns how many there were.
    pub fn reset(&self) -> u64 {
        let connections = self.connections();
        self.shared
            .changed
            .send_modify(|changes| changes.resets += 1);
        connections
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.acceptor.abort();
        self.end.cancel();
    }
}

impl Guard {
    /// What the rule did so far.
    pub fn done(&self) -> Done {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Done {
            reset: read(&self.counts.reset),
            refused: read(&self.counts.refused),
            bytes: read(&self.counts.bytes),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.shared
            .rules()
            .retain(|rule| rule.number != self.number);
        self.shared
            .changed
            .send_modify(|changes| changes.rules += 1);
    }
}

impl Shared {
    fn rules(&self) -> MutexGuard<'_, Vec<Active>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rule that decides about bytes that go this way.
    fn rule(&self, way: Way) -> Option<Active> {
        let matches = |rule: &&Active| match rule.rule {
            Rule::Cut => false,
            Rule::HalfOpen => way == Way::There,
            Rule::Delay(_) | Rule::BlackHole => true,
        };
        self.rules().iter().find(matches).cloned()
    }

    /// The rule that decides about new connections.
    fn refuses(&self) -> Option<Active> {
        let first = self.rules().first().cloned();
        first.filter(|rule| rule.rule == Rule::Cut)
    }
}

async fn accept(
    listener: TcpListener,
    upstream: SocketAddr,
    shared: Arc<Shared>,
    end: CancellationToken,
) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        // Before the rules are looked at: a cut that comes in between resets it like every other.
        let changed = shared.changed.subscribe();
        let resets = changed.borrow().resets;
        let open = Open::count(&shared);
        if let Some(rule) = shared.refuses() {
            rule.counts.refused.fetch_add(1, Ordering::Relaxed);
            let _ = client.set_zero_linger();
            continue;
        }
        let (shared, end) = (Arc::clone(&shared), end.clone());
        tokio::spawn(async move {
            let _open = open;
            let carried = carry(client, upstream, &shared, changed, resets);
            // Which end closed, and how, is for the two ends to see.
            let _ = end.run_until_cancelled(carried).await;
        });
    }
}

/// A connection that is counted as long as this lives.
struct Open(Arc<Shared>);

impl Open {
    fn count(shared: &Arc<Shared>) -> Self {
        shared.connections.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(shared))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Carries a connection to its end, or until there were more than so many resets.
async fn carry(
    client: TcpStream,
    upstream: SocketAddr,
    shared: &Arc<Shared>,
    mut changed: watch::Receiver<Changes>,
    resets: u64,
) -> io::Result<()> {
    let server = timeout(DIAL, TcpStream::connect(upstream)).await;
    let Ok(Ok(server)) = server else {
        let _ = client.set_zero_linger();
        return Ok(());
    };
    for stream in [&client, &server] {
        let _ = stream.set_nodelay(true);
    }
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    let reset = changed.wait_for(|changes| changes.resets > resets);
    let ends = {
        let mut there = Direction::new(client_in, server_out, Way::There, shared);
        let mut back = Direction::new(server_in, client_out, Way::Back, shared);
        let both = async { tokio::try_join!(there.run(), back.run()).map(|_| ()) };
        let outcome = tokio::select! {
            biased;
            _ = reset => Err(io::ErrorKind::ConnectionReset.into()),
            outcome = both => outcome,
        };
        (outcome, there.into_halves(), back.into_halves())
    };
    let (outcome, (client_in, server_out), (server_in, client_out)) = ends;
    if outcome.is_err() {
        // A reset is a reset at both ends.
        let ends = [client_in.reunite(client_out), server_in.reunite(server_out)];
        for stream in ends.into_iter().flatten() {
            let _ = stream.set_zero_linger();
        }
    }
    outcome
}

/// One direction of a connection.
struct Direction<'a> {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    way: Way,
    shared: &'a Arc<Shared>,
}

/// What was read at a time: bytes, none for the end, or a reset.
struct Chunk {
    arrived: Instant,
    read: io::Result<Vec<u8>>,
}

impl<'a> Direction<'a> {
    fn new(from: OwnedReadHalf, to: OwnedWriteHalf, way: Way, shared: &'a Arc<Shared>) -> Self {
        Direction {
            from,
            to,
            way,
            shared,
        }
    }

    fn into_halves(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        (self.from, self.to)
    }

    /// Reads on while what was read before is still under way: a delay makes everything later, and nothing slower.
    async fn run(&mut self) -> io::Result<()> {
        let (under_way, mut arriving) = mpsc::channel::<Chunk>(UNDER_WAY);
        let Direction {
            from,
            to,
            way,
            shared,
        } = self;
        let read = async {
            let mut buffer = vec![0; BUFFER];
            loop {
                let read = from.read(&mut buffer).await;
                let read = read.map(|length| buffer[..length].to_vec());
                let last = read.as_ref().is_ok_and(Vec::is_empty) || read.is_err();
                let arrived = Instant::now();
                // Who takes them leaves only with an error, which ends both.
                if under_way.send(Chunk { arrived, read }).await.is_err() || last {
                    return Ok(());
                }
            }
        };
        let write = async {
            while let Some(chunk) = arriving.recv().await {
                let_through(shared, *way, &chunk).await;
                let bytes = chunk.read?;
                if bytes.is_empty() {
                    // Nobody there to take it: everything was carried.
                    let _ = to.shutdown().await;
                    return Ok(());
                }
                to.write_all(&bytes).await?;
            }
            Ok(())
        };
        tokio::try_join!(read, write).map(|_: ((), ())| ())
    }
}

/// Waits until this may go on.
async fn let_through(shared: &Shared, way: Way, chunk: &Chunk) {
    let mut changed = shared.changed.subscribe();
    let mut counted = false;
    loop {
        changed.borrow_and_update();
        let Some(Active { rule, counts, .. }) = shared.rule(way) else {
            return;
        };
        if !counted {
            let bytes = chunk.read.as_ref().map_or(0, Vec::len);
            counts.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            counted = true;
        }
        if let Rule::Delay(by) = rule {
            return sleep_until(chunk.arrived + by).await;
        }
        if changed.changed().await.is_err() {
            return;
        }
    }
}
