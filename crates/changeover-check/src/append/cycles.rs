//! Cycles of transactions, the plainest first.

use super::anomaly::Anomaly;
use super::graph::{Graph, kind};
use super::{AppendHistory, Micro};
use crate::findings::Cases;
use crate::intern::FastMap;
use crate::timeline::Timeline;
use std::collections::VecDeque;

/// How many searches for a short cycle a knot of transactions is worth.
const TRIES: usize = 64;

/// An edge of a cycle: a transaction, and how the next one depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) txn: u32,
    pub(super) kind: u8,
}

impl AppendHistory {
    pub(super) fn check_cycles(&self, timeline: &Timeline, cases: &mut Cases) {
        let graph = self.graph();
        let mut told = vec![false; graph.len() as usize];
        let mut tell = |anomaly: Option<Anomaly>, cycle: Vec<Link>, told: &mut Vec<bool>| {
            for link in &cycle {
                told[link.txn as usize] = true;
            }
            let anomaly = anomaly.unwrap_or_else(|| self.name(&cycle));
            self.tell_cycle(anomaly, &cycle, timeline, cases);
        };
        let all = kind::WW | kind::WR | kind::RW;
        // A knot with everything in it has all others inside, and mostly there is none.
        let knots = knots(&graph, all | kind::RT);
        for knot in &knots {
            let within = Within::new(&graph, knot);
            for (anomaly, kinds) in [(Anomaly::G0, kind::WW), (Anomaly::G1c, kind::WW | kind::WR)] {
                for inner in within.knots(kinds) {
                    if inner.iter().any(|node| told[*node as usize]) {
                        continue;
                    }
                    let inner = Within::new(&graph, &inner);
                    if let Some(cycle) = inner.shortest(kinds) {
                        tell(Some(anomaly), cycle, &mut told);
                    }
                }
            }
            for inner in within.knots(all) {
                if inner.iter().any(|node| told[*node as usize]) {
                    continue;
                }
                let inner = Within::new(&graph, &inner);
                if let Some(cycle) = inner.single(kind::WW | kind::WR) {
                    tell(None, cycle, &mut told);
                } else if let Some(cycle) = inner.nonadjacent() {
                    tell(Some(Anomaly::GNonadjacent), cycle, &mut told);
                } else if let Some(cycle) = inner.shortest(all) {
                    tell(None, cycle, &mut told);
                }
            }
            if knot.iter().any(|node| told[*node as usize]) {
                continue;
            }
            let cycle = within
                .single(kind::WW | kind::WR | kind::RT)
                .or_else(|| within.shortest(all | kind::RT));
            if let Some(cycle) = cycle {
                tell(Some(Anomaly::RealTime), cycle, &mut told);
            }
        }
    }

    /// The name of a cycle with anti-dependencies.
    fn name(&self, cycle: &[Link]) -> Anomaly {
        let missed = cycle.iter().filter(|link| link.kind == kind::RW).count();
        match (cycle, missed) {
            (&[a, b], 1) if self.both_wrote(a.txn, b.txn) => Anomaly::LostUpdate,
            (_, 1) => Anomaly::GSingle,
            (&[a, b], 2) if self.both_wrote(a.txn, b.txn) => Anomaly::LostUpdate,
            _ => Anomaly::G2,
        }
    }

    /// Whether both read as much of one key, and both appended to it.
    fn both_wrote(&self, one: u32, other: u32) -> bool {
        let of = |txn: u32| -> Vec<(u32, u32)> {
            let steps = self.steps_of(txn);
            let appended = |key: u32| {
                steps
                    .iter()
                    .any(|step| matches!(step, Micro::Append { key: of, .. } if *of == key))
            };
            let reads = steps.iter().filter_map(|step| match *step {
                Micro::Read { key, length, own } if appended(key) => Some((key, length - own)),
                _ => None,
            });
            reads.collect()
        };
        let others = of(other);
        of(one).iter().any(|read| others.contains(read))
    }
}

/// Sets of nodes each of which can be reached from each other by edges of these kinds; only those of more than one
/// (Tarjan 1972, without recursion).
fn knots(graph: &Graph, kinds: u8) -> Vec<Vec<u32>> {
    let nodes = graph.len() as usize;
    let all: Vec<u32> = (0..nodes as u32).collect();
    tarjan(&all, nodes, |node, place| {
        graph
            .from(node)
            .get(place)
            .map(|(to, kind)| ((kind & (kinds | kind::PASS)) != 0).then_some(*to))
    })
}

