//! Planted bugs: the database's own, on request. Whatever examines an upgrade must find each of them.
//!
//! A bug changes one condition of the honest path, where that path asks [`on`], and prints nothing. Which ones there
//! are, and what is known of each, is in `table`, and nowhere but in this crate. Off, each costs a comparison; a process
//! has one at most, which its command line names and its log's second line warns of.

mod table;

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::store::{Effect, Value as Cell};

pub(crate) use table::Bug;
pub use table::Facts;

/// The bug of this process.
static PLANTED: OnceLock<Bug> = OnceLock::new();

/// Whether this process has that bug.
#[inline]
pub(crate) fn on(bug: Bug) -> bool {
    PLANTED.get() == Some(&bug)
}

/// Plants the bug that `--planted-bug` names, if this generation is to have it; once for the whole process. What it is
/// then, for the log.
///
/// # Errors
/// What is wrong with the name, or with the store for this bug, as a sentence.
pub(crate) fn plant(
    text: Option<&str>,
    generation: u64,
    in_sqlite: bool,
) -> Result<Option<&'static Facts>, String> {
    let Some(planted) = text.map(str::parse::<Planted>).transpose()? else {
        return Ok(None);
    };
    let facts = planted.bug.facts();
    if facts.in_sqlite && !in_sqlite {
        return Err(format!(
            "`{}` is a bug of the store in SQLite; give --metadata-store sqlite:PATH",
            facts.name
        ));
    }
    if planted.generation.is_some_and(|only| only != generation) {
        return Ok(None);
    }
    Ok(Some(PLANTED.get_or_init(|| planted.bug).facts()))
}

/// What `--planted-bug` was given: `NAME`, or `NAME@GENERATION` for the processes of one generation alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Planted {
    bug: Bug,
    generation: Option<u64>,
}

impl FromStr for Planted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, generation) = match text.split_once('@') {
            None => (text, None),
            Some((name, generation)) => (name, Some(generation)),
        };
        let generation = generation
            .map(|text| {
                text.parse()
                    .map_err(|_| format!("`{text}` behind the @ is no deploy generation"))
            })
            .transpose()?;
        let bug = Bug::ALL.iter().find(|bug| bug.facts().name == name);
        match bug {
            Some(&bug) => Ok(Self { bug, generation }),
            None => Err(format!(
                "there is no planted bug `{name}`; the nearest is `{}`, and `reference bugs` lists them all",
                nearest(name)
            )),
        }
    }
}

fn nearest(name: &str) -> &'static str {
    Bug::ALL
        .iter()
        .map(|bug| bug.facts().name)
        .max_by(|a, b| strsim::jaro(a, name).total_cmp(&strsim::jaro(b, name)))
        .unwrap_or_default()
}

/// Every planted bug, in the order of their classes.
pub fn bugs() -> impl Iterator<Item = &'static Facts> {
    Bug::ALL.iter().map(|bug| bug.facts())
}

/// The bugs as a document for programs.
pub fn bugs_json() -> String {
    let bugs: Vec<Value> = bugs()
        .map(|bug| {
            json!({
                "name": bug.name,
                "classes": bug.classes,
                "symptom": bug.symptom,
                "check": bug.check,
                "options": bug.options(),
                "timeouts_ms": bug.timeouts_ms.iter().copied().collect::<std::collections::BTreeMap<_, _>>(),
            })
        })
        .collect();
    // The format first, which no map keeps there.
    format!(
        "{{\n\"format\": \"changeover.bugs/1\",\n\"bugs\": {:#}\n}}\n",
        Value::from(bugs)
    )
}

/// The bugs as lines for people.
pub fn bugs_text() -> String {
    let width = |of: fn(&Facts) -> usize| bugs().map(of).max().unwrap_or(0);
    let (name, check) = (width(|b| b.name.len()), width(|b| b.check.len()));
    let mut text = String::new();
    for bug in bugs() {
        let classes: Vec<String> = bug.classes.iter().map(ToString::to_string).collect();
        text += &format!(
            "{:name$}  {:>5}  {:check$}  {}\n",
            bug.name,
            classes.join(","),
            bug.check,
            bug.symptom,
        );
    }
    text
}

impl Facts {
    /// The options of `changeover plan` that make the plan which shows this bug.
    pub fn options(&self) -> Vec<String> {
        let mut options = vec!["--versions".to_owned(), self.versions.to_owned()];
        options.extend(self.plan.iter().map(|&option| option.to_owned()));
        let planted = match self.generation {
            Some(generation) => format!("{}@{generation}", self.name),
            None => self.name.to_owned(),
        };
        let own = ["--planted-bug", &planted];
        for argument in own.into_iter().chain(self.instance.iter().copied()) {
            options.push(format!("--instance-arg={argument}"));
        }
        options
    }
}

