//! A PostgreSQL server of a run's own, for targets whose generations share a database.

use crate::{Disturbance, Ended, Instance, InstanceSpec, Runtime, RuntimeError, StoreServer};
use async_trait::async_trait;
use changeover_model::Secret;
use changeover_model::event::ProcessEnd;
use nix::unistd::{Uid, User};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{
    DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, symlink,
};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Where Debian keeps the programs of a server, a directory for each major version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// How long a server may take to make its files, and again to be ready.
const DEADLINE: Duration = Duration::from_secs(60);

/// How long it may take to end by itself when it is not wanted any more.
const GRACE: Duration = Duration::from_secs(3);

/// How often its state is looked at meanwhile.
const POLL: Duration = Duration::from_millis(5);

/// How many lines of its log an error is reported with.
const LOG_LINES: usize = 3;

/// The name of a server's instance.
pub(crate) const INSTANCE: &str = "metadata-store";

/// How directories of servers are called that lie among the temporary files.
const ELSEWHERE: &str = "changeover-postgres-";

/// The file with the password, beside the server's data.
const PASSWORD: &str = "password";

/// PostgreSQL refuses to run as root; these users are asked to do it, in this order.
const USERS: [&str; 2] = ["postgres", "nobody"];

/// The programs of a PostgreSQL server on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    directory: PathBuf,
}

impl Programs {
    /// Looks for `initdb` and `postgres`: on the path, then where Debian keeps them, the newest version first.
    pub fn find() -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut debian: Vec<(u32, PathBuf)> = fs::read_dir(DEBIAN)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let major = entry.file_name().to_str()?.parse().ok()?;
                Some((major, entry.path().join("bin")))
            })
            .collect();
        debian.sort();
        let debian = debian.into_iter().rev().map(|(_, directory)| directory);
        std::env::split_paths(&path)
            .chain(debian)
            .find(|place| place.join("initdb").is_file() && place.join("postgres").is_file())
            .map(|directory| Programs { directory })
    }

    /// Where they are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A command line of one of them, as a user that PostgreSQL accepts.
    fn command(&self, program: &str, user: Option<&User>, arguments: &[String]) -> Vec<String> {
        let mut command = Vec::new();
        if let Some(user) = user {
            let (uid, gid) = (user.uid, user.gid);
            command.extend([
                "setpriv".to_owned(),
                format!("--reuid={uid}"),
                format!("--regid={gid}"),
                "--clear-groups".to_owned(),
                "--".to_owned(),
            ]);
        }
        let program = self.directory.join(program);
        command.push(program.to_string_lossy().into_owned());
        command.extend_from_slice(arguments);
        command
    }
}

/// A server that runs. Dropping it ends it the hard way.
pub struct Server {
    instance: Box<dyn Instance>,
    addr: SocketAddr,
    password: Secret,
    /// Where it says how far it is.
    state: PathBuf,
    /// Last: it is removed when the server has ended.
    _place: Place,
}

