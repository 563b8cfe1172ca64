//! Whether one order of the operations explains every answer of a set.
//!
//! A set only grows, so in any such order the answers grow too: of two, one contains the other. Sorted by size they give
//! every operation a rank: a read that of its answer, an add that of the first answer which shows its element, or one
//! above all of them. There is an order if, and only if, nothing had ended before something of a lower rank was sent.
//!
//! Of several adds of one element only the first matters, and that may be the one that was sent first; the others need
//! only not have ended before an answer without the element was asked for.

use super::{AddRecord, ReadKind, ReadRecord, SetHistory};
use crate::bits::Bits;
use crate::evidence::Guarantees;
use crate::findings::{Case, Cases};
use crate::ops::{ByKey, NONE};
use crate::stats::seconds;
use crate::timeline::Timeline;
use changeover_model::check::Check;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A read that lacks an element, and why it should not: an add of it, or an earlier read that showed it.
struct Missing<'a> {
    read: &'a ReadRecord,
    element: u32,
    add: Option<&'a AddRecord>,
    seen: Option<&'a ReadRecord>,
}

/// Two answers, or an answer and two elements, that no order explains.
struct Contradiction<'a> {
    reads: Vec<&'a ReadRecord>,
    elements: [u32; 2],
}

/// An operation with its place in the order of answers.
#[derive(Debug, Clone, Copy)]
struct Ranked {
    invoke: u64,
    end: Option<u64>,
    rank: u32,
    /// Whether it may also come later.
    free: bool,
    /// The add's element, or [`NONE`] for a read.
    element: u32,
}

impl SetHistory {
    /// `lost` are elements by key, `told` reads with elements, that have been told already. Of an incomplete history, only
    /// what no further operation can explain.
    pub(super) fn check_order(
        &self,
        lost: &BTreeSet<(u32, u32)>,
        told: &BTreeSet<(u32, u32)>,
        complete: bool,
        timeline: &Timeline,
        cases: &mut Cases,
    ) {
        let keys = self.states.len();
        let reads = ByKey::new(
            keys,
            self.reads.iter().map(|read| match read.kind {
                ReadKind::Observer => NONE,
                ReadKind::Client | ReadKind::Full => read.key,
            }),
        );
        let adds = ByKey::new(
            keys,
            self.adds
                .iter()
                .map(|add| match add.observer || add.failed {
                    true => NONE,
                    false => add.key,
                }),
        );
        let mut missing: Vec<Missing<'_>> = Vec::new();
        let mut contradictions = Vec::new();
        for key in 0..keys as u32 {
            let mut sent: Vec<u32> = reads.of(key).to_vec();
            sent.sort_by_key(|read| self.reads[*read as usize].invoke);
            let found = self.find_missing(&sent, adds.of(key));
            if found.is_empty() && complete {
                contradictions.extend(self.find_contradiction(&sent, adds.of(key)));
            }
            let new = found.into_iter().filter(|(read, lack)| {
                !lost.contains(&(key, lack.element)) && !told.contains(&(*read, lack.element))
            });
            missing.extend(new.map(|(_, lack)| lack));
        }
        missing.sort_by_key(|lack| (lack.read.invoke, lack.read.key, lack.element));
        for lack in missing {
            self.tell_missing(&lack, &reads, complete, timeline, cases);
        }
        contradictions.sort_by_key(|c| c.reads.first().map(|read| read.invoke));
        for contradiction in contradictions {
            self.tell_contradiction(&contradiction, timeline, cases);
        }
    }

