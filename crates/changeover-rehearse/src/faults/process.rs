//! Instances' processes: killed, paused, restarted.

use super::{Happening, Shared};
use crate::supervisor::{Handle, Now, State};
use changeover_model::event::RestartReason;
use changeover_model::fault::{Action, Fault};
use changeover_runtime::Disturbance;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How long a process that is asked to end may take.
const GRACE: Duration = Duration::from_secs(3);

/// How long the end of a process that was killed, and its next start, are waited for. The kernel needs no time for it,
/// a container a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a process is looked for that ended by itself when it was to be ended.
const ATTEMPTS: u32 = 3;

/// Breaks an instance's process.
pub(super) async fn disturb(shared: &Arc<Shared>, fault: Fault, handle: Handle) {
    let about = shared.about(Some(handle.spec()));
    // Between two processes there is nothing to break: the next one is meant.
    runs(&handle).await;
    let it = shared.begin(about, fault, handle.condition().await);
    match it.fault.action {
        Action::Pause { ms } => pause(shared, it, handle, Duration::from_millis(ms)).await,
        Action::Kill { times } => end(shared, it, handle, Disturbance::Kill, times).await,
        _ => end(shared, it, handle, Disturbance::End(GRACE), 1).await,
    }
}

async fn pause(shared: &Arc<Shared>, it: Happening, handle: Handle, how_long: Duration) {
    let stop = || async {
        let paused = handle.disturb(Disturbance::Pause, RestartReason::Fault);
        paused.await.map_err(|error| error.message)
    };
    let paused = insist(&handle, stop).await;
    let after = handle.condition().await;
    match paused {
        Ok(()) => it.done(after.clone(), Some(after)),
        Err(problem) => return it.failed(problem),
    }
    let over = shared.step().over.clone();
    shared.beside(async move {
        let _ = over.run_until_cancelled(sleep(how_long)).await;
        // Gone meanwhile, it needs nobody to let it go on.
        let _ = handle
            .disturb(Disturbance::Resume, RestartReason::Fault)
            .await;
        it.over(handle.condition().await, None);
    });
}

/// Ends a process so many times, and waits until it runs again.
async fn end(shared: &Arc<Shared>, it: Happening, handle: Handle, how: Disturbance, times: u32) {
    let first = insist(&handle, || once(&handle, how)).await;
    let after = handle.condition().await;
    match first {
        Ok(evidence) => it.done(after, Some(evidence)),
        Err(problem) => return it.failed(problem),
    }
    let over = shared.step().over.clone();
    shared.beside(async move {
        let again = async {
            let mut ends = Vec::new();
            runs(&handle).await;
            for _ in 1..times {
                match once(&handle, how).await {
                    Ok(end) => ends.push(end),
                    Err(_) => break,
                }
                runs(&handle).await;
            }
            ends
        };
        let ends = over.run_until_cancelled(again).await.unwrap_or_default();
        let after = handle.condition().await;
        it.over(after, (!ends.is_empty()).then(|| ends.join("; ")));
    });
}

/// Breaks the process that runs; if it ended by itself at that very moment, the next one is meant.
async fn insist<T, F: Future<Output = Result<T, String>>>(
    handle: &Handle,
    mut attempt: impl FnMut() -> F,
) -> Result<T, String> {
    let mut watch = handle.watch();
    let mut starts = watch.borrow_and_update().starts;
    let mut result = attempt().await;
    for _ in 0..ATTEMPTS {
        if result.is_ok() {
            break;
        }
        let next = |state: &State| state.starts > starts || matches!(state.now, Now::Gone(_));
        let _ = timeout(PATIENCE, watch.wait_for(next)).await;
        starts = watch.borrow().starts;
        result = attempt().await;
    }
    result
}

/// Ends the process that runs now. Returns what shows it; the error says what happened instead.
async fn once(handle: &Handle, how: Disturbance) -> Result<String, String> {
    let mut watch = handle.watch();
    let (starts, pid) = match &*watch.borrow_and_update() {
        State {
            starts,
            now: Now::Running { pid },
            ..
        } => (*starts, *pid),
        State { now, .. } => return Err(format!("no process runs: {now:?}")),
    };
    let done = handle.disturb(how, RestartReason::Fault).await;
    done.map_err(|error| error.message)?;
    let ended = |state: &State| state.starts > starts || !matches!(state.now, Now::Running { .. });
    let state = timeout(PATIENCE, watch.wait_for(ended)).await;
    let Ok(Ok(state)) = state else {
        return Err(format!("process {pid} was to be {how}, and did not end"));
    };
    match state.last_end {
        Some((end, true)) => Ok(format!("process {pid} ended by our own hand ({end})")),
        Some((end, false)) => Err(format!("process {pid} had ended by itself ({end})")),
        None => Err(format!("process {pid} ended, nobody knows how")),
    }
}

/// Waits until a process runs again, or the instance is gone.
async fn runs(handle: &Handle) {
    let settled = |state: &State| !matches!(state.now, Now::Restarting);
    let _ = timeout(PATIENCE, handle.watch().wait_for(settled)).await;
}
