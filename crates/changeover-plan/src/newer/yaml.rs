//! YAML as a JSON value, for documents that are data.
//!
//! Built from the parser's events, so that nothing is ever expanded: an alias is null, and the value is no larger than
//! its text.

use saphyr_parser::{Event, Parser};
use serde_json::{Map, Value};

/// How deep lists and maps may lie in each other. An index needs five levels.
const DEPTH: usize = 64;

/// A list or map that has begun.
enum Open {
    List(Vec<Value>),
    /// The pairs so far, and the key whose value comes next.
    Map(Map<String, Value>, Option<String>),
}

/// Reads the first document. Every scalar is a string; keys that are none count as empty.
///
/// # Errors
///
/// When the text is no YAML, or too deep.
pub(super) fn read(text: &str) -> Result<Value, String> {
    let mut open: Vec<Open> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|e| e.to_string())?;
        let value = match event {
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                None
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(Map::new(), None));
                None
            }
            Event::Scalar(text, ..) => Some(Value::String(text.into_owned())),
            Event::Alias(_) => Some(Value::Null),
            Event::SequenceEnd | Event::MappingEnd => open.pop().map(|ended| match ended {
                Open::List(items) => Value::Array(items),
                Open::Map(pairs, _) => Value::Object(pairs),
            }),
            _ => None,
        };
        if open.len() > DEPTH {
            return Err(format!("more than {DEPTH} levels deep"));
        }
        let Some(value) = value else { continue };
        match open.last_mut() {
            None => return Ok(value),
            Some(Open::List(items)) => items.push(value),
            Some(Open::Map(pairs, key)) => match key.take() {
                None => *key = Some(value.as_str().unwrap_or_default().to_owned()),
                Some(key) => {
                    pairs.insert(key, value);
                }
            },
        }
    }
    Ok(Value::Null)
}
