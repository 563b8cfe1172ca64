//! Reads the plain shape of a history's line by hand.
//!
//! It says `None` to everything out of the ordinary (escapes, repeated fields, numbers too large, deep nesting, broken
//! JSON), and never decides that a line is bad. What it accepts, `serde_json` accepts too and reads the same.

use super::{Class, Connection, Line, Op, Outcome, Source};
use std::borrow::Cow;

/// How deep values may be nested before it is somebody else's job.
const DEPTH: u32 = 8;

/// The line, if it is plain.
pub(super) fn line(text: &str) -> Option<Line<'_>> {
    let mut cursor = Cursor { text, at: 0 };
    let mut seen = 0_u32;
    let (mut process, mut op, mut invoke, mut outcome) = (None, None, None, None);
    let (mut model, mut key, mut returned, mut client) = (None, None, None, None);
    let (mut source, mut class, mut connection) = (None, None, None);
    let (mut generation, mut ended) = (None, None);
    let (mut value, mut result) = ("null", "null");
    cursor.space();
    cursor.expect(b'{')?;
    loop {
        cursor.space();
        let name = cursor.string()?;
        cursor.space();
        cursor.expect(b':')?;
        cursor.space();
        let field = match name {
            "process" => {
                process = Some(cursor.number()?);
                0
            }
            "op" => {
                op = Some(op_named(cursor.string()?)?);
                1
            }
            "model" => {
                model = cursor.nullable(Cursor::string)?;
                2
            }
            "key" => {
                key = cursor.nullable(Cursor::string)?;
                3
            }
            "value" => {
                value = cursor.value(DEPTH)?;
                4
            }
            "result" => {
                result = cursor.value(DEPTH)?;
                5
            }
            "invoke" => {
                invoke = Some(cursor.number()?);
                6
            }
            "return" => {
                returned = cursor.nullable(Cursor::number)?;
                7
            }
            "outcome" => {
                outcome = Some(outcome_named(cursor.string()?)?);
                8
            }
            "client" => {
                client = cursor.nullable(Cursor::number)?;
                9
            }
            "source" => {
                source = cursor.nullable(|c| source_named(c.string()?))?;
                10
            }
            "class" => {
                class = cursor.nullable(|c| class_named(c.string()?))?;
                11
            }
            "connection" => {
                connection = cursor.nullable(|c| connection_named(c.string()?))?;
                12
            }
            "generation" => {
                generation = cursor.nullable(Cursor::number)?;
                13
            }
            "ended" => {
                ended = cursor.nullable(Cursor::number)?;
                14
            }
            _ => {
                cursor.value(DEPTH)?;
                31
            }
        };
        let bit = 1_u32 << field;
        // Fields that are ignored may come twice.
        if field != 31 && seen & bit != 0 {
            return None;
        }
        seen |= bit;
        cursor.space();
        match cursor.next()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    cursor.space();
    if cursor.at != text.len() {
        return None;
    }
    Some(Line {
        process: process?,
        op: op?,
        model: model.map(Cow::Borrowed),
        key: key.map(Cow::Borrowed),
        value,
        result,
        invoke: invoke?,
        returned,
        outcome: outcome?,
        client,
        source,
        class,
        connection,
        generation,
        ended,
    })
}

fn op_named(name: &str) -> Option<Op> {
    Some(match name {
        "add" => Op::Add,
        "read" => Op::Read,
        "write" => Op::Write,
        "cas" => Op::Cas,
        "txn" => Op::Txn,
        "transfer" => Op::Transfer,
        "connect" => Op::Connect,
        "query" => Op::Query,
        _ => return None,
    })
}

fn outcome_named(name: &str) -> Option<Outcome> {
    Some(match name {
        "ok" => Outcome::Ok,
        "fail" => Outcome::Fail,
        "unknown" => Outcome::Unknown,
        _ => return None,
    })
}

