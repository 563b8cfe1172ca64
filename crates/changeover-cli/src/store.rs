//! The metadata store of a rehearsal: what was asked for, whether it can be had, and what instances are told.

use crate::args::MetadataStore as Given;
use crate::error::CliError;
use changeover_model::Secret;
use changeover_model::plan::Plan;
use changeover_model::target::Target;
use changeover_model::workload::WorkloadKind;
use changeover_reference::{
    PostgresAddress, StoreTrouble, look, look_for_database, make_database, remove, remove_database,
};
use changeover_rehearse::metadata_store::{Guest, MetadataStore};
use changeover_runtime::docker::postgres::IMAGE;
use changeover_runtime::postgres::Programs;
use nix::unistd::{AccessFlags, access};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// How plans call the runtime whose instances are in containers.
pub(crate) const DOCKER: &str = "docker";

/// A store that can be had. Nothing has been made yet.
#[derive(Debug, Clone)]
pub(crate) enum Store {
    /// A file of the run's own.
    PrivateSqlite,
    /// A file of the caller's, absolute: instances do not share our current directory for ever.
    Sqlite(PathBuf),
    /// A server of the run's own.
    PrivatePostgres(Programs),
    /// The same in a container of this image.
    PostgresContainer(String),
    /// A file of the run's own that instances in containers share.
    SharedSqlite,
    /// A server of the caller's.
    Postgres {
        address: Box<PostgresAddress>,
        own: Own,
    },
}

/// What a run has of its own on a server of the caller's, as long as it lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Own {
    /// Nothing: the address names a schema.
    Nothing,
    /// A schema, which instances make.
    Schema,
    /// A database with these schemas: the target's have fixed names, and another run's may not be beside them.
    Database(Vec<String>),
}

impl Store {
    /// The store of this plan, at the place that was given.
    ///
    /// # Errors
    ///
    /// When the place is none, is somebody else's, or cannot be reached.
    pub(crate) fn of(
        plan: &Plan,
        target: &Target,
        given: Option<&Given>,
        image: Option<&str>,
    ) -> Result<Self, CliError> {
        let location = given.and_then(|given| given.location.as_deref());
        let alone = location.is_none_or(|at| at.starts_with("//") && !at.contains("schema="));
        if plan.workload.has(WorkloadKind::Aged) && !alone {
            return Err(CliError::bad_input(
                "workload aged begins with a store that older releases make: leave out where the metadata store lies, or name a server without a schema",
            ));
        }
        if plan.workload.has(WorkloadKind::Aged) && plan.runtime == DOCKER && location.is_none() {
            return Err(CliError::bad_input(
                "workload aged begins with a store that older releases make as processes of this machine, which do not reach one that is made for containers; name a PostgreSQL server that both reach with --metadata-store postgres://user@host/database, or leave out --runtime docker",
            ));
        }
        if plan.runtime == DOCKER {
            return for_containers(plan, target, location, image);
        }
        if image.is_some() {
            return Err(CliError::bad_input(
                "--metadata-store-image is for instances in containers; leave it out, or add --runtime docker",
            ));
        }
        match (plan.metadata_store.as_str(), location) {
            ("postgres", None) => Programs::find().map(Store::PrivatePostgres).ok_or_else(|| {
                CliError::cannot_run_here(
                    "the metadata store postgres needs initdb and postgres, which are neither on the path nor under /usr/lib/postgresql: install PostgreSQL's server, or name one that runs with --metadata-store postgres://user@host/database",
                )
            }),
            ("postgres", Some(location)) => postgres(&address(location)?, target),
            (_, None) => Ok(Store::PrivateSqlite),
            (_, Some(location)) => sqlite(location).map(Store::Sqlite),
        }
    }

    /// Whether every run has one of its own.
    pub(crate) fn is_new_each_time(&self) -> bool {
        !matches!(
            self,
            Store::Sqlite(_)
                | Store::Postgres {
                    own: Own::Nothing,
                    ..
                }
        )
    }

    /// What `rehearse --plan` needs besides the plan to meet the same store again.
    pub(crate) fn option(&self) -> Option<String> {
        match self {
            Store::PrivateSqlite
            | Store::PrivatePostgres(_)
            | Store::PostgresContainer(_)
            | Store::SharedSqlite => None,
            // Its contents are not part of the plan, and by now they have been upgraded.
            Store::Sqlite(_) => Some("sqlite:COPY_OF_THE_STORE_BEFORE".to_owned()),
            Store::Postgres {
                address,
                own: Own::Nothing,
            } => Some(format!(
                "{}&schema=COPY_OF_THE_STORE_BEFORE",
                address.server()
            )),
            Store::Postgres { address, .. } => Some(address.server()),
        }
    }

