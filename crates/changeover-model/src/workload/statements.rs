//! A file of SQL statements, cut into them. Lines that begin with a backslash are commands of ours, as in files for
//! pgbench; everything else is the database's business.

use std::fmt;

/// Why a file is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

impl std::error::Error for FileError {}

/// A part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// The line it begins in, from 1.
    pub(super) line: usize,
    pub(super) text: String,
    /// Whether it is a command of ours; its text then has no backslash.
    pub(super) command: bool,
}

impl Part {
    pub(super) fn refuse(&self, problem: impl Into<String>) -> FileError {
        FileError {
            line: self.line,
            problem: problem.into(),
        }
    }

    /// Whether it is a query: what reads and changes nothing, by its first word.
    pub(super) fn is_query(&self) -> bool {
        let word = self.text.trim_start_matches(['(', ' ', '\n', '\t']);
        let word: String = word.chars().take_while(char::is_ascii_alphabetic).collect();
        ["select", "with", "values", "table", "show"].contains(&&*word.to_ascii_lowercase())
    }
}

/// Cuts a file into statements, without their semicolons and the comments around them, and commands.
pub(super) fn parts(text: &str) -> Result<Vec<Part>, FileError> {
    let mut cutter = Cutter {
        rest: text,
        line: 1,
        parts: Vec::new(),
        statement: String::new(),
        began: 1,
    };
    while let Some(c) = cutter.rest.chars().next() {
        cutter.next(c)?;
    }
    cutter.end();
    Ok(cutter.parts)
}

struct Cutter<'a> {
    rest: &'a str,
    line: usize,
    parts: Vec<Part>,
    statement: String,
    began: usize,
}

impl Cutter<'_> {
    fn next(&mut self, c: char) -> Result<(), FileError> {
        let between = self.statement.trim().is_empty();
        match c {
            '\\' if between => self.command(),
            ';' => {
                self.take(1, false);
                self.end();
            }
            '\'' | '"' => {
                let close = c.to_string();
                self.quoted(1, &close, "a quote")?;
            }
            '$' => match self.tag() {
                Some(tag) => self.quoted(tag.len(), &tag, "a dollar quote")?,
                None => self.take(1, true),
            },
            '-' if self.rest.starts_with("--") => {
                let length = self.rest.find('\n').unwrap_or(self.rest.len());
                self.take(length, false);
            }
            '/' if self.rest.starts_with("/*") => self.comment()?,
            c => {
                if between && !c.is_whitespace() {
                    self.began = self.line;
                }
                self.take(c.len_utf8(), true);
            }
        }
        Ok(())
    }

    /// Moves on; what is kept is part of the statement.
    fn take(&mut self, length: usize, keep: bool) {
        let (taken, rest) = self.rest.split_at(length);
        self.line += taken.matches('\n').count();
        if keep {
            self.statement.push_str(taken);
        }
        self.rest = rest;
    }

    /// From an opening of that length to `close`.
    fn quoted(&mut self, open: usize, close: &str, what: &str) -> Result<(), FileError> {
        let Some(end) = self.rest[open..].find(close) else {
            return Err(FileError {
                line: self.line,
                problem: format!("{what} begins here and does not end; add {close}"),
            });
        };
        if self.statement.trim().is_empty() {
            self.began = self.line;
        }
        self.take(open + end + close.len(), true);
        Ok(())
    }

    /// `$$` or `$tag$`, if that is what comes.
    fn tag(&self) -> Option<String> {
        let end = self.rest[1..].find('$')? + 1;
        let name = &self.rest[1..end];
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let digit = name.chars().next().is_some_and(|c| c.is_ascii_digit());
        (name.chars().all(word) && !digit).then(|| self.rest[..=end].to_owned())
    }

    fn comment(&mut self) -> Result<(), FileError> {
        let Some(end) = self.rest.find("*/") else {
            return Err(FileError {
                line: self.line,
                problem: "a comment begins here and does not end; add */".to_owned(),
            });
        };
        self.take(end + 2, false);
        // What it stood between are two words.
        self.statement.push(' ');
        Ok(())
    }

    fn command(&mut self) {
        let length = self.rest.find('\n').unwrap_or(self.rest.len());
        self.parts.push(Part {
            line: self.line,
            text: self.rest[1..length].trim().to_owned(),
            command: true,
        });
        self.statement.clear();
        self.take(length, false);
    }

    fn end(&mut self) {
        let text = std::mem::take(&mut self.statement);
        let text = text.trim();
        if !text.is_empty() {
            self.parts.push(Part {
                line: self.began,
                text: text.to_owned(),
                command: false,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(text: &str) -> Vec<(usize, String)> {
        let parts = parts(text).unwrap().into_iter();
        parts.map(|part| (part.line, part.text)).collect()
    }

    #[test]
    fn quotes_and_comments_hide_semicolons() {
        let text =
            "-- a; b\nSELECT ';' ;\n\nSELECT $x$ ; $$ $x$, \"a;b\" /* ; */ , 1;;\nSELECT 'it''s;'";
        assert_eq!(
            cut(text),
            [
                (2, "SELECT ';'".to_owned()),
                (4, "SELECT $x$ ; $$ $x$, \"a;b\"   , 1".to_owned()),
                (5, "SELECT 'it''s;'".to_owned()),
            ]
        );
    }

    #[test]
    fn a_backslash_between_statements_begins_a_command() {
        let parts = parts("\\weight 3\nSELECT 1 \\ 2;\n  \\setup\n").unwrap();
        let commands: Vec<_> = parts.iter().filter(|p| p.command).collect();
        assert_eq!(parts.len(), 3);
        assert_eq!((commands[0].line, &*commands[0].text), (1, "weight 3"));
        assert_eq!((commands[1].line, &*commands[1].text), (3, "setup"));
    }

    #[test]
    fn what_does_not_end_is_refused_with_the_line_it_begins_in() {
        let error = parts("SELECT 1;\nSELECT 'a\n;").unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 2: a quote begins here and does not end; add '"
        );
        assert_eq!(parts("/* a").unwrap_err().line, 1);
        assert_eq!(parts("\n$q$ a $$").unwrap_err().line, 2);
    }

    #[test]
    fn queries_are_told_by_their_first_word() {
        let part = |text: &str| parts(text).unwrap().remove(0);
        for query in [
            "SELECT 1",
            "(select 1)",
            "With a AS (SELECT 1) SELECT 2",
            "SHOW x",
        ] {
            assert!(part(query).is_query(), "{query}");
        }
        for other in [
            "CREATE VIEW selected AS SELECT 1",
            "INSERT INTO t VALUES (1)",
        ] {
            assert!(!part(other).is_query(), "{other}");
        }
    }

    proptest! {
        #[test]
        fn cutting_never_panics(text in "[a'\"$\\\\;/* \n\u{e4}-]{0,40}") {
            let _ = parts(&text);
        }
    }
}
