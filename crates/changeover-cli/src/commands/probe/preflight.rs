//! Is anybody there, and does it let us in? Asked once, before anything is made: a probe that begins while its endpoint
//! is away would measure nothing but that.

use super::planning::Planned;
use crate::error::CliError;
use changeover_model::history::{ErrorKind, Outcome};
use changeover_rehearse::client::{Client, ClientError, ClientTarget, OwnRequest, Request};
use changeover_rehearse::probe::{Found, TableName};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(250);

/// Checks everything that lanes will ask, and returns whether the table is to be made.
///
/// # Errors
///
/// When the endpoint is away for longer than `wait`, or does not do what it is asked.
pub(super) async fn check(planned: &Planned, wait: Duration) -> Result<bool, CliError> {
    let until = Instant::now() + wait;
    let mut make = true;
    if let Some(target) = &planned.sql {
        let endpoint = planned.probe.what();
        reach(target, &endpoint, until).await?;
        for (number, sql) in planned.probe.sql.iter().enumerate() {
            let expected = planned.expected.get(number).cloned().flatten();
            own_query(target, sql, expected).await?;
        }
        if let Some(table) = &planned.table {
            make = look(target, table).await?;
        }
    }
    for (target, url) in planned.http.iter().zip(&planned.probe.http) {
        answers(target, url, until).await?;
    }
    Ok(make)
}

/// Waits until somebody lets us in.
async fn reach(target: &ClientTarget, endpoint: &str, until: Instant) -> Result<(), CliError> {
    loop {
        let error = match ask(target, "SELECT 1").await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if !is_away(&error) {
            return Err(CliError::cannot_run_here(format!(
                "cannot get in at {endpoint}: {error}; correct the URL, the password or the rights"
            )));
        }
        if Instant::now() >= until {
            return Err(CliError::cannot_run_here(format!(
                "{endpoint} is away: {error}; begin while it is there, or wait for it with --wait 1m"
            )));
        }
        sleep(PAUSE).await;
    }
}

/// Whether there is hope: what is refused for who we are is refused again.
fn is_away(error: &ClientError) -> bool {
    match (error.sqlstate(), error.kind()) {
        // Too many connections, and all that a server says on its way up or down.
        (Some(state), _) => {
            state.starts_with("53") || state.starts_with("57P") || state.starts_with("08")
        }
        (None, ErrorKind::Other) => {
            let said = error.to_string();
            !["TLS", "authentication", "configuration"]
                .iter()
                .any(|what| said.starts_with(what))
        }
        _ => true,
    }
}

async fn ask(target: &ClientTarget, sql: &str) -> Result<(), ClientError> {
    let deadline = Instant::now() + target.timeout();
    let mut client = Client::connect(target.clone(), deadline).await?;
    let answer = client.execute(sql, deadline).await;
    client.close().await;
    answer.map(drop)
}

async fn own_query(
    target: &ClientTarget,
    sql: &str,
    expected: Option<String>,
) -> Result<(), CliError> {
    ask(target, sql).await.map_err(|error| {
        let sentence = format!("--sql {sql:?} does not work: {error}; correct it");
        match is_away(&error) {
            true => CliError::cannot_run_here(sentence),
            false => CliError::bad_input(sentence),
        }
    })?;
    let deadline = Instant::now() + target.timeout();
    let request = Request::Own(Arc::new(OwnRequest {
        key: None,
        sql: sql.to_owned(),
        expected: expected.clone(),
    }));
    let mut client = Client::connect(target.clone(), deadline)
        .await
        .map_err(|e| CliError::cannot_run_here(format!("--sql {sql:?}: {e}; try again")))?;
    let answer = client.perform(&request, deadline).await;
    client.close().await;
    match (answer.outcome, expected) {
        (Outcome::Ok, _) | (_, None) => Ok(()),
        (_, Some(expected)) => Err(CliError::bad_input(format!(
            "--sql {sql:?} does not answer {expected:?} now; correct --sql-expect"
        ))),
    }
}

/// Whether the table is to be made.
async fn look(target: &ClientTarget, table: &TableName) -> Result<bool, CliError> {
    let name = table.sql().replace('"', "");
    match table.look(target).await {
        Ok(Found::Absent) => Ok(true),
        Ok(Found::Ours) => Ok(false),
        Ok(Found::Other(why)) => Err(CliError::bad_input(format!(
            "the table {name} is somebody else's ({why}) and is not touched; name another with --write-table"
        ))),
        Err(error) => Err(CliError::cannot_run_here(format!(
            "cannot tell whether there is a table {name}: {error}; write nothing with --read-only"
        ))),
    }
}

async fn answers(target: &ClientTarget, url: &str, until: Instant) -> Result<(), CliError> {
    loop {
        let deadline = Instant::now() + target.timeout();
        let answer = match Client::connect(target.clone(), deadline).await {
            Ok(mut client) => {
                let own = Request::Own(Arc::new(OwnRequest::default()));
                let answer = client.perform(&own, deadline).await;
                match (answer.outcome, answer.error) {
                    (Outcome::Ok, _) => return Ok(()),
                    (_, error) => error.map_or_else(String::new, |e| e.to_string()),
                }
            }
            Err(error) => error.to_string(),
        };
        if Instant::now() >= until {
            return Err(CliError::cannot_run_here(format!(
                "{url} does not answer as it should: {answer}; begin while it does, or wait for it with --wait 1m"
            )));
        }
        sleep(PAUSE).await;
    }
}