/// `next` is the target of a node's n-th edge, which may be none of interest, or `None` behind the last.
fn tarjan(
    nodes: &[u32],
    size: usize,
    next: impl Fn(u32, usize) -> Option<Option<u32>>,
) -> Vec<Vec<u32>> {
    const NEW: u32 = u32::MAX;
    let mut index = vec![NEW; size];
    let mut low = vec![0_u32; size];
    let mut on_stack = vec![false; size];
    let mut stack: Vec<u32> = Vec::new();
    let mut found = Vec::new();
    let mut count = 0;
    let mut path: Vec<(u32, usize)> = Vec::new();
    for &root in nodes {
        if index[root as usize] != NEW {
            continue;
        }
        path.push((root, 0));
        while let Some(&mut (node, ref mut place)) = path.last_mut() {
            let at = node as usize;
            if *place == 0 {
                index[at] = count;
                low[at] = count;
                count += 1;
                stack.push(node);
                on_stack[at] = true;
            }
            let edge = next(node, *place);
            *place += 1;
            match edge {
                Some(Some(to)) => {
                    let target = to as usize;
                    if index[target] == NEW {
                        path.push((to, 0));
                    } else if on_stack[target] {
                        low[at] = low[at].min(index[target]);
                    }
                }
                Some(None) => {}
                None => {
                    path.pop();
                    if let Some((parent, _)) = path.last() {
                        let parent = *parent as usize;
                        low[parent] = low[parent].min(low[at]);
                    }
                    if low[at] == index[at] {
                        let mut knot = Vec::new();
                        while let Some(member) = stack.pop() {
                            on_stack[member as usize] = false;
                            knot.push(member);
                            if member == node {
                                break;
                            }
                        }
                        if knot.len() > 1 {
                            found.push(knot);
                        }
                    }
                }
            }
        }
    }
    found
}

/// A part of the graph, with numbers of its own.
struct Within<'a> {
    graph: &'a Graph,
    nodes: Vec<u32>,
    numbers: FastMap<u32, u32>,
}

impl<'a> Within<'a> {
    fn new(graph: &'a Graph, nodes: &[u32]) -> Self {
        let mut nodes = nodes.to_vec();
        nodes.sort_unstable();
        let numbers = nodes.iter().enumerate().map(|(n, node)| (*node, n as u32));
        Within {
            graph,
            numbers: numbers.collect(),
            nodes,
        }
    }

    fn knots(&self, kinds: u8) -> Vec<Vec<u32>> {
        let all: Vec<u32> = (0..self.nodes.len() as u32).collect();
        let found = tarjan(&all, self.nodes.len(), |node, place| {
            let edges = self.graph.from(self.nodes[node as usize]);
            edges.get(place).map(|(to, kind)| {
                let wanted = (kind & (kinds | kind::PASS)) != 0;
                wanted.then(|| self.numbers.get(to).copied()).flatten()
            })
        });
        let outside = |knot: Vec<u32>| knot.into_iter().map(|n| self.nodes[n as usize]).collect();
        found.into_iter().map(outside).collect()
    }

    /// The shortest way between two nodes by edges of these kinds; the edges, with the nodes they come from.
    fn way(&self, from: u32, to: u32, kinds: u8) -> Option<Vec<(u32, u8)>> {
        let mut came: FastMap<u32, (u32, u8)> = FastMap::default();
        let mut queue = VecDeque::from([from]);
        while let Some(node) = queue.pop_front() {
            for &(target, edge) in self.graph.from(node) {
                if edge & (kinds | kind::PASS) == 0
                    || !self.numbers.contains_key(&target)
                    || came.contains_key(&target)
                {
                    continue;
                }
                came.insert(target, (node, edge));
                if target == to {
                    let mut way = Vec::new();
                    let mut at = to;
                    loop {
                        let (before, edge) = came[&at];
                        way.push((before, edge));
                        at = before;
                        if at == from {
                            way.reverse();
                            return Some(way);
                        }
                    }
                }
                queue.push_back(target);
            }
        }
        None
    }

