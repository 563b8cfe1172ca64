//! The search: breadth first, layer by layer, over bit sets of the catalog's usable versions.

use crate::rules::{RuleSet, Ruling};
use changeover_model::catalog::Catalog;
use changeover_model::version::{PathVersion, Version};
use fixedbitset::FixedBitSet;
use std::cell::OnceCell;

/// Finds routes through a catalog by some rule sets, all of which must allow each hop.
///
/// What it finds out about pairs of the catalog's versions it keeps, so one router for many routes is fast.
#[derive(Debug)]
pub struct Router<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) rules: Vec<&'a RuleSet>,
    pub(super) current: Option<Version>,
    /// The usable versions, oldest first: where a route may stop.
    places: Vec<&'a Version>,
    /// For each place, those that it may be upgraded to.
    onward: Vec<OnceCell<FixedBitSet>>,
}

impl<'a> Router<'a> {
    /// A router. `current` is the version that the rule sets take for the one built from local source; without it the
    /// newest usable one of the catalog, or the one it is upgraded from if that is newer still.
    pub fn new(catalog: &'a Catalog, rules: Vec<&'a RuleSet>, current: Option<Version>) -> Self {
        let places: Vec<&Version> = catalog.usable().map(|release| &release.version).collect();
        Router {
            catalog,
            rules,
            current,
            onward: vec![OnceCell::new(); places.len()],
            places,
        }
    }

    /// The number that the rule sets go by.
    fn number(&self, version: &PathVersion, from: Option<&Version>) -> Version {
        match (version, &self.current) {
            (PathVersion::Known(version), _) => version.clone(),
            (PathVersion::Current, Some(current)) => current.clone(),
            (PathVersion::Current, None) => {
                let newest = self.places.last().copied().max(from);
                newest.cloned().unwrap_or(Version::new(0, 0, 0))
            }
        }
    }

    /// The names of the rule sets that are asked.
    pub fn rule_names(&self) -> Vec<String> {
        self.rules.iter().map(|set| set.name.clone()).collect()
    }

    /// The numbers of both ends of a hop.
    fn hop(&self, from: &PathVersion, to: &PathVersion) -> (Version, Version) {
        let from = self.number(from, None);
        let to = self.number(to, Some(&from));
        (from, to)
    }

    /// What each rule set says about a hop.
    pub fn rulings(&self, from: &PathVersion, to: &PathVersion) -> Vec<(&'a RuleSet, Ruling<'a>)> {
        let (from, to) = self.hop(from, to);
        self.rules
            .iter()
            .map(|set| (*set, set.judge(self.catalog, &from, &to)))
            .collect()
    }

    /// Whether every rule set allows a hop.
    pub fn legal(&self, from: &PathVersion, to: &PathVersion) -> bool {
        let (from, to) = self.hop(from, to);
        self.allowed(&from, &to)
    }

    fn allowed(&self, from: &Version, to: &Version) -> bool {
        self.rules
            .iter()
            .all(|set| set.judge(self.catalog, from, to).allows())
    }

    /// The shortest legal sequence of stops, both ends included; of several the one with the greatest versions,
    /// compared from the last stop backwards. Stops between are usable versions of the catalog, and each is newer
    /// than the one before. `None` if there is none.
    pub fn stops(&self, from: &PathVersion, to: &PathVersion) -> Option<Vec<PathVersion>> {
        let (start, end) = &self.hop(from, to);
        let between = self.between(start, end);
        let mut layers: Vec<FixedBitSet> = Vec::new();
        let mut fresh = between.clone();
        let mut layer = self.some(&between, |place| self.allowed(start, place));
        let mut arrived = self.allowed(start, end) && start < end;
        while !arrived && !layer.is_clear() {
            arrived = layer.ones().any(|at| self.allowed(self.places[at], end));
            fresh.difference_with(&layer);
            let mut next = FixedBitSet::with_capacity(self.places.len());
            if !arrived {
                for at in layer.ones() {
                    next.union_with(self.onward(at));
                }
                next.intersect_with(&fresh);
            }
            layers.push(std::mem::replace(&mut layer, next));
        }
        if !arrived {
            return None;
        }
        // Backwards: what a layer holds is reached from the layer before it and from none earlier.
        let mut stops = vec![to.clone()];
        let mut onto: Option<usize> = None;
        for layer in layers.iter().rev() {
            let reaches = |at: usize| match onto {
                None => self.allowed(self.places[at], end),
                Some(next) => self.onward(at).contains(next),
            };
            onto = layer.ones().rev().find(|at| reaches(*at));
            stops.extend(onto.map(|at| self.places[at].clone().into()));
        }
        stops.push(from.clone());
        stops.reverse();
        Some(stops)
    }

    /// The places that lie strictly between two versions.
    fn between(&self, start: &Version, end: &Version) -> FixedBitSet {
        let first = self.places.partition_point(|place| *place <= start);
        let last = self.places.partition_point(|place| *place < end);
        let mut between = FixedBitSet::with_capacity(self.places.len());
        if first < last {
            between.insert_range(first..last);
        }
        between
    }

    fn some(&self, among: &FixedBitSet, good: impl Fn(&Version) -> bool) -> FixedBitSet {
        let mut some = FixedBitSet::with_capacity(self.places.len());
        some.extend(among.ones().filter(|at| good(self.places[*at])));
        some
    }

    fn onward(&self, at: usize) -> &FixedBitSet {
        self.onward[at].get_or_init(|| {
            let mut later = FixedBitSet::with_capacity(self.places.len());
            later.insert_range(at + 1..self.places.len());
            self.some(&later, |place| self.allowed(self.places[at], place))
        })
    }
}
