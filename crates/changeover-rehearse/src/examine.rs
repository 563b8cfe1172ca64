//! What is examined around a hand-over besides what clients see: what the target describes in `[examine]`.
//!
//! It looks and records. Whether an answer is right is the judge's to say.

use crate::client::{Client, ClientError};
use crate::leader_api::LeaderApi;
use crate::record::{About, Recorder};
use crate::surroundings::{ClientSide, client_addr};
use changeover_model::event::{EventKind, Examination};
use changeover_model::status::DeploymentStatus;
use changeover_model::target::{Examine, Status, Target};
use changeover_runtime::InstanceSpec;
use std::time::Duration;
use tokio::time::Instant;

/// How long an examined query may take at most: who waits longer than this learns nothing more.
const PATIENCE: Duration = Duration::from_secs(60);

/// Examines instances of one run.
pub(crate) struct Examiner {
    recorder: Recorder,
    examine: Examine,
}

impl Examiner {
    pub(crate) fn new(recorder: Recorder, target: &Target) -> Self {
        Examiner {
            recorder,
            examine: match target.status {
                Status::LeaderApi => target.examine.clone(),
                // What is examined is the leader API's.
                Status::Http(_) | Status::Query => Examine::default(),
            },
        }
    }

    /// Promotes an instance that has just said that it is not ready. Returns whether that may have been taken.
    pub(crate) async fn early_promotion(
        &self,
        new: &InstanceSpec,
        status: DeploymentStatus,
    ) -> bool {
        let Some(body) = &self.examine.early_promotion else {
            return false;
        };
        if status != DeploymentStatus::Initializing {
            return false;
        }
        let began = Instant::now();
        let found = LeaderApi::new(new.http_addr).answer_to_promotion().await;
        let refused = found.starts_with("400 ");
        let expected = format!("400 {body}");
        self.tell(new, Examination::EarlyPromotion, expected, found, began);
        !refused
    }

    /// Promotes the leader, which must change nothing.
    pub(crate) async fn second_promotion(&self, leader: &InstanceSpec) {
        let Some(body) = &self.examine.second_promotion else {
            return;
        };
        let began = Instant::now();
        let found = LeaderApi::new(leader.http_addr).answer_to_promotion().await;
        let expected = format!("200 {body}");
        self.tell(leader, Examination::SecondPromotion, expected, found, began);
    }

    /// Writes to and reads from an instance that was not promoted.
    pub(crate) async fn read_only(&self, clients: &ClientSide, new: &InstanceSpec) {
        if let Some((write, refusal)) = &self.examine.read_only_write {
            let began = Instant::now();
            let found = match query(clients, new, write, clients.operation_timeout).await {
                Ok(()) => "acknowledged".to_owned(),
                Err(error) => error.to_string(),
            };
            self.tell(
                new,
                Examination::ReadOnlyWrite,
                refusal.clone(),
                found,
                began,
            );
        }
        if let Some(read) = &self.examine.read_only_read {
            let began = Instant::now();
            let found = match query(clients, new, read, clients.operation_timeout).await {
                Ok(()) => ANSWERED.to_owned(),
                Err(error) => error.to_string(),
            };
            self.tell(
                new,
                Examination::ReadOnlyRead,
                ANSWERED.to_owned(),
                found,
                began,
            );
        }
    }

    /// Asks a new leader's catalog for the first time.
    pub(crate) async fn catalog(&self, clients: &ClientSide, leader: &InstanceSpec) {
        let Some((asked, ms)) = &self.examine.catalog_query else {
            return;
        };
        let bound = Duration::from_millis(*ms);
        let expected = format!("{ANSWERED} within {ms} ms");
        let began = Instant::now();
        let found = match query(clients, leader, asked, bound.max(PATIENCE)).await {
            Ok(()) if began.elapsed() <= bound => expected.clone(),
            Ok(()) => ANSWERED.to_owned(),
            Err(error) => error.to_string(),
        };
        self.tell(leader, Examination::CatalogQuery, expected, found, began);
    }

    fn tell(
        &self,
        instance: &InstanceSpec,
        what: Examination,
        expected: String,
        found: String,
        began: Instant,
    ) {
        let about = About {
            step: None,
            slot: Some(instance.slot.clone()),
            generation: Some(instance.generation),
        };
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.recorder.event(
            &about,
            EventKind::Examined {
                what,
                expected,
                found,
                took_ms,
            },
        );
    }
}

/// That a query was answered, whatever with.
const ANSWERED: &str = "answered";

/// Asks an instance directly, on a connection of its own.
async fn query(
    clients: &ClientSide,
    instance: &InstanceSpec,
    text: &str,
    patience: Duration,
) -> Result<(), ClientError> {
    let addr = client_addr(instance, &clients.client);
    // A sound URL has been used all along.
    let Ok(target) = clients.target(addr) else {
        return Ok(());
    };
    let deadline = Instant::now() + patience;
    let mut client = Client::connect(target, deadline).await?;
    let answer = client.execute(text, deadline).await;
    client.close().await;
    answer.map(drop)
}