impl Server {
    /// Makes a server's files in `directory`, which is made too, and starts it on a free port of 127.0.0.1.
    ///
    /// It is as durable as the run needs it: against the death of processes, not of the machine. It lets in `changeover`
    /// alone, with a password that nobody else knows: whoever is in may run programs as the server's user.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made or entered by the server's user, the server does not get ready, or
    /// `interrupted` comes first: whatever was started has ended then, and has removed what it had elsewhere.
    pub async fn start(
        programs: &Programs,
        runtime: &dyn Runtime,
        directory: &Path,
        log: &Path,
        interrupted: impl Future<Output = ()>,
    ) -> Result<Self, RuntimeError> {
        let mut interrupted = pin!(interrupted);
        let user = server_user()?;
        let place = Place::make(directory, user.as_ref()).map_err(|error| {
            RuntimeError::new(format!(
                "the directory {} of the metadata store's server cannot be made: {error}; give another with --out",
                directory.display()
            ))
        })?;
        let directory = place.directory.clone();
        let (addr, _) = runtime.reserve_addresses().await?;
        let data = directory.join("data").to_string_lossy().into_owned();
        let start = async |slot: &str, program: &str, arguments: &[&str]| {
            let arguments: Vec<String> = arguments.iter().map(|&a| a.to_owned()).collect();
            let spec = InstanceSpec {
                slot: slot.to_owned(),
                generation: 0,
                command: programs.command(program, user.as_ref(), &arguments),
                env: BTreeMap::new(),
                sql_addr: addr,
                http_addr: addr,
                log: log.to_owned(),
                container: None,
            };
            runtime.spawn(spec).await
        };

        let password = place.password(user.as_ref()).map_err(|error| {
            RuntimeError::new(format!(
                "no password can be made for the metadata store's server: {error}; make room, or give a server of your own with --metadata-store postgres://…"
            ))
        })?;
        let file = format!("--pwfile={}", directory.join(PASSWORD).display());
        let initdb = ["--no-sync", "--no-locale", "--encoding=UTF8"];
        let initdb: Vec<&str> = initdb
            .into_iter()
            // Nothing leaves this machine; SCRAM would make every connection compute, clients' and server's side.
            .chain(["--auth=password", &file])
            .chain(["--username=changeover", "-D", &data])
            .collect();
        let mut maker = start("metadata-store-setup", "initdb", &initdb).await?;
        // Not interrupted: it takes a second, and the server inside it, ended by a signal, would leave its shared memory.
        let made = tokio::time::timeout(DEADLINE, maker.ended()).await;
        if !made.is_ok_and(|ended| ended.end == ProcessEnd::Code(0)) {
            let told = said(&*maker);
            maker.stop(Duration::ZERO).await;
            return Err(RuntimeError::new(format!(
                "PostgreSQL could not make its files in {data} ({told}); make room, or give a server of your own with --metadata-store postgres://…"
            )));
        }
        maker.stop(Duration::ZERO).await;

        let port = addr.port().to_string();
        let settings = [
            "fsync=off",
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "shared_buffers=32MB",
            // In the server's directory, where it goes with the rest, however the server ends.
            "dynamic_shared_memory_type=mmap",
        ];
        let mut arguments = vec!["-D", data.as_str(), "-p", &port];
        arguments.extend(settings.iter().flat_map(|setting| ["-c", setting]));
        let instance = start(INSTANCE, "postgres", &arguments).await?;
        let mut server = Server {
            instance,
            addr,
            password,
            state: directory.join("data/postmaster.pid"),
            _place: place,
        };
        let ready = tokio::select! {
            ready = server.ready() => ready,
            () = &mut interrupted => Err(RuntimeError::new("the metadata store's server was interrupted while it started")),
        };
        match ready {
            Ok(()) => Ok(server),
            Err(error) => {
                server.stop(GRACE).await;
                Err(error)
            }
        }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What lets `changeover` in.
    pub fn password(&self) -> &Secret {
        &self.password
    }

    /// Waits until it takes connections.
    async fn ready(&mut self) -> Result<(), RuntimeError> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            // The first line is the process, the last one how far it is.
            let told = fs::read_to_string(&self.state).unwrap_or_default();
            if told.trim_end().ends_with("ready") {
                return Ok(());
            }
            let problem = tokio::select! {
                biased;
                ended = self.instance.ended() => format!("ended ({:?})", ended.end),
                () = sleep(POLL) => match Instant::now() < deadline {
                    true => continue,
                    false => format!("was not ready within {} s", DEADLINE.as_secs()),
                },
            };
            let told = said(&*self.instance);
            return Err(RuntimeError::new(format!(
                "the metadata store's server {problem}: {told}; see its log in the run's directory, or give a server of your own with --metadata-store postgres://…"
            )));
        }
    }

    /// Ends it.
    pub async fn stop(mut self, grace: Duration) {
        self.instance.stop(grace).await;
    }
}

#[async_trait]
impl StoreServer for Server {
    /// All its processes, as clients talk to those that it forks.
    async fn disturb(&mut self, how: Disturbance) -> Result<Option<Ended>, RuntimeError> {
        match how {
            Disturbance::Pause | Disturbance::Resume => {
                self.instance.disturb(how).await?;
                Ok(None)
            }
            Disturbance::Kill => {
                // Those that it forked see that it is gone, and go; none may be left when it is started again.
                self.instance.disturb(how).await?;
                let ended = self.instance.ended().await;
                self.instance.stop(Duration::ZERO).await;
                Ok(Some(ended))
            }
            Disturbance::End(grace) => Ok(Some(self.instance.stop(grace).await)),
        }
    }

    async fn start_again(&mut self) -> Result<(), RuntimeError> {
        // What it said before it was killed is not true any more.
        let _ = fs::remove_file(&self.state);
        self.instance.restart().await?;
        self.ready().await
    }

    async fn condition(&mut self) -> String {
        self.instance.condition().await
    }

    async fn ended(&mut self) -> Option<Ended> {
        let ended = self.instance.ended();
        tokio::time::timeout(Duration::ZERO, ended).await.ok()
    }

    async fn stop(self: Box<Self>, grace: Duration) {
        Server::stop(*self, grace).await;
    }
}

/// Where a server's files are. What lies elsewhere than the run is removed with this.
struct Place {
    directory: PathBuf,
    _elsewhere: Option<Elsewhere>,
}

/// A directory among the temporary files, which goes with this.
struct Elsewhere(PathBuf);

