//! A held client without a success while fresh ones are served.
//!
//! An outage is everybody's: it ends for a client that comes anew, and at the same time, or an operation later, for one
//! that has kept its connection. A client hangs when it goes on without a success for longer than three quarters of an
//! operation's time limit after the first fresh client was served, while of the fresh ones at least nine in ten are
//! served, and at least five. (Less than the whole limit, as an operation may have been sent before the others were
//! served. More than a second: a segment that the kernel had to send again is no hang.)
//!
//! One of its operations must have had as much time as that: a client takes its operations in turn, and where each takes
//! longer than the schedule leaves, all that follow are sent when hardly any of their time is left. Such a client does not
//! keep up; nothing hangs.

use super::Attempt;
use crate::findings::{Case, Cases};
use crate::gap::{Sent, due_in};
use crate::stats::{ms, seconds};
use crate::timeline::{Timeline, Window};
use changeover_model::check::Check;
use changeover_model::history::Class;
use serde_json::json;

/// Fresh clients that must have been served meanwhile.
const SERVED: usize = 5;

/// The stretches in which the client hung. Both lists ascend by intended send.
pub(super) fn hangs(attempts: &[Attempt], fresh: &[Sent], timeout: u64) -> Vec<Window> {
    let bound = timeout / 4 * 3;
    stretches(attempts, timeout - bound)
        .into_iter()
        .filter(|stretch| stretch.length() > bound)
        .filter_map(|stretch| {
            let meanwhile = due_in(fresh, stretch);
            let served = meanwhile.iter().filter_map(|sent| sent.completed).min()?;
            let hang = Window {
                start: served,
                end: stretch.end.max(served),
            };
            let after = due_in(fresh, hang);
            let successes = after.iter().filter(|sent| sent.completed.is_some()).count();
            let mostly = successes >= SERVED && successes * 10 >= after.len() * 9;
            (hang.length() > bound && mostly).then_some(hang)
        })
        .collect()
}

/// The stretches in which the client had something to do and no success, from one success to the next. They begin with
/// an operation that was sent no later than `patience` after it was due: what was sent later had little time anyway.
fn stretches(attempts: &[Attempt], patience: u64) -> Vec<Window> {
    let mut out = Vec::new();
    // The last success, and what was tried since then.
    let mut since = 0;
    let mut began: Option<u64> = None;
    for attempt in attempts {
        let in_time = attempt.invoke.saturating_sub(attempt.intended) <= patience;
        if in_time {
            began = began.or(Some(since.max(attempt.intended)));
        }
        if let Some(completed) = attempt.completed {
            // A success that was slow to come is a stretch as well.
            out.extend(began.take().map(|start| Window {
                start,
                end: completed.max(start),
            }));
            since = completed;
        }
    }
    if let Some(start) = began {
        let end = attempts.iter().map(|attempt| attempt.ended).max();
        out.push(Window {
            start,
            end: end.unwrap_or(start).max(start),
        });
    }
    out
}

