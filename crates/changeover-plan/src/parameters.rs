//! The system parameters that a target's instances are started with, read from data.

use crate::by_version::{ByVersion, one_of_each_range};
use changeover_model::nearest;
use changeover_model::version::Version;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// Which of a target's system parameters an instance is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterMode {
    /// The minimal ones only.
    Minimal,
    /// The minimal ones, then every variable one with its default.
    Default,
    /// The minimal ones, then every variable one with one of its choices.
    Random,
}

impl ParameterMode {
    /// All modes, in the order messages list them.
    pub const ALL: [ParameterMode; 3] = [
        ParameterMode::Minimal,
        ParameterMode::Default,
        ParameterMode::Random,
    ];

    /// The stable word, as plans and options write it.
    pub fn name(self) -> &'static str {
        match self {
            ParameterMode::Minimal => "minimal",
            ParameterMode::Default => "default",
            ParameterMode::Random => "random",
        }
    }
}

impl fmt::Display for ParameterMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ParameterMode {
    type Err = ParameterError;

    fn from_str(word: &str) -> Result<Self, ParameterError> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.name() == word)
            .ok_or_else(|| ParameterError::UnknownMode {
                name: word.to_owned(),
                suggestion: nearest::suggestion(word, Self::ALL.map(ParameterMode::name)),
            })
    }
}

/// Why system parameters cannot be given as asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParameterError {
    /// A mode nobody knows.
    #[error("unknown parameter mode {name:?}: {suggestion}")]
    UnknownMode {
        /// What was asked for.
        name: String,
        /// What would do.
        suggestion: String,
    },
    /// A parameter that the target is not known to know.
    #[error(
        "system parameter {name:?} is not in the list of {as_of}{}; correct it, or give it all the same with --allow-unknown-parameters",
        did_you_mean(.nearest)
    )]
    Unknown {
        /// The parameter.
        name: String,
        /// The day of the list.
        as_of: String,
        /// The nearest known name, if one is like enough.
        nearest: Option<String>,
    },
    /// A parameter twice.
    #[error("system parameter {name:?} is given twice: give each once")]
    Repeated {
        /// The parameter.
        name: String,
    },
    /// An assignment without `=`.
    #[error("{text:?} assigns no system parameter: write NAME=VALUE, as in log_filter=debug")]
    NoAssignment {
        /// What was given.
        text: String,
    },
    /// A name with other characters than those of names.
    #[error(
        "{name:?} is no name of a system parameter: it has letters, digits and _ only, as in log_filter=debug"
    )]
    BadName {
        /// What was given.
        name: String,
    },
    /// A value that would be read as several assignments.
    #[error(
        "the value {value:?} of system parameter {name} holds a semicolon, which ends an assignment: leave it out, and give each parameter by itself"
    )]
    BadValue {
        /// The parameter.
        name: String,
        /// Its value.
        value: String,
    },
}

fn did_you_mean(nearest: &Option<String>) -> String {
    nearest
        .as_ref()
        .map(|name| format!(" (did you mean {name}?)"))
        .unwrap_or_default()
}

