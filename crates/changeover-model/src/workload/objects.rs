//! `objects`: what a user's file creates, and what it asks.

use super::statements::{FileError, parts};

/// A file of `objects`: whatever is not a query creates, in order; the queries are asked again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objects {
    /// What is run once, on the first version.
    pub create: Vec<String>,
    /// What is asked. Never empty.
    pub queries: Vec<Query>,
}

/// A query whose answer must stay the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Its name: the file's line.
    pub name: String,
    /// What is asked.
    pub sql: String,
}

impl Objects {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// When it does not parse, or asks nothing.
    pub fn parse(text: &str) -> Result<Self, FileError> {
        let mut objects = Objects {
            create: Vec::new(),
            queries: Vec::new(),
        };
        for part in parts(text)? {
            if part.command {
                return Err(part.refuse(format!(
                    "\\{} is no SQL; a file of objects has statements only",
                    part.text
                )));
            }
            match part.is_query() {
                true => objects.queries.push(Query {
                    name: format!("line {}", part.line),
                    sql: part.text,
                }),
                false => objects.create.push(part.text),
            }
        }
        if objects.queries.is_empty() {
            return Err(FileError {
                line: 1,
                problem: "there is no query whose answer could be compared; add a SELECT"
                    .to_owned(),
            });
        }
        Ok(objects)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_asked_and_the_rest_creates() {
        let text =
            "CREATE TABLE t (a INT);\nINSERT INTO t VALUES (1);\nSELECT * FROM t ORDER BY a;";
        let objects = Objects::parse(text).unwrap();
        assert_eq!(objects.create.len(), 2);
        assert_eq!(objects.queries[0].name, "line 3");
        assert_eq!(objects.queries[0].sql, "SELECT * FROM t ORDER BY a");
    }

    #[test]
    fn a_file_without_a_query_or_with_commands_is_refused() {
        let error = Objects::parse("CREATE TABLE t (a INT)").unwrap_err();
        assert!(error.to_string().contains("no query"), "{error}");
        let error = Objects::parse("\n\\weight 3\nSELECT 1").unwrap_err();
        assert_eq!(error.line, 2);
    }
}
