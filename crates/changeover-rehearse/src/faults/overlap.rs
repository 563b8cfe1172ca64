//! Upgrades that overlap: another instance of the same generation, or the next upgrade before this one has ended.

use super::{Instance, Shared, Spare};
use crate::driver::{Launch, Running};
use crate::record::About;
use crate::supervisor::Supervisor;
use changeover_model::event::{EventKind, StatusSeen, StopReason};
use changeover_model::fault::{Action, Fault};
use changeover_model::status::DeploymentStatus;
use changeover_runtime::InstanceSpec;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How often what was started is asked where it stands.
const LOOK: Duration = Duration::from_millis(5);

/// How long it may take to end when it is not wanted any more.
const GRACE: Duration = Duration::from_secs(3);

/// Starts what overlaps.
pub(super) async fn begin(shared: &Arc<Shared>, fault: Fault, spare: Spare) {
    let about = about(&fault, &spare.launch.spec);
    let before = match shared.new.borrow().as_ref() {
        Some(new) => words(new.handle.spec()),
        None => "there is no new instance".to_owned(),
    };
    shared.event(
        &about,
        EventKind::FaultIntent {
            fault: fault.clone(),
            before,
        },
    );
    match fault.action {
        Action::Rival { .. } => rival(shared, fault, spare, about).await,
        Action::Race => race(shared, fault, spare, about).await,
        _ => next(shared, fault, spare, about).await,
    }
}

fn about(fault: &Fault, spec: &InstanceSpec) -> About {
    About {
        step: fault.step,
        slot: Some(spec.slot.clone()),
        generation: Some(spec.generation),
    }
}

fn words(spec: &InstanceSpec) -> String {
    format!("{} (generation {})", spec.slot, spec.generation)
}

/// Another instance of the new one's generation. It is not started again: whoever goes first has lost.
async fn rival(shared: &Arc<Shared>, fault: Fault, spare: Spare, about: About) {
    let Launch { spec, control, .. } = spare.launch;
    shared.event(
        &about,
        EventKind::SpawnIntent {
            command: spec.command.clone(),
        },
    );
    let mut rival = match spare.runtime.spawn(spec).await {
        Ok(rival) => rival,
        Err(error) => return failed(shared, &about, fault, error.message),
    };
    let pid = rival.pid();
    shared.event(&about, EventKind::SpawnDone { pid });
    let answered = timeout(spare.patience, async {
        loop {
            if let StatusSeen::Status(status) = control.api.status().await {
                return status;
            }
            sleep(LOOK).await;
        }
    })
    .await;
    shared.event(
        &about,
        EventKind::FaultDone {
            fault: fault.clone(),
            after: rival.condition().await,
            evidence: answered
                .ok()
                .map(|status| format!("{} runs beside it, and says {status}", words(rival.spec()))),
        },
    );
    let (ended_step, recorder) = (shared.step().ended.clone(), shared.recorder.clone());
    let rules = spare.rules;
    shared.beside(async move {
        let event = |kind| recorder.event(&about, kind);
        let ended = tokio::select! {
            biased;
            ended = rival.ended() => Some(ended),
            () = ended_step.cancelled() => None,
        };
        // That it left by itself is what shows that no two of one generation go on.
        let (after, by_itself) = match ended {
            Some(ended) => (
                format!("process {pid} ended by itself ({})", ended.end),
                true,
            ),
            None => (format!("process {pid} was still there"), false),
        };
        if !by_itself {
            event(EventKind::StopIntent {
                reason: StopReason::Skipped,
            });
        }
        let ended = rival.stop(GRACE).await;
        event(EventKind::ProcessEnded {
            end: ended.end,
            meaning: rules.meaning(ended.end),
            by_us: ended.by_us,
            by_fault: false,
        });
        if !by_itself {
            event(EventKind::StopDone);
        }
        event(EventKind::FaultOver {
            fault,
            evidence: by_itself.then(|| after.clone()),
            after,
        });
    });
}

/// The next upgrade begins and ends while the new instance of this one is ready and waits.
async fn next(shared: &Arc<Shared>, fault: Fault, spare: Spare, about: About) {
    match ready(shared, spare, &about).await {
        Ok(mut running) => {
            let result = promote(shared, &mut running, &about).await;
            led(shared, fault, &about, result, running);
        }
        Err(error) => failed(shared, &about, fault, error),
    }
}

/// Another upgrader's instance is ready, too, and both are promoted at once.
async fn race(shared: &Arc<Shared>, fault: Fault, spare: Spare, about: About) {
    match ready(shared, spare, &about).await {
        Ok(mut running) => {
            let shared_later = Arc::clone(shared);
            shared.beside(async move {
                let result = promote(&shared_later, &mut running, &about).await;
                led(&shared_later, fault, &about, result, running);
            });
        }
        Err(error) => failed(shared, &about, fault, error),
    }
}

/// Starts an instance, and waits until it is ready to promote.
async fn ready(shared: &Arc<Shared>, spare: Spare, about: &About) -> Result<Running, String> {
    let Spare {
        launch,
        runtime,
        rules,
        patience,
    } = spare;
    shared.event(
        about,
        EventKind::SpawnIntent {
            command: launch.spec.command.clone(),
        },
    );
    let instance = runtime.spawn(launch.spec).await.map_err(|e| e.message)?;
    shared.event(
        about,
        EventKind::SpawnDone {
            pid: instance.pid(),
        },
    );
    let step = about.step.unwrap_or(0);
    let recorder = shared.recorder.clone();
    let supervisor = Supervisor::start(
        instance,
        rules,
        recorder.clone(),
        step,
        shared.excuse.clone(),
    );
    let mut running = Running::new(supervisor, launch.control, recorder);
    until(&mut running, DeploymentStatus::ReadyToPromote, patience).await?;
    Ok(running)
}

async fn promote(shared: &Arc<Shared>, running: &mut Running, about: &About) -> Result<(), String> {
    shared.event(about, EventKind::PromoteIntent { attempt: 1 });
    let Instance { control, .. } = running.instance();
    let result = control.api.promote().await;
    shared.event(about, EventKind::PromoteDone { result });
    until(running, DeploymentStatus::IsLeader, Duration::from_secs(60)).await
}

/// Polls until it says so.
async fn until(
    running: &mut Running,
    wanted: DeploymentStatus,
    patience: Duration,
) -> Result<(), String> {
    let name = words(running.spec());
    let said = timeout(patience, async {
        while running.poll(patience).await != StatusSeen::Status(wanted) {
            if running.is_gone() {
                return Err("it is gone".to_owned());
            }
            sleep(LOOK).await;
        }
        Ok(())
    });
    said.await
        .unwrap_or_else(|_| Err(format!("{name} did not say {wanted} in time")))
        .map_err(|error| format!("{name}: {error}"))
}

/// It leads, and the driver is told; or it does not.
fn led(
    shared: &Arc<Shared>,
    fault: Fault,
    about: &About,
    result: Result<(), String>,
    running: Running,
) {
    let name = words(running.spec());
    let evidence = result
        .is_ok()
        .then(|| format!("{name} was promoted, and leads"));
    shared.event(
        about,
        EventKind::FaultDone {
            fault,
            after: result
                .err()
                .unwrap_or_else(|| format!("{name} says IsLeader")),
            evidence: evidence.clone(),
        },
    );
    if evidence.is_some() {
        shared.overtake(running);
    }
}

fn failed(shared: &Arc<Shared>, about: &About, fault: Fault, problem: String) {
    shared.event(
        about,
        EventKind::FaultDone {
            fault,
            after: problem,
            evidence: None,
        },
    );
}
