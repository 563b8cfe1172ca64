//! The metadata store's server, killed, paused, restarted. Whoever needs it fails meanwhile, and that is not held
//! against anybody.

use super::{AFTERMATH, Shared};
use changeover_model::fault::{Action, Fault};
use changeover_runtime::{Disturbance, StoreServer};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// How long the server may take to end by itself.
const GRACE: Duration = Duration::from_secs(3);

/// Breaks the store's server.
pub(super) async fn disturb(shared: &Arc<Shared>, fault: Fault) {
    let store = Arc::clone(&shared.store);
    let mut server = store.clone().lock_owned().await;
    let Some(running) = server.as_mut() else {
        let reason = "the metadata store's server is not one of this run: it is not ours to break";
        return shared.missed(&fault, reason.to_owned());
    };
    let it = shared.begin(shared.about(None), fault, running.condition().await);
    let excuse = shared.excuse.hold();
    let (lasts, times) = match it.fault.action {
        Action::Pause { ms } => (Some(Duration::from_millis(ms)), 1),
        Action::Kill { times } => (None, times),
        _ => (None, 1),
    };
    let how = match it.fault.action {
        Action::Pause { .. } => Disturbance::Pause,
        Action::Kill { .. } => Disturbance::Kill,
        _ => Disturbance::End(GRACE),
    };
    let broken = once(running.as_mut(), how).await;
    let after = running.condition().await;
    match broken {
        Ok(evidence) => it.done(after, Some(evidence)),
        Err(problem) => return it.failed(problem),
    }
    let over = shared.step().over.clone();
    shared.beside(async move {
        let Some(running) = server.as_mut() else {
            return;
        };
        let mut shown = Vec::new();
        let mended = match lasts {
            Some(lasts) => {
                let _ = over.run_until_cancelled(sleep(lasts)).await;
                running.disturb(Disturbance::Resume).await.map(|_| ())
            }
            None => again(running.as_mut(), how, times, &mut shown).await,
        };
        let after = match mended {
            Ok(()) => running.condition().await,
            Err(error) => error.message,
        };
        it.over(after, (!shown.is_empty()).then(|| shown.join("; ")));
        drop(server);
        excuse.drop_after(AFTERMATH);
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
