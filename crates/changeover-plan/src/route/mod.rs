//! Routes: the shortest legal sequence of stops from one version to another, and why it has those.

mod explain;
mod search;
pub mod text;

pub(crate) use explain::joined;
pub use search::Router;

use changeover_model::format::Kind;
use changeover_model::version::PathVersion;
use serde::Serialize;

/// The answer to "how do I get from here to there", as `changeover route --format json` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Route {
    /// `changeover.route/1`.
    pub format: String,
    /// Where it starts.
    pub from: PathVersion,
    /// Where it leads.
    pub to: PathVersion,
    /// The rule sets that were asked; all must allow each hop.
    pub rules: Vec<String>,
    /// From [`Route::from`] to [`Route::to`] inclusive; `None` if there is no route.
    pub stops: Option<Vec<PathVersion>>,
    /// Why each stop is needed and where a rule set is silent; without a route, why each rule set allows none.
    pub reasons: Vec<Reason>,
    /// Hops that some of the rule sets allow and others refuse.
    pub disagreements: Vec<Disagreement>,
}

/// Why a stop is needed, or what a rule set has to say about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The stop; without a route, its destination.
    pub stop: PathVersion,
    /// The rule set that says so.
    pub rule_set: String,
    /// What it says, in a sentence without a full stop.
    pub text: String,
}

/// A hop that some rule sets allow and others refuse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Disagreement {
    /// The older version.
    pub from: PathVersion,
    /// The newer version.
    pub to: PathVersion,
    /// Rule sets that allow it, be it by silence.
    pub allows: Vec<String>,
    /// Rule sets that refuse it.
    pub refuses: Vec<String>,
    /// Both sides, in a sentence without a full stop.
    pub text: String,
}

impl Route {
    /// The document: pretty-printed JSON and a newline.
    pub fn to_json(&self) -> String {
        let mut text =
            serde_json::to_string_pretty(self).expect("a route holds nothing that JSON cannot");
        text.push('\n');
        text
    }
}

/// The mark of the document.
fn mark() -> String {
    Kind::Route.mark()
}