    /// The shortest cycle by edges of these kinds, from a few beginnings.
    fn shortest(&self, kinds: u8) -> Option<Vec<Link>> {
        let txns = self.nodes.iter().copied().filter(|n| *n < self.graph.txns);
        let ways = txns
            .take(TRIES)
            .filter_map(|node| self.way(node, node, kinds));
        let best = ways.min_by_key(Vec::len)?;
        Some(self.links(&best))
    }

    /// The shortest cycle with exactly one anti-dependency, and otherwise edges of these kinds.
    fn single(&self, kinds: u8) -> Option<Vec<Link>> {
        let mut best: Option<Vec<(u32, u8)>> = None;
        let missed = self.nodes.iter().flat_map(|node| {
            let edges = self.graph.from(*node).iter();
            edges
                .filter(|(to, edge)| *edge == kind::RW && self.numbers.contains_key(to))
                .map(|(to, _)| (*node, *to))
        });
        for (from, to) in missed.take(TRIES * 4) {
            if let Some(back) = self.way(to, from, kinds) {
                let mut way = vec![(from, kind::RW)];
                way.extend(back);
                if best.as_ref().is_none_or(|best| way.len() < best.len()) {
                    best = Some(way);
                }
            }
        }
        best.map(|way| self.links(&way))
    }

    /// A cycle with anti-dependencies, no two of them in a row; if there is one, one is found: snapshots explain a
    /// history if, and only if, there is none (Cerone and Gotsman 2018).
    fn nonadjacent(&self) -> Option<Vec<Link>> {
        // Every node twice: reached by an anti-dependency, and otherwise. By ways that heed it, a cycle is a knot.
        let places = 2 * self.nodes.len();
        let all: Vec<u32> = (0..places as u32).collect();
        let knots = tarjan(&all, places, |place, edge| {
            let edges = self.graph.from(self.nodes[place as usize / 2]);
            edges.get(edge).map(|edge| self.heeding(place, *edge))
        });
        let mut ways = knots.iter().flat_map(|knot| {
            let within: FastMap<u32, ()> = knot.iter().map(|place| (*place, ())).collect();
            let starts = knot.iter().take(TRIES);
            starts.filter_map(move |start| self.way_heeding(*start, &within))
        });
        let first = ways.next()?;
        let best = ways
            .take(TRIES)
            .fold(first, |best, way| match way.len() < best.len() {
                true => way,
                false => best,
            });
        Some(self.links(&best))
    }

    /// Where an edge leads from a node that was reached by an anti-dependency (odd) or otherwise (even).
    fn heeding(&self, place: u32, (to, edge): (u32, u8)) -> Option<u32> {
        let missed = place % 2;
        let missed = match edge {
            kind::RW if missed == 1 => return None,
            kind::RW => 1,
            kind::WW | kind::WR => 0,
            kind::PASS => missed,
            _ => return None,
        };
        self.numbers.get(&to).map(|number| 2 * number + missed)
    }

    /// The shortest such way from a place back to it, within a knot.
    fn way_heeding(&self, start: u32, knot: &FastMap<u32, ()>) -> Option<Vec<(u32, u8)>> {
        let mut came: FastMap<u32, (u32, u8)> = FastMap::default();
        let mut queue = VecDeque::from([start]);
        while let Some(place) = queue.pop_front() {
            for &edge in self.graph.from(self.nodes[place as usize / 2]) {
                let Some(next) = self.heeding(place, edge) else {
                    continue;
                };
                if !knot.contains_key(&next) || came.contains_key(&next) {
                    continue;
                }
                came.insert(next, (place, edge.1));
                if next == start {
                    let mut way = Vec::new();
                    let mut at = start;
                    loop {
                        let (before, edge) = came[&at];
                        way.push((self.nodes[before as usize / 2], edge));
                        at = before;
                        if at == start {
                            way.reverse();
                            return Some(way);
                        }
                    }
                }
                queue.push_back(next);
            }
        }
        None
    }

    /// The cycle without the nodes that stand for many.
    fn links(&self, way: &[(u32, u8)]) -> Vec<Link> {
        way.iter()
            .filter(|(node, _)| *node < self.graph.txns)
            .map(|&(txn, kind)| Link { txn, kind })
            .collect()
    }
}
