//! The lines of logs that a timeline shows: warnings, errors and panics, where their own clock puts them.

use super::time::{first_time, rfc3339};
use changeover_model::text::harmless_cut;

/// So many lines of a run are kept, and as many of the worst.
const KEPT: usize = 400;

/// Lines are cut to so many characters.
const CUT: usize = 400;

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogLine {
    /// When, in nanoseconds since the run's zero.
    pub(crate) at: u64,
    /// Whose log.
    pub(crate) slot: String,
    /// Whose log.
    pub(crate) generation: u64,
    /// Whether it is an error or a panic, and no mere warning.
    pub(crate) bad: bool,
    /// The line, harmless.
    pub(crate) text: String,
}

/// The logs of a run.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    zero: Option<i128>,
    pub(crate) lines: Vec<LogLine>,
    /// How many more there were.
    pub(crate) left_out: u64,
    /// The log that is being read, and its last time: lines without one belong to the line before.
    reading: Option<(String, u64, u64)>,
}

impl Logs {
    /// Takes the moment at which the run's clock was zero.
    pub(super) fn zero(&mut self, clock_zero: &str) {
        self.zero = rfc3339(clock_zero.as_bytes());
    }

    /// Takes a line.
    pub(super) fn line(&mut self, slot: &str, generation: u64, line: &str) {
        let Some(zero) = self.zero else { return };
        let same = |(s, g, _): &(String, u64, u64)| s == slot && *g == generation;
        let before = self.reading.as_ref().filter(|r| same(r)).map(|r| r.2);
        let own = first_time(line).map(|time| u64::try_from(time - zero).unwrap_or(0));
        let Some(at) = own.or(before) else { return };
        self.reading = Some((slot.to_owned(), generation, at));
        let Some(bad) = badness(line) else { return };
        let worst = self.lines.iter().filter(|line| line.bad).count();
        let full = match bad {
            true => worst >= KEPT,
            false => self.lines.len() - worst >= KEPT,
        };
        if full {
            self.left_out += 1;
            return;
        }
        self.lines.push(LogLine {
            at,
            slot: slot.to_owned(),
            generation,
            bad,
            text: harmless_cut(line, CUT),
        });
    }
}

/// Whether a line is worth showing: `Some(true)` for errors and panics, `Some(false)` for warnings.
fn badness(line: &str) -> Option<bool> {
    let has = |words: &[&str]| {
        line.split(|c: char| !c.is_ascii_alphanumeric())
            .any(|word| words.contains(&word))
    };
    if has(&["ERROR", "FATAL", "PANIC", "panicked"]) {
        Some(true)
    } else if has(&["WARN", "WARNING"]) {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logs(lines: &[&str]) -> Logs {
        let mut logs = Logs::default();
        logs.zero("1970-01-01T00:00:10Z");
        for line in lines {
            logs.line("mz_1", 0, line);
        }
        logs
    }

    #[test]
    fn warnings_errors_and_panics_are_kept_where_their_clock_puts_them() {
        let logs = logs(&[
            "thread panicked before any time",
            "1970-01-01T00:00:12Z INFO no ERRORs here",
            "thread 'main' panicked at src/main.rs: \u{1b}[2J<b>",
            "1970-01-01T00:00:12.5Z WARN slow",
            "1970-01-01T00:00:09Z ERROR early",
        ]);
        let kept: Vec<(u64, bool)> = logs.lines.iter().map(|l| (l.at, l.bad)).collect();
        assert_eq!(
            kept,
            [(2_000_000_000, true), (2_500_000_000, false), (0, true)]
        );
        assert!(logs.lines[0].text.ends_with("\\u{1b}[2J<b>"));
    }

    #[test]
    fn a_flood_is_counted_and_does_not_hide_what_is_worse() {
        let mut lines = vec!["1970-01-01T00:00:12Z WARN again"; 1_000];
        lines.push("1970-01-01T00:00:13Z ERROR at last");
        let logs = logs(&lines);
        assert_eq!((logs.lines.len(), logs.left_out), (KEPT + 1, 600));
        assert!(logs.lines[KEPT].bad);
    }
}
