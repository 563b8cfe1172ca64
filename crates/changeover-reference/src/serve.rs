//! The life of a process: bind, decide by the fence, hydrate, answer.

use std::cell::Cell;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use crate::acklog::{AckFile, AckLog};
use crate::args::ServeArgs;
use crate::bug::{self, Bug};
use crate::commit::Leader;
use crate::copy::{DataDirectory, PrivateCopy};
use crate::deployment::{Deployment, State};
use crate::engine::{Engine, Mode};
use crate::follow::{Follower, HydrateError, Hydration};
use crate::hold::{self, Point};
use crate::ladder::{self, Release};
use crate::store::{Fence, MetadataStore, Role, StoreAddress};
use crate::{exit, leader_api, log, migration, session};

/// How often an idle leader looks whether it has been fenced out.
const POLL: Duration = Duration::from_millis(25);

/// How long a promoted process waits for its answer to be sent.
const ANSWER: Duration = Duration::from_millis(20);

/// A session's stack. Only touched pages count; deep expressions are walked on it.
const STACK: usize = 16 * 1024 * 1024;

/// Why the service could not start.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("{0}")]
    Arguments(String),
    #[error("{0}")]
    Here(String),
}

struct Service {
    release: &'static Release,
    args: ServeArgs,
    store: StoreAddress,
    deployment: Arc<Deployment>,
    /// Until connections are accepted from it.
    sql: Cell<Option<TcpListener>>,
    started: Instant,
    directory: PathBuf,
}

/// What belongs to this process alone. Taken before the fence: a process that cannot have it must not end the one that
/// leads.
struct Local {
    data: DataDirectory,
    acknowledgements: Option<AckFile>,
}

/// What a leader needs of the store besides what it hydrated with: connections of their own, to append and to tidy.
struct Handles {
    append: Box<dyn MetadataStore>,
    tidy: Box<dyn MetadataStore>,
}

/// Runs the service until the process should end: with 0 when fenced out by a higher generation, 166 to be restarted
/// in place, 1 when something failed, 2 for bad arguments, 4 when it cannot run here, 143 and 130 on SIGTERM and
/// SIGINT. Most of these end the process themselves, at once, as no answer may leave it any more.
pub fn run(args: ServeArgs) -> ExitCode {
    // One line for a panic too; none where a client's garbage caused it, who is told.
    std::panic::set_hook(Box::new(|panic| {
        if !session::is_decoding() {
            log::error!("{panic}");
        }
    }));
    let code = match start(args) {
        Ok(service) => match service.lead_or_follow() {
            Ok(never) => match never {},
            Err(error) => error.end(),
        },
        Err(error) => {
            log::error!("{error}");
            match error {
                StartError::Arguments(_) => exit::BAD_ARGUMENTS,
                StartError::Here(_) => exit::CANNOT_RUN,
            }
        }
    };
    exit::now(code)
}

fn start(args: ServeArgs) -> Result<Service, StartError> {
    let started = Instant::now();
    let store: StoreAddress = args
        .metadata_store
        .parse()
        .map_err(|e| StartError::Arguments(format!("--metadata-store: {e}")))?;
    let in_sqlite = matches!(store, StoreAddress::Sqlite(_));
    let planted = args.planted_bug.as_deref();
    let bug = bug::plant(planted, args.deploy_generation, in_sqlite)
        .map_err(|e| StartError::Arguments(format!("--planted-bug: {e}")))?;
    let release = ladder::find(&args.version).map_err(|e| StartError::Arguments(e.to_string()))?;
    log::info!(
        "reference database {}, generation {}, store format {}",
        release.version,
        args.deploy_generation,
        release.format
    );
    if let Some(bug) = bug {
        log::warning!("planted bug {}, on request: {}", bug.name, bug.symptom);
    }
    if let Some(reason) = release.withdrawn {
        log::warning!("{release} was withdrawn: {reason}; start a later release");
    }
    if args.deploy_generation > i64::MAX as u64 {
        return Err(StartError::Arguments(format!(
            "the deploy generation {} is beyond 63 bits",
            args.deploy_generation
        )));
    }
    hold::set(&args.hold, args.deploy_generation)
        .map_err(|e| StartError::Arguments(format!("--hold: {e}")))?;
    let sql = bind(&args.sql_addr, "--sql-addr")?;
    let http = bind(&args.http_addr, "--http-addr")?;
    let address = |listener: &TcpListener| {
        listener
            .local_addr()
            .map_err(|e| StartError::Here(format!("no address: {e}")))
    };
    let (sql_address, http_address) = (address(&sql)?, address(&http)?);
    if let Some(file) = &args.address_file {
        write_addresses(file, sql_address, http_address).map_err(|e| {
            StartError::Here(format!(
                "cannot write the address file {}: {e}",
                file.display()
            ))
        })?;
    }
    hold::at(Point::Booting);
    let deployment = Arc::new(Deployment::new(release.promotes_in_place));
    spawn_api(http, Arc::clone(&deployment))?;
    log::info!("leader API on {http_address}, SQL on {sql_address}");
    let directory = match &args.data_dir {
        Some(directory) => directory.clone(),
        None => temporary_directory()?,
    };
    Ok(Service {
        release,
        args,
        store,
        deployment,
        sql: Cell::new(Some(sql)),
        started,
        directory,
    })
}

