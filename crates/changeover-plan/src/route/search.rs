//! The search: breadth first, layer by layer, over bit sets of the versions that a route may stop at.

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
    /// Where a route may stop, oldest first: the usable versions, pre-releases left out.
    places: Vec<&'a Version>,
    /// For each place, those that it may be upgraded to.
    onward: Vec<OnceCell<FixedBitSet>>,
}

impl<'a> Router<'a> {
    /// A router. `current` is the version that the rule sets take for the one built from local source; without it the
    /// newest usable one of the catalog, or the one it is upgraded from if that is newer still.
    pub fn new(catalog: &'a Catalog, rules: Vec<&'a RuleSet>, current: Option<Version>) -> Self {
        let places: Vec<&Version> = catalog.finals().map(|release| &release.version).collect();
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
    /// compared from the last stop backwards. Stops between are usable versions of the catalog, no pre-releases, and
    /// each is newer than the one before. `None` if there is none.
    pub fn stops(&self, from: &PathVersion, to: &PathVersion) -> Option<Vec<PathVersion>> {
        if to < from || to.is_same(from) {
            return None;
        }
        let (start, end) = &self.hop(from, to);
        let (start, end) = (self.point(start), self.point(end));
        let between = self.between(start.version, end.version);
        let mut layers: Vec<FixedBitSet> = Vec::new();
        let mut fresh = between.clone();
        let mut arrived = self.leads(start, end);
        let mut layer = match arrived {
            true => FixedBitSet::new(),
            false => self.reached(start, &between),
        };
        while !arrived && !layer.is_clear() {
            arrived = layer.ones().any(|at| self.leads(self.place(at), end));
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
        let mut onto = end;
        for layer in layers.iter().rev() {
            let mut newest_first = layer.ones().rev().map(|at| self.place(at));
            if let Some(place) = newest_first.find(|place| self.leads(*place, onto)) {
                stops.push(place.version.clone().into());
                onto = place;
            }
        }
        stops.push(from.clone());
        stops.reverse();
        Some(stops)
    }

    /// Where the way ends that does not lead from one version to another: the newest version before `to` that it
    /// leads to, or `from` itself, and the next one, which it does not lead to.
    pub(super) fn dead_end(
        &self,
        from: &PathVersion,
        to: &PathVersion,
    ) -> (PathVersion, PathVersion) {
        let (start, end) = &self.hop(from, to);
        let between = self.between(start, end);
        let mut seen = FixedBitSet::with_capacity(self.places.len());
        let mut fresh = self.reached(self.point(start), &between);
        while !fresh.is_clear() {
            seen.union_with(&fresh);
            let mut next = FixedBitSet::with_capacity(self.places.len());
            for at in fresh.ones() {
                next.union_with(self.onward(at));
            }
            next.intersect_with(&between);
            next.difference_with(&seen);
            fresh = next;
        }
        let named = |at: usize| PathVersion::from(self.places[at].clone());
        let last = seen.maximum();
        let mut beyond = between
            .ones()
            .filter(|at| last.is_none_or(|last| *at > last));
        (
            last.map_or(from.clone(), named),
            beyond.next().map_or(to.clone(), named),
        )
    }

    fn point<'v>(&self, version: &'v Version) -> Point<'v> {
        Point {
            version,
            place: self.places.binary_search(&version).ok(),
        }
    }

    fn place(&self, at: usize) -> Point<'_> {
        Point {
            version: self.places[at],
            place: Some(at),
        }
    }

    /// Whether one point may be upgraded to the other.
    fn leads(&self, from: Point<'_>, to: Point<'_>) -> bool {
        match (from.place, to.place) {
            (Some(from), Some(to)) if from < to => self.onward(from).contains(to),
            _ => self.allowed(from.version, to.version),
        }
    }

    /// The places among these that a point may be upgraded to.
    fn reached(&self, from: Point<'_>, among: &FixedBitSet) -> FixedBitSet {
        match from.place {
            Some(at) => self.onward(at) & among,
            None => self.some(among, |place| self.allowed(from.version, place)),
        }
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

/// A version on the way, and where it is among the places, if it is one.
#[derive(Debug, Clone, Copy)]
struct Point<'v> {
    version: &'v Version,
    place: Option<usize>,
}
