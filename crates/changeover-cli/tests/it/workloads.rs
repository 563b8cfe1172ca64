//! Every workload, rehearsed on both metadata stores and between two PostgreSQL servers.

use crate::harness::{Rehearsal, changeover, with_budgets};
use crate::postgres_server::Server;
use crate::targets::{Servers, postgres_is_there};
use changeover_model::check::Check;
use changeover_model::event::{Event, EventKind, SessionAnswer};
use changeover_model::history::{Header, MIXED, Operation, Outcome, Source};
use changeover_model::observation::{Answered, Moment, Observation};
use changeover_model::workload::WorkloadKind;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A light load, with budgets that no machine exceeds: what is tested is what is looked at, and not how fast.
const CALM: [&str; 10] = with_budgets(["--rate", "100", "--probe-interval", "50ms"]);

const OBJECTS: &str = "
CREATE TABLE orders (id BIGINT NOT NULL, item TEXT NOT NULL, amount INT);
CREATE INDEX orders_item ON orders (item);
INSERT INTO orders VALUES (1, 'tea', 3), (2, 'cup', NULL), (3, 'tea', 4);
CREATE VIEW per_item AS SELECT item, count(*) AS orders, sum(amount) AS amount FROM orders GROUP BY item;
SELECT * FROM per_item ORDER BY item;
SELECT id FROM orders WHERE item = 'tea';
";

const SCRIPT: &str = "
\\setup
CREATE TABLE stock (item INT PRIMARY KEY, amount INT NOT NULL);
\\setup
INSERT INTO stock VALUES (1, 1), (2, 1), (3, 1);
\\weight 3
\\set item random(1, 3)
\\expect rows 1
SELECT amount FROM stock WHERE item = :item;
\\set item random(1, 3)
\\expect count 1
UPDATE stock SET amount = amount + 1 WHERE item = :item;
\\expect error 23505
INSERT INTO stock VALUES (1, 1);
";

/// Writes the files and gives the option that names them beside all the rest.
fn every_workload(place: &Path) -> String {
    let (objects, script) = (place.join("objects.sql"), place.join("script.sql"));
    fs::write(&objects, OBJECTS).unwrap();
    fs::write(&script, SCRIPT).unwrap();
    format!(
        "set,register,counter,bank,append,session,ddl,objects={},script={}",
        objects.display(),
        script.display()
    )
}

/// Starts a rehearsal from a directory, where fixtures are kept.
fn start_in(place: &Path, args: &[&str]) -> Rehearsal {
    Rehearsal::of(changeover().arg("rehearse").current_dir(place).args(args))
}

/// Runs it. A busy machine may leave doubts, but there must be no finding.
fn run(place: &Path, args: &[&str]) -> Rehearsal {
    let mut run = start_in(place, &[&CALM[..], args].concat());
    let output = run.finish();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(matches!(output.status.code(), Some(0 | 3)), "{said}");
    assert_eq!(run.verdict().findings, [], "{said}");
    run.assert_no_orphans();
    run
}

/// What was seen by workloads that act at moments.
fn seen(run: &Rehearsal) -> Vec<Observation> {
    let of = |event: Event| match event.kind {
        EventKind::WorkloadSeen { seen } => Some(*seen),
        _ => None,
    };
    run.events().into_iter().filter_map(of).collect()
}

/// The history is a mixed one, every model acknowledged something, and everything was read back.
fn assert_every_model(run: &Rehearsal) {
    let text = run.read("history.jsonl");
    let mut lines = text.lines();
    let header = Header::parse(lines.next().unwrap()).unwrap();
    assert_eq!(header.model, MIXED);
    assert_eq!(header.accounts.unwrap().len(), 8);
    let mut counts: BTreeMap<(Source, String), u64> = BTreeMap::new();
    for line in lines {
        let operation = Operation::parse(line).unwrap();
        if operation.outcome == Outcome::Ok
            && let (Some(source), Some(model)) = (operation.source, operation.model)
        {
            *counts.entry((source, model)).or_default() += 1;
        }
    }
    for kind in WorkloadKind::ALL.iter().filter(|kind| kind.is_model()) {
        for source in [Source::Workload, Source::FullRead] {
            let key = (source, kind.name().to_owned());
            assert!(counts.contains_key(&key), "{kind}: {counts:?}");
        }
    }
}

