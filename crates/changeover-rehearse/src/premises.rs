//! Where a run lives, and leaving it: whatever of a run still runs is ended, and what only served it is removed.

use crate::driver::{Driver, Running, STOP_GRACE};
use crate::metadata_store::OpenStore;
use crate::record::About;
use crate::surroundings::ClientSide;
use changeover_model::event::{EventKind, StopReason};
use changeover_runtime::Runtime;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Connections through the front door have this long to end by themselves.
const DOOR_GRACE: Duration = Duration::from_millis(200);

/// How often the guard tries when it is dropped: a process that was just being started again may write in between.
const ATTEMPTS: usize = 3;

/// The directory in a run's directory that only serves the instances: their private copies, and the metadata store if
/// it is the run's own.
pub(crate) fn work(run_dir: &Path) -> PathBuf {
    run_dir.join("work")
}

/// Guards what a run leaves. Dropped before it was cleared, because of a panic or because nobody waits for the run any
/// more, it clears the hard way, and blocks meanwhile. Drop the instances first: a supervisor would restart them.
pub(crate) struct Premises {
    runtime: Arc<dyn Runtime>,
    /// The directory that goes at the end.
    doomed: PathBuf,
    cleared: bool,
}

impl Premises {
    /// Those of a run whose directory stays, without its `work`.
    pub(crate) fn of(runtime: Arc<dyn Runtime>, run_dir: &Path) -> Self {
        Premises::all_of(runtime, work(run_dir))
    }

    /// Those of a run that leaves nothing of this directory.
    pub(crate) fn all_of(runtime: Arc<dyn Runtime>, doomed: PathBuf) -> Self {
        Premises {
            runtime,
            doomed,
            cleared: false,
        }
    }

    /// Clears. Returns what should not have been there any more, and was ended; and what could not be removed.
    async fn clear(mut self) -> Cleared {
        let swept = self.runtime.sweep().await;
        self.cleared = true;
        Cleared {
            swept,
            stuck: self.remove().err(),
        }
    }

    fn remove(&self) -> Result<(), String> {
        if !self.doomed.exists() {
            return Ok(());
        }
        fs::remove_dir_all(&self.doomed)
            .map_err(|error| format!("directory {} ({error})", self.doomed.display()))
    }
}

impl Drop for Premises {
    fn drop(&mut self) {
        if self.cleared {
            return;
        }
        for _ in 0..ATTEMPTS {
            // What a drop finds and cannot remove, it can tell nobody.
            sweep_blocking(&*self.runtime);
            if self.remove().is_ok() {
                return;
            }
        }
    }
}

struct Cleared {
    swept: Vec<String>,
    stuck: Option<String>,
}

/// Sweeps from where nothing can be awaited. A thread of its own may block on a future wherever we are.
fn sweep_blocking(runtime: &dyn Runtime) {
    thread::scope(|scope| {
        let sweep = || {
            let here = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            if let Ok(here) = here {
                here.block_on(runtime.sweep());
            }
        };
        // Without a thread to be had, the instances' own drop still ends them.
        let _ = thread::Builder::new().spawn_scoped(scope, sweep);
    });
}

/// The last act of a run: nobody watches or connects any more, the leader is stopped, and the premises are cleared.
/// Returns what could not be removed.
pub(crate) async fn close(
    driver: Driver<ClientSide>,
    leader: Option<Running>,
    store: OpenStore,
    premises: Premises,
) -> Option<String> {
    let Driver {
        surroundings,
        recorder,
        ..
    } = driver;
    surroundings.end_observers().await;
    surroundings.front_door.shutdown(DOOR_GRACE).await;
    if let Some(leader) = leader {
        leader.stop(StopReason::RunOver, STOP_GRACE).await;
    }
    let kept = store.close(&recorder).await;
    let Cleared { swept, stuck } = premises.clear().await;
    let nobody = About::default();
    for what in kept.into_iter().chain(swept).chain(stuck.clone()) {
        recorder.event(&nobody, EventKind::Leftover { what });
    }
    recorder.event(&nobody, EventKind::RunEnded);
    stuck
}
