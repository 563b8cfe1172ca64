//! Who must come before whom.
//!
//! Besides the transactions, the graph has nodes that stand for many of them, so that it grows with the history and
//! not with its square: one for each end of a transaction, chained, which is real time; and a comb for the elements of
//! a key that nobody saw, all of which come after every list that lacks them.

use super::{AppendHistory, Micro};
use crate::checker::Consistency;
use crate::ops::{NEVER, NONE};

/// Kinds of edges, as bits.
pub(super) mod kind {
    /// Appended after it.
    pub(crate) const WW: u8 = 1;
    /// Read what it appended.
    pub(crate) const WR: u8 = 2;
    /// Appended what it did not see.
    pub(crate) const RW: u8 = 4;
    /// Was sent after it had ended.
    pub(crate) const RT: u8 = 8;
    /// From a node that stands for many.
    pub(crate) const PASS: u8 = 16;
}

/// Edges by the node they come from.
pub(super) struct Graph {
    starts: Vec<u32>,
    targets: Vec<(u32, u8)>,
    /// Nodes below are transactions.
    pub(super) txns: u32,
}

impl Graph {
    pub(super) fn len(&self) -> u32 {
        self.starts.len() as u32 - 1
    }

    pub(super) fn from(&self, node: u32) -> &[(u32, u8)] {
        let node = node as usize;
        &self.targets[self.starts[node] as usize..self.starts[node + 1] as usize]
    }

    fn new(nodes: u32, txns: u32, edges: &[(u32, u32, u8)]) -> Self {
        let mut starts = vec![0_u32; nodes as usize + 1];
        for (from, ..) in edges {
            starts[*from as usize + 1] += 1;
        }
        for node in 0..nodes as usize {
            starts[node + 1] += starts[node];
        }
        let mut next = starts.clone();
        let mut targets = vec![(0, 0); edges.len()];
        for &(from, to, kind) in edges {
            let place = &mut next[from as usize];
            targets[*place as usize] = (to, kind);
            *place += 1;
        }
        Graph {
            starts,
            targets,
            txns,
        }
    }
}

struct Builder<'a> {
    history: &'a AppendHistory,
    committed: Vec<bool>,
    edges: Vec<(u32, u32, u8)>,
    nodes: u32,
    /// The unseen appends of each key: the transactions, ascending, and the first node of the comb.
    combs: Vec<(Vec<u32>, u32)>,
}

impl AppendHistory {
    pub(super) fn graph(&self) -> Graph {
        let txns = self.ops.len() as u32;
        let mut builder = Builder {
            history: self,
            committed: self.committed(),
            edges: Vec::with_capacity(self.steps.len() * 2),
            nodes: txns,
            combs: Vec::new(),
        };
        builder.combs();
        builder.appends();
        builder.reads();
        if self.consistency == Consistency::StrictSerializable {
            builder.real_time();
        }
        Graph::new(builder.nodes, txns, &builder.edges)
    }
}

impl Builder<'_> {
    fn edge(&mut self, from: u32, to: u32, kind: u8) {
        if from != to {
            self.edges.push((from, to, kind));
        }
    }

    /// For each key, nodes that lead to all unseen appends from one on, and to all up to one.
    fn combs(&mut self) {
        let history = self.history;
        for order in &history.orders {
            let mut unseen: Vec<u32> = Vec::new();
            if !order.is_ambiguous() {
                let writers = order.unseen().map(|element| order.writer(element));
                unseen.extend(writers.filter(|txn| *txn != NONE && self.committed[*txn as usize]));
                unseen.sort_unstable();
                unseen.dedup();
            }
            let first = self.nodes;
            let count = unseen.len() as u32;
            self.nodes += 2 * count;
            for (index, txn) in unseen.iter().enumerate() {
                let index = index as u32;
                let (up, down) = (first + index, first + count + index);
                self.edge(up, *txn, kind::PASS);
                self.edge(down, *txn, kind::PASS);
                if index + 1 < count {
                    self.edge(up, up + 1, kind::PASS);
                }
                if index > 0 {
                    self.edge(down, down - 1, kind::PASS);
                }
            }
            self.combs.push((unseen, first));
        }
    }

    /// Edges to all unseen appends of a key, save the transaction's own.
    fn lead_to_unseen(&mut self, key: u32, from: u32, kind: u8) {
        let (unseen, first) = &self.combs[key as usize];
        let (count, first) = (unseen.len() as u32, *first);
        if count == 0 {
            return;
        }
        match unseen.binary_search(&from) {
            Ok(own) => {
                let own = own as u32;
                if own + 1 < count {
                    self.edge(from, first + own + 1, kind);
                }
                if own > 0 {
                    self.edge(from, first + count + own - 1, kind);
                }
            }
            Err(_) => self.edge(from, first, kind),
        }
    }

    fn appends(&mut self) {
        let history = self.history;
        for (key, order) in history.orders.iter().enumerate() {
            if order.is_ambiguous() {
                continue;
            }
            let mut before = NONE;
            for &element in order.order() {
                let writer = order.writer(element);
                if writer == NONE {
                    continue;
                }
                if before != NONE {
                    self.edge(before, writer, kind::WW);
                }
                before = writer;
            }
            if before != NONE {
                self.lead_to_unseen(key as u32, before, kind::WW);
            }
        }
    }

    fn reads(&mut self) {
        let history = self.history;
        for txn in 0..history.ops.len() as u32 {
            for step in history.steps_of(txn) {
                let Micro::Read { key, length, own } = *step else {
                    continue;
                };
                let order = &history.orders[key as usize];
                if order.is_ambiguous() {
                    continue;
                }
                let outside = length - own;
                if outside > 0 {
                    let writer = order.writer(order.at(outside - 1));
                    if writer != NONE {
                        self.edge(writer, txn, kind::WR);
                    }
                }
                // What follows the own elements, if there are some, came after those.
                let mut rest = order.order()[outside as usize..].iter();
                let next = rest.find(|element| {
                    let writer = order.writer(**element);
                    writer != txn && writer != NONE
                });
                match next {
                    Some(next) => self.edge(txn, order.writer(*next), kind::RW),
                    None => self.lead_to_unseen(key, txn, kind::RW),
                }
            }
        }
    }

    /// A node for each end, each leading to the next; and from the last end before it to each transaction.
    fn real_time(&mut self) {
        let ops = &self.history.ops;
        let txns = ops.len() as u32;
        let mut ends: Vec<(i64, u32)> = (0..txns)
            .filter(|txn| self.committed[*txn as usize] && ops.end(*txn) != NEVER)
            .map(|txn| (ops.end(txn), txn))
            .collect();
        ends.sort_unstable();
        let first = self.nodes;
        self.nodes += ends.len() as u32;
        for (index, (_, txn)) in ends.iter().enumerate() {
            let node = first + index as u32;
            self.edge(*txn, node, kind::RT);
            if index + 1 < ends.len() {
                self.edge(node, node + 1, kind::PASS);
            }
        }
        for txn in 0..txns {
            let before = ends.partition_point(|(end, _)| *end < ops.invoke(txn));
            if before > 0 && self.committed[txn as usize] {
                self.edge(first + before as u32 - 1, txn, kind::PASS);
            }
        }
    }
}
