//! A metadata store and everything around it, of either kind.

use std::path::PathBuf;
use std::sync::Arc;

use crate::client::Sql;
use crate::instance::{Instance, Setup};
use crate::postgres_server::Server;

/// Makes of each function a test for each kind of store.
macro_rules! on_both_stores {
    ($($name:ident),* $(,)?) => { $(
        mod $name {
            use crate::world::World;

            #[test]
            fn sqlite() {
                super::$name(World::sqlite());
            }

            #[test]
            fn postgres() {
                if let Some(world) = World::postgres() {
                    super::$name(world);
                }
            }
        }
    )* };
}
pub(crate) use on_both_stores;

/// A store and everything around it, gone at the end of the test.
pub(crate) struct World {
    pub(crate) directory: tempfile::TempDir,
    kind: Kind,
}

enum Kind {
    Sqlite,
    /// In a schema of its own; the server stays as long as we do.
    Postgres {
        server: Arc<Server>,
        address: String,
    },
}

impl World {
    pub(crate) fn sqlite() -> Self {
        Self::of(Kind::Sqlite)
    }

    /// `None` where there is no PostgreSQL.
    pub(crate) fn postgres() -> Option<Self> {
        Server::shared().map(Self::on)
    }

    /// A store on this server.
    pub(crate) fn on(server: Arc<Server>) -> Self {
        let address = server.fresh();
        Self::of(Kind::Postgres { server, address })
    }

    /// A fresh store of the same kind, and everything around it.
    pub(crate) fn another(&self) -> Self {
        match &self.kind {
            Kind::Sqlite => Self::sqlite(),
            Kind::Postgres { server, .. } => Self::on(Arc::clone(server)),
        }
    }

    fn of(kind: Kind) -> Self {
        Self {
            directory: tempfile::tempdir().expect("a temporary directory"),
            kind,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The file of a store in SQLite.
    pub(crate) fn file(&self) -> PathBuf {
        self.path("store.db")
    }

    /// As `--metadata-store` takes it.
    pub(crate) fn store(&self) -> String {
        match &self.kind {
            Kind::Sqlite => format!("sqlite:{}", self.file().display()),
            Kind::Postgres { address, .. } => address.clone(),
        }
    }

    /// An instance of that name; its data directory and log belong to the name.
    pub(crate) fn instance(&self, name: &str, version: &str, generation: u64) -> Setup {
        let root = self.directory.path().to_owned();
        Setup::new(root, name, version, generation, self.store())
    }

    /// An instance that leads and answers SQL.
    pub(crate) fn leader(&self, name: &str, version: &str, generation: u64) -> Instance {
        let instance = self.instance(name, version, generation).start();
        instance.wait_ready();
        instance
    }

    /// Takes the store away, as an operator would.
    pub(crate) fn remove_store(&self) {
        match &self.kind {
            Kind::Sqlite => {
                for suffix in ["", "-wal", "-shm"] {
                    std::fs::remove_file(self.path(&format!("store.db{suffix}"))).expect("a file");
                }
            }
            Kind::Postgres { address, .. } => {
                let (_, schema) = address.split_once("?schema=").expect("a schema");
                Sql::to_store(address).ok(&format!("DROP SCHEMA {schema} CASCADE"));
            }
        }
    }

    /// Changes the store past the reference database.
    pub(crate) fn meddle(&self, statements: &str) {
        match &self.kind {
            Kind::Sqlite => rusqlite::Connection::open(self.file())
                .and_then(|store| store.execute_batch(statements))
                .expect("changed"),
            Kind::Postgres { address, .. } => Sql::to_store(address).ok(statements),
        }
    }

    /// The bytes of the store's log, whatever format they are of: each record's position, mark and parts.
    pub(crate) fn log(&self) -> Vec<(i64, u8, Vec<u8>)> {
        match &self.kind {
            Kind::Sqlite => rows(
                &self.file(),
                "SELECT position, mark, CAST(body AS BLOB) FROM log ORDER BY position, part",
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            ),
            Kind::Postgres { address, .. } => Sql::to_store(address)
                .query(
                    "SELECT position, mark, unnest(parts) FROM log ORDER BY position",
                    &[],
                )
                .expect("records")
                .iter()
                .map(|row| (row.get(0), row.get::<_, i16>(1) as u8, row.get(2)))
                .collect(),
        }
    }

    /// The definitions that the store lists apart.
    pub(crate) fn catalog(&self) -> Vec<String> {
        let query = "SELECT statement FROM catalog ORDER BY position, part";
        match &self.kind {
            Kind::Sqlite => rows(&self.file(), query, |row| row.get(0)),
            Kind::Postgres { address, .. } => Sql::to_store(address)
                .query(query, &[])
                .expect("definitions")
                .iter()
                .map(|row| row.get(0))
                .collect(),
        }
    }
}

fn rows<T>(
    file: &std::path::Path,
    query: &str,
    row: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> Vec<T> {
    let connection = rusqlite::Connection::open(file).expect("the store");
    let mut statement = connection.prepare(query).expect("a table");
    let rows = statement.query_map([], row).expect("rows");
    rows.collect::<Result<_, _>>().expect("readable rows")
}