/// Every workload that acts at moments has acted, in every step.
fn assert_every_moment(run: &Rehearsal, steps: u32) {
    let events = run.events();
    let sessions = events
        .iter()
        .filter(|event| matches!(event.kind, EventKind::SessionSeen { .. }));
    assert!(sessions.count() >= 4 * steps as usize);
    let changed = events.iter().filter(
        |event| matches!(&event.kind, EventKind::DdlDone { outcome } if *outcome == Outcome::Ok),
    );
    assert!(changed.count() >= 10 * steps as usize);
    let seen = seen(run);
    for moment in [
        Moment::Start,
        Moment::Ready,
        Moment::Promoted,
        Moment::After,
    ] {
        let asked = seen.iter().filter(|seen| {
            matches!(seen, Observation::Query { workload: WorkloadKind::Objects, moment: at, answered: Answered::Rows { .. }, .. }
                if *at == moment)
        });
        let times = if moment == Moment::Start { 1 } else { steps };
        assert_eq!(asked.count(), 2 * times as usize, "{moment:?}");
    }
    let right: u64 = seen
        .iter()
        .map(|seen| match seen {
            Observation::ScriptDone { right, wrong, .. } => {
                assert_eq!(*wrong, 0);
                *right
            }
            _ => 0,
        })
        .sum();
    assert!(right > 10, "{right}");
    let agreed = |seen: &&Observation| matches!(seen, Observation::Agreement { .. });
    assert_eq!(seen.iter().filter(agreed).count(), 1 + 2 * steps as usize);
}

#[test]
fn rehearses_every_workload_over_a_promotion_in_place_and_data_that_older_releases_made() {
    let place = tempfile::tempdir().unwrap();
    let workload = format!("{},aged", every_workload(place.path()));
    let args = [
        "--versions",
        "v0.6.0,v0.7.0,current",
        "--workload",
        &workload,
    ];
    let first = run(place.path(), &args);
    assert_every_model(&first);
    assert_every_moment(&first, 2);
    // What goes on over a promotion in place has what it had.
    let kept = first.events().into_iter().any(|event| {
        matches!(event.kind, EventKind::SessionSeen { expected, answer: SessionAnswer::Told(told), .. }
            if told == expected)
    });
    assert!(kept);
    let aged = |run: &Rehearsal| {
        let of = |event: Event| match event.kind {
            EventKind::AgeDone { reused } => Some(reused),
            _ => None,
        };
        run.events().into_iter().find_map(of)
    };
    assert_eq!(aged(&first), Some(false));
    // The next one finds it made.
    let args = ["--versions", "v0.6.0,current", "--workload", "aged"];
    let second = run(place.path(), &args);
    assert_eq!(aged(&second), Some(true));
    // The same plan runs again from its file, without the files that were read for it.
    fs::remove_file(place.path().join("objects.sql")).unwrap();
    let plan = first.dir().join("plan.json");
    let mut again = start_in(place.path(), &["--plan", plan.to_str().unwrap()]);
    again.finish();
    assert_eq!(again.read("plan.json"), first.read("plan.json"));
    assert_every_model(&again);
}

#[test]
fn rehearses_every_workload_over_a_store_in_postgres() {
    if Server::shared().is_none() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let workload = format!("{},aged", every_workload(place.path()));
    let args = [
        "--versions",
        "v0.5.0,current",
        "--workload",
        &workload,
        "--metadata-store",
        "postgres",
    ];
    let run = run(place.path(), &args);
    assert_every_model(&run);
    assert_every_moment(&run, 1);
}

#[test]
fn rehearses_every_workload_between_two_postgres_servers() {
    if !postgres_is_there() {
        return;
    }
    let servers = Servers::start();
    let place = tempfile::tempdir().unwrap();
    let workload = every_workload(place.path());
    let target = servers.target();
    let run = run(
        place.path(),
        &["--target", &target, "--workload", &workload],
    );
    assert_every_model(&run);
    assert_every_moment(&run, 1);
    // Nothing was left out: PostgreSQL has temporary tables as well.
    let skipped = |seen: &Observation| matches!(seen, Observation::Skipped { .. });
    assert!(!seen(&run).iter().any(skipped));
}

#[test]
fn rehearses_a_script_that_expects_what_is_not_so() {
    let place = tempfile::tempdir().unwrap();
    let script = place.path().join("script.sql");
    fs::write(
        &script,
        "\\expect value 2\nSELECT 1;\n\\expect error 23505\nSELECT 3;\n",
    )
    .unwrap();
    let workload = format!("script={}", script.display());
    let args = ["--versions", "v0.6.0,current", "--workload", &workload];
    let mut run = start_in(place.path(), &[&CALM[..], &args].concat());
    let output = run.finish();
    assert_eq!(output.status.code(), Some(1));
    let findings = run.verdict().findings;
    assert!(findings.iter().all(|f| f.check == Check::InvariantBroken));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("line 2: \"1\", expected \"2\""), "{said}");
    assert!(said.contains("no error, where 23505 must come"), "{said}");
}
