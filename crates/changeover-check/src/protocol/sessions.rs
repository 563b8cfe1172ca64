//! Sessions that were kept: a session that goes on must be what it was, and one that cannot must say so.

use super::{Steps, error, shown};
use changeover_model::check::Check;
use changeover_model::event::{Event, EventKind, SessionAnswer};
use changeover_model::verdict::Finding;

/// An answer that is neither right nor an error: the client goes on with a session that is another.
pub(super) fn judge(steps: &Steps<'_>, events: &[Event]) -> Vec<Finding> {
    let wrong = |event: &Event| match &event.kind {
        EventKind::SessionSeen {
            what,
            expected,
            answer: SessionAnswer::Told(told),
        } if told != expected => Some(error(
            Check::SessionState,
            steps.of_event(event),
            format!(
                "a session that was kept had lost {what} without a word: it was {expected:?} and is {told:?}"
            ),
            shown(&[event]),
        )),
        _ => None,
    };
    events.iter().filter_map(wrong).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{events, plan};

    #[test]
    fn a_session_is_what_it_was_or_says_that_it_is_not() {
        let found = |answer: SessionAnswer| {
            let mut e = events();
            e.step(1).push(EventKind::SessionSeen {
                what: "the setting application_name".to_owned(),
                expected: "kept".to_owned(),
                answer,
            });
            judge(&Steps::of(&plan(1)), &e.list)
        };
        let lost = found(SessionAnswer::Told(String::new()));
        assert_eq!(
            (lost[0].check, lost[0].step),
            (Check::SessionState, Some(1))
        );
        for right in [
            SessionAnswer::Told("kept".to_owned()),
            SessionAnswer::Refused("26000".to_owned()),
            SessionAnswer::Ended,
        ] {
            assert_eq!(found(right), []);
        }
    }
}
