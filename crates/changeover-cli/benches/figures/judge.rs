//! What the judge costs: whole histories from files on disk, by the release binary.

use crate::report::{Bar, Figure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The size that a rate is told for, and the largest.
const MILLION: u64 = 1_000_000;
const LARGEST: u64 = 10_000_000;

/// The sizes of the growth curves.
const SIZES: [u64; 4] = [10_000, 100_000, MILLION, LARGEST];

/// Clients at once.
const CLIENTS: u64 = 16;

/// One run of `changeover check`.
struct Run {
    /// Processor time of its one thread, user and system: what else the machine does counts in no figure of the judge.
    seconds: f64,
    /// From its start to its end.
    wall: f64,
    bytes: u64,
    code: Option<i32>,
}

/// Measures registers, sets, transactions and searches.
pub(crate) fn measure() -> Result<Vec<Figure>, String> {
    let mut figures = Vec::new();
    figures.extend(growth("registers", &SIZES, registers, 1_000_000.0)?);
    figures.extend(growth("sets", &SIZES, sets, 1_000_000.0)?);
    figures.extend(growth(
        "transactions",
        &SIZES[..3],
        transactions,
        300_000.0,
    )?);
    figures.extend(searches()?);
    Ok(figures)
}

/// The figures of a model's growth curve.
fn growth(
    what: &'static str,
    sizes: &[u64],
    write: fn(u64, &mut dyn Write) -> std::io::Result<()>,
    bar: f64,
) -> Result<Vec<Figure>, String> {
    let place = tempfile::tempdir().map_err(|e| e.to_string())?;
    let mut curve = Vec::new();
    let mut last: Option<(u64, Run)> = None;
    let (mut rate, mut ratio) = (0.0, 0.0);
    for &size in sizes {
        let file = place.path().join("history.jsonl");
        let mut out =
            BufWriter::with_capacity(1 << 20, File::create(&file).map_err(|e| e.to_string())?);
        write(size, &mut out)
            .and_then(|()| out.flush())
            .map_err(|e| format!("cannot write {}: {e}", file.display()))?;
        // The largest takes its time, and is the least disturbed by others.
        let rounds = match size {
            10_000_000.. => 1,
            1_000_000.. => 3,
            _ => 5,
        };
        let mut best: Option<Run> = None;
        for _ in 0..rounds {
            let run = check(&[&file])?;
            if run.code != Some(0) {
                return Err(format!("{size} {what} are refused with {:?}", run.code));
            }
            if best.as_ref().is_none_or(|best| run.seconds < best.seconds) {
                best = Some(run);
            }
        }
        let run = best.ok_or("no round")?;
        curve.push(format!(
            "{size} in {:.3} s ({:.3} s)",
            run.seconds, run.wall
        ));
        if size == MILLION {
            rate = size as f64 / run.seconds;
        }
        if let Some((before, smaller)) = &last {
            let n_log_n = |n: u64| n as f64 * (n as f64).log2();
            ratio = run.seconds / smaller.seconds / (n_log_n(size) / n_log_n(*before));
        }
        last = Some((size, run));
    }
    let (size, run) = last.ok_or("no sizes")?;
    let name = |set: &'static str, registers: &'static str, transactions: &'static str| match what {
        "sets" => set,
        "registers" => registers,
        _ => transactions,
    };
    let how = format!(
        "`changeover check` of a file on disk, reading included, the best of some rounds, {CLIENTS} clients; processor time \
         of its one thread, and in brackets from start to end: {}",
        curve.join(", ")
    );
    let mut figures = vec![
        Figure {
            what: name(
                "a million operations on sets judged, a second",
                "a million operations on registers judged, a second",
                "a million transactions judged, a second",
            ),
            how,
            value: rate,
            range: None,
            bar: Bar::AtLeast(bar),
        },
        Figure {
            what: name(
                "sets, growth from the last size but one over n log n (times)",
                "registers, growth from the last size but one over n log n (times)",
                "append, growth from the last size but one over n log n (times)",
            ),
            how: "of the same runs".to_owned(),
            value: ratio,
            range: None,
            // A small history fits the processor's caches.
            bar: Bar::AtMost(2.0),
        },
        Figure {
            what: name(
                "sets, memory an operation (bytes)",
                "registers, memory an operation (bytes)",
                "append, memory a transaction (bytes)",
            ),
            how: format!("peak resident memory of the run of {size}, over {size}, from /proc"),
            value: run.bytes as f64 / size as f64,
            range: None,
            bar: Bar::AtMost(match what {
                "transactions" => 1000.0,
                _ => 200.0,
            }),
        },
    ];
    if size == LARGEST {
        figures.push(Figure {
            what: name(
                "ten million operations on sets judged (s)",
                "ten million operations on registers judged (s)",
                "ten million transactions judged (s)",
            ),
            how: "of the same runs, from start to end".to_owned(),
            value: run.wall,
            range: None,
            bar: Bar::AtMost(15.0),
        });
    }
    Ok(figures)
}

