//! `aged`: the store that a run begins with, made by older releases one after the other.
//!
//! Each release of the chain leads over the same store with generation 0, makes its data, and is stopped; the next one
//! takes the store over as a newer release does. A store in SQLite is kept as a fixture: who rehearses again copies it.

use super::moments::target_at;
use crate::client::Client;
use crate::metadata_store::MetadataStore;
use crate::upgrader::{Options, Service, Upgrader};
use changeover_model::Secret;
use changeover_model::service::ServiceArgs;
use changeover_model::target::Target;
use changeover_model::version::PathVersion;
use changeover_model::workload::aged;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

/// How long a statement that makes data may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The store's file in a fixture, and what SQLite may keep beside it.
const FILE: &str = "store.sqlite";
const BESIDE: &str = "-wal";

/// What makes a chain.
pub(crate) struct Chain<'a> {
    pub(crate) target: &'a Target,
    /// How every release is started, but for its version.
    pub(crate) service: &'a ServiceArgs,
    pub(crate) versions: &'a [PathVersion],
    pub(crate) program: &'a str,
}

impl Chain<'_> {
    /// Makes the data in the store at `address`; one in SQLite is a copy of the fixture in `fixtures`, which is made if
    /// there is none. Returns whether the fixture was there.
    ///
    /// # Errors
    ///
    /// What could not be started, made or copied, in a sentence.
    pub(crate) async fn age(
        &self,
        address: &str,
        env: &BTreeMap<String, Secret>,
        fixtures: Option<&Path>,
    ) -> Result<bool, String> {
        let (Some(file), Some(fixtures)) = (address.strip_prefix("sqlite:"), fixtures) else {
            return self.make(address, env).await.map(|()| false);
        };
        let fixture = fixtures.join(self.name());
        let there = fixture.join(FILE).is_file();
        if !there {
            self.make_fixture(fixtures, &fixture).await?;
        }
        copy(&fixture.join(FILE), Path::new(file)).map_err(|e| {
            format!(
                "the fixture {} cannot be copied: {e}; remove it, and it is made again",
                fixture.display()
            )
        })?;
        Ok(there)
    }

    /// Made beside its place and put there whole: who is interrupted leaves no half of one.
    async fn make_fixture(&self, fixtures: &Path, fixture: &Path) -> Result<(), String> {
        let failed = |e: io::Error| {
            format!(
                "the fixture {} cannot be made: {e}; it needs a directory that can be written",
                fixture.display()
            )
        };
        fs::create_dir_all(fixtures).map_err(failed)?;
        let new = tempfile::Builder::new()
            .prefix(".new-")
            .tempdir_in(fixtures)
            .map_err(failed)?;
        let file = new.path().join(FILE);
        let address = format!("sqlite:{}", absolute(&file).map_err(failed)?.display());
        self.make(&address, &BTreeMap::new()).await?;
        match fs::rename(new.path(), fixture) {
            // Somebody else was faster, with the same.
            Err(_) if fixture.join(FILE).is_file() => Ok(()),
            Err(error) => Err(failed(error)),
            Ok(()) => {
                // What it was about is somewhere else now.
                let _ = new.keep();
                Ok(())
            }
        }
    }

    async fn make(&self, address: &str, env: &BTreeMap<String, Secret>) -> Result<(), String> {
        for (number, version) in (0_u64..).zip(self.versions) {
            self.make_by(number, version, address, env)
                .await
                .map_err(|e| format!("{version} could not make its data: {e}"))?;
        }
        Ok(())
    }

    async fn make_by(
        &self,
        number: u64,
        version: &PathVersion,
        address: &str,
        env: &BTreeMap<String, Secret>,
    ) -> Result<(), String> {
        let service = Service::from_args(self.service.clone(), version.clone());
        let options = Options {
            program: Some(PathBuf::from(self.program)),
            metadata_store: Some(MetadataStore::with(address, env.clone())),
            ..Options::default()
        };
        let upgrader = Upgrader::new(self.target.clone(), vec![service], options)
            .await
            .map_err(|e| e.to_string())?;
        let made = async {
            upgrader.initialize().await.map_err(|e| e.to_string())?;
            let target = target_at(&self.target.client, upgrader.sql_addr(), PATIENCE)?;
            let mut client = Client::connect(target, Instant::now() + PATIENCE)
                .await
                .map_err(|e| e.to_string())?;
            for sql in aged::statements(number) {
                let done = client.execute(&sql, Instant::now() + PATIENCE).await;
                done.map_err(|e| {
                    let sql: String = sql.chars().take(80).collect();
                    format!("{e} ({sql}…)")
                })?;
            }
            client.close().await;
            Ok(())
        };
        let made: Result<(), String> = made.await;
        let closed = upgrader.cleanup().await.map_err(|e| e.to_string());
        made.and(closed)
    }

    /// Says what it holds, and tells it from what other targets and chains have made.
    fn name(&self) -> String {
        let what = format!(
            "{:?} {:?} {:?}",
            self.target.instances,
            self.service.system_parameter_defaults,
            aged::statements(1)
        );
        let hash = what.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let versions: Vec<String> = self.versions.iter().map(ToString::to_string).collect();
        format!(
            "{}-{}-{:08x}",
            self.target.target.name,
            versions.join("-"),
            hash >> 32
        )
    }
}

fn absolute(file: &Path) -> io::Result<PathBuf> {
    let (Some(parent), Some(name)) = (file.parent(), file.file_name()) else {
        return Err(io::ErrorKind::NotFound.into());
    };
    Ok(parent.canonicalize()?.join(name))
}

/// Copies a store in SQLite that nobody uses.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let beside = |path: &Path| {
        let mut name = path.as_os_str().to_owned();
        name.push(BESIDE);
        PathBuf::from(name)
    };
    fs::copy(from, to)?;
    if beside(from).is_file() {
        fs::copy(beside(from), beside(to))?;
    }
    Ok(())
}
