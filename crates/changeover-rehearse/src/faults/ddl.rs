//! A client that changes definitions, through the front door.

use super::{Clients, Shared};
use crate::client::{Client, ClientError, ClientTarget};
use crate::record::{About, Recorder};
use changeover_model::event::EventKind;
use changeover_model::fault::{Action, Fault};
use changeover_model::history::{ErrorKind, Outcome};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The pause between two changes, and before one that was refused is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// Changes definitions once, or for so long.
pub(super) async fn change(shared: &Arc<Shared>, fault: Fault, clients: Clients) {
    let about = shared.about(None);
    shared.event(
        &about,
        EventKind::FaultIntent {
            fault: fault.clone(),
            before: "no table of this fault".to_owned(),
        },
    );
    let name = |number: u32| {
        let step = fault.step.unwrap_or(0);
        format!("changeover_fault_{step}_{}_{number}", fault.point as u8)
    };
    let first = create(&shared.recorder, &about, &clients, &name(0)).await;
    shared.event(
        &about,
        EventKind::FaultDone {
            fault: fault.clone(),
            after: format!("CREATE TABLE {}: {first:?}", name(0)),
            evidence: (first == Outcome::Ok).then(|| format!("{} was created", name(0))),
        },
    );
    let Action::Ddl { ms: Some(ms) } = fault.action else {
        return;
    };
    let (over, recorder) = (shared.step().over.clone(), shared.recorder.clone());
    let names: Vec<String> = (1..=u32::try_from(ms / 20 + 1).unwrap_or(u32::MAX))
        .map(name)
        .collect();
    shared.beside(async move {
        let until = Instant::now() + Duration::from_millis(ms);
        let mut made = 1;
        for name in names {
            if Instant::now() >= until || over.is_cancelled() {
                break;
            }
            made += u32::from(create(&recorder, &about, &clients, &name).await == Outcome::Ok);
            sleep(PAUSE).await;
        }
        recorder.event(
            &about,
            EventKind::FaultOver {
                fault,
                after: format!("{made} tables of this fault"),
                evidence: Some(format!("{made} tables were created")),
            },
        );
    });
}

/// Creates a table; what was certainly refused is tried again, as leaders come and go.
async fn create(recorder: &Recorder, about: &About, clients: &Clients, name: &str) -> Outcome {
    let sql = format!("CREATE TABLE {name} (id BIGINT NOT NULL)");
    let deadline = Instant::now() + clients.timeout * 3;
    loop {
        recorder.event(
            about,
            EventKind::DdlIntent {
                statement: sql.clone(),
                makes: vec![format!("column {name}.id")],
                drops: Vec::new(),
            },
        );
        let outcome = match attempt(clients, &sql).await {
            Ok(()) => Outcome::Ok,
            Err(Some(error)) if !refused(&error) => Outcome::Unknown,
            Err(_) => Outcome::Fail,
        };
        recorder.event(about, EventKind::DdlDone { outcome });
        if outcome != Outcome::Fail || Instant::now() >= deadline {
            return outcome;
        }
        sleep(PAUSE).await;
    }
}

/// One statement on a connection of its own. `Err(None)`: there was no connection.
async fn attempt(clients: &Clients, sql: &str) -> Result<(), Option<ClientError>> {
    let limit = Instant::now() + clients.timeout;
    let target = ClientTarget::new(&clients.template, clients.door, clients.timeout);
    let target = target.map_err(|_| None)?;
    let mut client = Client::connect(target, limit).await.map_err(|_| None)?;
    client.execute(sql, limit).await.map_err(Some)?;
    client.close().await;
    Ok(())
}

fn refused(error: &ClientError) -> bool {
    error.rules_out_an_effect() || error.kind() == ErrorKind::Refused
}