/// Compare and swap: many small histories, and one with many clients.
fn searches() -> Result<Vec<Figure>, String> {
    let place = tempfile::tempdir().map_err(|e| e.to_string())?;
    let file = |name: String, operations: u64, clients: u64, seed: u64| {
        let path = place.path().join(name);
        let out = File::create(&path).map(BufWriter::new);
        out.and_then(|mut out| swaps(operations, clients, seed, &mut out))
            .map_err(|e| format!("cannot write {}: {e}", path.display()))?;
        Ok::<_, String>(path)
    };
    let many: Vec<_> = (0..200)
        .map(|n| file(format!("{n}.jsonl"), 170, 5, n + 1))
        .collect::<Result<_, _>>()?;
    let all: Vec<&Path> = many.iter().map(AsRef::as_ref).collect();
    let small = check(&all)?;
    let wide = file("wide.jsonl".to_owned(), 4000, 50, 7)?;
    let wide = check(&[&wide])?;
    if small.code != Some(0) || !matches!(wide.code, Some(0 | 3)) {
        return Err(format!(
            "sound histories are refused: {:?}, {:?}",
            small.code, wide.code
        ));
    }
    Ok(vec![
        Figure {
            what: "200 cas histories of 170 operations judged (s)",
            how: format!(
                "5 clients on one register with 5 values, a third each of reads, writes and swaps; one command, processor \
                 time; {:.3} s from start to end",
                small.wall
            ),
            value: small.seconds,
            range: None,
            bar: Bar::AtMost(2.0),
        },
        Figure {
            what: "a cas history of 4,000 operations with 50 clients at once (s)",
            how: format!(
                "the same on one register with 50 clients, {:.3} s from start to end; the answer was {}",
                wide.wall,
                if wide.code == Some(0) {
                    "pass"
                } else {
                    "inconclusive, within the budget"
                }
            ),
            value: wide.seconds,
            range: None,
            bar: Bar::AtMost(1.0),
        },
    ])
}

fn check(files: &[&Path]) -> Result<Run, String> {
    let before = processor_seconds()?;
    let began = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_changeover"))
        .arg("check")
        .args(files)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("cannot start changeover: {e}"))?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        // The high-water mark of a process is gone with it, so it is read until then.
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let mark = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = mark.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or(0) * 1024);
        if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
            return Ok(Run {
                wall: began.elapsed().as_secs_f64(),
                seconds: processor_seconds()? - before,
                bytes: peak,
                code: status.code(),
            });
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What children that have ended have used.
fn processor_seconds() -> Result<f64, String> {
    let used = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|e| e.to_string())?;
    let seconds = |time: TimeVal| time.num_microseconds() as f64 / 1e6;
    Ok(seconds(used.user_time()) + seconds(used.system_time()))
}

/// The times of an operation: sent every microsecond, each client one after the other.
fn times(n: u64) -> (u64, u64, u64) {
    let invoke = n * 1000;
    (n % CLIENTS, invoke, invoke + (CLIENTS - 1) * 1000)
}

/// Half writes and half reads of a thousand operations a key, in the order of their sending.
fn registers(size: u64, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(
        out,
        r#"{{"format":"changeover.history/1","model":"register"}}"#
    )?;
    let keys = size.div_ceil(1000);
    let mut values: Vec<Option<u64>> = vec![None; keys as usize];
    let mut numbers = Numbers(1);
    for n in 0..size {
        let (process, invoke, end) = times(n);
        let key = numbers.below(keys);
        if numbers.below(2) == 0 {
            values[key as usize] = Some(n);
            writeln!(
                out,
                r#"{{"process":{process},"op":"write","key":"k{key}","value":{n},"result":null,"invoke":{invoke},"return":{end},"outcome":"ok"}}"#
            )?;
        } else {
            let shown = values[key as usize].map_or("null".to_owned(), |n| n.to_string());
            writeln!(
                out,
                r#"{{"process":{process},"op":"read","key":"k{key}","value":null,"result":{shown},"invoke":{invoke},"return":{end},"outcome":"ok"}}"#
            )?;
        }
    }
    Ok(())
}

