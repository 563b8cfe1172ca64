//! Starting, asking and ending processes of the reference database.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a condition may take to come true. Only a failing test waits so long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Polls until the condition gives something; panics with what was last seen at the deadline.
pub(crate) fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match condition() {
            Ok(value) => return value,
            Err(seen) if Instant::now() > deadline => {
                panic!("{what} did not come true; last seen: {seen}")
            }
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

#[derive(Clone)]
pub(crate) struct Setup {
    name: String,
    root: PathBuf,
    version: String,
    generation: u64,
    store: String,
    extra: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Setup {
    /// An instance whose files are in `root`, called after its name.
    pub(crate) fn new(
        root: PathBuf,
        name: &str,
        version: &str,
        generation: u64,
        store: String,
    ) -> Self {
        Self {
            name: name.to_owned(),
            root,
            version: version.to_owned(),
            generation,
            store,
            extra: Vec::new(),
            environment: Vec::new(),
        }
    }

    pub(crate) fn arg(mut self, name: &str, value: &str) -> Self {
        self.extra.extend([name.to_owned(), value.to_owned()]);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn store(mut self, store: &str) -> Self {
        self.store = store.to_owned();
        self
    }

    fn file(&self, suffix: &str) -> PathBuf {
        self.root.join(format!("{}.{suffix}", self.name))
    }

    fn spawn(&self) -> Child {
        let _ = std::fs::remove_file(self.file("address"));
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.file("log"))
            .expect("a log file");
        Command::new(env!("CARGO_BIN_EXE_changeover-reference"))
            .args([
                "serve",
                "--version",
                &self.version,
                "--deploy-generation",
                &self.generation.to_string(),
            ])
            .args([
                "--metadata-store",
                &self.store,
                "--sql-addr",
                "127.0.0.1:0",
                "--http-addr",
                "127.0.0.1:0",
            ])
            .arg("--address-file")
            .arg(self.file("address"))
            .arg("--data-dir")
            .arg(self.file("data"))
            .args(&self.extra)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the program starts")
    }

    /// Starts it and waits until its addresses are known.
    pub(crate) fn start(self) -> Instance {
        let child = self.spawn();
        let mut instance = Instance {
            setup: self,
            child,
            sql: String::new(),
            http: String::new(),
        };
        instance.read_addresses();
        instance
    }

    /// Starts it where it is expected to end at once; its exit code and its log.
    pub(crate) fn run_to_end(self) -> (i32, String) {
        let child = self.spawn();
        let mut instance = Instance {
            setup: self,
            child,
            sql: String::new(),
            http: String::new(),
        };
        let code = instance.wait_exit();
        (code, instance.log())
    }
}

/// A process; killed when dropped, also while a test panics.
pub(crate) struct Instance {
    pub(crate) setup: Setup,
    child: Child,
    pub(crate) sql: String,
    pub(crate) http: String,
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of {} ---\n{}", self.setup.name, self.log());
        }
    }
}

impl Instance {
    fn read_addresses(&mut self) {
        let file = self.setup.file("address");
        let text = wait_for("the address file", || {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Ok(Err(format!(
                    "{} ended with {status}: {}",
                    self.setup.name,
                    self.log()
                )));
            }
            std::fs::read_to_string(&file)
                .map(Ok)
                .map_err(|e| e.to_string())
        });
        let json: serde_json::Value =
            serde_json::from_str(&text.unwrap()).expect("addresses are JSON");
        self.sql = json["sql"].as_str().expect("sql").to_owned();
        self.http = json["http"].as_str().expect("http").to_owned();
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.setup.file("log")).unwrap_or_default()
    }

    /// The release that it plays.
    pub(crate) fn release(&self) -> &'static changeover_reference::Release {
        changeover_reference::find(&self.setup.version).expect("a known release")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.setup.file("data")
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("reaped");
    }

    /// Starts the process again, as a supervisor would.
    pub(crate) fn restart(&mut self) {
        self.child = self.setup.spawn();
        self.read_addresses();
    }

    /// The same where it will end before anybody can ask it.
    pub(crate) fn restart_expecting_end(&mut self) {
        self.child = self.setup.spawn();
    }

    /// The exit code; 128 + n for the signal n.
    pub(crate) fn wait_exit(&mut self) -> i32 {
        let status = wait_for(&format!("the end of {}", self.setup.name), || {
            match self.child.try_wait() {
                Ok(Some(status)) => Ok(status),
                other => Err(format!(
                    "{other:?}; log: {}",
                    std::fs::read_to_string(self.setup.file("log")).unwrap_or_default()
                )),
            }
        });
        status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
    }

    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub(crate) fn terminate(&self) {
        self.signal(nix::sys::signal::Signal::SIGTERM);
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        nix::sys::signal::kill(pid, signal).expect("signalled");
    }

    /// Status code, head and body; an error while nobody answers.
    pub(crate) fn http(&self, method: &str, path: &str) -> Result<(u16, String, String), String> {
        let mut stream = TcpStream::connect(&self.http).map_err(|e| e.to_string())?;
        stream
            .set_read_timeout(Some(DEADLINE))
            .map_err(|e| e.to_string())?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        );
        stream
            .write_all(request.as_bytes())
            .map_err(|e| e.to_string())?;
        let mut text = String::new();
        stream
            .read_to_string(&mut text)
            .map_err(|e| e.to_string())?;
        let (head, body) = text
            .split_once("\r\n\r\n")
            .ok_or_else(|| format!("no answer: {text:?}"))?;
        let code = head
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .ok_or_else(|| format!("no status: {head}"))?;
        Ok((code, head.to_owned(), body.to_owned()))
    }

    pub(crate) fn status(&self) -> String {
        match self.http("GET", "/api/leader/status") {
            Ok((200, _, body)) => serde_json::from_str::<serde_json::Value>(&body)
                .ok()
                .and_then(|json| json["status"].as_str().map(str::to_owned))
                .unwrap_or(body),
            Ok((code, _, body)) => format!("{code} {body}"),
            Err(error) => error,
        }
    }

    pub(crate) fn wait_status(&self, wanted: &str) {
        wait_for(&format!("status {wanted} of {}", self.setup.name), || {
            let status = self.status();
            if status == wanted {
                Ok(())
            } else {
                Err(format!("{status}; log: {}", self.log()))
            }
        });
    }

    /// Waits until SQL is answered.
    pub(crate) fn wait_ready(&self) {
        wait_for(&format!("readiness of {}", self.setup.name), || match self
            .http("GET", "/api/readyz")
        {
            Ok((200, ..)) => Ok(()),
            other => Err(format!("{other:?}; log: {}", self.log())),
        });
    }

    pub(crate) fn promote(&self) -> (u16, String) {
        let (code, _, body) = self.http("POST", "/api/leader/promote").expect("an answer");
        (code, body)
    }

    pub(crate) fn wait_log(&self, text: &str) {
        wait_for(
            &format!("`{text}` in the log of {}", self.setup.name),
            || {
                let log = self.log();
                if log.contains(text) { Ok(()) } else { Err(log) }
            },
        );
    }
}
