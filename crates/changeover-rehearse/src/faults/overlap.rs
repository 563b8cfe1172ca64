//! Upgrades that overlap: another instance of the same generation, or the next upgrade before this one has ended.

use super::{Happening, Instance, Shared, Spare};
use crate::driver::{Launch, Running, name};
use crate::record::image_seen;
use crate::supervisor::Supervisor;
use changeover_model::event::{EventKind, StatusSeen, StopReason};
use changeover_model::fault::{Action, Fault};
use changeover_model::status::DeploymentStatus;
use changeover_runtime::{InstanceSpec, Runtime};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How often what was started is asked where it stands.
const LOOK: Duration = Duration::from_millis(5);

/// How long it may take to end when it is not wanted any more.
const GRACE: Duration = Duration::from_secs(3);

/// How long it may take to lead.
const LEADS: Duration = Duration::from_secs(60);

/// Starts what overlaps.
pub(super) async fn begin(shared: &Arc<Shared>, fault: Fault, spare: Spare) {
    let before = match shared.new.borrow().as_ref() {
        Some(new) => name(new.handle.spec()),
        None => "there is no new instance".to_owned(),
    };
    let about = shared.about(Some(&spare.launch.spec));
    let it = shared.begin(about, fault, before);
    match it.fault.action {
        Action::Rival { .. } => rival(shared, it, spare).await,
        Action::Race => race(shared, it, spare).await,
        _ => next(shared, it, spare).await,
    }
}

/// Another instance of the new one's generation. It is not started again: whoever goes first has lost.
async fn rival(shared: &Arc<Shared>, it: Happening, spare: Spare) {
    let Launch { spec, control, .. } = spare.launch;
    let mut rival = match spawn(&it, &*spare.runtime, spec).await {
        Ok(rival) => rival,
        Err(problem) => return it.failed(problem),
    };
    let pid = rival.pid();
    let answered = timeout(spare.patience, async {
        loop {
            if let StatusSeen::Status(status) = control.api.status().await {
                return status;
            }
            sleep(LOOK).await;
        }
    })
    .await
    .ok();
    it.done(
        rival.condition().await,
        answered.map(|status| format!("{} runs beside it, and says {status}", name(rival.spec()))),
    );
    let ended_step = shared.step().ended.clone();
    let rules = spare.rules;
    shared.beside(async move {
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
            it.event(EventKind::StopIntent {
                reason: StopReason::Skipped,
            });
        }
        let ended = rival.stop(GRACE).await;
        it.event(EventKind::ProcessEnded {
            end: ended.end,
            meaning: rules.meaning(ended.end),
            by_us: ended.by_us,
            by_fault: false,
        });
        if !by_itself {
            it.event(EventKind::StopDone);
        }
        let evidence = by_itself.then(|| after.clone());
        it.over(after, evidence);
    });
}

/// The next upgrade begins and ends while the new instance of this one is ready and waits.
async fn next(shared: &Arc<Shared>, it: Happening, spare: Spare) {
    match ready(shared, spare, &it).await {
        Ok(running) => promote(shared, running, it).await,
        Err(problem) => it.failed(problem),
    }
}

/// Another upgrader's instance is ready, too, and both are promoted at once.
async fn race(shared: &Arc<Shared>, it: Happening, spare: Spare) {
    match ready(shared, spare, &it).await {
        Ok(running) => {
            let later = Arc::clone(shared);
            shared.beside(async move { promote(&later, running, it).await });
        }
        Err(problem) => it.failed(problem),
    }
}

/// Starts an instance, and says so before and after.
async fn spawn(
    it: &Happening,
    runtime: &dyn Runtime,
    spec: InstanceSpec,
) -> Result<Box<dyn changeover_runtime::Instance>, String> {
    it.event(EventKind::SpawnIntent {
        command: spec.command.clone(),
    });
    let instance = runtime.spawn(spec).await.map_err(|e| e.message)?;
    it.event(EventKind::SpawnDone {
        pid: instance.pid(),
    });
    if let Some(image) = instance.image() {
        it.event(image_seen(image));
    }
    Ok(instance)
}

/// Starts an instance, and waits until it is ready to promote.
async fn ready(shared: &Arc<Shared>, spare: Spare, it: &Happening) -> Result<Running, String> {
    let Spare {
        launch,
        runtime,
        rules,
        patience,
    } = spare;
    let instance = spawn(it, &*runtime, launch.spec).await?;
    let step = it.about.step.unwrap_or(0);
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

/// Promotes it: it leads, and the driver is told; or it does not.
async fn promote(shared: &Arc<Shared>, mut running: Running, it: Happening) {
    it.event(EventKind::PromoteIntent { attempt: 1 });
    let Instance { control, .. } = running.instance();
    let result = control.api.promote().await;
    it.event(EventKind::PromoteDone { result });
    let leads = until(&mut running, DeploymentStatus::IsLeader, LEADS).await;
    let name = name(running.spec());
    match leads {
        Ok(()) => {
            it.done(
                format!("{name} says IsLeader"),
                Some(format!("{name} was promoted, and leads")),
            );
            shared.overtake(running);
        }
        Err(problem) => it.failed(problem),
    }
}

/// Polls until it says so.
async fn until(
    running: &mut Running,
    wanted: DeploymentStatus,
    patience: Duration,
) -> Result<(), String> {
    let name = name(running.spec());
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