    /// The store for the run of this name, in this directory.
    ///
    /// What must be removed on somebody else's server is on record in the directory first, for `cleanup`.
    ///
    /// # Errors
    ///
    /// When the run's name cannot be a schema's, or the record cannot be written.
    pub(crate) fn for_run(self, run: &str, dir: &Path) -> Result<MetadataStore, CliError> {
        Ok(match self {
            Store::PrivateSqlite => {
                let file = dir.join("work").join("metadata.sqlite");
                MetadataStore::at(format!("sqlite:{}", file.display()))
            }
            Store::Sqlite(file) => MetadataStore::at(format!("sqlite:{}", file.display())),
            Store::PrivatePostgres(programs) => MetadataStore::PrivatePostgres(programs),
            Store::PostgresContainer(image) => MetadataStore::PostgresContainer(image),
            Store::SharedSqlite => MetadataStore::SharedSqlite,
            Store::Postgres { address, own } => {
                let place = Place::of(*address, &own, run, dir).map_err(CliError::bad_input)?;
                if own != Own::Nothing {
                    place.announce()?;
                }
                let inside = place.inside();
                let password = inside
                    .password()
                    .or_else(|| std::env::var("PGPASSWORD").ok());
                MetadataStore::At {
                    address: match place.database {
                        Some(_) => inside.server(),
                        None => inside.to_string(),
                    },
                    server: inside.url().into(),
                    env: password
                        .map(|password| ("PGPASSWORD".to_owned(), Secret::from(password)))
                        .into_iter()
                        .collect::<BTreeMap<_, _>>(),
                    guest: place.guest(own),
                }
            }
        })
    }
}

/// The store of instances in containers, which see no files of this machine and another 127.0.0.1.
fn for_containers(
    plan: &Plan,
    target: &Target,
    location: Option<&str>,
    image: Option<&str>,
) -> Result<Store, CliError> {
    match (plan.metadata_store.as_str(), location) {
        ("postgres", None) => Ok(Store::PostgresContainer(image.unwrap_or(IMAGE).to_owned())),
        (kind, _) if image.is_some() => Err(CliError::bad_input(format!(
            "--metadata-store-image starts a container, and the metadata store is {kind} at a place that was given or needs none; leave one of them out"
        ))),
        ("postgres", Some(location)) => match address(location)? {
            address if address.is_local() => Err(CliError::bad_input(
                "the metadata store is where this machine alone gets to, at a loopback address or a socket; give an address under which containers reach it, such as the bridge's",
            )),
            address => postgres(&address, target),
        },
        (_, None) => Ok(Store::SharedSqlite),
        (_, Some(location)) => Err(CliError::bad_input(format!(
            "the metadata store {location} is a file of this machine, and instances in containers do not see it; leave its place out, or use postgres"
        ))),
    }
}

/// Where on somebody's server a run has its store.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The server, and the schema; of a run with a database of its own, a database to make it from.
    address: PostgresAddress,
    /// The database that is the run's own.
    database: Option<String>,
    /// The file in the run's directory that says so: without a password, as everywhere.
    record: PathBuf,
}

impl Place {
    fn of(address: PostgresAddress, own: &Own, run: &str, dir: &Path) -> Result<Self, String> {
        let name = name_of(run);
        let (address, database) = match own {
            Own::Nothing => (address, None),
            Own::Schema => (address.with_schema(&name)?, None),
            Own::Database(_) => (address, Some(name)),
        };
        Ok(Place {
            address,
            database,
            record: dir.join("metadata-store"),
        })
    }

    /// What this run has not removed, if anything.
    pub(crate) fn left_by(dir: &Path) -> Option<Self> {
        let record = dir.join("metadata-store");
        let text = fs::read_to_string(&record).ok()?;
        let (address, database) = match text.split_once('\n') {
            Some((address, database)) => (address, database.strip_prefix("database ")),
            None => (text.as_str(), None),
        };
        Some(Place {
            address: address.parse().ok()?,
            database: database.map(|name| name.trim_end().to_owned()),
            record,
        })
    }

    /// The address that instances use.
    fn inside(&self) -> PostgresAddress {
        let address = self.address.clone();
        match &self.database {
            Some(name) => address.with_database(name),
            None => address,
        }
    }

    fn announce(&self) -> Result<(), CliError> {
        let Place {
            address, record, ..
        } = self;
        let text = match &self.database {
            Some(name) => format!("{address}\ndatabase {name}\n"),
            None => address.to_string(),
        };
        fs::write(record, text)
            .map_err(|e| CliError::bad_input(format!("cannot write {}: {e}", record.display())))
    }

    /// How what is the run's own is made and removed.
    fn guest(self, own: Own) -> Guest {
        let remover = self.clone();
        match own {
            Own::Nothing => Guest::default(),
            Own::Schema => Guest {
                make: None,
                remove: Some(Box::new(move || remover.remove().map(drop))),
            },
            Own::Database(schemas) => Guest {
                make: Some(Box::new(move || self.make(&schemas))),
                remove: Some(Box::new(move || remover.remove().map(drop))),
            },
        }
    }

