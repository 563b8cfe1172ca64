//! A database of a run's own on a server that is there: for targets whose schemas have fixed names, of which a database
//! holds one each.

use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use super::address::PostgresAddress;
use super::connection::Fault;
use super::look::{StoreTrouble, newest};
use super::{PostgresStore, statements};
use crate::store::StoreError;

/// How long the server may take to copy its template, or to remove what was made of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Looks whether a database can be made there: the server answers, lets us in and takes writes, and the role has the
/// right. It changes nothing.
///
/// # Errors
///
/// What is in the way, in a sentence without a password.
pub fn look_for_database(address: &PostgresAddress) -> Result<(), StoreTrouble> {
    let mut store = server(address)?;
    let row = store
        .connection
        .ask(async |client| {
            client
                .query_typed_one(statements::MAY_MAKE_DATABASES, &[])
                .await
        })
        .map_err(|fault| store.reading(fault))?;
    let (role, may): (String, bool) = (store.column(&row, 0)?, store.column(&row, 1)?);
    match may {
        true => Ok(()),
        false => Err(StoreTrouble::Failed(format!(
            "the role `{role}` may not make databases on {}, and each run has one of its own there; let it by ALTER \
             ROLE \"{role}\" CREATEDB, or name another role",
            address.server()
        ))),
    }
}

/// Makes the database `name` with these schemas, by way of the database that the address names.
///
/// # Errors
///
/// [`StoreTrouble::Foreign`] if there is one of that name, which is left as it is; else what the server refused.
pub fn make_database(
    address: &PostgresAddress,
    name: &str,
    schemas: &[String],
) -> Result<(), StoreTrouble> {
    let mut maker = server(address)?;
    match maker.order(&statements::make_database(name)) {
        Err(Fault::Refused { state, .. }) if state == SqlState::DUPLICATE_DATABASE => {
            return Err(StoreTrouble::Foreign(format!(
                "there is a database `{name}` on {} already; drop it, or name another server",
                address.server()
            )));
        }
        made => made.map_err(|fault| maker.reading(fault))?,
    }
    let mut inside = server(&address.clone().with_database(name))?;
    let statements = statements::make_schemas(schemas);
    inside
        .order(&statements)
        .map_err(|fault| inside.reading(fault))?;
    Ok(())
}

/// Removes a database, whoever is still connected to it. One that is absent is removed already.
///
/// # Errors
///
/// When it is still there, or nobody can be asked.
pub fn remove_database(address: &PostgresAddress, name: &str) -> Result<(), StoreTrouble> {
    let mut store = server(address)?;
    let there = store
        .connection
        .ask(async |client| {
            client
                .query_typed_opt(statements::DATABASE, &[(&name, Type::TEXT)])
                .await
        })
        .map_err(|fault| store.reading(fault))?;
    if there.is_none() {
        return Ok(());
    }
    store
        .order(&statements::remove_database(name))
        .map_err(|fault| store.reading(fault))?;
    Ok(())
}

/// A handle that speaks of the server and not of a store there.
fn server(address: &PostgresAddress) -> Result<PostgresStore, StoreError> {
    let mut server = PostgresStore::open(address, newest())?;
    server.place.name = address.server();
    Ok(server)
}

impl PostgresStore {
    /// Sends statements that take the server longer than those of a store.
    fn order(&mut self, text: &str) -> Result<(), Fault> {
        self.connection
            .ask_patiently(PATIENCE, async |client| client.batch_execute(text).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::postgres_server::Server;

    fn asked(address: &PostgresAddress, question: &str) -> Vec<String> {
        let mut store = PostgresStore::open(address, newest()).unwrap();
        let rows = store
            .connection
            .ask(async |client| client.query_typed(question, &[]).await)
            .unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    #[test]
    fn a_database_is_made_with_its_schemas_and_goes_with_its_guests() {
        let Some(server) = Server::shared() else {
            return;
        };
        let address: PostgresAddress = server.address("connect_timeout=5").parse().unwrap();
        let databases = "SELECT datname::text FROM pg_database WHERE datname LIKE 'run_of_%'";
        look_for_database(&address).unwrap();
        let schemas = ["consensus", "tsoracle"].map(str::to_owned);
        make_database(&address, "run_of_mine", &schemas).unwrap();
        let inside = address.clone().with_database("run_of_mine");
        let found = asked(
            &inside,
            "SELECT nspname::text FROM pg_namespace WHERE nspname IN ('consensus', 'tsoracle') ORDER BY 1",
        );
        assert_eq!(found, schemas);
        let again = make_database(&address, "run_of_mine", &schemas).unwrap_err();
        assert!(
            matches!(&again, StoreTrouble::Foreign(told) if told.contains("already")),
            "{again}"
        );
        assert_eq!(asked(&address, databases), ["run_of_mine"]);
        // Somebody is still in it.
        let mut guest = PostgresStore::open(&inside, newest()).unwrap();
        guest
            .connection
            .ask(async |client| client.query_typed("SELECT 1", &[]).await)
            .unwrap();
        remove_database(&address, "run_of_mine").unwrap();
        assert!(asked(&address, databases).is_empty());
        remove_database(&address, "run_of_mine").unwrap();
    }

    #[test]
    fn a_role_that_may_not_make_databases_is_told_how_it_may() {
        let Some(server) = Server::shared() else {
            return;
        };
        let address: PostgresAddress = server.address("connect_timeout=5").parse().unwrap();
        let mut maker = PostgresStore::open(&address, newest()).unwrap();
        maker.order("DROP ROLE IF EXISTS humble").unwrap();
        maker.order("CREATE ROLE humble LOGIN").unwrap();
        let humble = format!("postgres://humble@127.0.0.1:{}/postgres", server.port());
        let trouble = look_for_database(&humble.parse().unwrap()).unwrap_err();
        assert!(
            trouble.to_string().starts_with(
                "the role `humble` may not make databases on postgres://humble@127.0.0.1"
            ),
            "{trouble}"
        );
        maker.order("ALTER ROLE humble CREATEDB").unwrap();
        look_for_database(&humble.parse().unwrap()).unwrap();
        maker.order("DROP ROLE humble").unwrap();
    }
}
