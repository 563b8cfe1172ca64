//! Instances that wait at a point: each connects to a socket of ours, says who it is, and goes on when we hang up.

use super::Shared;
use changeover_model::fault::{Party, Point};
use changeover_runtime::RuntimeError;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

/// How long the path of a socket may be: 108 bytes with its end, see unix(7).
const LONGEST: usize = 107;

/// How long an old instance is kept from leaving until the points have come at which it is to be broken.
const LONGEST_STAY: Duration = Duration::from_secs(10);

/// Listens for an instance that waits at a point of one of these steps. Returns where, as it takes it.
pub(super) fn listen(
    shared: &Arc<Shared>,
    generation: u64,
    point: Point,
    steps: &[u32],
) -> Result<String, RuntimeError> {
    let path = shared.sockets.join(format!("{generation}-{}", point as u8));
    let refuse = |problem: String| {
        RuntimeError::new(format!(
            "no instance can be made to wait at point {point}: {problem}; give another directory with --out"
        ))
    };
    let path = short(&path).ok_or_else(|| {
        refuse(format!(
            "the path of its socket, {}, is longer than {LONGEST} bytes",
            path.display()
        ))
    })?;
    std::fs::create_dir_all(&shared.sockets).map_err(|e| refuse(e.to_string()))?;
    let listener = UnixListener::bind(&path).map_err(|e| refuse(e.to_string()))?;
    tokio::spawn(serve(
        Arc::downgrade(shared),
        listener,
        point,
        steps.to_vec(),
    ));
    Ok(path.to_string_lossy().into_owned())
}

/// A path that fits into a socket's address: as it is, or from the directory that instances are started in.
fn short(path: &Path) -> Option<PathBuf> {
    let fits = |path: &Path| path.as_os_str().len() <= LONGEST;
    if fits(path) {
        return Some(path.to_owned());
    }
    let here = std::env::current_dir().ok()?;
    let relative = path.strip_prefix(here).ok()?;
    fits(relative).then(|| relative.to_owned())
}

/// Takes those who wait, one after the other. It ends with the run.
async fn serve(
    shared: std::sync::Weak<Shared>,
    listener: UnixListener,
    point: Point,
    steps: Vec<u32>,
) {
    while let Ok((waiting, _)) = listener.accept().await {
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let steps = steps.clone();
        tokio::spawn(async move { held(&shared, waiting, point, &steps).await });
    }
}

/// Lets an instance wait until what is planned has been done. It was killed meanwhile, or is let go.
async fn held(shared: &Arc<Shared>, mut waiting: UnixStream, point: Point, steps: &[u32]) {
    // It waits in every step that it lives in, and is let go where nothing is planned.
    let number = shared.step().number;
    if !steps.contains(&number) {
        return;
    }
    let ended = shared.step().ended.clone();
    let needed = shared.needs_old(number);
    if point == Point::OldFenced && !needed.is_empty() {
        let mut done = shared.done.subscribe();
        let all = done.wait_for(|done| needed.is_subset(done));
        // Without the points there is nothing to wait for.
        let _ = timeout(LONGEST_STAY, all).await;
    }
    if !shared.is_planned(number, point) {
        return;
    }
    match point.party() {
        // It may be here before the driver knows that it runs.
        Party::New => {
            let mut new = shared.new.subscribe();
            let came = ended
                .run_until_cancelled(new.wait_for(Option::is_some))
                .await;
            if !matches!(came, Some(Ok(_))) {
                return;
            }
        }
        Party::Old if point == Point::Retiring => {
            let mut retiring = shared.retiring.subscribe();
            // A step that fails never comes so far.
            let begun = ended
                .run_until_cancelled(retiring.wait_for(|begun| *begun))
                .await;
            if !matches!(begun, Some(Ok(_))) {
                return;
            }
        }
        Party::Old | Party::Driver => {}
    }
    let first = !shared.step().reached.contains(&point);
    shared.reached(point, true).await;
    let (number, over) = {
        let step = shared.step();
        (step.number, step.over.clone())
    };
    if first && shared.called_off.get(&number) == Some(&point) {
        // It is not to go on; its end closes the connection.
        let mut rest = Vec::new();
        let _ = over
            .run_until_cancelled(waiting.read_to_end(&mut rest))
            .await;
    }
}