pub(super) fn tell(
    (class, client): (Class, u64),
    hangs: &[Window],
    timeline: &Timeline,
    cases: &mut Cases,
) {
    for hang in hangs {
        cases.add(
            Check::ClientHang,
            timeline.step_at(hang.start),
            "held client without a success while fresh ones were served",
            || Case {
                words: format!(
                    "client {client} ({}) for {} ms from {} s on",
                    class.name(),
                    ms(hang.length()),
                    seconds(hang.start)
                ),
                evidence: json!({
                    "client": client,
                    "class": class,
                    "from_s": seconds(hang.start),
                    "to_s": seconds(hang.end),
                }),
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::MS;

    const TIMEOUT: u64 = 2000;

    /// A client that is served every 80 ms, but for operations intended in the stretch, which end with it: with an
    /// answer, or without one.
    fn client(stretch: (u64, u64), late: bool) -> Vec<Attempt> {
        let attempt = |intended: u64| {
            let hit = (stretch.0..stretch.1).contains(&intended);
            let ended = if hit { stretch.1 } else { intended + 1 };
            Attempt {
                intended: intended * MS,
                invoke: intended * MS,
                completed: (!hit || late).then_some(ended * MS),
                ended: ended * MS,
            }
        };
        (0..100).map(|n| attempt(n * 80)).collect()
    }

    /// Fresh clients that are served every 10 ms, but for those in the outage.
    fn fresh(outage: (u64, u64)) -> Vec<Sent> {
        let sent = |intended: u64| Sent {
            intended: intended * MS,
            completed: (!(outage.0..outage.1).contains(&intended)).then_some((intended + 1) * MS),
            lateness: 0,
            not_sent: false,
        };
        (0..800).map(|n| sent(n * 10)).collect()
    }

    fn found(attempts: &[Attempt], outage: (u64, u64)) -> Vec<(u64, u64)> {
        hangs(attempts, &fresh(outage), TIMEOUT * MS)
            .into_iter()
            .map(|hang| (hang.start / MS, hang.end / MS))
            .collect()
    }

    #[test]
    fn a_held_client_hangs_when_fresh_ones_are_served_for_long() {
        // Nobody is served for 60 ms; then everybody but this one is.
        let outage = (1000, 1060);
        assert_eq!(found(&client((1000, 3000), true), outage), [(1061, 3000)]);
        assert_eq!(found(&client((1000, 3000), false), outage), [(1061, 3041)]);
        // Three quarters of the time that an operation has.
        assert_eq!(found(&client((1000, 2561), true), outage), []);
        assert_eq!(found(&client((1000, 2562), true), outage), [(1061, 2562)]);
    }

    #[test]
    fn an_outage_of_everybody_is_no_hang() {
        assert_eq!(found(&client((1000, 4000), false), (1000, 4000)), []);
        // Back one operation later.
        assert_eq!(found(&client((1000, 4080), false), (1000, 4000)), []);
        assert_eq!(found(&client((0, 0), false), (0, 0)), []);
    }

    #[test]
    fn fresh_clients_must_really_be_served() {
        let held = client((1000, 5000), false);
        // Every second fresh one fails.
        let mut half = fresh((0, 0));
        half.iter_mut()
            .step_by(2)
            .for_each(|sent| sent.completed = None);
        assert_eq!(hangs(&held, &half, TIMEOUT * MS), []);
        assert_eq!(hangs(&held, &[], TIMEOUT * MS), []);
    }

    #[test]
    fn a_client_that_is_never_served_again_hangs_to_its_end() {
        let attempts = client((1000, 9000), false);
        assert_eq!(found(&attempts, (1000, 1060)), [(1061, 9000)]);
        // And one that never was from its first operation on.
        let attempts = client((0, 9000), false);
        assert_eq!(found(&attempts, (0, 60)), [(61, 9000)]);
    }

    #[test]
    fn who_does_not_keep_up_does_not_hang() {
        // Each operation takes 90 ms and is due 80 ms after the one before, until none has 90 ms left.
        let mut free = 0;
        let attempts: Vec<Attempt> = (0..800)
            .map(|n| {
                let intended = n * 80;
                let invoke = free.max(intended);
                let done = invoke + 90;
                let deadline = intended + TIMEOUT;
                free = done.min(deadline);
                Attempt {
                    intended: intended * MS,
                    invoke: invoke * MS,
                    completed: (done <= deadline).then_some(done * MS),
                    ended: free * MS,
                }
            })
            .collect();
        assert!(
            attempts[400..]
                .iter()
                .all(|attempt| attempt.completed.is_none())
        );
        let fresh: Vec<Sent> = (0..64)
            .flat_map(|n| {
                let mut fresh = fresh((0, 0));
                for sent in &mut fresh {
                    sent.intended += n * 8000 * MS;
                    sent.completed = sent.completed.map(|at| at + n * 8000 * MS);
                }
                fresh
            })
            .collect();
        assert_eq!(hangs(&attempts, &fresh, TIMEOUT * MS), []);
    }

    #[test]
    fn who_has_nothing_to_do_does_not_hang() {
        let at = |intended: u64| Attempt {
            intended: intended * MS,
            invoke: intended * MS,
            completed: Some((intended + 1) * MS),
            ended: (intended + 1) * MS,
        };
        assert_eq!(found(&[at(0), at(7000)], (0, 0)), []);
    }
}