/// Adds and reads in turn, to keys of a hundred elements as a rehearsal's workload has them.
fn sets(size: u64, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, r#"{{"format":"changeover.history/1","model":"set"}}"#)?;
    let mut list = String::new();
    for n in 0..size {
        let (process, invoke, end) = times(n);
        let key = n / 200;
        if n % 200 == 0 {
            list.clear();
        }
        if n % 2 == 0 {
            if !list.is_empty() {
                list.push(',');
            }
            list.push_str(&(n / 2).to_string());
            writeln!(
                out,
                r#"{{"process":{process},"op":"add","key":"k{key}","value":{},"result":null,"invoke":{invoke},"return":{end},"outcome":"ok"}}"#,
                n / 2
            )?;
        } else {
            writeln!(
                out,
                r#"{{"process":{process},"op":"read","key":"k{key}","value":null,"result":[{list}],"invoke":{invoke},"return":{end},"outcome":"ok"}}"#
            )?;
        }
    }
    Ok(())
}

/// One to four steps each, half of them appends, on five keys at a time that move on.
fn transactions(size: u64, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(
        out,
        r#"{{"format":"changeover.history/1","model":"append"}}"#
    )?;
    let mut lists: std::collections::BTreeMap<u64, String> = std::collections::BTreeMap::new();
    let mut numbers = Numbers(1);
    let mut element = 0;
    for n in 0..size {
        let (process, invoke, end) = times(n);
        let (mut value, mut result) = (Vec::new(), Vec::new());
        let oldest = n / 20;
        lists = lists.split_off(&oldest);
        for _ in 0..=numbers.below(4) {
            let key = oldest + numbers.below(5);
            let list = lists.entry(key).or_default();
            if numbers.below(2) == 0 {
                element += 1;
                if !list.is_empty() {
                    list.push(',');
                }
                list.push_str(&element.to_string());
                let step = format!(r#"["append","k{key}",{element}]"#);
                value.push(step.clone());
                result.push(step);
            } else {
                value.push(format!(r#"["read","k{key}",null]"#));
                result.push(format!(r#"["read","k{key}",[{list}]]"#));
            }
        }
        writeln!(
            out,
            r#"{{"process":{process},"op":"txn","value":[{}],"result":[{}],"invoke":{invoke},"return":{end},"outcome":"ok"}}"#,
            value.join(","),
            result.join(",")
        )?;
    }
    Ok(())
}

/// A register of five values; every operation takes effect at a random moment of its time.
fn swaps(operations: u64, clients: u64, seed: u64, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(
        out,
        r#"{{"format":"changeover.history/1","model":"register"}}"#
    )?;
    let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut clocks = vec![0_u64; clients as usize];
    // When it takes effect, when it is sent, when it ends, by whom.
    let mut drafts: Vec<(u64, u64, u64, u64)> = Vec::new();
    for n in 0..operations {
        let client = n % clients;
        let clock = &mut clocks[client as usize];
        let invoke = *clock + 1 + numbers.below(100);
        let effect = invoke + numbers.below(1000);
        let end = effect + numbers.below(1000);
        *clock = end;
        drafts.push((effect, invoke, end, client));
    }
    drafts.sort_unstable();
    let mut state = 0;
    let mut lines: Vec<(u64, String)> = Vec::new();
    for (_, invoke, end, client) in drafts {
        let (one, other) = (1 + numbers.below(5), 1 + numbers.below(5));
        let what = match numbers.below(3) {
            0 => format!(
                r#""op":"read","result":{}"#,
                if state == 0 {
                    "null".to_owned()
                } else {
                    state.to_string()
                }
            ),
            1 => {
                state = one;
                format!(r#""op":"write","value":{one}"#)
            }
            _ => {
                let swapped = state == one;
                if swapped {
                    state = other;
                }
                format!(r#""op":"cas","value":[{one},{other}],"result":{swapped}"#)
            }
        };
        lines.push((
            invoke,
            format!(
                r#"{{"process":{client},{what},"key":"k","invoke":{invoke},"return":{end},"outcome":"ok"}}"#
            ),
        ));
    }
    lines.sort_unstable();
    for (_, line) in lines {
        writeln!(out, "{line}")?;
    }
    out.flush()
}

/// Numbers that look random and are not (Marsaglia's xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit.max(1)
    }
}
