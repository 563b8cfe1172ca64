//! The metadata store of a rehearsal: what was asked for, whether it can be had, and what instances are told.

use crate::args::MetadataStore as Given;
use crate::error::CliError;
use changeover_model::Secret;
use changeover_model::plan::Plan;
use changeover_model::workload::WorkloadKind;
use changeover_reference::{PostgresAddress, StoreTrouble, look, remove};
use changeover_rehearse::metadata_store::{MetadataStore, Remove};
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
    /// A server of the caller's. Unless the address names a schema, the run has one of its own there.
    Postgres {
        address: Box<PostgresAddress>,
        own_schema: bool,
    },
}

impl Store {
    /// The store of this plan, at the place that was given.
    ///
    /// # Errors
    ///
    /// When the place is none, is somebody else's, or cannot be reached.
    pub(crate) fn of(
        plan: &Plan,
        given: Option<&Given>,
        image: Option<&str>,
    ) -> Result<Self, CliError> {
        let location = given.and_then(|given| given.location.as_deref());
        let own = location.is_none_or(|at| at.starts_with("//") && !at.contains("schema="));
        if plan.workload.has(WorkloadKind::Aged) && !own {
            return Err(CliError::bad_input(
                "workload aged begins with a store that older releases make: leave out where the metadata store lies, or name a server without a schema",
            ));
        }
        if plan.runtime == DOCKER {
            return for_containers(plan, location, image);
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
            ("postgres", Some(location)) => postgres(location),
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
                    own_schema: false,
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
                own_schema: true,
            } => Some(address.server()),
            Store::Postgres { address, .. } => Some(format!(
                "{}&schema=COPY_OF_THE_STORE_BEFORE",
                address.server()
            )),
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
            Store::Postgres {
                address,
                own_schema,
            } => {
                let address = *address;
                let address = match own_schema {
                    true => address
                        .with_schema(&schema_of(run))
                        .map_err(CliError::bad_input)?,
                    false => address,
                };
                let schema = own_schema.then(|| Schema::new(address.clone(), dir));
                if let Some(schema) = &schema {
                    schema.announce()?;
                }
                let password = address
                    .password()
                    .or_else(|| std::env::var("PGPASSWORD").ok());
                MetadataStore::At {
                    address: address.to_string(),
                    env: password
                        .map(|password| ("PGPASSWORD".to_owned(), Secret::from(password)))
                        .into_iter()
                        .collect::<BTreeMap<_, _>>(),
                    remove: schema
                        .map(|schema| -> Remove { Box::new(move || schema.remove().map(drop)) }),
                }
            }
        })
    }
}

/// The store of instances in containers, which see no files of this machine and another 127.0.0.1.
fn for_containers(
    plan: &Plan,
    location: Option<&str>,
    image: Option<&str>,
) -> Result<Store, CliError> {
    match (plan.metadata_store.as_str(), location) {
        ("postgres", None) => Ok(Store::PostgresContainer(image.unwrap_or(IMAGE).to_owned())),
        (kind, _) if image.is_some() => Err(CliError::bad_input(format!(
            "--metadata-store-image starts a container, and the metadata store is {kind} at a place that was given or needs none; leave one of them out"
        ))),
        ("postgres", Some(location)) if is_loopback(location) => Err(CliError::bad_input(
            "the metadata store is at this machine's loopback address, which is another one in a container; give an address under which containers reach it, such as the bridge's",
        )),
        ("postgres", Some(location)) => postgres(location),
        (_, None) => Ok(Store::SharedSqlite),
        (_, Some(location)) => Err(CliError::bad_input(format!(
            "the metadata store {location} is a file of this machine, and instances in containers do not see it; leave its place out, or use postgres"
        ))),
    }
}

/// Whether a server's address is one that a machine calls itself.
fn is_loopback(server: &str) -> bool {
    let rest = server.trim_start_matches('/');
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    // Without a name it is a socket of this machine.
    rest.is_empty()
        || ["127.", "localhost", "[::1]", "/", ":"]
            .iter()
            .any(|begin| rest.starts_with(begin))
}

/// Which schema on somebody's server goes with a run, as long as it is there.
#[derive(Debug)]
pub(crate) struct Schema {
    address: PostgresAddress,
    /// The file in the run's directory that says so: without a password, as everywhere.
    record: PathBuf,
}

impl Schema {
    fn new(address: PostgresAddress, dir: &Path) -> Self {
        Schema {
            address,
            record: dir.join("metadata-store"),
        }
    }

    /// The one that this run has not removed, if any.
    pub(crate) fn left_by(dir: &Path) -> Option<Self> {
        let address = fs::read_to_string(dir.join("metadata-store")).ok()?;
        Some(Schema::new(address.parse().ok()?, dir))
    }

    fn announce(&self) -> Result<(), CliError> {
        let file = &self.record;
        fs::write(file, self.address.to_string())
            .map_err(|e| CliError::bad_input(format!("cannot write {}: {e}", file.display())))
    }

    /// Removes it, and the record of it.
    ///
    /// # Errors
    ///
    /// When it is still there; so is the record then.
    pub(crate) fn remove(&self) -> Result<String, String> {
        let name = self.address.schema();
        remove(&self.address).map_err(|trouble| {
            format!(
                "schema {name} ({trouble}); when its server lets you in, with PGPASSWORD if it wants one, run changeover cleanup with this run's directory"
            )
        })?;
        // Nothing is left that it could be about.
        let _ = fs::remove_file(&self.record);
        Ok(format!("schema {name} ({})", self.address.server()))
    }
}

/// A schema that no other run has: runs are named by their second and six random digits.
fn schema_of(run: &str) -> String {
    let tame = |c: char| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_lowercase(),
        false => '_',
    };
    format!("changeover_{}", run.chars().map(tame).collect::<String>())
}

fn postgres(location: &str) -> Result<Store, CliError> {
    let text = format!("postgres:{location}");
    let unusable = |problem: String| {
        CliError::bad_input(format!("the metadata store cannot be used: {problem}"))
    };
    let address: PostgresAddress = text.parse().map_err(unusable)?;
    let directory = std::env::current_dir()
        .map_err(|e| unusable(format!("there is no current directory ({e})")))?;
    // Instances do not share it for ever, and `cleanup` may be run in another.
    let address = address.absolute(&directory);
    let own_schema = !address.schema_given();
    // What matters then is not the default schema, but whether another can be made beside it.
    let place = match own_schema {
        true => address
            .clone()
            .with_schema(&schema_of("rehearsal"))
            .map_err(unusable)?,
        false => address.clone(),
    };
    look(&place).map_err(|trouble| match trouble {
        StoreTrouble::Unreachable(told) => CliError::cannot_run_here(format!(
            "{told}; start the server, or correct the address, user and password (PGPASSWORD)"
        )),
        StoreTrouble::Foreign(told) => CliError::bad_input(told),
        StoreTrouble::Failed(told) => CliError::cannot_run_here(told),
    })?;
    Ok(Store::Postgres {
        own_schema,
        address: Box::new(address),
    })
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
    fn a_run_has_a_schema_of_its_own() {
        let schema = schema_of("20261122T214013Z-d46e78");
        assert_eq!(schema, "changeover_20261122t214013z_d46e78");
        let address: PostgresAddress = "postgres://me@h/d".parse().unwrap();
        assert_eq!(address.with_schema(&schema).unwrap().schema(), schema);
    }
}
