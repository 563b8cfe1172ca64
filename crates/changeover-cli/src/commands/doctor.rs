//! `changeover doctor`: what this machine offers, and what is missing for what.

use crate::args::{DoctorArgs, Format};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use changeover_model::text::harmless;
use changeover_rehearse::sampler;
use changeover_runtime::docker::Engine;
use changeover_runtime::postgres::Programs;
use nix::sys::resource::{Resource, getrlimit};
use serde::Serialize;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

/// Lanes of 256 operations, each a socket at the client, two at the front door and one at the instance: what a
/// rehearsal may need at worst, rounded up.
const FILES: u64 = 4096;

/// Timers that wake later than this, at the median, cannot keep a lane of 10 ms.
const TIMER_LIMIT: Duration = Duration::from_millis(5);

/// How many short sleeps the timer is judged by.
const TIMER_SAMPLES: usize = 40;

/// Runs the command: exit 4 when something is missing.
///
/// # Errors
///
/// When standard output cannot be written.
pub(crate) fn run(args: &DoctorArgs) -> Result<Exit, CliError> {
    let checks = [
        cores(),
        open_files(),
        writable(
            "temporary directory",
            &std::env::temp_dir(),
            "tests and private copies",
        ),
        writable("current directory", Path::new("."), "runs without --out"),
        loopback(),
        proc(),
        timer(),
        connection_tracking(sampler::tracked_connections()),
        postgres(),
        docker(),
    ];
    output::print(&match args.format.format {
        Format::Human => human(&checks),
        Format::Json => output::json(&Document {
            format: "changeover.doctor/1",
            checks: &checks,
        }),
    })?;
    let missing = checks.iter().any(|check| check.state == State::Missing);
    Ok(if missing {
        Exit::CannotRunHere
    } else {
        Exit::Passed
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// As it should be.
    Ok,
    /// It works, and runs may be inconclusive.
    Poor,
    /// It does not work.
    Missing,
    /// It is not here, and only some runs need it.
    Absent,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Check {
    name: &'static str,
    state: State,
    /// What was found.
    found: String,
    /// What it is needed for, and what to do; said when it is not as it should be.
    advice: String,
}

#[derive(Serialize)]
struct Document<'a> {
    format: &'static str,
    checks: &'a [Check],
}

fn human(checks: &[Check]) -> String {
    let mut out = String::new();
    for check in checks {
        let state = match check.state {
            State::Ok => "ok",
            State::Poor => "poor",
            State::Missing => "missing",
            State::Absent => "absent",
        };
        out.push_str(&format!(
            "{state:<8} {}: {}",
            check.name,
            harmless(&check.found)
        ));
        if check.state != State::Ok {
            out.push_str(&format!(" ({})", harmless(&check.advice)));
        }
        out.push('\n');
    }
    let count = |state| checks.iter().filter(|check| check.state == state).count();
    let (poor, missing) = (count(State::Poor), count(State::Missing));
    out.push_str(&match (poor, missing) {
        (0, 0) => "This machine can rehearse.\n".to_owned(),
        (poor, 0) => format!(
            "This machine can rehearse; {poor} of {} things are poor, so runs may be inconclusive.\n",
            checks.len()
        ),
        (_, missing) => format!(
            "This machine cannot rehearse: {missing} of {} things are missing.\n",
            checks.len()
        ),
    });
    out
}

fn postgres() -> Check {
    let (state, found) = match Programs::find() {
        Some(programs) => (State::Ok, programs.directory().display().to_string()),
        None => (State::Absent, "not found".to_owned()),
    };
    Check {
        name: "PostgreSQL server",
        state,
        found,
        advice: "only --metadata-store postgres wants one; install postgresql".to_owned(),
    }
}

fn docker() -> Check {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let told = match runtime {
        Ok(runtime) => runtime.block_on(Engine::connect()).map_err(|e| e.message),
        Err(error) => Err(error.to_string()),
    };
    let (state, found, advice) = match told {
        Ok(engine) => (
            State::Ok,
            format!("{}, API {}", engine.version, engine.api),
            String::new(),
        ),
        Err(message) => (
            State::Absent,
            "no engine that can be used".to_owned(),
            format!("only --runtime docker wants one; {message}"),
        ),
    };
    Check {
        name: "Docker engine",
        state,
        found,
        advice,
    }
}

fn cores() -> Check {
    let (state, found) = match std::thread::available_parallelism() {
        Ok(n) if n.get() >= 2 => (State::Ok, format!("{n}")),
        Ok(n) => (State::Poor, format!("{n}")),
        Err(error) => (State::Poor, format!("unknown: {error}")),
    };
    Check {
        name: "cores",
        state,
        found,
        advice: "two instances and their clients want 2".to_owned(),
    }
}

fn open_files() -> Check {
    let (state, found) = match getrlimit(Resource::RLIMIT_NOFILE) {
        // The harness raises its own soft limit.
        Ok((soft, hard)) if hard >= FILES => (State::Ok, format!("{soft}, at most {hard}")),
        Ok((soft, hard)) => (State::Poor, format!("{soft}, at most {hard}")),
        Err(error) => (State::Poor, format!("unknown: {error}")),
    };
    Check {
        name: "open files",
        state,
        found,
        advice: format!(
            "an outage under full load wants {FILES}; raise the hard limit with ulimit -Hn"
        ),
    }
}

fn writable(name: &'static str, directory: &Path, needed_for: &'static str) -> Check {
    let probe = directory.join(format!(".changeover-doctor-{}", std::process::id()));
    let written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&probe)
        .and_then(|mut file| file.write_all(b"changeover"));
    if written.is_ok() {
        // Just written by us; if it cannot be removed, the next check says more than this one could.
        let _ = fs::remove_file(&probe);
    }
    let shown = directory.display();
    let (state, found) = match written {
        Ok(()) => (State::Ok, format!("{shown} is writable")),
        Err(error) => (State::Missing, format!("{shown}: {error}")),
    };
    Check {
        name,
        state,
        found,
        advice: format!("needed for {needed_for}; make it writable, or use another"),
    }
}

fn loopback() -> Check {
    let (state, found) = match echo() {
        Ok(()) => (State::Ok, "127.0.0.1 carries connections".to_owned()),
        Err(error) => (State::Missing, format!("127.0.0.1: {error}")),
    };
    Check {
        name: "loopback",
        state,
        found,
        advice: "clients, front door and instances meet there; allow it".to_owned(),
    }
}

fn echo() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut client = TcpStream::connect_timeout(&listener.local_addr()?, Duration::from_secs(2))?;
    let (mut server, _) = listener.accept()?;
    server.write_all(b"!")?;
    client.set_read_timeout(Some(Duration::from_secs(2)))?;
    client.read_exact(&mut [0])
}

