//! `script`: a user's own statements, in the spirit of pgbench's: chosen by weight, with drawn values in them, and with
//! what they must answer.
//!
//! ```sql
//! \setup
//! CREATE TABLE stock (item INT, amount INT);
//!
//! \weight 3
//! \set item random(1, 100)
//! \expect rows 1
//! SELECT amount FROM stock WHERE item = :item;
//! ```

use super::draw::{Draws, seed_of};
use super::statements::{FileError, Part, parts};
use crate::nearest;

const SALT: u64 = 0x7363;

/// The heaviest statement.
const HEAVIEST: u64 = 1_000_000;

const COMMANDS: [&str; 4] = ["setup", "weight", "set", "expect"];

const EXPECTATIONS: [&str; 4] = ["rows", "value", "count", "error"];

/// A file of `script`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// What is run once, before the load.
    pub setup: Vec<String>,
    /// What clients run. Never empty.
    pub statements: Vec<Statement>,
}

/// A statement of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Its line in the file.
    pub line: usize,
    /// How often it is chosen, relative to the others.
    pub weight: u64,
    /// Values that are drawn for it: a name, and the least and the most.
    pub values: Vec<(String, i64, i64)>,
    /// What it must answer.
    pub expect: Option<Expect>,
    /// What is sent, with `:name` for what is drawn.
    pub sql: String,
}

/// What a statement must answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// So many rows.
    Rows(u64),
    /// One row with one value, as text; `null` is none.
    Value(String),
    /// So many rows changed.
    Count(u64),
    /// This SQLSTATE.
    Error(String),
}

/// A statement with its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Which of [`Script::statements`].
    pub index: usize,
    /// What is sent.
    pub sql: String,
}

impl Script {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// When it does not parse, or does nothing.
    pub fn parse(text: &str) -> Result<Self, FileError> {
        let mut script = Script {
            setup: Vec::new(),
            statements: Vec::new(),
        };
        let mut commands = Commands::default();
        for part in parts(text)? {
            if part.command {
                commands.take(&part)?;
                continue;
            }
            let commands = std::mem::take(&mut commands);
            match commands.setup {
                true => script.setup.push(part.text),
                false => script.statements.push(Statement {
                    line: part.line,
                    weight: commands.weight.unwrap_or(1),
                    values: commands.values,
                    expect: commands.expect,
                    sql: part.text,
                }),
            }
        }
        if let Some(part) = commands.last {
            return Err(part.refuse("there is no statement behind the command"));
        }
        if script
            .statements
            .iter()
            .all(|statement| statement.weight == 0)
        {
            return Err(FileError {
                line: 1,
                problem:
                    "there is no statement for clients to run; those behind \\setup are run once"
                        .to_owned(),
            });
        }
        Ok(script)
    }

    /// Operation `n` of `client`.
    pub fn operation(&self, seed: &str, client: u64, n: u64) -> Line {
        let mut draws = Draws::of(seed_of(seed), SALT, client, n);
        let all: u64 = self.statements.iter().map(|s| s.weight).sum();
        let mut draw = draws.below(all.max(1));
        let index = self.statements.iter().position(|statement| {
            let hit = draw < statement.weight;
            draw = draw.saturating_sub(statement.weight);
            hit
        });
        let index = index.unwrap_or(0);
        let statement = &self.statements[index];
        let values: Vec<(&str, i64)> = statement
            .values
            .iter()
            .map(|(name, least, most)| {
                let span = most.abs_diff(*least).saturating_add(1);
                (
                    name.as_str(),
                    least.wrapping_add_unsigned(draws.below(span)),
                )
            })
            .collect();
        Line {
            index,
            sql: fill(&statement.sql, &values),
        }
    }
}

