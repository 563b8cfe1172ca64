//! A runtime whose processes are tasks: each runs a script, and answers the leader API and SQL the way the script
//! says at that moment.
//!
//! Every instance has a loopback address of its own. So its ports stay its own while its process restarts, and nobody
//! listens there meanwhile.

mod wire;

use async_trait::async_trait;
use changeover_model::event::ProcessEnd;
use changeover_runtime::{Ended, Instance, InstanceSpec, Runtime, RuntimeError};
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use wire::{http_connection, sql_connection};

pub(crate) const INITIALIZING: &str = "Initializing";
pub(crate) const READY: &str = "ReadyToPromote";
pub(crate) const PROMOTING: &str = "Promoting";
pub(crate) const IS_LEADER: &str = "IsLeader";

/// What the status endpoint does.
#[derive(Debug, Clone)]
pub(crate) enum Http {
    /// 200 and this word.
    Status(&'static str),
    /// 200 and the first word, once; from then on the second.
    Once(&'static str, &'static str),
    /// These very bytes, and the end of the connection.
    Raw(Vec<u8>),
    /// Nothing, and the end of the connection.
    Close,
    /// A reset.
    Reset,
    /// Nothing, until the script says something else.
    Stall,
}

/// What happens to a promotion.
#[derive(Debug, Clone)]
pub(crate) enum Promote {
    /// Taken and acknowledged: the status is `Promoting`.
    Take,
    /// Taken, and the connection dies without an answer.
    TakeSilently,
    /// Acknowledged, and nothing happens.
    OnlyAcknowledge,
    /// Nothing happens, and the connection dies without an answer.
    Lose,
    /// 400.
    Refuse,
    /// 500, and nothing happens.
    Break,
}

/// What SQL does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sql {
    /// Connections are accepted, and not answered until the script says something else.
    Hang,
    /// Reads.
    ReadOnly,
    /// Reads and writes.
    Writes,
}

type Script = dyn Fn(Process) -> Pin<Box<dyn Future<Output = ProcessEnd> + Send>> + Send + Sync;

/// What all generations share.
pub(crate) struct World {
    scripts: Mutex<HashMap<u64, Arc<Script>>>,
    /// The highest generation that has fenced out those below.
    leader: watch::Sender<u64>,
    /// When each generation was first promoted.
    promoted: watch::Sender<BTreeMap<u64, Instant>>,
    sets: Mutex<BTreeMap<String, Vec<String>>>,
    /// Processes that run.
    running: Mutex<Vec<(String, u64)>>,
    /// Each generation's figures.
    figures: Mutex<BTreeMap<u64, Figures>>,
    pids: AtomicU32,
}

/// What a generation was asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures {
    /// Processes it had.
    pub(crate) starts: u32,
    /// Status requests.
    pub(crate) polls: u32,
    /// The status it showed when each promotion arrived.
    pub(crate) promotions: Vec<String>,
    /// Acknowledged writes.
    pub(crate) writes: Vec<Instant>,
}

impl World {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(World {
            scripts: Mutex::default(),
            leader: watch::Sender::new(0),
            promoted: watch::Sender::default(),
            sets: Mutex::default(),
            running: Mutex::default(),
            figures: Mutex::default(),
            pids: AtomicU32::new(100),
        })
    }

    /// Says how the processes of a generation behave.
    pub(crate) fn script<F>(
        &self,
        generation: u64,
        script: impl Fn(Process) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = ProcessEnd> + Send + 'static,
    {
        let script: Arc<Script> = Arc::new(move |process| Box::pin(script(process)));
        self.scripts.lock().unwrap().insert(generation, script);
    }

    pub(crate) fn running(&self) -> Vec<(String, u64)> {
        self.running.lock().unwrap().clone()
    }

    pub(crate) fn figures(&self, generation: u64) -> Figures {
        let figures = self.figures.lock().unwrap();
        figures.get(&generation).cloned().unwrap_or_default()
    }

    fn figure(&self, generation: u64, change: impl FnOnce(&mut Figures)) {
        change(self.figures.lock().unwrap().entry(generation).or_default());
    }

    /// When a generation was first promoted; waits for it.
    pub(crate) async fn promotion_of(&self, generation: u64) -> Instant {
        let mut promoted = self.promoted.subscribe();
        let all = promoted
            .wait_for(|all| all.contains_key(&generation))
            .await
            .unwrap();
        all[&generation]
    }
}

/// The runtime.
pub(crate) struct ScriptedRuntime(pub(crate) Arc<World>);

/// Loopback addresses of this process: 127.2.0.0/16 and up, a new one for every instance.
static ADDRESSES: AtomicU32 = AtomicU32::new(0);

