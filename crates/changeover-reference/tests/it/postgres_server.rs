//! A private PostgreSQL server for tests. The unit tests of the store use it too.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User};

/// Only a failing test waits so long.
const DEADLINE: Duration = Duration::from_secs(60);

/// The one that the tests of this process share, as long as one of them runs.
static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());

/// Numbers the schemas of this process.
static SCHEMAS: AtomicU32 = AtomicU32::new(1);

/// A server of one's own on a free port of 127.0.0.1; ended when dropped, also while a test panics.
pub(crate) struct Server {
    process: Mutex<Child>,
    programs: PathBuf,
    directory: tempfile::TempDir,
    port: u16,
    settings: Vec<String>,
}

impl Server {
    /// The server of this process. `None`, and a line that says so, where there is no PostgreSQL.
    pub(crate) fn shared() -> Option<Arc<Self>> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return Some(server);
        }
        let server = Arc::new(Self::start(&[])?);
        *shared = Arc::downgrade(&server);
        Some(server)
    }

    /// A server with these settings, each `name=value`.
    pub(crate) fn start(settings: &[&str]) -> Option<Self> {
        let Some(programs) = programs() else {
            let provisioned = std::env::var_os("CHANGEOVER_PROVISIONED").is_some_and(|v| v == "1");
            assert!(!provisioned, "PostgreSQL's server should be here");
            println!("skipped: no PostgreSQL server found");
            return None;
        };
        let directory = tempfile::tempdir().expect("a temporary directory");
        if let Some(user) = user() {
            let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
            std::os::unix::fs::chown(directory.path(), Some(uid), Some(gid)).expect("its owner");
        }
        let initdb = command(&programs.join("initdb"))
            .args([
                "--no-sync",
                "--no-locale",
                "--encoding=UTF8",
                "--auth=trust",
            ])
            .args(["--username=changeover", "--wal-segsize=1", "-D"])
            .arg(directory.path().join("data"))
            .current_dir(directory.path())
            .output()
            .expect("initdb starts");
        let told = String::from_utf8_lossy(&initdb.stderr);
        assert!(initdb.status.success(), "initdb: {told}");
        let mut settings: Vec<String> = settings.iter().map(|&s| s.to_owned()).collect();
        settings.insert(0, "shared_buffers=16MB".to_owned());
        let port = free_port();
        let process = spawn(&programs, directory.path(), port, &settings);
        let server = Self {
            process: Mutex::new(process),
            programs,
            directory,
            port,
            settings,
        };
        server.wait_ready();
        Some(server)
    }

    /// The address of a schema that nobody else has.
    pub(crate) fn fresh(&self) -> String {
        let number = SCHEMAS.fetch_add(1, Ordering::Relaxed);
        self.address(&format!("schema=test_{number}"))
    }

    pub(crate) fn address(&self, options: &str) -> String {
        let port = self.port;
        format!("postgres://changeover@127.0.0.1:{port}/postgres?{options}")
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Where its socket, data and everything else is.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Lets a file of root's belong to the server.
    pub(crate) fn give(&self, file: &Path) {
        if let Some(user) = user() {
            let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
            std::os::unix::fs::chown(file, Some(uid), Some(gid)).expect("its owner");
        }
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn stop(&self) {
        let mut process = self.process();
        // Its processes may be frozen.
        for pid in self.family(&process) {
            let _ = kill(pid, Signal::SIGCONT);
        }
        let _ = kill(Pid::from_raw(process.id() as i32), Signal::SIGQUIT);
        let _ = process.wait();
    }

    /// Starts it again, on the same data and port.
    pub(crate) fn start_again(&self) {
        *self.process() = spawn(
            &self.programs,
            self.directory.path(),
            self.port,
            &self.settings,
        );
        self.wait_ready();
    }

    /// Stops the clock for all of its processes; connections stay, and nothing answers.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    pub(crate) fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        for pid in self.family(&self.process()) {
            // A child may have ended just now.
            let _ = kill(pid, signal);
        }
    }

    fn process(&self) -> std::sync::MutexGuard<'_, Child> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server's first process, and then its children.
    fn family(&self, process: &Child) -> Vec<Pid> {
        let mut family = vec![Pid::from_raw(process.id() as i32)];
        let parent = process.id().to_string();
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            // After the name in brackets, which may hold anything, come the state and the parent.
            let parents = stat.rsplit(") ").next().and_then(|s| s.split(' ').nth(1));
            let pid = entry.file_name().to_str().and_then(|n| n.parse().ok());
            if let (Some(pid), true) = (pid, parents == Some(parent.as_str())) {
                family.push(Pid::from_raw(pid));
            }
        }
        family
    }

    /// Everything it has said.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    fn wait_ready(&self) {
        let file = self.directory.path().join("data/postmaster.pid");
        let pid = self.process().id().to_string();
        let deadline = Instant::now() + DEADLINE;
        loop {
            // The first line is the process, the last one how far it is.
            let state = std::fs::read_to_string(&file).unwrap_or_default();
            if state.lines().next() == Some(&pid) && state.trim_end().ends_with("ready") {
                return;
            }
            let ended = self.process().try_wait().expect("its state");
            assert_eq!(ended, None, "the server ended: {}", self.log());
            assert!(Instant::now() < deadline, "not ready: {}", self.log());
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(programs: &Path, directory: &Path, port: u16, settings: &[String]) -> Child {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(directory.join("log"))
        .expect("a log file");
    let mut server = command(&programs.join("postgres"));
    server
        .arg("-D")
        .arg(directory.join("data"))
        .arg("-k")
        .arg(directory)
        .args(["-p", &port.to_string()])
        // Durable against the death of processes, as the tests need it, and quick.
        .args(["-c", "fsync=off", "-c", "listen_addresses=127.0.0.1"]);
    for setting in settings {
        server.args(["-c", setting]);
    }
    server
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("the server starts")
}

/// A command as the user that the server shall be: PostgreSQL refuses to run as root.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some(user) = user() {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command
}

fn user() -> Option<User> {
    if !Uid::effective().is_root() {
        return None;
    }
    let named = |name| User::from_name(name).ok().flatten();
    Some(
        named("postgres")
            .or_else(|| named("nobody"))
            .expect("the user postgres or nobody"),
    )
}

/// Where the server's programs are: on the path, or where Debian keeps them, newest first.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut debian: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"))
        .collect();
    debian.sort();
    std::env::split_paths(&path)
        .chain(debian.into_iter().rev())
        .find(|place| place.join("initdb").exists() && place.join("postgres").exists())
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}
