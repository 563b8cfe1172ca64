//! What was asked for, as a probe; and what makes no sense, before anything is touched.

use super::args::ProbeArgs;
use super::password::Passwords;
use crate::error::CliError;
use changeover_model::format::Kind;
use changeover_model::history::Class;
use changeover_model::probe::Probe;
use changeover_rehearse::client::{ClientTarget, Endpoint, Expected};
use changeover_rehearse::leader_api::LeaderApi;
use changeover_rehearse::probe::TableName;
use std::collections::BTreeMap;
use std::time::Duration;

/// Where nothing else is said.
const TABLE: &str = "changeover_probe";

/// All lanes together send so many operations a second, unless told otherwise.
const PER_SECOND: u64 = 20;

/// The longest interval, in milliseconds.
const HOUR: f64 = 3_600_000.0;

/// A budget takes a resolution of a fifth. The interval is a sixth, so that a fifth of that is left for lateness.
const INTERVALS: f64 = 6.0;

/// So many lanes of each kind of the user's own.
const OWN_LANES: usize = 20;

/// What is asked for.
pub(super) struct Planned {
    pub(super) probe: Probe,
    pub(super) sql: Option<ClientTarget>,
    pub(super) expected: Vec<Option<String>>,
    pub(super) http: Vec<ClientTarget>,
    pub(super) table: Option<TableName>,
    pub(super) leader_apis: Vec<(String, LeaderApi)>,
}

/// Works out what the arguments mean.
///
/// # Errors
///
/// When they make no sense together.
pub(super) fn plan_of(args: &ProbeArgs) -> Result<Planned, CliError> {
    let timeout = positive("--timeout", args.lanes.timeout)?;
    let (endpoint, http_urls) = what(args, timeout)?;
    let table = table(args, endpoint.is_some())?;
    let expected = Expected {
        status: args.lanes.http_status,
        body: args.lanes.http_body.clone(),
    };
    let http: Result<Vec<_>, _> = http_urls
        .iter()
        .map(|url| {
            if has_credentials(url) {
                return Err(bad_http("--http", url));
            }
            ClientTarget::of_http(url, expected.clone(), timeout)
                .map_err(|_| bad_http("--http", url))
        })
        .collect();
    let mut probe = Probe {
        format: Kind::Probe.mark(),
        endpoint: endpoint.as_ref().map(|e| e.shown().to_owned()),
        probe_interval_ms: 0,
        timeout_ms: whole_ms(timeout),
        write_table: table.as_ref().map(|table| table.sql().replace('"', "")),
        sql: args.lanes.sql.clone(),
        http: http_urls,
        leader_apis: args.beside.leader_api.clone(),
        budgets: budgets(args),
        lasts_ms: match args.lasts {
            Some(lasts) => Some(whole_ms(positive("--for", lasts)?)),
            None => None,
        },
        reproduce: super::reproduce::command(endpoint.as_ref(), args),
    };
    probe.probe_interval_ms = interval(args, &probe)?;
    let statements = table.as_ref().map(TableName::statements);
    let sql = endpoint.as_ref().map(|endpoint| {
        ClientTarget::of_endpoint(endpoint, statements.clone().unwrap_or_default(), timeout)
    });
    Ok(Planned {
        sql,
        expected: args.lanes.sql_expect.iter().cloned().map(Some).collect(),
        http: http?,
        table,
        leader_apis: leader_apis(&args.beside.leader_api)?,
        probe,
    })
}

/// The database, and the HTTP endpoints.
fn what(args: &ProbeArgs, timeout: Duration) -> Result<(Option<Endpoint>, Vec<String>), CliError> {
    let mut http = args.lanes.http.clone();
    let url = match &args.urls[..] {
        [] if http.is_empty() => {
            return Err(CliError::bad_input(
                "nothing to probe; write changeover probe postgres://USER@HOST/DATABASE, or --http URL",
            ));
        }
        [] => None,
        [url] if url.starts_with("http:") => {
            http.insert(0, url.clone());
            None
        }
        [url] => Some(url),
        // Not quoted: there may be passwords in them.
        urls => {
            return Err(CliError::bad_input(format!(
                "{} URLs were given; a probe has one, in which hosts are separated by commas",
                urls.len()
            )));
        }
    };
    if http.len() > OWN_LANES || args.lanes.sql.len() > OWN_LANES {
        return Err(CliError::bad_input(format!(
            "at most {OWN_LANES} of --sql and of --http can be had; leave some out"
        )));
    }
    let Some(url) = url else {
        if !args.lanes.sql.is_empty() {
            return Err(CliError::bad_input(
                "--sql needs a database; give its URL as well",
            ));
        }
        return Ok((None, http));
    };
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(CliError::bad_input(
            "the URL is of nothing that can be probed; write postgres://USER@HOST/DATABASE or http://HOST/PATH",
        ));
    }
    if args.lanes.sql.iter().any(|sql| sql.trim().is_empty()) {
        return Err(CliError::bad_input("--sql is empty; give a query"));
    }
    if args.lanes.sql_expect.len() > args.lanes.sql.len() {
        return Err(CliError::bad_input(
            "there are more --sql-expect than --sql; give each after its query",
        ));
    }
    let passwords = Passwords::find(args.password_file.as_deref())?;
    let user = std::env::var("PGUSER").ok().filter(|user| !user.is_empty());
    let user = user.or_else(system_user);
    let patience = match args.lanes.connect_timeout {
        Some(limit) => positive("--connect-timeout", limit)?,
        None => timeout,
    };
    let endpoint = Endpoint::parse(
        url,
        user.as_deref(),
        |asking| passwords.of(asking),
        patience,
    )
    .map_err(|e| CliError::bad_input(format!("the URL of the database is no good: {e}")))?;
    Ok((Some(endpoint), http))
}