#[async_trait]
impl Runtime for ScriptedRuntime {
    async fn reserve_addresses(&self) -> Result<(SocketAddr, SocketAddr), RuntimeError> {
        // Other test processes may use the same addresses at the same time, so the ports must be free ones.
        let n = ADDRESSES.fetch_add(1, Ordering::Relaxed) + std::process::id() % 200 * 256;
        let ip = IpAddr::from(Ipv4Addr::from(0x7f02_0000 + n));
        let sql = TcpListener::bind((ip, 0)).await.unwrap();
        let http = TcpListener::bind((ip, 0)).await.unwrap();
        Ok((sql.local_addr().unwrap(), http.local_addr().unwrap()))
    }

    async fn spawn(&self, spec: InstanceSpec) -> Result<Box<dyn Instance>, RuntimeError> {
        let script = self
            .0
            .scripts
            .lock()
            .unwrap()
            .get(&spec.generation)
            .cloned();
        let Some(script) = script else {
            return Err(RuntimeError::new(format!(
                "there is no script for generation {}",
                spec.generation
            )));
        };
        let mut instance = ScriptedInstance {
            spec,
            world: Arc::clone(&self.0),
            script,
            life: 0,
            pid: 0,
            task: tokio::spawn(async { ProcessEnd::Code(0) }),
            ended: None,
        };
        instance.start();
        Ok(Box::new(instance))
    }

    async fn sweep(&self) -> Vec<String> {
        Vec::new()
    }
}

struct ScriptedInstance {
    spec: InstanceSpec,
    world: Arc<World>,
    script: Arc<Script>,
    life: u32,
    pid: u32,
    task: JoinHandle<ProcessEnd>,
    ended: Option<Ended>,
}

impl ScriptedInstance {
    fn start(&mut self) {
        self.life += 1;
        self.pid = self.world.pids.fetch_add(1, Ordering::Relaxed);
        self.ended = None;
        let process = Process {
            life: self.life,
            spec: self.spec.clone(),
            world: Arc::clone(&self.world),
            tasks: Arc::default(),
            face: Arc::new(Face {
                http: watch::Sender::new(Http::Stall),
                promote: Mutex::new(Promote::Take),
                promotions: watch::Sender::new(0),
                sql: watch::Sender::new(Sql::Hang),
                version: Mutex::new(format!("v0.{}.0", self.spec.generation + 1)),
            }),
        };
        self.world
            .figure(self.spec.generation, |figures| figures.starts += 1);
        let alive = Alive::new(&process);
        let script = (self.script)(process.clone());
        self.task = tokio::spawn(async move {
            let _alive = alive;
            let end = script.await;
            // The next process listens at the same addresses.
            let mut tasks = std::mem::take(&mut *process.tasks.lock().unwrap());
            tasks.shutdown().await;
            end
        });
    }
}

#[async_trait]
impl Instance for ScriptedInstance {
    fn spec(&self) -> &InstanceSpec {
        &self.spec
    }

    fn pid(&self) -> u32 {
        self.pid
    }

    async fn ended(&mut self) -> Ended {
        if let Some(ended) = self.ended {
            return ended;
        }
        let end = (&mut self.task).await.expect("a script does not panic");
        let ended = Ended { end, by_us: false };
        self.ended = Some(ended);
        ended
    }

    async fn restart(&mut self) -> Result<(), RuntimeError> {
        assert!(self.ended.is_some(), "restarted while it runs");
        self.start();
        Ok(())
    }

    async fn stop(&mut self, _grace: Duration) -> Ended {
        if let Some(ended) = self.ended {
            return ended;
        }
        self.task.abort();
        let ended = match (&mut self.task).await {
            Ok(end) => Ended { end, by_us: false },
            Err(_) => Ended {
                end: ProcessEnd::Signal(15),
                by_us: true,
            },
        };
        self.ended = Some(ended);
        ended
    }

    fn log_tail(&self, lines: usize) -> Vec<String> {
        let all = [format!("life {}", self.life), "the last words".to_owned()];
        all[all.len().saturating_sub(lines)..].to_vec()
    }
}

impl Drop for ScriptedInstance {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Counts a process among those that run, until its task is over in whatever way.
struct Alive {
    world: Arc<World>,
    who: (String, u64),
}

impl Alive {
    fn new(process: &Process) -> Self {
        let who = (process.spec.slot.clone(), process.spec.generation);
        process.world.running.lock().unwrap().push(who.clone());
        Alive {
            world: Arc::clone(&process.world),
            who,
        }
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        let mut running = self.world.running.lock().unwrap();
        let at = running.iter().position(|who| *who == self.who).unwrap();
        running.remove(at);
    }
}

/// What a process shows to the outside.
struct Face {
    http: watch::Sender<Http>,
    promote: Mutex<Promote>,
    promotions: watch::Sender<u32>,
    sql: watch::Sender<Sql>,
    version: Mutex<String>,
}

/// A process, in the hands of its script.
#[derive(Clone)]
pub(crate) struct Process {
    /// 1 for the instance's first process.
    pub(crate) life: u32,
    pub(crate) spec: InstanceSpec,
    pub(crate) world: Arc<World>,
    /// Its listeners and connections; they end with it.
    tasks: Arc<Mutex<JoinSet<()>>>,
    face: Arc<Face>,
}

impl Process {
    /// Binds the leader API's listener; nobody answers yet.
    pub(crate) async fn listen_http(&self) {
        let listener = TcpListener::bind(self.spec.http_addr).await.unwrap();
        let face = Arc::clone(&self.face);
        let (world, generation) = (Arc::clone(&self.world), self.spec.generation);
        self.serve(listener, move |stream| {
            http_connection(stream, Arc::clone(&face), Arc::clone(&world), generation)
        });
    }