    /// Reads that lack an element which had been acknowledged, or shown, before they were sent. Each element is told
    /// once, until it is there again.
    fn find_missing(&self, sent: &[u32], adds: &[u32]) -> Vec<(u32, Missing<'_>)> {
        let mut found = Vec::new();
        let mut acknowledged: Vec<&AddRecord> = adds
            .iter()
            .map(|add| &self.adds[*add as usize])
            .filter(|add| add.acknowledged.is_some())
            .collect();
        acknowledged.sort_by_key(|add| add.acknowledged);
        let mut acknowledged = acknowledged.into_iter().peekable();
        let mut answered: Vec<&ReadRecord> = sent
            .iter()
            .map(|read| &self.reads[*read as usize])
            .collect();
        answered.sort_by_key(|read| read.returned);
        let mut answers = answered.iter().peekable();
        let mut due = Bits::default();
        let mut told = Bits::default();
        for &number in sent {
            let read = &self.reads[number as usize];
            while let Some(add) =
                acknowledged.next_if(|add| add.acknowledged.is_some_and(|at| at < read.invoke))
            {
                due.insert(add.element);
            }
            while let Some(answer) = answers.next_if(|answer| answer.returned < read.invoke) {
                due.union(&answer.shown);
            }
            for element in due.without(&read.shown) {
                if !told.insert(element) {
                    continue;
                }
                let state = &self.states[read.key as usize].elements[element as usize];
                let before = |at: Option<u64>| at.is_some_and(|at| at < read.invoke);
                let add = self
                    .adds_of(state)
                    .filter(|add| !add.observer && before(add.acknowledged))
                    .min_by_key(|add| add.acknowledged);
                let seen = match add {
                    Some(_) => None,
                    None => answered
                        .iter()
                        .copied()
                        .find(|answer| answer.shown.contains(element)),
                };
                let lack = Missing {
                    read,
                    element,
                    add,
                    seen,
                };
                found.push((number, lack));
            }
            let back = told.without(&Bits::default());
            for element in back {
                if read.shown.contains(element) {
                    told.remove(element);
                }
            }
        }
        found
    }

    fn tell_missing(
        &self,
        lack: &Missing<'_>,
        reads: &ByKey,
        complete: bool,
        timeline: &Timeline,
        cases: &mut Cases,
    ) {
        let read = lack.read;
        let what = self.element_words(read.key, lack.element);
        let since = match (lack.add, lack.seen) {
            (Some(add), _) => format!(
                "{what} had been acknowledged at {} s to {}",
                seconds(add.acknowledged.unwrap_or(add.invoke)),
                self.session_words(add.session, add.process)
            ),
            (None, Some(seen)) => format!(
                "{what} had been shown at {} s to {}",
                seconds(seen.returned),
                self.session_words(seen.session, seen.process)
            ),
            (None, None) => what,
        };
        let (check, headline) = match lack.add {
            Some(add) if complete && self.is_never_shown(add, reads) => (
                Check::LostWrite,
                "acknowledged write that no later read shows",
            ),
            Some(add) if add.session == read.session => (
                Check::StaleRead,
                "read by a client that lacks its own acknowledged write",
            ),
            Some(_) => (
                Check::StaleRead,
                "read that lacks a write acknowledged before it was sent",
            ),
            None => (
                Check::NonLinearizable,
                "read that lacks what another client had been shown before it was sent",
            ),
        };
        let shown: Vec<&ReadRecord> = lack.seen.into_iter().chain([read]).collect();
        cases.add_shown(
            check,
            timeline.step_at(read.invoke),
            headline,
            || Case {
                words: format!(
                    "{} read key {} at {} s, although {since}{}",
                    self.session_words(read.session, read.process),
                    self.key_name(read.key),
                    seconds(read.invoke),
                    self.guarantees(lack, reads).broken()
                ),
                evidence: self.order_evidence(&shown, &[lack.element], timeline),
            },
            || Some(self.small(&shown, &[lack.element])),
        );
    }