/// For [`Bug::MisreadsOlder`] and [`Bug::EmptiesField`]: what they make of an effect of an older format.
pub(crate) fn misread(effect: &mut Effect) {
    let (Effect::Insert { row, .. } | Effect::Update { row, .. }) = effect else {
        return;
    };
    for value in row {
        match value {
            // The sign is taken from the fifth bit.
            Cell::Int(n @ 16..) if on(Bug::MisreadsOlder) => *n = (*n & 31) - 32,
            Cell::Text(text) if on(Bug::EmptiesField) => text.clear(),
            _ => {}
        }
    }
}

/// What a migration keeps of a record's effects: all of them, unless [`Bug::LosesIndexes`] is on.
pub(crate) fn kept(effects: &[Effect]) -> Cow<'_, [Effect]> {
    let index = |effect: &Effect| matches!(effect, Effect::Ddl { statement } if statement.starts_with("CREATE INDEX"));
    match on(Bug::LosesIndexes) {
        false => Cow::Borrowed(effects),
        true => effects.iter().filter(|e| !index(e)).cloned().collect(),
    }
}

/// Acknowledged transactions that wait for more before they are appended.
const HELD_BACK: usize = 16;

/// For [`Bug::AcknowledgesEarly`]: the effects to append now, with those held back before them, or none yet.
pub(crate) fn hold_back(effects: Vec<Effect>) -> Option<Vec<Effect>> {
    static HELD: std::sync::Mutex<(usize, Vec<Effect>)> = std::sync::Mutex::new((0, Vec::new()));
    let mut held = HELD
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    held.0 += 1;
    held.1.extend(effects);
    (held.0.is_multiple_of(HELD_BACK)).then(|| std::mem::take(&mut held.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn nothing_is_planted_unless_asked_for() {
        assert!(Bug::ALL.iter().all(|&bug| !on(bug)));
    }

    #[test]
    fn a_bug_is_meant_for_all_generations_or_for_one() {
        let name = Bug::ALL[0].facts().name;
        let planted: Planted = name.parse().unwrap();
        assert_eq!((planted.bug, planted.generation), (Bug::ALL[0], None));
        let one: Planted = format!("{name}@3").parse().unwrap();
        assert_eq!(one.generation, Some(3));
        assert_eq!(plant(Some(&format!("{name}@3")), 2, true), Ok(None));
        assert_eq!(plant(None, 3, true), Ok(None));
        assert!(format!("{name}@x").parse::<Planted>().is_err());
        let wrong = format!("{name}s").parse::<Planted>().unwrap_err();
        assert!(wrong.contains(&format!("`{name}`")), "{wrong}");
    }

    #[test]
    fn a_bug_of_one_kind_of_store_is_refused_by_the_other() {
        let refused = |bug: &&Bug| plant(Some(bug.facts().name), 0, false).is_err();
        let of_sqlite = Bug::ALL.iter().find(|bug| bug.facts().in_sqlite);
        assert!(of_sqlite.is_some_and(|bug| refused(&bug)));
    }

    #[test]
    fn each_bug_has_a_name_of_its_own_and_a_class_of_the_taxonomy() {
        let names: BTreeSet<&str> = bugs().map(|bug| bug.name).collect();
        assert_eq!(names.len(), Bug::ALL.len());
        for bug in bugs() {
            assert!(!bug.classes.is_empty(), "{}", bug.name);
            assert!(bug.classes.iter().all(|class| (1..=36).contains(class)));
            assert!(bug.symptom.ends_with(|end: char| end.is_alphanumeric()));
        }
        assert!(names.len() >= 32);
    }

    /// What a bug changes is one condition: the honest path asks for it at one place, or at two that do the same.
    #[test]
    fn every_bug_is_asked_for_and_at_few_places() {
        let sources = sources(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
        for bug in Bug::ALL {
            let asked = format!("on(Bug::{bug:?})");
            let times = sources.matches(&asked).count();
            assert!((1..=2).contains(&times), "{asked} {times} times");
        }
    }

    fn sources(directory: &std::path::Path) -> String {
        let mut text = String::new();
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                text += &sources(&path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                text += &std::fs::read_to_string(&path).unwrap();
            }
        }
        text
    }
}