fn bind(address: &str, option: &str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidInput => StartError::Arguments(format!("{option}: `{address}` is no address; give HOST:PORT")),
        _ => StartError::Here(format!("{option}: cannot listen on {address}: {error}; choose another address, or port 0 for a free one")),
    })
}

/// Written beside its place and renamed, so that whoever waits for the file never reads half of it.
fn write_addresses(file: &Path, sql: SocketAddr, http: SocketAddr) -> std::io::Result<()> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    std::fs::write(
        &beside,
        format!("{{\"sql\":\"{sql}\",\"http\":\"{http}\"}}\n"),
    )?;
    std::fs::rename(&beside, file)
}

fn temporary_directory() -> Result<PathBuf, StartError> {
    let name = format!(
        "changeover-reference-{}-{}",
        std::process::id(),
        crate::acklog::monotonic()
    );
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir(&directory).map_err(|e| {
        StartError::Here(format!(
            "cannot make the temporary directory {}: {e}",
            directory.display()
        ))
    })?;
    exit::remove_at_end(directory.clone());
    Ok(directory)
}

/// The leader API and the signals, on a thread and a runtime of their own: they answer whatever else is going on.
fn spawn_api(listener: TcpListener, deployment: Arc<Deployment>) -> Result<(), StartError> {
    let here = |e: std::io::Error| StartError::Here(format!("cannot start the leader API: {e}"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(here)?;
    let work = async move {
        use tokio::signal::unix::{SignalKind, signal};
        if let (Ok(mut terminate), Ok(mut interrupt)) = (
            signal(SignalKind::terminate()),
            signal(SignalKind::interrupt()),
        ) {
            tokio::spawn(async move {
                let code = tokio::select! {
                    _ = terminate.recv() => exit::TERMINATED,
                    _ = interrupt.recv() => exit::INTERRUPTED,
                };
                log::info!("exiting ({code}): asked by a signal");
                exit::now(code)
            });
        }
        if let Err(error) = leader_api::serve(listener, deployment).await {
            log::error!("the leader API ended: {error}");
            exit::now(exit::FAILED)
        }
    };
    std::thread::Builder::new()
        .name("leader-api".to_owned())
        .spawn(move || runtime.block_on(work))
        .map_err(here)?;
    Ok(())
}

impl Service {
    fn open_store(&self) -> Result<Box<dyn MetadataStore>, HydrateError> {
        Ok(self.store.open(self.release)?)
    }

    fn lead_or_follow(self) -> Result<std::convert::Infallible, HydrateError> {
        let local = Local {
            data: DataDirectory::take(&self.directory)?,
            acknowledgements: self.ack_file(),
        };
        let mut store = self.open_store()?;
        match store.begin(self.args.deploy_generation)? {
            Role::FencedOut(fence) => {
                log::info!(
                    "exiting (0): fenced out by generation {}",
                    fence.token.generation
                );
                exit::now(exit::FENCED)
            }
            Role::Lead(fence) => self.lead(store, fence, local),
            Role::Follow(fence) => self.follow(store, fence, local),
        }
    }

    fn copy(
        &self,
        data: DataDirectory,
        store: &mut dyn MetadataStore,
        upper: u64,
    ) -> Result<Arc<PrivateCopy>, HydrateError> {
        Ok(Arc::new(PrivateCopy::open(
            data,
            &store.id()?,
            self.release.version,
            upper,
        )?))
    }

    fn ack_file(&self) -> Option<AckFile> {
        let path = self.args.ack_log.as_ref()?;
        Some(AckFile::open(path).unwrap_or_else(|error| self.no_ack_log(&error)))
    }

    fn acknowledgements(&self, file: Option<AckFile>) -> Option<AckLog> {
        let log = AckLog::begin(file?, self.release.version, self.args.deploy_generation);
        Some(log.unwrap_or_else(|error| self.no_ack_log(&error)))
    }

    fn no_ack_log(&self, error: &std::io::Error) -> ! {
        log::error!(
            "cannot write the acknowledgement log {}: {error}",
            self.args
                .ack_log
                .as_deref()
                .unwrap_or(Path::new(""))
                .display()
        );
        exit::now(exit::CANNOT_RUN)
    }

    fn handles(&self) -> Result<Handles, HydrateError> {
        let mut append = self.open_store()?;
        // A handle connects when it is first asked: now, and not while the first commit waits for it.
        append.id()?;
        Ok(Handles {
            append,
            tidy: self.open_store()?,
        })
    }

    fn hydration(
        &self,
        store: Box<dyn MetadataStore>,
        copy: &Arc<PrivateCopy>,
        rate: Option<u64>,
    ) -> Result<Hydration, HydrateError> {
        let generation = self.args.deploy_generation;
        Ok(Hydration::new(store, copy, generation, rate)?)
    }

    fn follow(
        self,
        mut store: Box<dyn MetadataStore>,
        fence: Fence,
        local: Local,
    ) -> Result<std::convert::Infallible, HydrateError> {
        let copy = self.copy(local.data, store.as_mut(), fence.upper)?;
        let engine = Arc::new(Engine::new(Arc::clone(&copy)));
        let follower = Follower {
            hydration: self.hydration(
                store,
                &copy,
                self.args.hydration_rate.or(self.args.read_rate),
            )?,
            deployment: Arc::clone(&self.deployment),
            generation: self.args.deploy_generation,
            baseline: fence.upper,
            started: self.started,
            max_wait: Duration::from_secs(self.args.max_wait),
        };
        // Before the fence is taken, while nobody waits.
        let handles = match self.release.promotes_in_place {
            true => Some(self.handles()?),
            false => None,
        };
        let (hydration, fence) = follower.run(|| self.answer(&engine))?;
        if let Some(handles) = handles {
            log::info!(
                "promoted in place; the fence holds {} from log position {} on",
                fence.token,
                fence.upper
            );
            return self.take_over(&engine, hydration, fence, handles, local.acknowledgements);
        }
        log::info!(
            "restarting (166): promoted; the fence holds {} from log position {} on",
            fence.token,
            fence.upper
        );
        self.deployment.wait_promote_answered(ANSWER);
        hold::at(Point::NewRestarting);
        exit::now(exit::RESTART)
    }

    fn lead(
        self,
        mut store: Box<dyn MetadataStore>,
        fence: Fence,
        local: Local,
    ) -> Result<std::convert::Infallible, HydrateError> {
        self.deployment.set_is_leader();
        hold::at(Point::Leader);
        log::info!(
            "leading with {}; reading the log up to {}",
            fence.token,
            fence.upper
        );
        let copy = self.copy(local.data, store.as_mut(), fence.upper)?;
        let hydration = self.hydration(store, &copy, self.args.read_rate)?;
        let engine = Arc::new(Engine::new(copy));
        let handles = self.handles()?;
        self.take_over(&engine, hydration, fence, handles, local.acknowledgements)
    }

    /// Leads, with our token in the fence: reads the log to its end, which is known, as nobody but us can append any
    /// more, and only then answers as the leader.
    fn take_over(
        self,
        engine: &Arc<Engine>,
        mut hydration: Hydration,
        fence: Fence,
        handles: Handles,
        acknowledgements: Option<AckFile>,
    ) -> Result<std::convert::Infallible, HydrateError> {
        if self.args.read_rate.is_none() {
            hydration.hurry();
        }
        hydration.complete(fence.token, fence.upper)?;
        let mut store = hydration.into_store();
        let mut append = handles.append;
        append.tie(&store.id()?)?;
        let (tidy, when) = sync_channel(1);
        spawn_tidy(handles.tidy, when);
        let leader = engine.lead(
            Leader::new(
                fence.token,
                fence.upper,
                append,
                store,
                Arc::clone(&engine.copy),
                tidy,
            ),
            self.acknowledgements(acknowledgements),
        );
        self.answer(engine);
        let leads_already = self.deployment.state() == State::IsLeader;
        self.deployment.set_is_leader();
        if !leads_already {
            hold::at(Point::Leader);
        }
        hold::at(Point::Serving);
        log::info!(
            "answering SQL as the leader at log position {}",
            fence.upper
        );
        // On a thread of its own: it waits for its turn to write, which must not keep us from looking at the fence.
        let (migrating, portion) = (Arc::clone(engine), self.release.portion);
        let work = move || {
            if let Ok(Some(leader)) = migrating.leader(Mode::Leading) {
                migration::run(leader, portion);
            }
        };
        if let Err(error) = std::thread::Builder::new()
            .name("migrate".to_owned())
            .spawn(work)
        {
            log::error!("cannot start the thread that migrates the store: {error}");
            exit::now(exit::FAILED)
        }
        watch(leader)
    }

    /// Answers SQL from now on, if it does not yet.
    fn answer(&self, engine: &Arc<Engine>) {
        if let Some(listener) = self.sql.take() {
            accept(listener, Arc::clone(engine), &self.deployment);
        }
    }
}

/// Looks at the fence now and then, which ends the process when it is fenced. That the store does not answer is told
/// once: what follows from it is left to who reads and writes.
fn watch(leader: &Leader) -> ! {
    let mut answers = true;
    loop {
        std::thread::sleep(POLL);
        match (leader.still_leading(), answers) {
            (Err(error), true) => log::warning!("{error}"),
            (Ok(()), false) => log::info!("the metadata store answers again"),
            _ => continue,
        }
        answers = !answers;
    }
}

/// Answers SQL from now on: connections have been queueing at the listener.
fn accept(listener: TcpListener, engine: Arc<Engine>, deployment: &Deployment) {
    let work = move || {
        loop {
            match listener.accept() {
                Ok((_, peer)) if bug::on(Bug::DropsConnections) && peer.port() % 3 == 0 => {}
                Ok((stream, _)) => {
                    let engine = Arc::clone(&engine);
                    let session = std::thread::Builder::new()
                        .stack_size(STACK)
                        .spawn(move || session::serve(&engine, stream));
                    if let Err(error) = session {
                        log::error!("cannot start a session: {error}");
                    }
                }
                Err(error) => {
                    log::error!("cannot accept a SQL connection: {error}");
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
        }
    };
    match std::thread::Builder::new()
        .name("accept".to_owned())
        .spawn(work)
    {
        Ok(_) => deployment.set_serving(),
        Err(error) => {
            log::error!("cannot start to accept SQL connections: {error}");
            exit::now(exit::FAILED)
        }
    }
}

/// Tidies the store when told to, so that no commit waits for the disk. Without this thread the store does it itself,
/// only later and in the middle of a commit.
fn spawn_tidy(mut store: Box<dyn MetadataStore>, when: Receiver<()>) {
    let work = move || {
        while when.recv().is_ok() {
            if let Err(error) = store.tidy() {
                log::warning!("{error}");
            }
        }
    };
    if let Err(error) = std::thread::Builder::new()
        .name("tidy".to_owned())
        .spawn(work)
    {
        log::warning!("cannot start the thread that tidies the store: {error}");
    }
}
