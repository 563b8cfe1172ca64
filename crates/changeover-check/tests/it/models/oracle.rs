//! The oracle: tries every order.

use changeover_model::history::{Op, Operation, Outcome};

/// Whether some order of the operations explains every answer. An acknowledged operation takes effect once, between its
/// two ends; an unknown one then, later or never; a failed one never.
///
/// `apply` is the state after an operation, or `None` when its answer would have been another.
pub(super) fn explained<S: Clone>(
    operations: &[Operation],
    start: &S,
    apply: &impl Fn(&S, &Operation) -> Option<S>,
) -> bool {
    let open: Vec<&Operation> = operations
        .iter()
        .filter(|o| o.outcome != Outcome::Fail)
        .filter(|o| o.op != Op::Read || o.outcome == Outcome::Ok)
        .collect();
    try_all(&open, start, apply)
}

fn try_all<S: Clone>(
    open: &[&Operation],
    state: &S,
    apply: &impl Fn(&S, &Operation) -> Option<S>,
) -> bool {
    if open.iter().all(|o| o.outcome == Outcome::Unknown) {
        return true;
    }
    open.iter().enumerate().any(|(index, next)| {
        // Nothing that must come before it is left.
        let first = open.iter().all(|other| {
            other.outcome == Outcome::Unknown || other.returned.unwrap() >= next.invoke
        });
        first
            && apply(state, next).is_some_and(|after| {
                let mut rest = open.to_vec();
                rest.remove(index);
                try_all(&rest, &after, apply)
            })
    })
}
