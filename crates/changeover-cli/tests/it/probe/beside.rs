//! What is on record beside the database: HTTP endpoints, leader APIs, markers; and how a probe ends.

use super::{OFTEN, command, end, gaps_of, start, until_operations, url};
use crate::harness::{Rehearsal, poll};
use crate::postgres_server::Server;
use changeover_model::event::EventKind;
use changeover_model::verdict::Verdict;
use nix::sys::signal::Signal;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;

/// A small HTTP server whose answer can be changed. It ends with the test's process.
struct Http {
    addr: SocketAddr,
    answer: Arc<Mutex<(u16, String)>>,
}

impl Http {
    fn start(status: u16, body: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let http = Http {
            addr: listener.local_addr().unwrap(),
            answer: Arc::new(Mutex::new((status, body.to_owned()))),
        };
        let answer = Arc::clone(&http.answer);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answer = Arc::clone(&answer);
                thread::spawn(move || serve(stream, &answer));
            }
        });
        http
    }

    fn say(&self, status: u16, body: &str) {
        *self.answer.lock().unwrap() = (status, body.to_owned());
    }
}

fn serve(mut stream: std::net::TcpStream, answer: &Mutex<(u16, String)>) {
    let mut request = Vec::new();
    let mut byte = [0];
    while let Ok(1) = stream.read(&mut byte) {
        request.push(byte[0]);
        if request.ends_with(b"\r\n\r\n") {
            request.clear();
            let (status, body) = answer.lock().unwrap().clone();
            let length = body.len();
            let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n\r\n{body}");
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}

fn moments(verdict: &Verdict) -> Vec<(String, String)> {
    let probe = verdict.probe.as_ref().unwrap();
    let moments = probe.moments.iter().filter(|m| m.what != "SIGUSR1");
    moments.map(|m| (m.who.clone(), m.what.clone())).collect()
}

#[test]
fn rehearses_a_probe_of_http_with_a_leader_api_and_markers() {
    let place = tempfile::tempdir().unwrap();
    let markers = place.path().join("markers");
    fs::write(&markers, "of yesterday\n").unwrap();
    let health = Http::start(200, "all up");
    let leader = Http::start(200, r#"{"status":"ReadyToPromote"}"#);
    let mut run = start(
        &[
            &[
                &format!("http://{}/health", health.addr),
                "--http-body",
                "up",
                "--leader-api",
                &format!("http://{}", leader.addr),
                "--marker-file",
                markers.to_str().unwrap(),
            ],
            &OFTEN[..],
        ]
        .concat(),
    );
    until_operations(&run, 40);
    let mark = |name: &str| {
        let mut file = File::options().append(true).open(&markers).unwrap();
        writeln!(file, "{name}").unwrap();
        let wanted = name.to_owned();
        run.until(name, move |kind| {
            *kind
                == EventKind::Marker {
                    name: wanted.clone(),
                }
        });
    };
    mark("promote");
    leader.say(200, r#"{"status":"IsLeader"}"#);
    health.say(200, "all down");
    poll("a gap", || {
        run.read("events.jsonl").matches("gap-opened").count() == 2
    });
    health.say(200, "up again");
    poll("its end", || {
        run.read("events.jsonl").matches("gap-closed").count() == 2
    });
    mark("done");
    let (code, told, verdict) = end(&mut run);
    assert!(matches!(code, 0 | 3), "{told}");
    for lane in ["http-1/held", "http-1/new"] {
        let gaps = gaps_of(&verdict, lane);
        assert_eq!(gaps.len(), 1, "{lane}: {gaps:?}");
        assert!(gaps[0].errors.contains_key("wrong-answer"), "{gaps:?}");
    }
    let who = leader.addr.to_string();
    let marker = |name: &str| ("marker".to_owned(), name.to_owned());
    let status = |status: &str| (who.clone(), status.to_owned());
    let found = moments(&verdict);
    assert_eq!(
        found,
        [
            status("ReadyToPromote"),
            marker("promote"),
            status("IsLeader"),
            marker("done")
        ]
    );
    for wanted in [
        "marker: promote",
        "says IsLeader",
        "2 lanes every 50 ms: 40 operations and 20 new connections a second",
        "Nothing written",
    ] {
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
    // What the leader API said is drawn beside the gaps.
    let row = told.lines().find(|line| line.starts_with(&who)).unwrap();
    assert!(row.contains('R') && row.ends_with('L'), "{row}");
}

#[test]
fn rehearses_a_probe_that_prints_its_verdict_alone() {
    let Some(server) = Server::shared() else {
        return;
    };
    let mut run = Rehearsal::of(&mut command(&[
        &url(&server),
        "--format",
        "json",
        "--for",
        "1s",
        "--read-only",
    ]));
    let output = run.finish();
    assert!(matches!(output.status.code(), Some(0 | 3)));
    let printed: Verdict = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed, run.verdict());
    assert_eq!((printed.target.as_str(), printed.path.len()), ("probe", 0));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("note: probe postgres://changeover@127.0.0.1"),
        "{said}"
    );
    assert!(said.contains("20 operations"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    let plan = run.read("probe.json");
    assert!(plan.contains("\"changeover.probe/1\""), "{plan}");
}

#[test]
fn rehearses_a_probe_that_is_ended_twice() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let mut run = start(&[&url(&server), "--timeout", "1m"]);
    until_operations(&run, 20);
    server.freeze();
    run.until("a gap", |kind| matches!(kind, EventKind::GapOpened { .. }));
    super::signal(&run, Signal::SIGINT);
    // Its operations have a minute yet.
    poll("the end", || {
        run.read("events.jsonl").contains("load-end-intent")
    });
    super::signal(&run, Signal::SIGINT);
    poll("the abortion", || {
        run.read("events.jsonl").contains("clean-up-intent")
    });
    server.thaw();
    let (code, told, verdict) = super::finish(&mut run);
    assert_eq!(code, 130, "{told}");
    let reason = "the probe was interrupted by SIGINT".to_owned();
    assert!(verdict.reasons.contains(&reason), "{:?}", verdict.reasons);
}
