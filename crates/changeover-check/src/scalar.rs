//! Values of registers and elements of sets and lists: any JSON, told apart cheaply.

use crate::intern::Interner;
use serde_json::Value;
use std::borrow::Cow;

/// A JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Scalar {
    /// As most clients write them.
    Integer(i64),
    /// Any other JSON value, as the number of its text.
    Other(u32),
}

/// The values that are no integers.
#[derive(Debug)]
pub(crate) struct Scalars {
    texts: Interner<String>,
}

/// What an absent key reads as.
pub(crate) const NULL: Scalar = Scalar::Other(0);

impl Default for Scalars {
    fn default() -> Self {
        let mut texts = Interner::default();
        texts.number("null".to_owned());
        Scalars { texts }
    }
}

impl Scalars {
    /// The value of a JSON text, which the line's reader has found sound. Equal values are equal however they are
    /// written.
    pub(crate) fn of(&mut self, json: &str) -> Scalar {
        if let Some(n) = integer(json) {
            return Scalar::Integer(n);
        }
        if json == "null" {
            return NULL;
        }
        match serde_json::from_str::<Value>(json) {
            Ok(value) => self.of_value(&value),
            // Deeper than a value may be nested; its own text is as good a name.
            Err(_) => Scalar::Other(self.texts.number(json.to_owned())),
        }
    }

    /// The same, of a value that was read already.
    pub(crate) fn of_value(&mut self, value: &Value) -> Scalar {
        match value.as_i64() {
            Some(n) => Scalar::Integer(n),
            None => Scalar::Other(self.texts.number(value.to_string())),
        }
    }

    /// The value as JSON.
    pub(crate) fn json(&self, scalar: Scalar) -> Value {
        match scalar {
            Scalar::Integer(n) => n.into(),
            Scalar::Other(text) => {
                let text = self.texts.value(text);
                serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into())
            }
        }
    }

    /// The value in a sentence.
    pub(crate) fn words(&self, scalar: Scalar) -> Cow<'_, str> {
        match scalar {
            Scalar::Integer(n) => n.to_string().into(),
            Scalar::Other(text) => {
                changeover_model::text::harmless_cut(self.texts.value(text), 60).into()
            }
        }
    }
}

/// A JSON integer in its plain form.
pub(crate) fn integer(json: &str) -> Option<i64> {
    let bytes = json.as_bytes();
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
        return json.parse().ok();
    }
    let number = digits
        .iter()
        .fold(0_i64, |number, digit| number * 10 + i64::from(digit - b'0'));
    Some(if digits.len() < bytes.len() {
        -number
    } else {
        number
    })
}

/// Calls `each` for every item of a JSON list. Returns `None`, perhaps after some, when it is no list. `null` is an
/// empty one.
pub(crate) fn items(scalars: &mut Scalars, json: &str, mut each: impl FnMut(Scalar)) -> Option<()> {
    if json == "null" {
        return Some(());
    }
    let inner = json.strip_prefix('[')?.strip_suffix(']')?;
    // Mostly plain integers without spaces. Read in one go, as far as it gets.
    let bytes = inner.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let negative = bytes[at] == b'-';
        let start = at + usize::from(negative);
        at = start;
        let mut number = 0_i64;
        while let Some(digit) = bytes.get(at).filter(|byte| byte.is_ascii_digit()) {
            number = number
                .wrapping_mul(10)
                .wrapping_add(i64::from(digit - b'0'));
            at += 1;
        }
        if !(1..19).contains(&(at - start)) || bytes.get(at).is_some_and(|byte| *byte != b',') {
            // The rest of the list, from this item on.
            let item = start - usize::from(negative);
            return others(scalars, &inner[item..], each);
        }
        each(Scalar::Integer(if negative { -number } else { number }));
        at += 1;
    }
    Some(())
}

/// The items of a list without its brackets, whatever they are. What no number or text can hold, such as `1e400`, makes
/// one item of all that is left: somebody was shown it, and nobody wrote it.
fn others(scalars: &mut Scalars, inner: &str, mut each: impl FnMut(Scalar)) -> Option<()> {
    let json = format!("[{inner}]");
    let list: Vec<Value> =
        serde_json::from_str(&json).unwrap_or_else(|_| vec![Value::String(inner.to_owned())]);
    for value in &list {
        each(scalars.of_value(value));
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_equal_however_they_are_written() {
        let mut scalars = Scalars::default();
        assert_eq!(scalars.of("17"), Scalar::Integer(17));
        assert_eq!(scalars.of("-0"), Scalar::Integer(0));
        assert_eq!(scalars.of("null"), NULL);
        let list = scalars.of(r#"{"a": [1,  2]}"#);
        assert_eq!(list, scalars.of(r#"{"a":[1,2]}"#));
        assert_eq!(scalars.of(r#""\u0041""#), scalars.of(r#""A""#));
        assert_ne!(scalars.of("1.0"), Scalar::Integer(1));
        let huge = scalars.of("9223372036854775808");
        assert_eq!(scalars.json(huge), 9_223_372_036_854_775_808_u64);
        assert_eq!(integer("-9223372036854775808"), Some(i64::MIN));
    }

    #[test]
    fn lists_are_read_item_by_item() {
        let mut scalars = Scalars::default();
        let mut read = |json: &str| {
            let mut found = Vec::new();
            items(&mut scalars, json, |item| found.push(item)).map(|()| found)
        };
        let numbers = |list: &[i64]| Some(list.iter().map(|n| Scalar::Integer(*n)).collect());
        assert_eq!(read("[1, -2,3]"), numbers(&[1, -2, 3]));
        assert_eq!(read("[]"), numbers(&[]));
        assert_eq!(read("[ ]"), numbers(&[]));
        assert_eq!(read("[7,\"a\",-0]").map(|list| list.len()), Some(3));
        assert_eq!(
            read("[1000000000000000000]"),
            numbers(&[1_000_000_000_000_000_000])
        );
        assert_eq!(read("null"), numbers(&[]));
        assert_eq!(read(r#"["a",1]"#).map(|list| list.len()), Some(2));
        // No number holds it: what is left is one item, so that what was shown before it is not lost.
        assert_eq!(read("[1,1e400,2]").map(|list| list.len()), Some(2));
        assert_eq!(read("7"), None);
        assert_eq!(read("{}"), None);
    }
}