fn system_user() -> Option<String> {
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::effective());
    user.ok().flatten().map(|user| user.name)
}

fn table(args: &ProbeArgs, sql: bool) -> Result<Option<TableName>, CliError> {
    let writes = &args.writes;
    if !sql {
        return match writes.write_table.is_some() || writes.keep_table {
            true => Err(CliError::bad_input(
                "there is no database to write to; give its URL, or leave out --write-table and --keep-table",
            )),
            false => Ok(None),
        };
    }
    if writes.read_only {
        return Ok(None);
    }
    let name = writes.write_table.as_deref().unwrap_or(TABLE);
    let name = TableName::parse(name)
        .map_err(|e| CliError::bad_input(format!("--write-table {name:?} cannot be: {e}")))?;
    Ok(Some(name))
}

/// Whether there is a name or a password before the host: they would be shown, and are not sent.
fn has_credentials(url: &str) -> bool {
    let rest = url.split_once("//").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or(rest).contains('@')
}

fn bad_http(option: &str, url: &str) -> CliError {
    let shown = match url.contains('@') {
        // Perhaps a password.
        true => String::new(),
        false => format!(" {url:?}"),
    };
    CliError::bad_input(format!(
        "{option}{shown} is no URL that can be asked; write http://HOST:PORT/PATH (neither https nor passwords are spoken)"
    ))
}

fn leader_apis(urls: &[String]) -> Result<Vec<(String, LeaderApi)>, CliError> {
    urls.iter()
        .map(|url| {
            let api = LeaderApi::of_url(url).filter(|_| !has_credentials(url));
            api.ok_or_else(|| bad_http("--leader-api", url))
        })
        .collect()
}

fn budgets(args: &ProbeArgs) -> BTreeMap<String, f64> {
    let given = &args.budgets;
    [
        ("write-gap", given.max_write_gap),
        ("read-gap", given.max_read_gap),
        ("connect-gap", given.max_connect_gap),
    ]
    .into_iter()
    .filter_map(|(name, limit)| Some((name.to_owned(), limit?)))
    .collect()
}

/// The interval that was given, or the gentle one, if it does for the budgets.
fn interval(args: &ProbeArgs, probe: &Probe) -> Result<u64, CliError> {
    let lanes = probe.lanes();
    let interval = match args.lanes.probe_interval {
        None => lanes.len() as u64 * 1000 / PER_SECOND,
        Some(ms) if (1.0..=HOUR).contains(&ms) && ms.fract() == 0.0 => ms as u64,
        Some(ms) => {
            return Err(CliError::bad_input(format!(
                "--probe-interval of {ms} ms cannot be; give whole milliseconds, from 1ms to 1h"
            )));
        }
    };
    for (name, limit) in &probe.budgets {
        let has = |class: Class| lanes.iter().any(|lane| lane.class == class);
        let measured = match name.as_str() {
            "write-gap" => has(Class::Write),
            "read-gap" => has(Class::Read),
            _ => has(Class::Connect),
        };
        if !measured {
            return Err(CliError::bad_input(format!(
                "the budget --max-{name} cannot be judged, because no lane measures that here; leave it out"
            )));
        }
        let needed = (limit / INTERVALS).floor();
        if needed < 1.0 {
            return Err(CliError::bad_input(format!(
                "the budget --max-{name} of {limit} ms is too tight to be measured; give at least 6ms"
            )));
        }
        if interval as f64 > needed {
            return Err(CliError::bad_input(format!(
                "the budget --max-{name} of {limit} ms cannot be judged by lanes that ask every {interval} ms; ask more \
                 often with --probe-interval {needed}ms"
            )));
        }
    }
    Ok(interval)
}

/// How long to wait for an endpoint that is away.
///
/// # Errors
///
/// When that is too long for anybody.
pub(super) fn wait(args: &ProbeArgs) -> Result<Duration, CliError> {
    match args.wait {
        None | Some(0.0) => Ok(Duration::ZERO),
        Some(wait) => positive("--wait", wait),
    }
}

fn positive(option: &str, ms: f64) -> Result<Duration, CliError> {
    // A hundred years are enough for everybody, and for every clock.
    match (1.0..3.2e12).contains(&ms) {
        true => Ok(Duration::from_secs_f64(ms / 1000.0)),
        false => Err(CliError::bad_input(format!(
            "{option} of {ms} ms cannot be; give at least 1ms and no more than a hundred years"
        ))),
    }
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
