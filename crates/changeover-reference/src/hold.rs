//! Points of a hand-over at which the process waits, for whoever asks it to with `--hold`.
//!
//! It connects to the Unix socket that was named, writes `POINT GENERATION PID` and a newline, and goes on when the
//! other side closes the connection; at once if nobody listens. Whoever else comes to the point meanwhile waits as
//! well. Nothing that anybody does depends on it, and without `--hold` it costs a look at an empty list.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::log;

/// A point, in the order in which a generation goes through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    /// Before the leader API answers.
    Booting,
    /// Before the first record is read.
    CatchingUp,
    /// Ready to promote, and saying so.
    Ready,
    /// A promotion that will be taken has arrived.
    PromoteSent,
    /// The fence holds this generation.
    FenceWritten,
    /// Fenced out by a higher generation, and about to leave.
    OldFenced,
    /// About to leave to be restarted as the leader.
    NewRestarting,
    /// Leading, and saying so.
    Leader,
    /// Answering SQL as the leader.
    Serving,
    /// About to leave, as [`Point::OldFenced`].
    Retiring,
}

impl Point {
    const ALL: [(Point, &'static str); 10] = [
        (Point::Booting, "booting"),
        (Point::CatchingUp, "catching-up"),
        (Point::Ready, "ready"),
        (Point::PromoteSent, "promote-sent"),
        (Point::FenceWritten, "fence-written"),
        (Point::OldFenced, "old-fenced"),
        (Point::NewRestarting, "new-restarting"),
        (Point::Leader, "leader"),
        (Point::Serving, "serving"),
        (Point::Retiring, "retiring"),
    ];

    fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

struct Hold {
    point: Point,
    socket: PathBuf,
    generation: u64,
    /// Locked while somebody waits.
    waiting: Mutex<()>,
}

static HOLDS: OnceLock<Vec<Hold>> = OnceLock::new();

/// Takes what `--hold` says, each `POINT=SOCKET`. Once.
///
/// # Errors
///
/// When one of them is none, as a sentence.
pub(crate) fn set(holds: &[String], generation: u64) -> Result<(), String> {
    let holds = holds
        .iter()
        .map(|text| read(text, generation))
        .collect::<Result<Vec<Hold>, String>>()?;
    for hold in &holds {
        log::info!("waits at point {} on request", hold.point.name());
    }
    // Nobody else sets it.
    let _ = HOLDS.set(holds);
    Ok(())
}

fn read(text: &str, generation: u64) -> Result<Hold, String> {
    let Some((name, socket)) = text.split_once('=').filter(|(_, path)| !path.is_empty()) else {
        return Err(format!("`{text}` is not POINT=SOCKET"));
    };
    let found = Point::ALL.iter().find(|(_, known)| *known == name);
    let Some((point, _)) = found else {
        let known: Vec<&str> = Point::ALL.iter().map(|(_, name)| *name).collect();
        let near = known.iter().max_by(|a, b| {
            let likeness = |known: &&str| strsim::jaro_winkler(known, name);
            likeness(a).total_cmp(&likeness(b))
        });
        return Err(format!(
            "there is no point `{name}`; did you mean `{}`? There are {}",
            near.copied().unwrap_or_default(),
            known.join(", ")
        ));
    };
    Ok(Hold {
        point: *point,
        socket: PathBuf::from(socket),
        generation,
        waiting: Mutex::new(()),
    })
}

/// Waits here, if that was asked for.
pub(crate) fn at(point: Point) {
    let holds = HOLDS.get().map(Vec::as_slice).unwrap_or_default();
    for hold in holds.iter().filter(|hold| hold.point == point) {
        hold.wait();
    }
}

/// Whether [`at`] may wait here.
pub(crate) fn is_set(point: Point) -> bool {
    let holds = HOLDS.get().map(Vec::as_slice).unwrap_or_default();
    holds.iter().any(|hold| hold.point == point)
}

impl Hold {
    fn wait(&self) {
        let _first = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(mut stream) = UnixStream::connect(&self.socket) else {
            return;
        };
        let name = self.point.name();
        let line = format!("{name} {} {}\n", self.generation, std::process::id());
        if stream.write_all(line.as_bytes()).is_ok() {
            log::info!("waiting at point {name}");
            // It ends when the other side hangs up, however that comes about.
            let _ = stream.read_to_end(&mut Vec::new());
            log::info!("going on from point {name}");
        }
    }
}