    /// What clients may rely on that does not hold: the reader, or who wrote what the answer shows.
    fn guarantees(&self, lack: &Missing<'_>, reads: &ByKey) -> Guarantees {
        let read = lack.read;
        let state = |element: u32| &self.states[read.key as usize].elements[element as usize];
        let shown = read.shown.without(&Bits::default());
        let shown = shown
            .into_iter()
            .flat_map(|element| self.adds_of(state(element)));
        let saw = |add: &AddRecord| {
            reads.of(read.key).iter().any(|earlier| {
                let earlier = &self.reads[*earlier as usize];
                earlier.session == add.session
                    && earlier.returned < add.invoke
                    && earlier.shown.contains(lack.element)
            })
        };
        let later = |add: &AddRecord| {
            lack.add.is_some_and(|before| {
                before.session == add.session && before.acknowledged < Some(add.invoke)
            })
        };
        let (mut monotonic_writes, mut writes_follow_reads) = (false, false);
        for add in shown {
            monotonic_writes |= later(add);
            writes_follow_reads |= saw(add);
        }
        Guarantees {
            monotonic_reads: lack.seen.is_some_and(|seen| seen.session == read.session),
            read_your_writes: lack.add.is_some_and(|add| add.session == read.session),
            monotonic_writes,
            writes_follow_reads,
        }
    }

    /// Whether no read that was answered after the acknowledgement shows the element.
    fn is_never_shown(&self, add: &AddRecord, reads: &ByKey) -> bool {
        !reads.of(add.key).iter().any(|read| {
            let read = &self.reads[*read as usize];
            Some(read.returned) >= add.acknowledged && read.shown.contains(add.element)
        })
    }

