//! Why a route is as it is: what each rule set says about the hops it avoids.

use super::{Disagreement, Reason, Route, mark};
use crate::route::Router;
use crate::rules::{RuleSet, Ruling};
use changeover_model::version::PathVersion;

impl Router<'_> {
    /// The route from one version to another, explained.
    pub fn route(&self, from: &PathVersion, to: &PathVersion) -> Route {
        let stops = self.stops(from, to);
        let (reasons, disagreements) = match &stops {
            Some(stops) => (self.why_these(stops), self.shortcuts(stops)),
            None => (
                self.why_none(from, to),
                self.disagreement(from, to).into_iter().collect(),
            ),
        };
        Route {
            format: mark(),
            from: from.clone(),
            to: to.clone(),
            rules: self.rule_names(),
            stops,
            reasons,
            disagreements,
        }
    }

    /// Why one hop is refused: what every rule set that refuses it says. Empty if it is legal.
    pub fn objections(&self, from: &PathVersion, to: &PathVersion) -> Vec<String> {
        refusals(self.rulings(from, to))
            .map(|(set, text)| said(set, text))
            .collect()
    }

    /// A stop is needed because somebody refuses to go past it; and who is silent about a hop says so.
    fn why_these(&self, stops: &[PathVersion]) -> Vec<Reason> {
        let mut reasons = Vec::new();
        for (at, stop) in stops.iter().enumerate().skip(1) {
            if let Some(past) = stops.get(at + 1) {
                let refusals = refusals(self.rulings(&stops[at - 1], past));
                reasons.extend(refusals.map(|(set, text)| reason(stop, set, said(set, text))));
            }
            for (set, ruling) in self.rulings(&stops[at - 1], stop) {
                if let Ruling::IsSilent(text) = ruling {
                    let text = format!("{}; who is silent allows", said(set, text));
                    reasons.push(reason(stop, set, text));
                }
            }
        }
        reasons
    }

    /// What each rule set would have said alone.
    fn why_none(&self, from: &PathVersion, to: &PathVersion) -> Vec<Reason> {
        self.rulings(from, to)
            .into_iter()
            .map(|(set, ruling)| {
                let alone = || Router::new(self.catalog, vec![set], self.current.clone());
                let text = match ruling {
                    Ruling::Allows if from < to => {
                        format!("{} alone would allow {from} → {to}", set.who)
                    }
                    // Not for a rule set to say: a route goes forward.
                    Ruling::Allows => format!("{to} is not newer than {from}"),
                    Ruling::IsSilent(text) => format!("{}; who is silent allows", said(set, text)),
                    Ruling::Refuses(text) => match alone().stops(from, to) {
                        Some(stops) => {
                            format!("{} alone would allow {}", set.who, joined(&stops))
                        }
                        None => dead_end(&alone(), set, from, to, text),
                    },
                };
                reason(to, set, text)
            })
            .collect()
    }

    /// Disagreements about going past stops of the route. Where the same rule sets stand against each other about a
    /// longer way too, that one says it all.
    fn shortcuts(&self, stops: &[PathVersion]) -> Vec<Disagreement> {
        let mut found: Vec<Disagreement> = Vec::new();
        for (at, from) in stops.iter().enumerate() {
            for to in stops[at..].iter().skip(2).rev() {
                let covered = |one: &Disagreement, longer: &Disagreement| {
                    longer.to >= one.to && longer.allows == one.allows
                };
                let new = self.disagreement(from, to);
                found.extend(new.filter(|new| !found.iter().any(|old| covered(new, old))));
            }
        }
        found
    }

    fn disagreement(&self, from: &PathVersion, to: &PathVersion) -> Option<Disagreement> {
        let rulings = self.rulings(from, to);
        let allow: Vec<&RuleSet> = rulings
            .iter()
            .filter(|(_, ruling)| ruling.allows())
            .map(|(set, _)| *set)
            .collect();
        let refuse: Vec<(&RuleSet, &str)> = refusals(rulings).collect();
        if allow.is_empty() || refuse.is_empty() {
            return None;
        }
        let who: Vec<&str> = allow.iter().map(|set| set.who.as_str()).collect();
        let against: Vec<String> = refuse.iter().map(|(set, text)| said(set, text)).collect();
        Some(Disagreement {
            from: from.clone(),
            to: to.clone(),
            allows: allow.iter().map(|set| set.name.clone()).collect(),
            refuses: refuse.iter().map(|(set, _)| set.name.clone()).collect(),
            text: format!(
                "{} would allow {from} → {to} directly; {}",
                enumerated(&who),
                against.join(", and ")
            ),
        })
    }
}

/// What a rule set says that leads nowhere: about the hop itself if it refuses that at once, else where its way ends.
fn dead_end(
    alone: &Router<'_>,
    set: &RuleSet,
    from: &PathVersion,
    to: &PathVersion,
    text: &str,
) -> String {
    let (last, next) = alone.dead_end(from, to);
    if next == *to && last == *from {
        return said(set, text);
    }
    let objections = alone.objections(&last, &next);
    format!(
        "{} leads no further than {last}: {}",
        set.who,
        objections.join("; ")
    )
}

fn refusals<'a>(
    rulings: Vec<(&'a RuleSet, Ruling<'a>)>,
) -> impl Iterator<Item = (&'a RuleSet, &'a str)> {
    rulings
        .into_iter()
        .filter_map(|(set, ruling)| match ruling {
            Ruling::Refuses(text) => Some((set, text)),
            Ruling::Allows | Ruling::IsSilent(_) => None,
        })
}

fn reason(stop: &PathVersion, set: &RuleSet, text: String) -> Reason {
    Reason {
        stop: stop.clone(),
        rule_set: set.name.clone(),
        text,
    }
}

/// Who says what, as a sentence without a full stop.
fn said(set: &RuleSet, text: &str) -> String {
    format!("{} {text}", set.who)
}

/// Stops as people read them.
pub(crate) fn joined(stops: &[PathVersion]) -> String {
    let stops: Vec<String> = stops.iter().map(PathVersion::to_string).collect();
    stops.join(" → ")
}

/// `a`, `a and b`, `a, b and c`.
fn enumerated(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
