//! The first read after a promotion, empty: who was promoted was not ready, although it said so.
//!
//! Of each lane the first answered read is looked at that was sent after the front door was pointed at the new
//! generation. It is empty if it shows none of its key's elements that had been acknowledged before the promotion was
//! sent, of which there must be five, and a later read shows one of them: what never comes back is lost, which is
//! another check's business. A leader that has its data before it answers cannot give such an answer, however slow it
//! is.

use super::{Answered, Stream};
use crate::findings::{Case, Cases};
use crate::stats::seconds;
use changeover_model::check::Check;
use changeover_model::event::{Event, EventKind};
use changeover_model::history::Connection;
use serde_json::json;

/// Elements that the answer must at least have lacked.
const LACKED: u32 = 5;

/// A promotion: when it was sent, and when the clients were sent to who had been promoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Promotion {
    step: Option<u32>,
    sent: u64,
    switched: u64,
}

/// The promotions after which clients were sent to the new generation.
pub(super) fn promotions(events: &[Event]) -> Vec<Promotion> {
    let mut out = Vec::new();
    let mut sent: Option<(Option<u64>, u64)> = None;
    for event in events {
        match &event.kind {
            EventKind::PromoteIntent { .. } => sent = Some((event.generation, event.at)),
            EventKind::SwitchDone => out.extend(
                sent.take()
                    .filter(|(generation, _)| *generation == event.generation)
                    .map(|(_, sent)| Promotion {
                        step: event.step,
                        sent,
                        switched: event.at,
                    }),
            ),
            _ => {}
        }
    }
    out
}

/// The first read after the promotion, if it was empty. The stream's reads ascend by the time they were sent.
pub(super) fn empty(stream: &Stream, promotion: &Promotion) -> Option<Answered> {
    let from = stream
        .reads
        .partition_point(|read| read.invoke <= promotion.switched);
    let (first, later) = stream.reads.get(from..)?.split_first()?;
    let due = stream
        .acknowledged_of(first)
        .filter(|(_, at)| *at < promotion.sent)
        .fold(0_u128, |due, (place, _)| due | 1 << place);
    let comes_back = || {
        later
            .iter()
            .any(|read| read.key == first.key && read.shown & due != 0)
    };
    (due.count_ones() >= LACKED && first.shown & due == 0 && comes_back()).then_some(*first)
}

pub(super) fn tell(
    connection: Connection,
    promotion: &Promotion,
    read: &Answered,
    cases: &mut Cases,
) {
    cases.add(
        Check::PrematureReady,
        promotion.step,
        "first read after the promotion was empty, and what it lacked came later",
        || Case {
            words: format!(
                "lane read/{} at {} s",
                connection.name(),
                seconds(read.invoke)
            ),
            evidence: json!({
                "connection": connection,
                "key": read.key,
                "sent_s": seconds(read.invoke),
                "promotion_sent_s": seconds(promotion.sent),
            }),
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{MS, events};

    const PROMOTION: Promotion = Promotion {
        step: Some(1),
        sent: 100 * MS,
        switched: 150 * MS,
    };

    /// Elements 0, 1… of key 0 are acknowledged at 10 ms, 11 ms…; the reads are sent at these times, with these answers.
    fn found(elements: u64, reads: &[(u64, u128)]) -> Option<u64> {
        let stream = Stream {
            acknowledged: (0..elements).map(|n| Some((10 + n) * MS)).collect(),
            reads: reads
                .iter()
                .map(|&(at, shown)| Answered {
                    invoke: at * MS,
                    key: 0,
                    shown,
                })
                .collect(),
        };
        empty(&stream, &PROMOTION).map(|read| read.invoke / MS)
    }

    #[test]
    fn an_empty_first_answer_that_fills_later_is_found() {
        assert_eq!(found(5, &[(151, 0), (160, 1)]), Some(151));
        // Too few; one is shown; nothing came back; the old generation may have given the answer.
        assert_eq!(found(4, &[(151, 0), (160, 1)]), None);
        assert_eq!(found(5, &[(151, 0b10), (160, 1)]), None);
        assert_eq!(found(5, &[(151, 0), (160, 0)]), None);
        assert_eq!(found(5, &[(150, 0), (160, 1)]), None);
        assert_eq!(found(5, &[]), None);
    }

    #[test]
    fn only_what_was_acknowledged_before_the_promotion_is_due() {
        // Element 90 is acknowledged when the promotion is sent.
        let later = |n: u64| 1_u128 << n;
        assert_eq!(found(100, &[(151, 0), (160, later(89))]), Some(151));
        assert_eq!(found(100, &[(151, 0), (160, later(90))]), None);
        assert_eq!(found(100, &[(151, later(90)), (160, later(89))]), Some(151));
    }

    #[test]
    fn a_promotion_ends_with_the_switch_to_who_was_promoted() {
        let mut e = events();
        e.step(0).on(0).at_ms(1).push(EventKind::SwitchDone);
        e.step(1).on(1).at_ms(90).promote().at_ms(100).promote();
        e.at_ms(150).push(EventKind::SwitchDone);
        e.step(2).on(2).at_ms(200).promote();
        assert_eq!(promotions(&e.list), [PROMOTION]);
    }
}