fn source_named(name: &str) -> Option<Source> {
    Some(match name {
        "lane" => Source::Lane,
        "workload" => Source::Workload,
        "observer" => Source::Observer,
        "full-read" => Source::FullRead,
        _ => return None,
    })
}

fn class_named(name: &str) -> Option<Class> {
    Some(match name {
        "read" => Class::Read,
        "write" => Class::Write,
        "connect" => Class::Connect,
        _ => return None,
    })
}

fn connection_named(name: &str) -> Option<Connection> {
    Some(match name {
        "held" => Connection::Held,
        "new" => Connection::New,
        "direct" => Connection::Direct,
        _ => return None,
    })
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// `null`, or what `read` reads.
    fn nullable<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.peek()? == b'n' {
            self.word("null")?;
            return Some(None);
        }
        read(self).map(Some)
    }

    fn word(&mut self, word: &str) -> Option<()> {
        let end = self.at.checked_add(word.len())?;
        (self.text.as_bytes().get(self.at..end)? == word.as_bytes()).then(|| self.at = end)
    }

    /// A string without escapes.
    fn string(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            match self.next()? {
                b'"' => return self.text.get(start..self.at - 1),
                b'\\' | 0..0x20 => return None,
                _ => {}
            }
        }
    }

    /// A whole number that is not negative.
    fn number(&mut self) -> Option<u64> {
        let start = self.at;
        let mut number = 0_u64;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            number = number
                .checked_mul(10)?
                .checked_add(u64::from(digit - b'0'))?;
            self.at += 1;
        }
        let digits = self.at - start;
        let leading_zero = digits > 1 && self.text.as_bytes()[start] == b'0';
        let goes_on = matches!(self.peek(), Some(b'.' | b'e' | b'E'));
        (digits > 0 && !leading_zero && !goes_on).then_some(number)
    }

    /// Any value, as its text.
    fn value(&mut self, depth: u32) -> Option<&'a str> {
        let start = self.at;
        match self.peek()? {
            b'"' => {
                self.string()?;
            }
            b'[' if depth > 0 && self.integers().is_some() => {}
            b'[' => self.list(b']', depth, |c, depth| c.value(depth).map(|_| ()))?,
            b'{' => self.list(b'}', depth, |c, depth| {
                c.string()?;
                c.space();
                c.expect(b':')?;
                c.space();
                c.value(depth).map(|_| ())
            })?,
            b't' => self.word("true")?,
            b'f' => self.word("false")?,
            b'n' => self.word("null")?,
            _ => self.any_number()?,
        }
        self.text.get(start..self.at)
    }

    fn list(
        &mut self,
        end: u8,
        depth: u32,
        mut item: impl FnMut(&mut Self, u32) -> Option<()>,
    ) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        self.at += 1;
        self.space();
        if self.peek()? == end {
            self.at += 1;
            return Some(());
        }
        loop {
            self.space();
            item(self, depth)?;
            self.space();
            match self.next()? {
                b',' => {}
                byte if byte == end => return Some(()),
                _ => return None,
            }
        }
    }

    /// A list of integers without spaces, which is what most long answers are; or nothing, and the cursor stays.
    fn integers(&mut self) -> Option<()> {
        let bytes = &self.text.as_bytes()[self.at + 1..];
        // Where the item begins, and its digits.
        let (mut item, mut start) = (0, 0);
        for (at, &byte) in bytes.iter().enumerate() {
            if byte.is_ascii_digit() {
                continue;
            }
            if byte == b'-' && at == item && start == item {
                start = at + 1;
                continue;
            }
            let digits = at - start;
            if digits == 0 || (digits > 1 && bytes[start] == b'0') {
                return None;
            }
            match byte {
                b',' => (item, start) = (at + 1, at + 1),
                b']' => {
                    self.at += at + 2;
                    return Some(());
                }
                _ => return None,
            }
        }
        None
    }

    fn any_number(&mut self) -> Option<()> {
        if self.peek()? == b'-' {
            self.at += 1;
        }
        let start = self.at;
        self.digits()?;
        if self.at - start > 1 && self.text.as_bytes()[start] == b'0' {
            return None;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::line::Line;
    use proptest::prelude::*;

    #[test]
    fn reads_what_we_write_ourselves() {
        let text = r#"{"process":3,"op":"read","key":"k1","value":null,"result":[1,-2],"invoke":12,"return":13,"outcome":"ok","client":4,"source":"lane","class":"read","connection":"held","intended":11,"lateness":0,"slot":null,"generation":2,"error":{"kind":"reset"},"ended":13}"#;
        let line = line(text).expect("it is plain");
        assert_eq!(line.result, "[1,-2]");
        assert_eq!(line.generation, Some(2));
        assert_eq!(line, Line::parse_carefully(text).unwrap());
    }

    #[test]
    fn leaves_what_is_not_plain_to_others() {
        for text in [
            "",
            "{",
            "{}",
            r#"{"process":1,"op":"read","invoke":1,"outcome":"ok"} x"#,
            r#"{"process":1,"process":1,"op":"read","invoke":1,"outcome":"ok"}"#,
            r#"{"process":01,"op":"read","invoke":1,"outcome":"ok"}"#,
            r#"{"process":1.0,"op":"read","invoke":1,"outcome":"ok"}"#,
            r#"{"process":1,"op":"read","key":"a\nb","invoke":1,"outcome":"ok"}"#,
            r#"{"process":1,"op":"read","value":[[[[[[[[[1]]]]]]]]],"invoke":1,"outcome":"ok"}"#,
            r#"{"process":99999999999999999999,"op":"read","invoke":1,"outcome":"ok"}"#,
        ] {
            assert_eq!(line(text), None, "{text}");
        }
    }

    /// Lines that are nearly right: fields in any order, perhaps twice, perhaps odd.
    fn nearly() -> impl Strategy<Value = String> {
        let field = prop::sample::select(vec![
            r#""process":1"#,
            r#""process" : 2"#,
            r#""op":"read""#,
            r#""op":"swim""#,
            r#""model":"set""#,
            r#""key":null"#,
            r#""key":"é""#,
            r#""key":"\u0041""#,
            r#""value":[1, {"a" : -0.5e+3}]"#,
            r#""value":-01"#,
            r#""result":"x""#,
            r#""result":[10,-2,0]"#,
            r#""result":[10,-,0]"#,
            r#""result":[1,02]"#,
            r#""invoke":5"#,
            r#""invoke":-5"#,
            r#""return":9"#,
            r#""return":null"#,
            r#""outcome":"ok""#,
            r#""outcome":"unknown""#,
            r#""client":7"#,
            r#""source":"full-read""#,
            r#""connection":"direct""#,
            r#""later":{"a":[true,false,null]}"#,
            r#""ended":1e3"#,
        ]);
        prop::collection::vec(field, 0..8).prop_map(|extra| {
            let mut fields = vec![
                r#""process":3"#,
                r#""op":"add""#,
                r#""invoke":1"#,
                r#""outcome":"fail""#,
            ];
            fields.extend(extra);
            format!("{{{}}}", fields.join(","))
        })
    }

    proptest! {
        #[test]
        fn what_it_accepts_is_what_serde_reads(text in nearly(), cut in 0_usize..200, junk in any::<u8>()) {
            let mut bytes = text.clone().into_bytes();
            if let Some(byte) = bytes.get_mut(cut) {
                *byte = junk;
            }
            for text in [Some(text), String::from_utf8(bytes).ok()].into_iter().flatten() {
                if let Some(plain) = line(&text) {
                    let careful = Line::parse_carefully(&text);
                    prop_assert!(careful.is_ok(), "{}", text);
                    prop_assert_eq!(plain, careful.unwrap());
                }
            }
        }
    }
}
