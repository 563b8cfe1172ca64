//! Seeds: the one a person gives, and those derived from it by name.

use crate::stream::Stream;
use changeover_model::text::harmless;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// The seed of a plan in which nothing is drawn.
///
/// A fixed one, because two plans from the same request shall be the same bytes.
pub const DEFAULT_SEED: &str = "1";

/// A seed in its normal form: an integer of any size, or `str:TEXT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    text: String,
}

impl Seed {
    /// The random numbers for one kind of decision, such as `path`.
    ///
    /// They depend on this seed and on the name only. So a kind of decision that is added later, under a name of its
    /// own, leaves all the others as they were.
    pub fn stream(&self, name: &str) -> Stream {
        Stream::new(&self.text, name)
    }

    /// A seed for something that draws by itself, such as the workload: the first number of [`Seed::stream`], as 16
    /// hexadecimal digits.
    pub fn derive(&self, name: &str) -> String {
        format!("{:016x}", self.stream(name).next_u64())
    }

    /// The seed in its normal form.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

/// A seed that is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SeedError {
    /// It has neither of the two forms.
    #[error(
        "seed {seed:?} is neither an integer nor str:TEXT: give one, as in --seed 42 or --seed str:nightly"
    )]
    Form {
        /// What was given.
        seed: String,
    },
    /// It would not be printed as it is.
    #[error(
        "seed {seed:?} holds characters that cannot be printed as they are: leave out control characters and marks of the direction of writing"
    )]
    Text {
        /// What was given.
        seed: String,
    },
}

impl FromStr for Seed {
    type Err = SeedError;

    fn from_str(input: &str) -> Result<Self, SeedError> {
        let refuse = || SeedError::Form {
            seed: input.to_owned(),
        };
        if let Some(text) = input.strip_prefix("str:") {
            // A seed is printed in commands that people copy, so it must be what it looks like.
            if harmless(text) != text {
                return Err(SeedError::Text {
                    seed: input.to_owned(),
                });
            }
            return Ok(Seed {
                text: input.to_owned(),
            });
        }
        let (sign, digits) = match input.strip_prefix('-') {
            Some(digits) => ("-", digits),
            None => ("", input),
        };
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(refuse());
        }
        // One number, one spelling: 007 and 7 shall give the same plan.
        let text = match digits.trim_start_matches('0') {
            "" => "0".to_owned(),
            digits => format!("{sign}{digits}"),
        };
        Ok(Seed { text })
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(text: &str) -> Seed {
        text.parse().unwrap()
    }

    #[test]
    fn an_integer_has_one_spelling_and_a_text_is_kept() {
        assert_eq!(seed("007").to_string(), "7");
        assert_eq!(seed("-0").to_string(), "0");
        assert_eq!(seed("-12").to_string(), "-12");
        let huge = "123456789012345678901234567890";
        assert_eq!(seed(huge).to_string(), huge);
        assert_eq!(seed("str:007").to_string(), "str:007");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "-", "1.5", "+1", "forty-two", "0x10"] {
            let error = text.parse::<Seed>().unwrap_err().to_string();
            assert!(error.contains("neither an integer nor str:TEXT"), "{error}");
        }
    }

    #[test]
    fn a_text_is_what_it_looks_like() {
        assert_eq!(seed("str:nächtlich 🌙").as_str(), "str:nächtlich 🌙");
        for text in [
            "str:a\nb",
            "str:\u{1b}[2J",
            "str:a\u{202e}b",
            "str:\u{2066}",
        ] {
            let error = text.parse::<Seed>().unwrap_err().to_string();
            assert!(error.contains("cannot be printed as they are"), "{error}");
        }
    }

    #[test]
    fn derived_seeds_differ_by_seed_and_by_name_and_never_move() {
        // The values are part of the contract: a plan made today and one made tomorrow are the same bytes.
        for (text, path, workload) in [
            ("1", "ae158bc9040bba24", "a434926580521275"),
            ("42", "52dcdb9f4637d7eb", "1403983fb237e792"),
            ("-7", "da165bcc7dc0af3c", "6d7ffbac326183ff"),
            ("str:nightly", "0b0035072a63fa86", "ac39f98b9d88c66c"),
        ] {
            assert_eq!(seed(text).derive("path"), path);
            assert_eq!(seed(text).derive("workload"), workload);
        }
        // A text is not the number that it spells.
        assert_ne!(seed("1").derive("path"), seed("str:1").derive("path"));
    }
}
