//! The table that a probe writes to: its own, or one of the same shape that was there.

use crate::client::{Client, ClientError, ClientTarget};
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

/// How long a definition may take: some databases think about it.
const DEFINITION: Duration = Duration::from_secs(30);

/// How long to try to remove what we made, when the endpoint is not there.
const REMOVAL: Duration = Duration::from_secs(5);

/// How long to try after somebody has asked twice for the end.
const ABORTED: Duration = Duration::from_secs(2);

/// Between two attempts at that.
const PAUSE: Duration = Duration::from_millis(250);

/// SQLSTATEs: what PostgreSQL says of a table that is not there.
const NO_TABLE: [&str; 2] = ["42P01", "3F000"];

/// What is known of the table before the probe begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// There is none: the probe makes it.
    Absent,
    /// There is one of our shape, perhaps of a probe that was killed: it is used, and stays.
    Ours,
    /// There is one, and it is not ours to touch: why, in a clause.
    Other(String),
}

/// A table's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableName {
    schema: Option<String>,
    name: String,
}

impl TableName {
    /// Reads `NAME` or `SCHEMA.NAME`.
    ///
    /// # Errors
    ///
    /// A clause about what it must be made of.
    pub fn parse(text: &str) -> Result<Self, String> {
        let sound = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
                && part.len() <= 63
                && part
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        };
        let (schema, name) = match text.split_once('.') {
            Some((schema, name)) => (Some(schema), name),
            None => (None, text),
        };
        if !sound(name) || schema.is_some_and(|schema| !sound(schema)) {
            return Err(
                "a table is NAME or SCHEMA.NAME, of lower-case letters, digits and underscores, no digit first"
                    .to_owned(),
            );
        }
        Ok(TableName {
            schema: schema.map(str::to_owned),
            name: name.to_owned(),
        })
    }

    /// As statements have it.
    pub fn sql(&self) -> String {
        match &self.schema {
            Some(schema) => format!("\"{schema}\".\"{}\"", self.name),
            None => format!("\"{}\"", self.name),
        }
    }

    /// What clients write and read, with `{id}` and `{value}` to be filled.
    pub fn statements(&self) -> (String, String) {
        let table = self.sql();
        (
            format!("INSERT INTO {table} (id, value) VALUES ({{id}}, {{value}})"),
            format!("SELECT value FROM {table} WHERE id = {{id}}"),
        )
    }

    /// Looks whether it is there.
    ///
    /// # Errors
    ///
    /// When that cannot be told.
    pub async fn look(&self, target: &ClientTarget) -> Result<Found, ClientError> {
        let mut client = connect(target, target.timeout()).await?;
        let found = self.look_with(&mut client).await;
        client.close().await;
        found
    }

    async fn look_with(&self, client: &mut Client) -> Result<Found, ClientError> {
        let sql = format!("SELECT id, value FROM {} LIMIT 0", self.sql());
        match ask(client, &sql, DEFINITION).await {
            Ok(_) => {}
            Err(error) => {
                return match error.sqlstate() {
                    Some(state) if NO_TABLE.contains(&state) => Ok(Found::Absent),
                    Some("42703") => Ok(Found::Other("it has other columns".to_owned())),
                    Some("42501") => Ok(Found::Other("it may not be read".to_owned())),
                    // The name of this class says it all: the statement is not one for what is there.
                    Some(state) if state.starts_with("42") => Ok(Found::Other(error.to_string())),
                    _ => Err(error),
                };
            }
        }
        let schema = match &self.schema {
            Some(schema) => format!("= '{schema}'"),
            None => "= ANY (current_schemas(false))".to_owned(),
        };
        let sql = format!(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = '{}' AND table_schema \
             {schema} ORDER BY column_name",
            self.name
        );
        let columns = match ask(client, &sql, DEFINITION).await {
            Ok(columns) => columns,
            // Not every database can be asked; what cannot be told is not touched.
            Err(error) if error.sqlstate().is_some_and(|s| s.starts_with("42")) => {
                return Ok(Found::Other(format!("its columns cannot be seen: {error}")));
            }
            Err(error) => return Err(error),
        };
        let columns: Vec<Vec<&str>> = columns
            .iter()
            .map(|row| row.iter().map(|c| c.as_deref().unwrap_or("")).collect())
            .collect();
        let texts = ["text", "character varying"];
        let ours = match &columns[..] {
            [id, value] => {
                id[..1] == ["id"] && texts.contains(&id[1]) && value[..] == ["value", "bigint"]
            }
            _ => false,
        };
        match ours {
            true => Ok(Found::Ours),
            false => Ok(Found::Other("it has other columns".to_owned())),
        }
    }

    /// Makes it. Returns whether it has an index, which not every database knows.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub(super) async fn create(&self, target: &ClientTarget) -> Result<bool, ClientError> {
        let mut client = connect(target, target.timeout()).await?;
        let table = self.sql();
        // No unique index: a write that took effect twice must show.
        let create = format!("CREATE TABLE {table} (id text NOT NULL, value bigint NOT NULL)");
        ask(&mut client, &create, DEFINITION).await?;
        let index = format!("CREATE INDEX \"{}_id\" ON {table} (id)", self.name);
        let indexed = ask(&mut client, &index, DEFINITION).await.is_ok();
        client.close().await;
        Ok(indexed)
    }

    /// Whether it can be read by `deadline`. A table that is gone does not come back.
    pub(super) async fn is_back(&self, target: &ClientTarget, deadline: Instant) -> bool {
        let sql = format!("SELECT value FROM {} WHERE id = \'\'", self.sql());
        loop {
            let attempt = async {
                let mut client = connect(target, target.timeout()).await?;
                let answer = ask(&mut client, &sql, target.timeout()).await;
                client.close().await;
                answer
            };
            match timeout_at(deadline, attempt).await {
                Ok(Ok(_)) => return true,
                Ok(Err(error)) if error.sqlstate().is_some_and(|s| NO_TABLE.contains(&s)) => {
                    return false;
                }
                _ if Instant::now() >= deadline => return false,
                _ => sleep_until(deadline.min(Instant::now() + PAUSE)).await,
            }
        }
    }

    /// Removes what the probe made: the table, or in one that was there the rows whose keys begin with `prefix`. There is
    /// little time for it after `abort`.
    ///
    /// # Errors
    ///
    /// When it could not be, with the statement that would do.
    pub(super) async fn remove(
        &self,
        target: &ClientTarget,
        made: bool,
        prefix: &str,
        abort: &CancellationToken,
    ) -> Result<(), String> {
        let sql = match made {
            true => format!("DROP TABLE {}", self.sql()),
            false => format!("DELETE FROM {} WHERE id LIKE '{prefix}%'", self.sql()),
        };
        let aborted = async {
            abort.cancelled().await;
            tokio::time::sleep(ABORTED).await;
        };
        let left = tokio::select! {
            removed = try_to_remove(target, &sql) => match removed {
                Ok(()) => return Ok(()),
                Err(error) => error.to_string(),
            },
            () = aborted => "no answer in time".to_owned(),
        };
        Err(format!(
            "what the probe wrote could not be removed ({left}); run {sql}"
        ))
    }
}