/// Replaces each `:name` that is known and no cast.
fn fill(sql: &str, values: &[(&str, i64)]) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(colon) = rest.find(':') {
        let (before, after) = rest.split_at(colon);
        out.push_str(before);
        let name: &str = {
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let end = after[1..]
                .find(|c| !word(c))
                .map_or(after.len(), |at| at + 1);
            &after[1..end]
        };
        let known = values.iter().find(|(known, _)| *known == name);
        match known {
            Some((_, value)) if !out.ends_with(':') => {
                out.push_str(&value.to_string());
                rest = &after[1 + name.len()..];
            }
            _ => {
                out.push(':');
                rest = &after[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// The commands before a statement.
#[derive(Default)]
struct Commands {
    setup: bool,
    weight: Option<u64>,
    values: Vec<(String, i64, i64)>,
    expect: Option<Expect>,
    last: Option<Part>,
}

impl Commands {
    fn take(&mut self, part: &Part) -> Result<(), FileError> {
        self.last = Some(part.clone());
        let (command, rest) = part
            .text
            .split_once(char::is_whitespace)
            .unwrap_or((&part.text, ""));
        let rest = rest.trim();
        match command {
            "setup" => self.setup = true,
            "weight" => {
                let weight = rest.parse().ok().filter(|weight| *weight <= HEAVIEST);
                let refuse = || {
                    part.refuse(format!(
                        "{rest:?} is no weight; write \\weight 3, at most {HEAVIEST}"
                    ))
                };
                self.weight = Some(weight.ok_or_else(refuse)?);
            }
            "set" => {
                let refuse = || {
                    part.refuse(format!(
                        "{rest:?} draws nothing; write \\set name random(1, 100)"
                    ))
                };
                self.values.push(drawn(rest).ok_or_else(refuse)?);
            }
            "expect" => self.expect = Some(expectation(part, rest)?),
            other => {
                let suggestion = nearest::suggestion(other, COMMANDS);
                return Err(part.refuse(format!("\\{other} is no command: {suggestion}")));
            }
        }
        Ok(())
    }
}

/// `name random(1, 100)`.
fn drawn(text: &str) -> Option<(String, i64, i64)> {
    let (name, call) = text.split_once(char::is_whitespace)?;
    let arguments = call.trim().strip_prefix("random(")?.strip_suffix(')')?;
    let (least, most) = arguments.split_once(',')?;
    let (least, most) = (least.trim().parse().ok()?, most.trim().parse().ok()?);
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (name.chars().all(word) && least <= most).then(|| (name.to_owned(), least, most))
}

fn expectation(part: &Part, text: &str) -> Result<Expect, FileError> {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    let number = || {
        let refuse = || {
            part.refuse(format!(
                "{rest:?} is no number of rows; write \\expect {word} 1"
            ))
        };
        rest.parse::<u64>().map_err(|_| refuse())
    };
    match word {
        "rows" => Ok(Expect::Rows(number()?)),
        "count" => Ok(Expect::Count(number()?)),
        "value" => Ok(Expect::Value(rest.to_owned())),
        "error" if rest.len() == 5 && rest.chars().all(|c| c.is_ascii_alphanumeric()) => {
            Ok(Expect::Error(rest.to_ascii_uppercase()))
        }
        "error" => Err(part.refuse(format!(
            "{rest:?} is no SQLSTATE; write \\expect error 23505"
        ))),
        other => {
            let suggestion = nearest::suggestion(other, EXPECTATIONS);
            Err(part.refuse(format!(
                "nothing can be expected as {other:?}: {suggestion}"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\\setup\nCREATE TABLE s (i INT);\n\n\\weight 3\n\\set i random(1, 9)\n\\expect rows 1\nSELECT * FROM s WHERE i = :i AND :i::text = '12:30';\nINSERT INTO s VALUES (1);";

    #[test]
    fn commands_belong_to_the_statement_behind_them() {
        let script = Script::parse(FILE).unwrap();
        assert_eq!(script.setup, ["CREATE TABLE s (i INT)"]);
        assert_eq!(script.statements.len(), 2);
        assert_eq!(script.statements[0].expect, Some(Expect::Rows(1)));
        assert_eq!(
            (script.statements[0].line, script.statements[0].weight),
            (7, 3)
        );
        assert_eq!(
            (script.statements[1].weight, &script.statements[1].expect),
            (1, &None)
        );
    }

    #[test]
    fn the_same_operation_is_the_same_statement_and_weights_are_kept() {
        let script = Script::parse(FILE).unwrap();
        let mut counts = [0, 0];
        for n in 0..1000 {
            let line = script.operation("42", 1, n);
            assert_eq!(line, script.operation("42", 1, n));
            counts[line.index] += 1;
            assert!(!line.sql.contains(":i "), "{}", line.sql);
        }
        assert!(counts[0] > 650 && counts[0] < 850, "{counts:?}");
        assert_ne!(script.operation("42", 1, 0), script.operation("43", 2, 9));
    }

    #[test]
    fn casts_and_times_are_no_values() {
        assert_eq!(fill("a::i :i '1:i2' :ix", &[("i", 7)]), "a::i 7 '1:i2' :ix");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let refused = |text: &str| Script::parse(text).unwrap_err().to_string();
        assert_eq!(
            refused("SELECT 1;\n\\wieght 3\nSELECT 2"),
            "line 2: \\wieght is no command: did you mean weight?"
        );
        assert!(refused("\\weight x\nSELECT 1").starts_with("line 1: \"x\" is no weight"));
        assert!(refused("\\set a random(9, 1)\nSELECT 1").contains("draws nothing"));
        assert!(refused("\\expect error 5\nSELECT 1").contains("no SQLSTATE"));
        assert!(refused("\\expect lines 5\nSELECT 1").contains("known: rows"));
        assert!(refused("SELECT 1;\n\\setup\n").contains("no statement behind"));
        assert!(refused("\\setup\nSELECT 1").contains("no statement for clients"));
    }
}
