//! The command that measures like this again. No password is in it.

use super::args::ProbeArgs;
use crate::commands::shell_word;
use changeover_rehearse::client::Endpoint;

/// The command, with the endpoint as it is shown.
pub(super) fn command(endpoint: Option<&Endpoint>, args: &ProbeArgs) -> String {
    let mut words = vec!["changeover".to_owned(), "probe".to_owned()];
    match (endpoint, args.urls.first()) {
        (Some(endpoint), _) => words.push(endpoint.shown().to_owned()),
        (None, Some(url)) => words.push(url.clone()),
        (None, None) => {}
    }
    let mut option = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            words.push(format!("--{name}"));
            words.push(value);
        }
    };
    option("for", args.lasts.map(ms));
    let lanes = &args.lanes;
    option("probe-interval", lanes.probe_interval.map(ms));
    option(
        "timeout",
        (lanes.timeout != 2000.0).then(|| ms(lanes.timeout)),
    );
    option("connect-timeout", lanes.connect_timeout.map(ms));
    for sql in &lanes.sql {
        option("sql", Some(sql.clone()));
    }
    for expect in &lanes.sql_expect {
        option("sql-expect", Some(expect.clone()));
    }
    for url in &lanes.http {
        option("http", Some(url.clone()));
    }
    option("http-status", lanes.http_status.map(|s| s.to_string()));
    option("http-body", lanes.http_body.clone());
    option("write-table", args.writes.write_table.clone());
    option("max-write-gap", args.budgets.max_write_gap.map(ms));
    option("max-read-gap", args.budgets.max_read_gap.map(ms));
    option("max-connect-gap", args.budgets.max_connect_gap.map(ms));
    for url in &args.beside.leader_api {
        option("leader-api", Some(url.clone()));
    }
    let file = |file: &std::path::PathBuf| file.to_string_lossy().into_owned();
    option("marker-file", args.beside.marker_file.as_ref().map(file));
    option("password-file", args.password_file.as_ref().map(file));
    option("wait", args.wait.map(ms));
    for (name, given) in [
        ("--read-only", args.writes.read_only),
        ("--keep-table", args.writes.keep_table),
    ] {
        if given {
            words.push(name.to_owned());
        }
    }
    let words: Vec<String> = words.iter().map(|word| shell_word(word)).collect();
    words.join(" ")
}

/// A duration as it could have been typed.
fn ms(ms: f64) -> String {
    let units = [(3_600_000.0, "h"), (60_000.0, "m"), (1000.0, "s")];
    let fits = |(size, _): &&(f64, &str)| ms >= *size && ms % *size == 0.0;
    match units.iter().find(fits) {
        Some((size, unit)) => format!("{}{unit}", ms / size),
        None => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_as_people_type_them() {
        for (text, given) in [
            ("2h", 7_200_000.0),
            ("90m", 5_400_000.0),
            ("1s", 1000.0),
            ("1500ms", 1500.0),
            ("0.5ms", 0.5),
        ] {
            assert_eq!(ms(given), text);
            assert_eq!(crate::duration::milliseconds(text), Ok(given));
        }
    }
}