/// Reads `NAME=VALUE`. The value may be empty, and may hold `=`.
///
/// # Errors
///
/// When there is no `=`, when the name is not made of ASCII letters, digits and `_`, and when the value holds `;`:
/// Materialize reads all its parameters from one environment variable, `NAME=VALUE;NAME=VALUE`.
pub fn parse_assignment(text: &str) -> Result<(String, String), ParameterError> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(ParameterError::NoAssignment {
            text: text.to_owned(),
        });
    };
    check_assignment(name, value)?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(crate) fn check_assignment(name: &str, value: &str) -> Result<(), ParameterError> {
    if !is_name(name) {
        return Err(ParameterError::BadName {
            name: name.to_owned(),
        });
    }
    if value.contains(';') {
        return Err(ParameterError::BadValue {
            name: name.to_owned(),
            value: value.to_owned(),
        });
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A target's system parameters: those that every instance gets, those that vary, and the others that it knows.
#[derive(Debug, Clone)]
pub struct Parameters {
    as_of: String,
    minimal: BTreeMap<String, ByVersion<String>>,
    variable: Vec<Variable>,
    names: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    as_of: String,
    #[serde(default)]
    also_known: Vec<String>,
    #[serde(default)]
    minimal: BTreeMap<String, ByVersion<String>>,
    #[serde(default)]
    variable: Vec<Variable>,
}

/// A parameter that is worth varying.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Variable {
    name: String,
    default: ByVersion<String>,
    choices: ByVersion<Vec<String>>,
    /// The default is none of the choices, on purpose.
    #[serde(default)]
    default_outside: bool,
}

impl Parameters {
    /// Reads them from TOML: `as_of`, `also_known`, `[minimal]` and `[[variable]]`, of which all but the first may be
    /// missing. A value may depend on the version: `{ when = ">= v1.0.0", then = …, otherwise = … }`.
    ///
    /// # Errors
    ///
    /// One sentence about what is malformed, unknown, listed twice, or contradicts itself: a parameter without
    /// choices, or a default that is none of the choices without saying so.
    pub fn parse(text: &str) -> Result<Self, String> {
        let File {
            as_of,
            also_known,
            minimal,
            variable,
        } = toml::from_str(text).map_err(|e| e.to_string())?;
        // A minimal parameter may vary as well, so each list is looked at by itself.
        let varied: Vec<&String> = variable.iter().map(|v| &v.name).collect();
        refuse_repeated(&varied)?;
        refuse_repeated(&also_known.iter().chain(minimal.keys()).collect::<Vec<_>>())?;
        refuse_repeated(&also_known.iter().chain(varied).collect::<Vec<_>>())?;
        let values = minimal
            .iter()
            .flat_map(|(name, value)| value.values().map(move |value| (name, value)));
        let no_value = String::new();
        let others = also_known.iter().map(|name| (name, &no_value));
        let varying = variable.iter().flat_map(Variable::values);
        for (name, value) in values.chain(varying).chain(others) {
            check_assignment(name, value).map_err(|e| e.to_string())?;
        }
        variable.iter().try_for_each(Variable::check)?;
        let names = minimal
            .keys()
            .chain(variable.iter().map(|v| &v.name))
            .chain(&also_known)
            .cloned()
            .collect();
        Ok(Parameters {
            as_of,
            minimal,
            variable,
            names,
        })
    }

    /// The day the list was made, `YYYY-MM-DD`.
    pub fn as_of(&self) -> &str {
        &self.as_of
    }

    /// What an instance of `version` is given.
    ///
    /// `choose` is called for [`ParameterMode::Random`] only: once for each variable parameter that the version has, in
    /// the order of the file, with the number of its choices for that version, which is at least 1.
    ///
    /// # Panics
    ///
    /// When `choose` returns an index that is not below the number it was given.
    pub fn of(
        &self,
        version: &Version,
        mode: ParameterMode,
        choose: &mut dyn FnMut(usize) -> usize,
    ) -> BTreeMap<String, String> {
        let minimal = self
            .minimal
            .iter()
            .filter_map(|(name, value)| Some((name, value.at(version)?)));
        let variable = self.variable.iter().filter_map(|variable| {
            let value = match mode {
                ParameterMode::Minimal => None,
                ParameterMode::Default => variable.default.at(version),
                ParameterMode::Random => variable
                    .choices
                    .at(version)
                    .map(|choices| &choices[choose(choices.len())]),
            };
            Some((&variable.name, value?))
        });
        // In this order, because a variable parameter wins over a minimal one of the same name.
        minimal
            .chain(variable)
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    /// Whether the target is known to know this parameter, in some version.
    pub fn known(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Every known name, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.names.iter().map(String::as_str)
    }

    /// Judges the parameters that a person gives, as name and value.
    ///
    /// An unknown one is refused, because Materialize would start with it and merely write a line to its log. With
    /// `allow_unknown` it is a warning.
    ///
    /// # Errors
    ///
    /// The first name that is unknown or given twice.
    pub fn check(
        &self,
        given: &[(String, String)],
        allow_unknown: bool,
    ) -> Result<Vec<String>, ParameterError> {
        let mut seen = BTreeSet::new();
        let mut warnings = Vec::new();
        for (name, _) in given {
            if !seen.insert(name) {
                return Err(ParameterError::Repeated { name: name.clone() });
            }
            if self.known(name) {
                continue;
            }
            let nearest = nearest::nearest(name, self.names()).map(str::to_owned);
            if !allow_unknown {
                return Err(ParameterError::Unknown {
                    name: name.clone(),
                    as_of: self.as_of.clone(),
                    nearest,
                });
            }
            warnings.push(format!(
                "system parameter {name:?} is not in the list of {}{}; it is given all the same, and an instance that does not know it ignores it",
                self.as_of,
                did_you_mean(&nearest)
            ));
        }
        Ok(warnings)
    }
}

fn refuse_repeated(names: &[&String]) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    match names.iter().find(|name| !seen.insert(**name)) {
        Some(name) => Err(format!(
            "system parameter {name:?} is listed twice; remove one"
        )),
        None => Ok(()),
    }
}

impl Variable {
    /// Every value that some version may be given.
    fn values(&self) -> impl Iterator<Item = (&String, &String)> {
        let choices = self.choices.values().flatten();
        self.default
            .values()
            .chain(choices)
            .map(|value| (&self.name, value))
    }

    /// Looks at one version of every range in which the parameter does not change.
    fn check(&self) -> Result<(), String> {
        let name = &self.name;
        let thresholds = [self.default.threshold(), self.choices.threshold()];
        let mut inside = true;
        for version in one_of_each_range(thresholds.into_iter().flatten()) {
            let default = self.default.at(&version);
            let choices = self.choices.at(&version);
            match (default, choices) {
                (None, None) => {}
                (Some(default), Some(choices)) if !choices.is_empty() => {
                    let distinct: BTreeSet<&String> = choices.iter().collect();
                    if distinct.len() < choices.len() {
                        return Err(format!("variable {name:?} repeats a choice; remove one"));
                    }
                    inside &= choices.contains(default);
                }
                _ => {
                    return Err(format!(
                        "variable {name:?} lacks a default or a choice for {version}; give both, or neither"
                    ));
                }
            }
        }
        match (inside, self.default_outside) {
            (true, true) => Err(format!(
                "every default of variable {name:?} is one of its choices; remove default_outside"
            )),
            (false, false) => Err(format!(
                "a default of variable {name:?} is none of its choices; add it, or say default_outside = true"
            )),
            _ => Ok(()),
        }
    }
}
