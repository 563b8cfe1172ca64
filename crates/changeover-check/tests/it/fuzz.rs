//! Spoilt histories: whatever a file holds, it is judged or refused in a sentence, and nothing panics.
//!
//! A few thousand in every test run; `cargo xtask soak` goes on for as long as it is told.

use changeover_check::timeline::Timeline;
use changeover_check::{Checker, Consistency, Lines, Options};
use changeover_model::history::Header;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Sound histories to begin with, one of each model.
const SEEDS: [&str; 6] = [
    r#"{"format":"changeover.history/1","model":"register"}
{"process":1,"op":"write","key":"k","value":1,"result":null,"invoke":0,"return":10,"outcome":"ok","client":1}
{"process":2,"op":"read","key":"k","value":null,"result":1,"invoke":5,"return":15,"outcome":"ok"}
{"process":3,"op":"cas","key":"k","value":[1,2],"result":true,"invoke":20,"return":30,"outcome":"ok"}
{"process":4,"op":"write","key":"k","value":2,"invoke":20,"return":null,"outcome":"unknown"}
{"process":5,"op":"cas","key":"k","value":[1,"x"],"result":false,"invoke":40,"return":50,"outcome":"ok"}
{"process":6,"op":"read","key":"k","result":2,"invoke":60,"return":70,"outcome":"ok","generation":2}"#,
    r#"{"format":"changeover.history/1","model":"set"}
{"process":1,"op":"add","key":"s","value":5,"invoke":0,"return":10,"outcome":"ok","client":1}
{"process":1,"op":"add","key":"s","value":"é","invoke":10,"return":20,"outcome":"fail","client":1}
{"process":2,"op":"read","key":"s","result":[5],"invoke":30,"return":40,"outcome":"ok","source":"full-read"}
{"process":3,"op":"read","key":"s","result":[],"invoke":0,"return":4,"outcome":"ok","source":"observer","connection":"direct"}
{"process":4,"op":"add","key":"s","value":{"a":[1]},"invoke":50,"return":null,"outcome":"unknown"}
{"process":2,"op":"read","key":"s","result":[5,{"a":[1]}],"invoke":60,"return":70,"outcome":"ok"}"#,
    r#"{"format":"changeover.history/1","model":"counter"}
{"process":1,"op":"add","key":"c","value":1,"invoke":0,"return":10,"outcome":"ok"}
{"process":2,"op":"add","key":"c","value":-2,"invoke":0,"return":null,"outcome":"unknown"}
{"process":3,"op":"add","key":"c","value":9223372036854775807,"invoke":0,"return":20,"outcome":"fail"}
{"process":4,"op":"read","key":"c","result":-1,"invoke":30,"return":40,"outcome":"ok"}
{"process":4,"op":"read","key":"c","result":null,"invoke":50,"return":60,"outcome":"fail"}"#,
    r#"{"format":"changeover.history/1","model":"append"}
{"process":1,"op":"txn","value":[["append","x",1],["append","y",2]],"result":[["append","x",1],["append","y",2]],"invoke":0,"return":10,"outcome":"ok"}
{"process":2,"op":"txn","value":[["read","x",null],["append","x",3]],"result":[["read","x",[1]],["append","x",3]],"invoke":5,"return":15,"outcome":"ok"}
{"process":3,"op":"txn","value":[["append","y",4]],"invoke":5,"return":null,"outcome":"unknown"}
{"process":4,"op":"txn","value":[["append","y",5]],"invoke":5,"return":9,"outcome":"fail"}
{"process":5,"op":"txn","value":[["read","y",null],["read","x",null]],"result":[["read","y",[2,4]],["read","x",[1,3]]],"invoke":20,"return":30,"outcome":"ok"}"#,
    r#"{"format":"changeover.history/1","model":"bank","accounts":{"a":100,"b":0},"negative_balances":false}
{"process":1,"op":"transfer","value":{"from":"a","to":"b","amount":30},"invoke":0,"return":10,"outcome":"ok"}
{"process":2,"op":"read","result":{"a":70,"b":30},"invoke":20,"return":30,"outcome":"ok"}"#,
    r#"{"format":"changeover.history/1","model":"mixed"}
{"process":1,"op":"write","model":"register","key":"k","value":1,"invoke":0,"return":10,"outcome":"ok"}
{"process":2,"op":"add","model":"set","key":"k","value":1,"invoke":0,"return":10,"outcome":"ok"}
{"process":3,"op":"connect","invoke":0,"return":10,"outcome":"ok"}
{"process":2,"op":"read","model":"counter","key":"k","result":0,"invoke":20,"return":30,"outcome":"ok"}"#,
];