/// Tries for a while. A table that is gone already is gone.
async fn try_to_remove(target: &ClientTarget, sql: &str) -> Result<(), ClientError> {
    let until = Instant::now() + REMOVAL;
    loop {
        let attempt = async {
            let mut client = connect(target, target.timeout()).await?;
            let answer = ask(&mut client, sql, DEFINITION).await;
            client.close().await;
            answer
        };
        match attempt.await {
            Ok(_) => return Ok(()),
            Err(error) if error.sqlstate().is_some_and(|s| NO_TABLE.contains(&s)) => return Ok(()),
            Err(error) if Instant::now() > until => return Err(error),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn connect(target: &ClientTarget, patience: Duration) -> Result<Client, ClientError> {
    Client::connect(target.clone(), Instant::now() + patience).await
}

async fn ask(
    client: &mut Client,
    sql: &str,
    patience: Duration,
) -> Result<Vec<Vec<Option<String>>>, ClientError> {
    client.execute(sql, Instant::now() + patience).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_and_tame() {
        let sql = |text: &str| TableName::parse(text).map(|name| name.sql());
        assert_eq!(sql("changeover_probe").unwrap(), "\"changeover_probe\"");
        assert_eq!(sql("ops.probe_7").unwrap(), "\"ops\".\"probe_7\"");
        for bad in ["", "7up", "a.b.c", "a\"b", "Probe", ".a", "a.", "a b"] {
            assert!(sql(bad).is_err(), "{bad}");
        }
        let (write, read) = TableName::parse("t").unwrap().statements();
        assert_eq!(
            write,
            "INSERT INTO \"t\" (id, value) VALUES ({id}, {value})"
        );
        assert_eq!(read, "SELECT value FROM \"t\" WHERE id = {id}");
    }
}
