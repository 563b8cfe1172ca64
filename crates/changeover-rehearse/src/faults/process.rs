//! Instances' processes: killed, paused, restarted.

use super::Shared;
use crate::record::About;
use crate::supervisor::{Handle, Now, State};
use changeover_model::event::{EventKind, RestartReason};
use changeover_model::fault::{Action, Fault};
use changeover_runtime::Disturbance;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

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
    let before = handle.condition().await;
    shared.event(
        &about,
        EventKind::FaultIntent {
            fault: fault.clone(),
            before,
        },
    );
    match fault.action {
        Action::Pause { ms } => {
            pause(shared, fault, handle, about, Duration::from_millis(ms)).await
        }
        Action::Kill { times } => end(shared, fault, handle, about, Disturbance::Kill, times).await,
        _ => end(shared, fault, handle, about, Disturbance::End(GRACE), 1).await,
    }
}

async fn pause(
    shared: &Arc<Shared>,
    fault: Fault,
    handle: Handle,
    about: About,
    how_long: Duration,
) {
    let stop = || handle.disturb(Disturbance::Pause, RestartReason::Fault);
    let mut watch = handle.watch();
    let mut starts = watch.borrow_and_update().starts;
    let mut paused = stop().await;
    for _ in 0..ATTEMPTS {
        if paused.is_ok() {
            break;
        }
        // It ended by itself at this very moment; the next process is meant.
        let next = watch.wait_for(|state| state.starts > starts || is_gone(state));
        let _ = timeout(PATIENCE, next).await;
        starts = watch.borrow().starts;
        paused = stop().await;
    }
    let after = handle.condition().await;
    let evidence = match &paused {
        Ok(()) => Some(after.clone()),
        Err(_) => None,
    };
    shared.event(
        &about,
        EventKind::FaultDone {
            fault: fault.clone(),
            after: paused.err().map_or(after, |error| error.message),
            evidence: evidence.clone(),
        },
    );
    if evidence.is_none() {
        return;
    }
    let over = shared.step().over.clone();
    let recorder = shared.recorder.clone();
    shared.beside(async move {
        let _ = over.run_until_cancelled(tokio::time::sleep(how_long)).await;
        // Gone meanwhile, it needs nobody to let it go on.
        let _ = handle
            .disturb(Disturbance::Resume, RestartReason::Fault)
            .await;
        let after = handle.condition().await;
        recorder.event(
            &about,
            EventKind::FaultOver {
                fault,
                after,
                evidence: None,
            },
        );
    });
}

/// Ends a process so many times, and waits until it runs again.
async fn end(
    shared: &Arc<Shared>,
    fault: Fault,
    handle: Handle,
    about: About,
    how: Disturbance,
    times: u32,
) {
    let mut first = once(&handle, how).await;
    for _ in 0..ATTEMPTS {
        if first.is_ok() {
            break;
        }
        // It ended by itself at this very moment; the next process is meant.
        runs(&handle).await;
        first = once(&handle, how).await;
    }
    let after = handle.condition().await;
    let took_effect = first.is_ok();
    shared.event(
        &about,
        EventKind::FaultDone {
            fault: fault.clone(),
            after: first.as_ref().err().cloned().unwrap_or(after),
            evidence: first.ok(),
        },
    );
    if !took_effect {
        return;
    }
    let over = shared.step().over.clone();
    let recorder = shared.recorder.clone();
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
        recorder.event(
            &about,
            EventKind::FaultOver {
                fault,
                after,
                evidence: (!ends.is_empty()).then(|| ends.join("; ")),
            },
        );
    });
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

fn is_gone(state: &State) -> bool {
    matches!(state.now, Now::Gone(_))
}

/// Waits until a process runs again, or the instance is gone.
async fn runs(handle: &Handle) {
    let settled = |state: &State| !matches!(state.now, Now::Restarting);
    let _ = timeout(PATIENCE, handle.watch().wait_for(settled)).await;
}
