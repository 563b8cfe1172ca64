//! What makes no sense, or is not there: one sentence, and nothing left behind.

use super::refusal;
use std::net::TcpListener;

#[test]
fn what_makes_no_sense_is_refused_before_anybody_is_asked() {
    let url = "postgres://me:SECRET@127.0.0.1:1/d";
    for (args, wanted) in [
        (&[][..], "nothing to probe"),
        (&[url, "postgres://you:SECRET@h/d"], "2 URLs were given"),
        (
            &["mysql://me:SECRET@h/d"],
            "is of nothing that can be probed",
        ),
        (&["postgres://me:SEC@RET@h/d"], "a second `@`"),
        (
            &["postgres://me:SECRET@h/d?colour=red"],
            "unknown option `colour`",
        ),
        (
            &["postgres://me:SECRET@h/d?sslmode=verify-full"],
            "needs sslrootcert=FILE",
        ),
        (
            &[url, "--max-write-gap", "1s"],
            "--max-write-gap of 1000 ms cannot be judged by lanes that ask every 250 ms; ask more often with \
             --probe-interval 166ms",
        ),
        (
            &[url, "--max-read-gap", "1500ms", "--sql", "SELECT 2"],
            "--probe-interval 250ms",
        ),
        (
            &[url, "--max-connect-gap", "2s", "--probe-interval", "1s"],
            "--probe-interval 333ms",
        ),
        (&[url, "--max-read-gap", "5ms"], "too tight"),
        (
            &[url, "--read-only", "--max-write-gap", "10s"],
            "no lane measures that here",
        ),
        (&[url, "--read-only", "--keep-table"], "cannot be used with"),
        (&[url, "--write-table", "Robert'); --"], "--write-table"),
        (&[url, "--probe-interval", "0ms"], "--probe-interval"),
        (&[url, "--probe-interval", "1.5ms"], "whole milliseconds"),
        (&[url, "--timeout", "0s"], "--timeout"),
        (&[url, "--for", "0s"], "--for"),
        (&[url, "--for", "soon"], "--for"),
        (&[url, "--sql", " "], "--sql is empty"),
        (
            &[
                url,
                "--sql",
                "SELECT 1",
                "--sql-expect",
                "1",
                "--sql-expect",
                "2",
            ],
            "more --sql-expect than --sql",
        ),
        (
            &["--sql", "SELECT 1", "--http", "http://h/"],
            "--sql needs a database",
        ),
        (
            &["--http", "https://h/"],
            "neither https nor passwords are spoken",
        ),
        (&["http://me:SECRET@h/"], "nor passwords"),
        (
            &[url, "--leader-api", "http://me:SECRET@h/"],
            "nor passwords",
        ),
        (&[url, "--wait", "999999999999h"], "--wait"),
        (&[url, "--probe-interval", "2h"], "from 1ms to 1h"),
        (
            &["--http", "http://h/", "--keep-table"],
            "no database to write to",
        ),
        (&[url, "--http", "postgres://me:SECRET@h/d"], "is no URL"),
        (
            &[url, "--leader-api", "h:6878"],
            "--leader-api \"h:6878\" is no URL",
        ),
    ] {
        let (code, said) = refusal(args);
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(wanted), "{args:?}: {said}");
        assert!(!said.contains("SECRET") && !said.contains("RET@"), "{said}");
    }
}

#[test]
fn an_endpoint_that_is_away_at_the_start_is_waited_for_only_when_told() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let [silent_at, gone_at] = [&silent, &gone].map(|l| l.local_addr().unwrap());
    drop(gone);
    for (url, wanted) in [
        (format!("postgres://me:SECRET@{gone_at}/d"), "refused"),
        (
            format!("postgres://me:SECRET@{silent_at}/d"),
            "no answer in time",
        ),
        (
            format!("postgres://me:SECRET@{gone_at},{silent_at}/d"),
            "no answer in time",
        ),
        ("postgres://me:SECRET@%2Fnowhere/d".to_owned(), "is away"),
        (
            format!("http://{gone_at}/health"),
            "does not answer as it should: ",
        ),
    ] {
        for wait in [&[][..], &["--wait", "300ms"]] {
            let (code, said) = refusal(&[&[&url, "--timeout", "200ms"], wait].concat());
            assert_eq!(code, 4, "{said}");
            assert!(said.contains(wanted) && !said.contains("SECRET"), "{said}");
        }
    }
}