    /// Something that no order explains, where no read lacks what it should show.
    fn find_contradiction<'a>(&'a self, sent: &[u32], adds: &[u32]) -> Option<Contradiction<'a>> {
        let mut answers: Vec<&ReadRecord> = sent
            .iter()
            .map(|read| &self.reads[*read as usize])
            .collect();
        answers.sort_by_key(|read| read.shown.len());
        // The rank of each answer, and of the first that shows each element.
        let mut first: Vec<u32> = Vec::new();
        let mut ranked: Vec<Ranked> = Vec::with_capacity(answers.len() + adds.len());
        let mut rank = 1;
        let nothing = Bits::default();
        let mut before: Option<&ReadRecord> = None;
        for read in answers {
            let smaller = before.map_or(&nothing, |before| &before.shown);
            if *smaller != read.shown {
                if let (Some(&lacks), Some(before)) = (smaller.without(&read.shown).first(), before)
                {
                    let has = read.shown.without(smaller).first().copied()?;
                    return Some(Contradiction {
                        reads: vec![before, read],
                        elements: [lacks, has],
                    });
                }
                rank += 2;
                for element in read.shown.without(smaller) {
                    let place = element as usize;
                    if first.len() <= place {
                        first.resize(place + 1, NONE);
                    }
                    first[place] = rank - 1;
                }
            }
            before = Some(read);
            ranked.push(Ranked {
                invoke: read.invoke,
                end: Some(read.returned),
                rank,
                free: false,
                element: NONE,
            });
        }
        for &add in adds {
            let add = &self.adds[add as usize];
            let rank = first.get(add.element as usize).copied().unwrap_or(NONE);
            if rank == NONE && add.acknowledged.is_none() {
                continue;
            }
            let state = &self.states[add.key as usize].elements[add.element as usize];
            let earliest = self
                .adds_of(state)
                .filter(|other| !other.failed && !other.observer)
                .map(|other| other.invoke)
                .min();
            ranked.push(Ranked {
                invoke: add.invoke,
                end: add.acknowledged,
                rank,
                free: earliest.is_some_and(|earliest| earliest < add.invoke),
                element: add.element,
            });
        }
        let (higher, lower) = inversion(&mut ranked)?;
        // Reads that lack what had been shown or acknowledged are told elsewhere, so both are adds, and some answer
        // shows the later one without the earlier one.
        let between = sent.iter().map(|read| &self.reads[*read as usize]);
        let mut between = between.filter(|read| {
            lower.element != NONE
                && higher.element != NONE
                && read.shown.contains(lower.element)
                && !read.shown.contains(higher.element)
        });
        Some(Contradiction {
            reads: vec![between.next()?],
            elements: [higher.element, lower.element],
        })
    }

    fn tell_contradiction(
        &self,
        found: &Contradiction<'_>,
        timeline: &Timeline,
        cases: &mut Cases,
    ) {
        let Some(read) = found.reads.first().copied() else {
            return;
        };
        let [one, other] = found.elements;
        let element = |number| self.element_json(read.key, number);
        let writer = |element: u32| {
            let state = &self.states[read.key as usize].elements[element as usize];
            self.adds_of(state).next().map(|add| add.session)
        };
        let (headline, words) = match found.reads.get(1) {
            Some(second) => (
                "pair of answers of which neither contains the other",
                format!(
                    "{} read key {} at {} s with {} and without {}, and {} read it at {} s with {} and without {}",
                    self.session_words(read.session, read.process),
                    self.key_name(read.key),
                    seconds(read.invoke),
                    element(one),
                    element(other),
                    self.session_words(second.session, second.process),
                    seconds(second.invoke),
                    element(other),
                    element(one)
                ),
            ),
            None => (
                match writer(one) == writer(other) {
                    true => "answer that shows a client's later write and lacks its earlier one",
                    false => "answer that shows a later write and lacks an earlier one",
                },
                format!(
                    "{} read key {} at {} s with {}, but without {}, which had been acknowledged before {} was sent",
                    self.session_words(read.session, read.process),
                    self.key_name(read.key),
                    seconds(read.invoke),
                    element(other),
                    element(one),
                    element(other)
                ),
            ),
        };
        cases.add_shown(
            Check::NonLinearizable,
            timeline.step_at(read.invoke),
            headline,
            || Case {
                words,
                evidence: self.order_evidence(&found.reads, &found.elements, timeline),
            },
            || Some(self.small(&found.reads, &found.elements)),
        );
    }

    fn session_words(&self, session: u32, process: u64) -> String {
        match self.sessions.value(session).client {
            Some(client) => format!("client {client}"),
            None => format!("process {process}"),
        }
    }

    fn order_evidence(
        &self,
        reads: &[&ReadRecord],
        elements: &[u32],
        timeline: &Timeline,
    ) -> Value {
        let Some(read) = reads.first() else {
            return Value::Null;
        };
        let writes = elements.iter().flat_map(|element| {
            let state = &self.states[read.key as usize].elements[*element as usize];
            self.adds_json(state)
        });
        let values = elements
            .iter()
            .map(|element| self.element_json(read.key, *element));
        let mut evidence = json!({
            "model": "set",
            "values": values.collect::<Vec<_>>(),
            "reads": reads.iter().map(|read| self.read_json(read)).collect::<Vec<_>>(),
            "writes": writes.collect::<Vec<_>>(),
        });
        if let (Some(phase), Some(fields)) =
            (timeline.phase_at(read.invoke), evidence.as_object_mut())
        {
            fields.insert("phase".to_owned(), json!(phase));
        }
        evidence
    }
}

/// Two operations of which the first had ended before the second was sent, though the second has the lower rank.
fn inversion(ranked: &mut [Ranked]) -> Option<(Ranked, Ranked)> {
    ranked.sort_unstable_by_key(|op| op.invoke);
    let mut ended: Vec<Ranked> = ranked
        .iter()
        .copied()
        .filter(|op| op.end.is_some())
        .collect();
    ended.sort_unstable_by_key(|op| op.end);
    let mut ended = ended.into_iter().peekable();
    let mut highest: Option<Ranked> = None;
    for op in ranked.iter() {
        while let Some(before) = ended.next_if(|before| before.end < Some(op.invoke)) {
            if highest.is_none_or(|highest| highest.rank < before.rank) {
                highest = Some(before);
            }
        }
        if let Some(before) = highest
            && !op.free
            && before.rank > op.rank
        {
            return Some((before, *op));
        }
    }
    None
}
