//! Where a key of a TOML text stands.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A step on the way to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Key(String),
    Index(usize),
}

impl From<&str> for Part {
    fn from(key: &str) -> Self {
        Part::Key(key.to_owned())
    }
}

impl From<usize> for Part {
    fn from(index: usize) -> Self {
        Part::Index(index)
    }
}

/// The line of a table's key, from 1; of its table, or of the text, if it is not there.
pub fn line_of_key(text: &str, table: &str, key: &str) -> usize {
    line_of(text, &[table.into(), key.into()]).unwrap_or(1)
}

/// The line of the value at the end of this way, from 1; of the last part that is there, if not all are. `None` without
/// any.
pub(super) fn line_of(text: &str, way: &[Part]) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let (first, rest) = way.split_first()?;
    let Part::Key(key) = first else { return None };
    let mut value = entry(document.get_ref(), key)?;
    for part in rest {
        let next = match (part, value.1.get_ref()) {
            (Part::Key(key), DeValue::Table(table)) => entry(table, key),
            (Part::Index(index), DeValue::Array(array)) => {
                array.get(*index).map(|item| (item.span().start, item))
            }
            _ => None,
        };
        match next {
            Some(next) => value = next,
            None => break,
        }
    }
    Some(line_at(text, value.0))
}

/// Where an entry's key begins, and its value.
fn entry<'a, 'b>(table: &'a DeTable<'b>, key: &str) -> Option<(usize, &'a Spanned<DeValue<'b>>)> {
    let (name, value) = table.iter().find(|(name, _)| name.get_ref() == key)?;
    Some((name.span().start, value))
}

/// The line, from 1, that a byte of the text stands on.
pub(super) fn line_at(text: &str, byte: usize) -> usize {
    let before = &text.as_bytes()[..byte.min(text.len())];
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_on_its_line() {
        let text = "\n[a]\nb = 1\nc = [\n  'x',\n  'y',\n]\n";
        let line = |way: &[Part]| line_of(text, way);
        assert_eq!(line(&["a".into()]), Some(2));
        assert_eq!(line(&["a".into(), "b".into()]), Some(3));
        assert_eq!(line(&["a".into(), "c".into(), 1.into()]), Some(6));
        // What is missing is missing in its table.
        assert_eq!(line(&["a".into(), "d".into()]), Some(2));
        assert_eq!(line(&["z".into()]), None);
    }
}
