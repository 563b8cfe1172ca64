//! One step of our driver against the original's way of waiting, on the same instances of the reference database.
//!
//! The original is the Python module of Materialize's test suite: poll the status, sleep 1.0 s, poll again; promote;
//! poll, sleep 1.0 s, poll again; kill the old one. Nothing else of it is added: no `docker compose`, no health check,
//! no 5 s sleep of the image.

use crate::driven::{NoClients, driver, launch, reference, rules, step};
use crate::report::{Bar, Figure, spread};
use changeover_model::event::{PromoteResult, StatusSeen, StopReason};
use changeover_model::status::DeploymentStatus;
use changeover_model::target::Target;
use changeover_model::version::PathVersion;
use changeover_rehearse::driver::{Driver, Launch, Running};
use changeover_rehearse::leader_api::LeaderApi;
use changeover_rehearse::supervisor::Supervisor;
use changeover_runtime::process::ProcessRuntime;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PAIRS: usize = 7;
/// The original's `sleep_time`.
const SLEEP: Duration = Duration::from_secs(1);

/// Measures pairs of steps, ours and the original's in turn.
pub(crate) fn measure() -> Result<Vec<Figure>, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        let (our, their) = runtime.block_on(pair(dir.path()))?;
        ours.push(our.as_secs_f64() * 1e3);
        theirs.push(their.as_secs_f64() * 1e3);
        ratios.push(their.as_secs_f64() / our.as_secs_f64());
    }
    let (our, _) = spread(&ours);
    let (their, _) = spread(&theirs);
    let (value, range) = spread(&ratios);
    Ok(vec![Figure {
        what: "a step, the original's way of waiting over ours (times)",
        how: format!(
            "{PAIRS} pairs of steps v0.1.0 → v0.2.0 (ours, median {our:.0} ms) and v0.2.0 → v0.3.0 (poll, sleep 1.0 s, \
             poll; median {their:.0} ms) on one store, from the spawn to the old process's end, without clients and \
             quiet windows"
        ),
        value,
        range,
        bar: Bar::AtLeast(5.0),
    }])
}

async fn pair(dir: &Path) -> Result<(Duration, Duration), String> {
    let target = reference()?;
    let runtime = Arc::new(ProcessRuntime::new("bench", dir).map_err(|e| e.to_string())?);
    let driver = driver(runtime, NoClients::new(target.clone()));
    let [v1, v2, v3] = ["v0.1.0", "v0.2.0", "v0.3.0"].map(|v| {
        v.parse::<PathVersion>()
            .expect("a version of the reference database")
    });

    let first = launch(&target, &*driver.runtime, dir, &v1, 0).await?;
    let mut leader = driver
        .start_first(&v1, first)
        .await
        .map_err(|e| e.to_string())?;

    let new = launch(&target, &*driver.runtime, dir, &v2, 1).await?;
    let started = Instant::now();
    let next = driver
        .upgrade(&step(1, &v1, &v2), &mut leader, new)
        .await
        .map_err(|e| e.to_string())?;
    let ours = started.elapsed();

    let theirs = original(&driver, &target, dir, &v3, &next).await?;
    Ok((ours, theirs))
}

/// The original's loop, on the same runtime and with the same restarts in place.
async fn original(
    driver: &Driver<NoClients>,
    target: &Target,
    dir: &Path,
    to: &PathVersion,
    old: &Running,
) -> Result<Duration, String> {
    let Launch { spec, .. } = launch(target, &*driver.runtime, dir, to, 2).await?;
    let api = LeaderApi::new(spec.http_addr);
    let started = Instant::now();
    let instance = driver
        .runtime
        .spawn(spec)
        .await
        .map_err(|e| e.to_string())?;
    let supervisor = Supervisor::start(
        instance,
        rules(),
        driver.recorder.clone(),
        2,
        driver.excuse.clone(),
    );
    poll_until(&api, DeploymentStatus::ReadyToPromote).await;
    if api.promote().await != PromoteResult::Acknowledged {
        return Err("the promotion was refused".to_owned());
    }
    poll_until(&api, DeploymentStatus::IsLeader).await;
    old.stop(StopReason::RunOver, Duration::ZERO).await;
    let took = started.elapsed();
    supervisor
        .stop(StopReason::RunOver, Duration::from_secs(3))
        .await;
    Ok(took)
}

async fn poll_until(api: &LeaderApi, wanted: DeploymentStatus) {
    while api.status().await != StatusSeen::Status(wanted) {
        tokio::time::sleep(SLEEP).await;
    }
}
