//! The upgrade's own calls, made too early, twice, or to the wrong instance.

use super::{Instance, Shared};
use changeover_model::fault::{Action, Fault};
use std::sync::Arc;

/// Makes a call that nobody should make, or not yet. What was answered is the evidence: whether it is the right answer is
/// for others to say.
pub(super) async fn call(shared: &Arc<Shared>, fault: Fault, instance: Instance) {
    let about = shared.about(Some(instance.handle.spec()));
    let api = &instance.control.api;
    let it = shared.begin(about, fault, api.status().await.to_string());
    let (asked, answer) = match it.fault.action {
        Action::SkipCatchup => ("skip-catchup", api.answer_to_skip_catchup().await),
        _ => ("promote", api.answer_to_promotion().await.0),
    };
    let after = api.status().await.to_string();
    let evidence = || format!("{asked} was answered {}", answer.text.trim());
    it.done(after, answer.is_one.then(evidence));
}
