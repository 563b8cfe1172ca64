//! The metadata store's server, killed, paused, restarted. Whoever needs it fails meanwhile, and that is not held
//! against anybody.

use super::Shared;
use changeover_model::event::EventKind;
use changeover_model::fault::{Action, Fault};
use changeover_runtime::{Disturbance, StoreServer};
use std::sync::Arc;
use std::time::Duration;

/// How long the server may take to end by itself.
const GRACE: Duration = Duration::from_secs(3);

/// How long after it is there again those who failed without it may need to be there again, too: the longest time that
/// one of them waits before it tries again.
const AFTERMATH: Duration = Duration::from_secs(1);

/// Breaks the store's server.
pub(super) async fn disturb(shared: &Arc<Shared>, fault: Fault) {
    let about = shared.about(None);
    let store = Arc::clone(&shared.store);
    let mut server = store.clone().lock_owned().await;
    let Some(running) = server.as_mut() else {
        let reason = "the metadata store's server is not one of this run: it is not ours to break";
        return shared.missed(&fault, reason.to_owned());
    };
    let before = running.condition().await;
    shared.event(
        &about,
        EventKind::FaultIntent {
            fault: fault.clone(),
            before,
        },
    );
    let guard = shared.excuse.hold();
    let (lasts, times) = match fault.action {
        Action::Pause { ms } => (Some(Duration::from_millis(ms)), 1),
        Action::Kill { times } => (None, times),
        _ => (None, 1),
    };
    let how = match fault.action {
        Action::Pause { .. } => Disturbance::Pause,
        Action::Kill { .. } => Disturbance::Kill,
        _ => Disturbance::End(GRACE),
    };
    let broken = once(running.as_mut(), how).await;
    let after = running.condition().await;
    let took_effect = broken.is_ok();
    shared.event(
        &about,
        EventKind::FaultDone {
            fault: fault.clone(),
            after: broken.as_ref().err().cloned().unwrap_or(after),
            evidence: broken.ok(),
        },
    );
    if !took_effect {
        return;
    }
    let over = shared.step().over.clone();
    let recorder = shared.recorder.clone();
    shared.beside(async move {
        let Some(running) = server.as_mut() else {
            return;
        };
        let mut shown = Vec::new();
        let mended = match lasts {
            Some(lasts) => {
                let _ = over.run_until_cancelled(tokio::time::sleep(lasts)).await;
                running.disturb(Disturbance::Resume).await.map(|_| ())
            }
            None => again(running.as_mut(), how, times, &mut shown).await,
        };
        let after = match mended {
            Ok(()) => running.condition().await,
            Err(error) => error.message,
        };
        recorder.event(
            &about,
            EventKind::FaultOver {
                fault,
                after,
                evidence: (!shown.is_empty()).then(|| shown.join("; ")),
            },
        );
        drop(server);
        tokio::spawn(async move {
            tokio::time::sleep(AFTERMATH).await;
            drop(guard);
        });
    });
}

/// Starts it again, and ends it again until it was ended so many times.
async fn again(
    server: &mut dyn StoreServer,
    how: Disturbance,
    times: u32,
    shown: &mut Vec<String>,
) -> Result<(), changeover_runtime::RuntimeError> {
    server.start_again().await?;
    for _ in 1..times {
        if let Ok(evidence) = once(server, how).await {
            shown.push(evidence);
        }
        server.start_again().await?;
    }
    Ok(())
}

/// Breaks it once. Returns what shows it; the error says what happened instead.
async fn once(server: &mut dyn StoreServer, how: Disturbance) -> Result<String, String> {
    let before = server.condition().await;
    match server.disturb(how).await {
        Ok(Some(ended)) => Ok(format!(
            "{before}, and ended by our own hand ({})",
            ended.end
        )),
        Ok(None) => Ok(server.condition().await),
        Err(error) => Err(error.message),
    }
}
