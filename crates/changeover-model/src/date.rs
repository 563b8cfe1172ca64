//! Days of the Gregorian calendar, as release catalogs write them.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A day, written `YYYY-MM-DD`; years 0 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

/// A text that is no date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DateError {
    /// The text.
    pub input: String,
    /// What would do.
    pub expected: &'static str,
}

impl fmt::Display for DateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no date: give {}", self.input, self.expected)
    }
}

impl std::error::Error for DateError {}

impl Date {
    /// The first day of what is written as `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
    ///
    /// # Errors
    ///
    /// When the text has another form, or the calendar has no such day.
    pub fn first_of(text: &str) -> Result<Self, DateError> {
        read(text).ok_or_else(|| DateError {
            input: text.to_owned(),
            expected: "YYYY, YYYY-MM or YYYY-MM-DD, as in 2025-06",
        })
    }
}

fn read(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let year = digits(parts.next()?, 4)?;
    let mut two_digits = || match parts.next() {
        Some(part) => digits(part, 2),
        None => Some(1),
    };
    let (month, day) = (two_digits()?, two_digits()?);
    let sound = (1..=12).contains(&month) && (1..=days(year, month)).contains(&day);
    (sound && parts.next().is_none()).then_some(Date {
        year,
        month: month as u8,
        day: day as u8,
    })
}

/// A number of exactly that many digits; without a sign, which `parse` alone would take.
fn digits(text: &str, count: usize) -> Option<u16> {
    let plain = text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

fn days(year: u16, month: u16) -> u16 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl FromStr for Date {
    type Err = DateError;

    fn from_str(text: &str) -> Result<Self, DateError> {
        read(text)
            .filter(|_| text.len() == "YYYY-MM-DD".len())
            .ok_or_else(|| DateError {
                input: text.to_owned(),
                expected: "YYYY-MM-DD, as in 2025-06-18",
            })
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_year_or_a_month_is_its_first_day() {
        let first = |text: &str| Date::first_of(text).unwrap().to_string();
        assert_eq!(first("2025"), "2025-01-01");
        assert_eq!(first("2025-06"), "2025-06-01");
        assert_eq!(first("2025-06-18"), "2025-06-18");
        assert!("2025-06".parse::<Date>().is_err());
    }

    #[test]
    fn only_days_of_the_calendar_are_dates() {
        for text in ["2024-02-29", "2000-02-29", "2025-12-31"] {
            assert!(text.parse::<Date>().is_ok(), "{text}");
        }
        for text in [
            "2025-02-29",
            "1900-02-29",
            "2025-13",
            "2025-00",
            "2025-04-31",
            "2025-4",
            "+025",
            "2025-",
            "2025-06-18-1",
            "yesterday",
            "",
        ] {
            assert!(Date::first_of(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_date_is_written_as_it_was_read_and_sorts_like_its_text(
            a in "[0-9]{4}-[01][0-9]-[0-3][0-9]", b in "[0-9]{4}-[01][0-9]-[0-3][0-9]"
        ) {
            if let (Ok(x), Ok(y)) = (a.parse::<Date>(), b.parse::<Date>()) {
                prop_assert_eq!(x.to_string(), &*a);
                prop_assert_eq!(x.cmp(&y), a.cmp(&b));
            }
        }
    }
}
