//! Plain log lines on standard error: time, level, text.

use std::fmt;
use std::io::Write;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// What somebody else says at the moment of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Also {
    /// A line of a level.
    Line(&'static str, String),
    /// Nothing more: the process ends by SIGABRT.
    Abort,
}

/// Says what else is said when a line of this text was written.
pub type Listener = Box<dyn Fn(&str) -> Vec<Also> + Send + Sync>;

static LISTENER: OnceLock<Listener> = OnceLock::new();

/// Lets somebody who plays another product with this database say so in that one's words, at its true moments. Once.
pub fn tell_also(listener: Listener) {
    // The first one stays.
    let _ = LISTENER.set(listener);
}

/// Writes one line at once, so that lines of concurrent threads never mix. A closed standard error is no reason to
/// stop serving.
pub(crate) fn line(level: &str, text: fmt::Arguments<'_>) {
    let text = text.to_string();
    write(level, &text);
    let also = LISTENER.get().map(|listener| listener(&text));
    for one in also.into_iter().flatten() {
        match one {
            Also::Line(level, text) => write(level, &text),
            Also::Abort => std::process::abort(),
        }
    }
}

fn write(level: &str, text: &str) {
    let mut out = String::with_capacity(128);
    push_utc(&mut out, SystemTime::now());
    out.push(' ');
    out.push_str(level);
    out.push(' ');
    // One event is one line: what a client or a file contains must not forge another.
    out.extend(text.chars().map(|c| if c.is_control() { ' ' } else { c }));
    out.push('\n');
    let _ = std::io::stderr().write_all(out.as_bytes());
}

/// Appends the time as RFC 3339 in UTC with milliseconds.
pub(crate) fn push_utc(out: &mut String, time: SystemTime) {
    use std::fmt::Write as _;
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let _ = write!(
        out,
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_millis()
    );
}

/// Year, month and day of the proleptic Gregorian calendar from days since 1970-01-01, counted in 400-year eras that
/// start on 1 March so that the leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

macro_rules! info {
    ($($arg:tt)*) => { $crate::log::line("INFO", format_args!($($arg)*)) };
}
macro_rules! warning {
    ($($arg:tt)*) => { $crate::log::line("WARN", format_args!($($arg)*)) };
}
macro_rules! error {
    ($($arg:tt)*) => { $crate::log::line("ERROR", format_args!($($arg)*)) };
}
pub(crate) use {error, info, warning};

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_rfc_3339() {
        let at = |seconds: u64| {
            let mut out = String::new();
            push_utc(
                &mut out,
                UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 7),
            );
            out
        };
        assert_eq!(at(0), "1970-01-01T00:00:00.007Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00.007Z");
        assert_eq!(at(1_798_761_599), "2026-12-31T23:59:59.007Z");
    }
}
