//! A blocking client: tokio-postgres on a small runtime of its own.

use tokio::runtime::Runtime;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, NoTls, Row, SimpleQueryMessage};

use crate::instance::{DEADLINE, Instance};

pub(crate) struct Sql {
    runtime: Runtime,
    client: Client,
}

/// The SQLSTATE of an error, or its text where the connection broke.
pub(crate) fn state(error: &Error) -> String {
    error
        .code()
        .map_or_else(|| error.to_string(), |code| code.code().to_owned())
}

impl Sql {
    pub(crate) fn try_connect(address: &str) -> Result<Self, Error> {
        let (host, port) = address.rsplit_once(':').expect("host and port");
        Self::open(&format!(
            "host={host} port={port} user=test dbname=test connect_timeout={}",
            DEADLINE.as_secs()
        ))
    }

    fn open(config: &str) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let client = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(config, NoTls).await?;
            tokio::spawn(connection);
            Ok::<_, Error>(client)
        })?;
        Ok(Self { runtime, client })
    }

    pub(crate) fn connect(instance: &Instance) -> Self {
        Self::try_connect(&instance.sql).expect("a connection")
    }

    /// A look into a metadata store in PostgreSQL, past the reference database.
    pub(crate) fn to_store(address: &str) -> Self {
        Self::try_to_store(address).expect("the store")
    }

    pub(crate) fn try_to_store(address: &str) -> Result<Self, Error> {
        let (base, schema) = address.split_once("?schema=").expect("a schema");
        let sql = Self::open(base)?;
        sql.ok(&format!("SET search_path TO {schema}"));
        Ok(sql)
    }

    pub(crate) fn run(&self, sql: &str) -> Result<(), Error> {
        self.runtime.block_on(self.client.batch_execute(sql))
    }

    pub(crate) fn ok(&self, sql: &str) {
        self.run(sql).unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    }

    /// The SQLSTATE that a text is refused with.
    pub(crate) fn refused(&self, sql: &str) -> String {
        state(&self.run(sql).expect_err(sql))
    }

    pub(crate) fn execute(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, Error> {
        self.runtime.block_on(self.client.execute(sql, parameters))
    }

    pub(crate) fn query(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        self.runtime.block_on(self.client.query(sql, parameters))
    }

    /// All fields of all rows as text, by the simple protocol; rows of a text with several statements follow each
    /// other.
    pub(crate) fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        self.try_rows(sql)
            .unwrap_or_else(|e| panic!("{sql}: {e:?}"))
    }

    pub(crate) fn try_rows(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, Error> {
        let messages = self.runtime.block_on(self.client.simple_query(sql))?;
        Ok(messages
            .iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(
                    (0..row.len())
                        .map(|n| row.get(n).map(str::to_owned))
                        .collect(),
                ),
                _ => None,
            })
            .collect())
    }

    /// The only field of the only row.
    pub(crate) fn value(&self, sql: &str) -> String {
        let rows = self.rows(sql);
        assert_eq!(rows.len(), 1, "{sql}: {rows:?}");
        rows[0][0].clone().unwrap_or_else(|| "NULL".to_owned())
    }

    pub(crate) fn int(&self, sql: &str) -> i64 {
        self.value(sql).parse().expect("an integer")
    }

    pub(crate) fn prepare(&self, sql: &str) -> Result<tokio_postgres::Statement, Error> {
        self.runtime.block_on(self.client.prepare(sql))
    }

    pub(crate) fn execute_prepared(
        &self,
        statement: &tokio_postgres::Statement,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, Error> {
        self.runtime
            .block_on(self.client.execute(statement, parameters))
    }
}