    /// Binds the SQL listener; nobody answers yet.
    pub(crate) async fn listen_sql(&self) {
        let listener = TcpListener::bind(self.spec.sql_addr).await.unwrap();
        let face = Arc::clone(&self.face);
        let (world, generation) = (Arc::clone(&self.world), self.spec.generation);
        self.serve(listener, move |stream| {
            sql_connection(stream, Arc::clone(&face), Arc::clone(&world), generation)
        });
    }

    /// Both listeners, as a server binds them early.
    pub(crate) async fn listen(&self) {
        self.listen_http().await;
        self.listen_sql().await;
    }

    fn serve<F>(&self, listener: TcpListener, connection: impl Fn(TcpStream) -> F + Send + 'static)
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        self.tasks.lock().unwrap().spawn(async move {
            // Dropped with this task, and with it every connection.
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let _ = stream.set_nodelay(true);
                let connection = connection(stream);
                connections.spawn(async move {
                    // An error is the client hanging up.
                    let _ = connection.await;
                });
            }
        });
    }

    pub(crate) fn http(&self, http: Http) {
        self.face.http.send_replace(http);
    }

    pub(crate) fn status(&self, word: &'static str) {
        self.http(Http::Status(word));
    }

    pub(crate) fn on_promote(&self, promote: Promote) {
        *self.face.promote.lock().unwrap() = promote;
    }

    pub(crate) fn sql(&self, sql: Sql) {
        self.face.sql.send_replace(sql);
    }

    /// What it says it is; empty: it cannot say.
    pub(crate) fn version(&self, version: &str) {
        *self.face.version.lock().unwrap() = version.to_owned();
    }

    pub(crate) async fn ms(&self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    /// Returns when `n` promotions have been answered by this process, in whatever way.
    pub(crate) async fn promotions(&self, n: u32) {
        let mut promotions = self.face.promotions.subscribe();
        promotions.wait_for(|&seen| seen >= n).await.unwrap();
    }

    /// Returns when this process has been polled `n` times from now on.
    pub(crate) async fn polls(&self, n: u32) {
        let polls = || self.world.figures(self.spec.generation).polls;
        let enough = polls() + n;
        while polls() < enough {
            self.ms(1).await;
        }
    }

    /// Takes the leadership: every lower generation is fenced out.
    pub(crate) fn fence(&self) {
        self.world.leader.send_replace(self.spec.generation);
    }

    /// Whether this generation leads.
    pub(crate) fn leads(&self) -> bool {
        *self.world.leader.borrow() == self.spec.generation
    }

    /// Returns when a higher generation has fenced this one out.
    pub(crate) async fn fenced(&self) {
        let own = self.spec.generation;
        let mut leader = self.world.leader.subscribe();
        leader.wait_for(|&leader| leader > own).await.unwrap();
    }

    /// Boots as leader and serves.
    pub(crate) async fn lead(&self) {
        self.listen().await;
        self.status(INITIALIZING);
        self.ms(5).await;
        self.status(IS_LEADER);
        self.ms(5).await;
        self.sql(Sql::Writes);
    }

    /// Boots read-only, catches up and is ready.
    pub(crate) async fn catch_up(&self) {
        self.listen().await;
        self.status(INITIALIZING);
        self.ms(5).await;
        self.sql(Sql::ReadOnly);
        self.ms(5).await;
        self.status(READY);
    }

    /// Waits for the promotion, fences out the others, and asks for the restart.
    pub(crate) async fn take_over(&self) -> ProcessEnd {
        self.promotions(1).await;
        self.ms(3).await;
        self.fence();
        ProcessEnd::Code(166)
    }
}

/// A server that keeps to the protocol, in every life and generation.
pub(crate) async fn honest(process: Process) -> ProcessEnd {
    if process.leads() {
        process.lead().await;
        process.fenced().await;
        // The fence takes its writes away at once, however long it takes to leave.
        process.sql(Sql::ReadOnly);
        process.ms(3).await;
        return ProcessEnd::Code(0);
    }
    process.catch_up().await;
    process.take_over().await
}