    /// Makes the database, if it is the run's own.
    fn make(&self, schemas: &[String]) -> Result<(), String> {
        let Some(name) = &self.database else {
            return Ok(());
        };
        make_database(&self.address, name, schemas).map_err(|trouble| {
            if let StoreTrouble::Foreign(_) = trouble {
                // It is another's: nothing of it may be removed.
                let _ = fs::remove_file(&self.record);
            }
            trouble.to_string()
        })
    }

    /// Removes it, and the record of it.
    ///
    /// # Errors
    ///
    /// When it is still there; so is the record then.
    pub(crate) fn remove(&self) -> Result<String, String> {
        let (what, removed) = match &self.database {
            // Another's was in the way.
            Some(name) if !self.record.exists() => (format!("database {name}"), Ok(())),
            Some(name) => (
                format!("database {name}"),
                remove_database(&self.address, name),
            ),
            None => (
                format!("schema {}", self.address.schema()),
                remove(&self.address),
            ),
        };
        removed.map_err(|trouble| {
            format!(
                "{what} ({trouble}); when its server lets you in, with PGPASSWORD if it wants one, run changeover cleanup with this run's directory"
            )
        })?;
        // Nothing is left that it could be about.
        let _ = fs::remove_file(&self.record);
        Ok(format!("{what} ({})", self.address.server()))
    }
}

/// The name of a schema or database that no other run has: runs are named by their second and six random digits.
fn name_of(run: &str) -> String {
    let tame = |c: char| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_lowercase(),
        false => '_',
    };
    format!("changeover_{}", run.chars().map(tame).collect::<String>())
}

/// The address of a server.
fn address(location: &str) -> Result<PostgresAddress, CliError> {
    let unusable = |problem: String| {
        CliError::bad_input(format!("the metadata store cannot be used: {problem}"))
    };
    let address: PostgresAddress = format!("postgres:{location}").parse().map_err(unusable)?;
    let directory = std::env::current_dir()
        .map_err(|e| unusable(format!("there is no current directory ({e})")))?;
    // Instances do not share it for ever, and `cleanup` may be run in another.
    Ok(address.absolute(&directory))
}

fn postgres(address: &PostgresAddress, target: &Target) -> Result<Store, CliError> {
    let own = own_of(address, target)?;
    let looked = match &own {
        Own::Nothing => look(address),
        // What matters then is not the default schema, but whether another can be made beside it.
        Own::Schema => {
            let beside = address.clone().with_schema(&name_of("rehearsal"));
            look(&beside.map_err(CliError::bad_input)?)
        }
        Own::Database(_) => look_for_database(address),
    };
    looked.map_err(|trouble| match trouble {
        StoreTrouble::Unreachable(told) => CliError::cannot_run_here(format!(
            "{told}; start the server, or correct the address, user and password (PGPASSWORD)"
        )),
        StoreTrouble::Foreign(told) => CliError::bad_input(told),
        StoreTrouble::Failed(told) => CliError::cannot_run_here(told),
    })?;
    Ok(Store::Postgres {
        address: Box::new(address.clone()),
        own,
    })
}

/// What a run of this target has of its own on the server.
fn own_of(address: &PostgresAddress, target: &Target) -> Result<Own, CliError> {
    let schemas = &target.target.metadata_schemas;
    if schemas.is_empty() {
        return Ok(match address.schema_given() {
            true => Own::Nothing,
            false => Own::Schema,
        });
    }
    let name = &target.target.name;
    if address.schema_given() {
        return Err(CliError::bad_input(format!(
            "target {name} keeps its metadata in schemas of fixed names ({}), in a database that is made for the run; leave schema=… out of the metadata store's address",
            schemas.join(", ")
        )));
    }
    match address.beyond_url() {
        None => Ok(Own::Database(schemas.clone())),
        Some(option) => Err(CliError::bad_input(format!(
            "target {name} is told user, password, host, port and database of its metadata store and nothing else; leave {option} out of its address"
        ))),
    }
}

fn sqlite(location: &str) -> Result<PathBuf, CliError> {
    let path = Path::new(location);
    let unreachable = |problem: String| {
        CliError::cannot_run_here(format!(
            "the metadata store {location} cannot be reached: {problem}; give --metadata-store sqlite:PATH a file in a directory that can be written"
        ))
    };
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let parent = fs::canonicalize(parent)
        .map_err(|e| unreachable(format!("its directory {}: {e}", parent.display())))?;
    let Some(name) = path.file_name() else {
        return Err(unreachable("it names no file".to_owned()));
    };
    let path = parent.join(name);
    // Instances will open it for writing, or make it.
    let usable = match path.exists() {
        true => fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .map(drop),
        false => access(&parent, AccessFlags::W_OK).map_err(std::io::Error::from),
    };
    usable.map_err(|e| unreachable(e.to_string()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_runs_own_has_its_name() {
        let schema = name_of("20261122T214013Z-d46e78");
        assert_eq!(schema, "changeover_20261122t214013z_d46e78");
        let address: PostgresAddress = "postgres://me@h/d".parse().unwrap();
        assert_eq!(address.with_schema(&schema).unwrap().schema(), schema);
    }
}