impl Drop for Elsewhere {
    fn drop(&mut self) {
        // What cannot be removed is among the temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Place {
    /// Makes `directory`. Where the server's user may not go there, because a directory above is root's alone, it is a
    /// link to one among the temporary files, by which `cleanup` finds it.
    fn make(directory: &Path, user: Option<&User>) -> io::Result<Self> {
        let parent = directory.parent().unwrap_or(directory);
        fs::create_dir_all(parent)?;
        let near = match user {
            Some(user) => may_enter(parent, user)?,
            None => true,
        };
        let place = if near {
            fs::create_dir(directory)?;
            Place {
                directory: directory.to_owned(),
                _elsewhere: None,
            }
        } else {
            let mut random = [0; 8];
            getrandom::fill(&mut random).map_err(io::Error::other)?;
            let name: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
            let elsewhere = std::env::temp_dir().join(format!("{ELSEWHERE}{name}"));
            // The link first: should the harness be killed in between, there is nothing that nobody knows of.
            symlink(&elsewhere, directory)?;
            DirBuilder::new().mode(0o700).create(&elsewhere)?;
            Place {
                directory: elsewhere.clone(),
                _elsewhere: Some(Elsewhere(elsewhere)),
            }
        };
        fs::set_permissions(&place.directory, fs::Permissions::from_mode(0o700))?;
        give(&place.directory, user)?;
        Ok(place)
    }

    /// Makes a password, in a file that only the server's user may read.
    fn password(&self, user: Option<&User>) -> io::Result<Secret> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let password: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = self.directory.join(PASSWORD);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        file.write_all(password.as_bytes())?;
        give(&path, user)?;
        Ok(password.into())
    }
}

/// Lets what is ours belong to the server's user.
fn give(path: &Path, user: Option<&User>) -> io::Result<()> {
    match user {
        Some(user) => chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())),
        None => Ok(()),
    }
}

/// Whether a user may go through every directory down to this one.
fn may_enter(directory: &Path, user: &User) -> io::Result<bool> {
    for place in directory.canonicalize()?.ancestors() {
        let seen = fs::metadata(place)?;
        let bit = match seen {
            _ if seen.uid() == user.uid.as_raw() => 0o100,
            _ if seen.gid() == user.gid.as_raw() => 0o010,
            _ => 0o001,
        };
        if seen.mode() & bit == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Removes the files of a server that lie elsewhere, if this directory of a run is a link to them.
pub(crate) fn remove_elsewhere(directory: &Path) -> Option<PathBuf> {
    let place = fs::read_link(directory).ok()?;
    let named = place.file_name()?.to_str()?.starts_with(ELSEWHERE);
    if !(named && fs::symlink_metadata(&place).ok()?.is_dir()) {
        return None;
    }
    let removed = match place.join(PASSWORD).is_file() {
        true => fs::remove_dir_all(&place),
        // The harness was killed before it had put anything there. Nobody else's is empty.
        false => fs::remove_dir(&place),
    };
    removed.ok().map(|()| place)
}

/// The user that the server runs as, if it is not ours.
fn server_user() -> Result<Option<User>, RuntimeError> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    USERS
        .into_iter()
        .find_map(|name| User::from_name(name).ok().flatten())
        .map(Some)
        .ok_or_else(|| {
            RuntimeError::new(format!(
                "PostgreSQL does not run as root, and there is no user {}; make one, or give a server of your own with --metadata-store postgres://…",
                USERS.join(" or ")
            ))
        })
}

/// What a process said last, on one line.
fn said(instance: &dyn Instance) -> String {
    match instance.log_tail(LOG_LINES).as_slice() {
        [] => "it said nothing".to_owned(),
        lines => lines.join(" / "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nobody() -> User {
        User::from_name("nobody").unwrap().unwrap()
    }

    #[test]
    fn a_directory_behind_a_closed_one_cannot_be_entered() {
        let place = tempfile::tempdir().unwrap();
        let inner = place.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(may_enter(&inner, &nobody()).unwrap());
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(!may_enter(&inner, &nobody()).unwrap());
    }

    #[test]
    fn only_a_link_to_a_place_of_ours_is_followed() {
        let place = tempfile::tempdir().unwrap();
        let link = place.path().join("postgres");
        let strange = place.path().join("changeover-postgres-1");
        fs::create_dir(&strange).unwrap();
        fs::write(strange.join("somebody's"), "").unwrap();
        assert_eq!(remove_elsewhere(&strange), None);
        symlink(&strange, &link).unwrap();
        assert_eq!(remove_elsewhere(&link), None);
        assert!(strange.exists());
        // What was made and not filled yet goes as well.
        fs::remove_file(strange.join("somebody's")).unwrap();
        assert_eq!(remove_elsewhere(&link), Some(strange));
    }
}
