//! Points that nobody is called for: seen by how a process ends, or by what an instance logs.

use super::{Instance, Shared};
use crate::supervisor::{Gone, Now, State};
use changeover_model::fault::Point;
use changeover_model::target::Reach;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How often a log is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Watches for the points of a step that begins with this new instance.
pub(super) fn watch(shared: &Arc<Shared>, new: &Instance) {
    let (number, old) = {
        let step = shared.step();
        (step.number, step.old.clone())
    };
    let planned = |point| shared.is_planned(number, point);
    for (&point, reach) in shared.reach.iter().filter(|(point, _)| planned(**point)) {
        match (reach, point, &old) {
            (Reach::Seen(Some(line)), ..) => {
                let log = new.handle.spec().log.clone();
                let (from, line) = (length(&log), line.clone());
                spawn(shared, point, async move { logged(log, from, &line).await });
            }
            (Reach::Seen(None), Point::NewRestarting, _) => {
                let mut state = new.handle.watch();
                let restarts = |state: &State| state.now == Now::Restarting && !by_fault(state);
                spawn(shared, point, async move {
                    state.wait_for(restarts).await.is_ok()
                });
            }
            (Reach::Seen(None), Point::OldFenced, Some(old)) => {
                let mut state = old.handle.watch();
                let fenced = |state: &State| matches!(state.now, Now::Gone(Gone::Fenced(_)));
                spawn(shared, point, async move {
                    state.wait_for(fenced).await.is_ok()
                });
            }
            _ => {}
        }
    }
}

fn by_fault(state: &State) -> bool {
    matches!(state.last_end, Some((_, true)))
}

/// Reports the point when it is seen, unless the step is over before.
fn spawn(shared: &Arc<Shared>, point: Point, seen: impl Future<Output = bool> + Send + 'static) {
    let ended = shared.step().ended.clone();
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        if ended.run_until_cancelled(seen).await == Some(true) {
            shared.reached(point, false).await;
        }
    });
}

fn length(log: &Path) -> u64 {
    std::fs::metadata(log).map_or(0, |found| found.len())
}

/// Waits until a log contains a text behind `from`.
async fn logged(log: PathBuf, from: u64, text: &str) -> bool {
    loop {
        let mut written = Vec::new();
        let read = File::open(&log).and_then(|mut file| {
            file.seek(SeekFrom::Start(from))?;
            file.read_to_end(&mut written)
        });
        if read.is_ok() && String::from_utf8_lossy(&written).contains(text) {
            return true;
        }
        tokio::time::sleep(LOOK).await;
    }
}