fn proc() -> Check {
    let read = fs::read("/proc/self/stat").and_then(|_| fs::read("/proc/self/environ"));
    let (state, found) = match read {
        Ok(_) => (State::Ok, "/proc can be read".to_owned()),
        Err(error) => (State::Missing, format!("/proc: {error}")),
    };
    Check {
        name: "processes",
        state,
        found,
        advice: "the process runtime knows its own processes by it; mount it".to_owned(),
    }
}

fn timer() -> Check {
    let nap = Duration::from_millis(1);
    let mut late: Vec<Duration> = (0..TIMER_SAMPLES)
        .map(|_| {
            let start = Instant::now();
            std::thread::sleep(nap);
            start.elapsed().saturating_sub(nap)
        })
        .collect();
    late.sort();
    let (median, worst) = (late[TIMER_SAMPLES / 2], late[TIMER_SAMPLES - 1]);
    Check {
        name: "timer",
        state: if median <= TIMER_LIMIT {
            State::Ok
        } else {
            State::Poor
        },
        found: format!(
            "wakes {:.2} ms late at the median, {:.2} ms at worst",
            median.as_secs_f64() * 1000.0,
            worst.as_secs_f64() * 1000.0
        ),
        advice: "lanes of 10 ms want less than 5 ms; run on a quieter machine".to_owned(),
    }
}

/// The kernel's table of tracked connections, if it has one: how many are in it, and how many it takes.
fn connection_tracking(table: Option<(u64, u64)>) -> Check {
    let (state, found) = match table {
        None => (State::Ok, "the kernel tracks none".to_owned()),
        Some((count, most)) => {
            let state = match count > most / 2 {
                true => State::Poor,
                false => State::Ok,
            };
            (state, format!("{count} of {most} are tracked"))
        }
    };
    Check {
        name: "connections",
        state,
        found,
        advice: "the kernel drops new ones when its table is full; wait until old ones are forgotten, or raise net.netfilter.nf_conntrack_max".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(state: State) -> Check {
        Check {
            name: "sample",
            state,
            found: "found".to_owned(),
            advice: "advice".to_owned(),
        }
    }

    #[test]
    fn says_what_is_wrong_and_what_to_do() {
        let text = human(&[check(State::Ok), check(State::Missing)]);
        assert_eq!(
            text,
            "ok       sample: found\nmissing  sample: found (advice)\n\
             This machine cannot rehearse: 1 of 2 things are missing.\n"
        );
        assert!(human(&[check(State::Poor)]).contains("may be inconclusive"));
        assert!(human(&[check(State::Ok)]).ends_with("can rehearse.\n"));
    }

    #[test]
    fn a_table_of_connections_is_poor_when_more_than_half_full() {
        let state = |table| connection_tracking(table).state;
        assert_eq!(state(None), State::Ok);
        assert_eq!(state(Some((50, 100))), State::Ok);
        assert_eq!(state(Some((51, 100))), State::Poor);
        assert_eq!(
            connection_tracking(Some((51, 100))).found,
            "51 of 100 are tracked"
        );
    }

    #[test]
    fn a_directory_that_is_not_there_is_missing() {
        let gone = writable("sample", Path::new("/no/such/directory"), "tests");
        assert_eq!(gone.state, State::Missing);
        let here = writable("sample", &std::env::temp_dir(), "tests");
        assert_eq!(here.state, State::Ok);
    }
}
