//! A user's check: SQL statements, each with what is to come of it.
//!
//! ```sql
//! -- from: v0.147.0
//! INSERT INTO t VALUES (1, 'one');
//! SELECT a, b FROM t ORDER BY a;
//! -- 1 | one
//! SELECT missing FROM t;
//! -- error: does not exist
//! ```
//!
//! Lines that begin with `--` right behind a statement are its expected rows, or the expected error. Without any,
//! whatever is answered will do, but an error will not. `-- no rows` expects none.

use crate::version::{PathVersion, Version};

/// A file of statements.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script {
    /// For this version of the leader and later ones.
    pub from: Option<Version>,
    /// For earlier versions than this.
    pub below: Option<Version>,
    /// The statements, in order.
    pub statements: Vec<Statement>,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Its line, from 1.
    pub line: usize,
    /// The statement, without its semicolon.
    pub sql: String,
    /// What is to come of it.
    pub expected: Expected,
}

/// What is to come of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Anything but an error.
    NoError,
    /// These rows, columns joined by ` | `, a null as `NULL`.
    Rows(Vec<String>),
    /// An error whose text has this in it.
    Error(String),
}

impl Script {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// What is wrong, with its line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut script = Script::default();
        let mut begun: Option<(usize, String)> = None;
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            let trimmed = line.trim();
            if let Some((_, sql)) = &mut begun {
                sql.push('\n');
                sql.push_str(line);
            } else if let Some(comment) = trimmed.strip_prefix("--") {
                script.comment(comment.trim(), number)?;
                continue;
            } else if trimmed.is_empty() {
                continue;
            } else {
                begun = Some((number, line.to_owned()));
            }
            if trimmed.ends_with(';')
                && let Some((line, sql)) = begun.take()
            {
                let sql = sql.trim().trim_end_matches(';').to_owned();
                script.statements.push(Statement {
                    line,
                    sql,
                    expected: Expected::NoError,
                });
            }
        }
        match begun {
            None => Ok(script),
            Some((line, _)) => Err(format!(
                "line {line}: the statement does not end; put a semicolon at the end of its last line"
            )),
        }
    }

    fn comment(&mut self, comment: &str, line: usize) -> Result<(), String> {
        let Some(statement) = self.statements.last_mut() else {
            let place = match comment.split_once(':') {
                Some(("from", version)) => (&mut self.from, version),
                Some(("below", version)) => (&mut self.below, version),
                // Words for people.
                _ => return Ok(()),
            };
            let (place, version) = place;
            let version = version.trim();
            let parsed = version.parse::<Version>();
            *place = Some(parsed.map_err(|error| {
                format!(
                    "line {line}: {version:?} is not a version: {}",
                    error.problem
                )
            })?);
            return Ok(());
        };
        match (comment.strip_prefix("error:"), &mut statement.expected) {
            (Some(text), expected @ Expected::NoError) => {
                *expected = Expected::Error(text.trim().to_owned());
            }
            (Some(_), _) => {
                return Err(format!(
                    "line {line}: an error beside rows, or a second one; expect one thing of a statement"
                ));
            }
            (None, expected @ Expected::NoError) => {
                let rows = match comment {
                    "no rows" => Vec::new(),
                    row => vec![row.to_owned()],
                };
                *expected = Expected::Rows(rows);
            }
            (None, Expected::Rows(rows)) => rows.push(comment.to_owned()),
            (None, Expected::Error(_)) => {
                return Err(format!(
                    "line {line}: rows beside an error; expect one thing of a statement"
                ));
            }
        }
        Ok(())
    }

    /// Whether it is for a leader of this version. The current one is newer than every other.
    pub fn is_for(&self, version: &PathVersion) -> bool {
        match version.known() {
            Some(version) => {
                self.from.as_ref().is_none_or(|from| version >= from)
                    && self.below.as_ref().is_none_or(|below| version < below)
            }
            None => self.below.is_none(),
        }
    }
}

impl Expected {
    /// What is wrong with an answer; `None` if nothing is.
    pub fn objection(&self, answer: Result<&[Vec<Option<String>>], &str>) -> Option<String> {
        match (self, answer) {
            (Expected::NoError, Ok(_)) => None,
            (Expected::NoError | Expected::Rows(_), Err(error)) => Some(error.to_owned()),
            (Expected::Error(text), Err(error)) if error.contains(text) => None,
            (Expected::Error(text), Err(error)) => {
                Some(format!("{error}; expected was the error {text:?}"))
            }
            (Expected::Error(text), Ok(_)) => Some(format!("no error; expected was {text:?}")),
            (Expected::Rows(expected), Ok(rows)) => {
                let found: Vec<String> = rows.iter().map(|row| shown(row)).collect();
                (found != *expected)
                    .then(|| format!("the rows are {found:?}; expected were {expected:?}"))
            }
        }
    }
}

fn shown(row: &[Option<String>]) -> String {
    let columns = row.iter();
    let columns: Vec<&str> = columns.map(|it| it.as_deref().unwrap_or("NULL")).collect();
    columns.join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "-- A table of ours.
-- from: v0.147.0
INSERT INTO t
VALUES (1, 'one; -- two');
SELECT a, b FROM t;
-- 1 | one
-- 2 | NULL

SELECT nothing FROM t;
-- error: does not exist
SELECT a FROM t WHERE false;
-- no rows
";

    #[test]
    fn a_file_is_read_as_it_is_meant() {
        let script = Script::parse(TEXT).unwrap();
        assert_eq!(script.from, Some("v0.147.0".parse().unwrap()));
        let told: Vec<(usize, &Expected)> = script
            .statements
            .iter()
            .map(|it| (it.line, &it.expected))
            .collect();
        let rows = Expected::Rows(vec!["1 | one".to_owned(), "2 | NULL".to_owned()]);
        assert_eq!(
            told,
            [
                (3, &Expected::NoError),
                (5, &rows),
                (9, &Expected::Error("does not exist".to_owned())),
                (11, &Expected::Rows(Vec::new())),
            ]
        );
        assert!(!script.is_for(&"v0.146.0".parse().unwrap()));
        assert!(script.is_for(&"current".parse().unwrap()));
    }

    #[test]
    fn what_is_no_such_file_is_refused_with_its_line() {
        for (text, problem) in [
            ("SELECT 1", "line 1: the statement does not end"),
            (
                "-- from: new\nSELECT 1;",
                "line 1: \"new\" is not a version",
            ),
            (
                "SELECT 1;\n-- 1\n-- error: x",
                "line 3: an error beside rows",
            ),
            (
                "SELECT 1;\n-- error: x\n-- 1",
                "line 3: rows beside an error",
            ),
        ] {
            let error = Script::parse(text).unwrap_err();
            assert!(error.starts_with(problem), "{error}");
        }
    }

    #[test]
    fn an_answer_is_held_against_what_was_expected() {
        let rows = [vec![Some("1".to_owned()), None]];
        let expected = Expected::Rows(vec!["1 | NULL".to_owned()]);
        assert_eq!(expected.objection(Ok(&rows)), None);
        assert!(expected.objection(Ok(&[])).is_some());
        assert!(expected.objection(Err("x")).is_some());
        let expected = Expected::Error("does not".to_owned());
        assert_eq!(expected.objection(Err("it does not exist")), None);
        assert!(expected.objection(Err("other")).is_some());
        assert!(expected.objection(Ok(&rows)).is_some());
        assert_eq!(Expected::NoError.objection(Ok(&rows)), None);
    }
}
