//! A route in sentences, for people.

use super::explain::joined;
use super::{Reason, Route};

/// The route as plain text, a newline at the end of every line.
///
/// What a rule set says about several stops in the same words is said once.
pub fn render(route: &Route) -> String {
    let rules = match route.rules.as_slice() {
        [] => "no rule set, because the target has none".to_owned(),
        names => format!("the rules of {}", names.join(", ")),
    };
    let mut out = match &route.stops {
        Some(stops) => {
            let hops = stops.len() - 1;
            let plural = if hops == 1 { "" } else { "s" };
            format!("{}\n{hops} hop{plural}, by {rules}\n", joined(stops))
        }
        None => format!("no route from {} to {}, by {rules}\n", route.from, route.to),
    };
    for (stops, text) in grouped(&route.reasons) {
        let about = match route.stops {
            Some(_) => format!("{stops}: "),
            None => String::new(),
        };
        out.push_str(&format!("  {about}{text}\n"));
    }
    if !route.disagreements.is_empty() {
        out.push_str("They disagree:\n");
        for disagreement in &route.disagreements {
            out.push_str(&format!("  {}\n", disagreement.text));
        }
    }
    out
}

/// Reasons with the same words, with the stops they are given for.
fn grouped(reasons: &[Reason]) -> Vec<(String, &str)> {
    let mut groups: Vec<(Vec<String>, &str)> = Vec::new();
    for reason in reasons {
        let stop = reason.stop.to_string();
        match groups.iter_mut().find(|(_, text)| *text == reason.text) {
            Some((stops, _)) => stops.push(stop),
            None => groups.push((vec![stop], &reason.text)),
        }
    }
    groups
        .into_iter()
        .map(|(stops, text)| {
            let shown = match stops.as_slice() {
                [first, .., last] if stops.len() > 3 => {
                    format!("{first} … {last} ({} stops)", stops.len())
                }
                few => few.join(", "),
            };
            (shown, text)
        })
        .collect()
}