/// What is put where something else was.
const WORDS: [&str; 32] = [
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1",
    "2",
    "5",
    "9223372036854775807",
    "9223372036854775808",
    "1e400",
    "0.5",
    "\"\"",
    "\"k\"",
    "[]",
    "[1]",
    "[1,1]",
    "[[[[[[[[[[]]]]]]]]]]",
    "{}",
    "\"ok\"",
    "\"fail\"",
    "\"unknown\"",
    "\"read\"",
    "\"add\"",
    "\"txn\"",
    "\"cas\"",
    "\\u0000",
    "\\",
    "\"",
    "}",
    ",",
    "\n",
];

/// Numbers that look random and are not (Marsaglia's xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

/// Where a value begins and ends: around a place, from one mark of JSON to the next.
fn token(text: &[u8], place: usize) -> (usize, usize) {
    let mark = |byte: &u8| b",:[]{}\n".contains(byte);
    let start = text[..place].iter().rposition(mark).map_or(0, |at| at + 1);
    let end = text[place..].iter().position(mark);
    (start, end.map_or(text.len(), |at| place + at))
}

fn spoil(text: &mut Vec<u8>, numbers: &mut Numbers) {
    let place = numbers.below(text.len());
    match numbers.below(8) {
        0 => text[place] = numbers.below(256) as u8,
        1 => {
            text.remove(place);
        }
        2 => text.truncate(place.max(1)),
        3 | 4 => {
            let (start, end) = token(text, place);
            let word = WORDS[numbers.below(WORDS.len())].bytes();
            text.splice(start..end, word);
        }
        5 => {
            // One value of the text where another was.
            let (start, end) = token(text, numbers.below(text.len()));
            let other = text[start..end].to_vec();
            let (start, end) = token(text, place);
            text.splice(start..end, other);
        }
        // A line again somewhere else, or gone.
        choice => {
            let mut lines: Vec<Vec<u8>> = text.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
            let line = numbers.below(lines.len());
            let taken = lines.remove(line);
            if choice == 6 {
                let to = numbers.below(lines.len() + 1);
                lines.insert(to, taken.clone());
                lines.insert(line, taken);
            }
            *text = lines.join(&b'\n');
        }
    }
    if text.is_empty() {
        text.push(b' ');
    }
}

/// Judges a text; the sentence if it is refused.
fn judge(text: &[u8]) -> Result<(), String> {
    let mut lines = Lines::new(text);
    let next = |lines: &mut Lines<&[u8]>| -> Result<Option<(u64, String)>, String> {
        let line = lines.next_numbered().map_err(|(_, e)| e.to_string())?;
        Ok(line.map(|(number, text)| (number, text.to_owned())))
    };
    let Some((_, first)) = next(&mut lines)? else {
        return Ok(());
    };
    let header = Header::parse(&first).map_err(|e| e.to_string())?;
    for consistency in [Consistency::StrictSerializable, Consistency::Serializable] {
        let options = Options {
            model: None,
            consistency,
        };
        let mut checker = Checker::new(&header, options).map_err(|e| e.to_string())?;
        let mut lines = Lines::new(text);
        next(&mut lines)?;
        while let Some((number, line)) = next(&mut lines)? {
            checker.line(number, &line).map_err(|e| e.to_string())?;
        }
        checker.finish(&Timeline::default());
    }
    Ok(())
}

#[test]
fn no_spoilt_history_makes_a_checker_panic() {
    let seconds = std::env::var("CHANGEOVER_SOAK_FUZZ_SECONDS").ok();
    let until = seconds
        .and_then(|s| s.parse().ok())
        .map(|s| Instant::now() + Duration::from_secs(s));
    let mut judged = 0_u64;
    let mut number = 0_u64;
    while match until {
        Some(until) => Instant::now() < until,
        None => number < 6000,
    } {
        number += 1;
        let mut numbers = Numbers(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut text = SEEDS[numbers.below(SEEDS.len())].as_bytes().to_vec();
        for _ in 0..=numbers.below(4) {
            spoil(&mut text, &mut numbers);
        }
        match catch_unwind(AssertUnwindSafe(|| judge(&text))) {
            Ok(Ok(())) => judged += 1,
            Ok(Err(sentence)) => {
                let one_line = !sentence.is_empty() && !sentence.contains('\n');
                assert!(
                    one_line,
                    "{sentence:?} for\n{}",
                    String::from_utf8_lossy(&text)
                );
            }
            Err(_) => panic!(
                "number {number} panics:\n{}",
                String::from_utf8_lossy(&text)
            ),
        }
    }
    // A fuzzer that spoils everything finds nothing.
    assert!(
        judged * 20 > number,
        "only {judged} of {number} were judged at all"
    );
}
