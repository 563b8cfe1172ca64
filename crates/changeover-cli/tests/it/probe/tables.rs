//! What a probe writes, what becomes of it, and what it notices of it.

use super::{Session, end, finish, often, refusal, until_operations, url};
use crate::postgres_server::Server;
use changeover_model::check::Check;
use changeover_model::verdict::Verdict;

const TABLES: &str = "SELECT count(*) FROM pg_class WHERE relname = 'changeover_probe'";
const ROWS: &str = "SELECT count(*) FROM changeover_probe";

fn checks(verdict: &Verdict) -> Vec<Check> {
    verdict
        .findings
        .iter()
        .map(|finding| finding.check)
        .collect()
}

#[test]
fn rehearses_a_probe_that_leaves_nothing_but_what_it_was_told_to() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let session = Session::to(&server);
    let address = url(&server);
    let short = ["--for", "1500ms"];
    let run = |args: &[&str]| {
        let mut run = often(&address, &[&short[..], args].concat());
        let (code, told, verdict) = finish(&mut run);
        assert!(matches!(code, 0 | 3), "{told}");
        assert_eq!(checks(&verdict), []);
        (told, verdict)
    };
    let (told, verdict) = run(&[]);
    assert!(
        told.contains("table changeover_probe, which is created and dropped"),
        "{told}"
    );
    assert!(verdict.operations.acknowledged_writes.unwrap() > 10);
    assert_eq!(session.number(TABLES), 0);

    let (told, verdict) = run(&["--read-only"]);
    assert!(told.contains("nothing is written"), "{told}");
    assert_eq!(verdict.operations.acknowledged_writes, Some(0));
    assert_eq!(verdict.probe.unwrap().lanes.len(), 3);
    assert_eq!(session.number(TABLES), 0);

    run(&["--keep-table"]);
    let kept = session.number(ROWS);
    assert!(kept > 10);
    // A table that was there stays, with what was in it.
    let (told, _) = run(&[]);
    assert!(
        told.contains("was there and stays, our rows are deleted at the end"),
        "{told}"
    );
    assert_eq!(session.number(ROWS), kept);

    session.run("ALTER TABLE changeover_probe ADD COLUMN mine text");
    let (code, said) = refusal(&[&address]);
    assert_eq!(code, 2, "{said}");
    assert!(
        said.contains("is somebody else's (it has other columns)"),
        "{said}"
    );
    session.run("CREATE VIEW other AS SELECT 1 AS id, 2 AS value");
    let (code, said) = refusal(&[&address, "--write-table", "other"]);
    assert_eq!(code, 2, "{said}");
    let (code, said) = refusal(&[&address, "--sql", "SELECT nothing"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("column \"nothing\" does not exist"), "{said}");
    let (code, said) = refusal(&[&address, "--sql", "SELECT 1", "--sql-expect", "2"]);
    assert_eq!(code, 2, "{said}");
    let nowhere = address.replace("/postgres", "/nowhere");
    let (code, said) = refusal(&[&nowhere]);
    assert_eq!(code, 4, "{said}");
    assert!(
        said.contains("database \"nowhere\" does not exist"),
        "{said}"
    );
    assert_eq!(session.number(ROWS), kept);
}

#[test]
fn rehearses_probes_that_notice_what_becomes_of_their_writes() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let session = Session::to(&server);
    let meddled = |table: &str, sql: &str| {
        let mut run = often(&url(&server), &["--write-table", table]);
        until_operations(&run, 200);
        session.run(sql);
        let (code, told, verdict) = end(&mut run);
        assert_eq!(code, 1, "{told}");
        checks(&verdict)
    };
    let lost = meddled("lossy", "DELETE FROM lossy WHERE value = 3");
    assert!(lost.contains(&Check::LostWrite), "{lost:?}");
    let doubled = meddled(
        "doubly",
        "INSERT INTO doubly SELECT * FROM doubly WHERE value = 3",
    );
    assert!(doubled.contains(&Check::DuplicatedEffect), "{doubled:?}");
}

#[test]
fn rehearses_a_probe_whose_table_is_taken_away() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let session = Session::to(&server);
    let mut run = often(&url(&server), &[]);
    until_operations(&run, 100);
    session.run("DROP TABLE changeover_probe");
    super::poll("writes that fail", || {
        let events = run.read("events.jsonl");
        let away = |lane: &str| format!("\"gap-opened\",\"lane\":\"{lane}\"");
        events.contains(&away("write/held")) && events.contains(&away("write/new"))
    });
    until_operations(&run, 300);
    let (code, told, verdict) = end(&mut run);
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("had no success from"), "{told}");
    assert!(!told.contains("could not be removed"), "{told}");
    assert!(checks(&verdict).contains(&Check::Budget));
}
