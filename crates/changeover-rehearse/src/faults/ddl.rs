//! A client that changes definitions, through the front door.

use super::{Clients, Happening, Shared};
use crate::client::{Client, ClientError, ClientTarget};
use changeover_model::event::EventKind;
use changeover_model::fault::{Action, Fault};
use changeover_model::history::Outcome;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The pause between two changes, and before one that was refused is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// Changes definitions once, or for so long.
pub(super) async fn change(shared: &Arc<Shared>, fault: Fault, clients: Clients) {
    let it = shared.begin(
        shared.about(None),
        fault,
        "no table of this fault".to_owned(),
    );
    let name = table(&it.fault, 0);
    let first = create(&it, &clients, &name).await;
    it.done(
        format!("CREATE TABLE {name}: {first:?}"),
        (first == Outcome::Ok).then(|| format!("{name} was created")),
    );
    let Action::Ddl { ms: Some(ms) } = it.fault.action else {
        return;
    };
    let over = shared.step().over.clone();
    shared.beside(async move {
        let until = Instant::now() + Duration::from_millis(ms);
        let mut made = u32::from(first == Outcome::Ok);
        for number in 1.. {
            if Instant::now() >= until || over.is_cancelled() {
                break;
            }
            let created = create(&it, &clients, &table(&it.fault, number)).await;
            made += u32::from(created == Outcome::Ok);
            sleep(PAUSE).await;
        }
        it.over(
            format!("{made} tables of this fault"),
            Some(format!("{made} tables were created")),
        );
    });
}

fn table(fault: &Fault, number: u32) -> String {
    let step = fault.step.unwrap_or(0);
    format!("changeover_fault_{step}_{}_{number}", fault.point as u8)
}

/// Creates a table; what was certainly refused is tried again, as leaders come and go.
async fn create(it: &Happening, clients: &Clients, name: &str) -> Outcome {
    let sql = format!("CREATE TABLE {name} (id BIGINT NOT NULL)");
    let deadline = Instant::now() + clients.timeout * 3;
    loop {
        it.event(EventKind::DdlIntent {
            statement: sql.clone(),
            makes: vec![format!("column {name}.id")],
            drops: Vec::new(),
        });
        let outcome = match attempt(clients, &sql).await {
            Ok(()) => Outcome::Ok,
            Err(Some(error)) => error.outcome(),
            Err(None) => Outcome::Fail,
        };
        it.event(EventKind::DdlDone { outcome });
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
