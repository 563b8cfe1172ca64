//! Times of day in log lines.

/// The first RFC 3339 time with a zone in the first part of a line, in nanoseconds since 1970.
pub(super) fn first_time(line: &str) -> Option<i128> {
    // A supervisor may write a name before it; a time in the middle of a message is not the line's.
    const WITHIN: usize = 48;
    let bytes = line.as_bytes();
    (0..bytes.len().min(WITHIN))
        .filter(|&at| at == 0 || !bytes[at - 1].is_ascii_digit())
        .find_map(|at| rfc3339(&bytes[at..]))
}

/// The time that a text begins with, in nanoseconds since 1970.
pub(super) fn rfc3339(text: &[u8]) -> Option<i128> {
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits.iter().try_fold(0, |n, b| match b.is_ascii_digit() {
            true => Some(n * 10 + i64::from(b - b'0')),
            false => None,
        })
    };
    let is = |at: usize, allowed: &[u8]| text.get(at).is_some_and(|b| allowed.contains(b));
    if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":")) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 {
        return None;
    }
    let mut at = 19;
    let mut nanos = 0;
    if is(at, b".,") {
        let digits: Vec<u8> = text[at + 1..]
            .iter()
            .copied()
            .take_while(u8::is_ascii_digit)
            .collect();
        at += 1 + digits.len();
        for place in 0..9 {
            nanos = nanos * 10 + digits.get(place).map_or(0, |b| i128::from(b - b'0'));
        }
    }
    let offset = match text.get(at)? {
        b'Z' | b'z' => 0,
        sign @ (b'+' | b'-') => {
            let minutes = number(at + 1, at + 3)? * 60 + number(at + 4, at + 6)?;
            if *sign == b'-' { -minutes } else { minutes }
        }
        _ => return None,
    };
    let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(i128::from(seconds - offset * 60) * 1_000_000_000 + nanos)
}

/// Days from 1970-01-01 in the Gregorian calendar, of which a cycle is 400 years of 146097 days.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March have their leap day at the end.
    let year = if month <= 2 { year - 1 } else { year };
    let (cycle, of_cycle) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    cycle * 146_097 + of_cycle * 365 + of_cycle / 4 - of_cycle / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_from_1970() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:00:00Z", 951_825_600),
            ("2026-11-26T00:52:13Z", 1_795_654_333),
            ("2026-11-26T01:52:13+01:00", 1_795_654_333),
            ("1969-12-31T23:59:59Z", -1),
        ] {
            assert_eq!(
                rfc3339(text.as_bytes()),
                Some(seconds * 1_000_000_000),
                "{text}"
            );
        }
        assert_eq!(rfc3339(b"1970-01-01T00:00:00.0025Z x"), Some(2_500_000));
    }

    #[test]
    fn a_time_stands_near_the_beginning_of_its_line() {
        assert_eq!(
            first_time("environmentd: 1970-01-01T00:00:01.5Z WARN x"),
            Some(1_500_000_000)
        );
        assert_eq!(first_time("no time at all"), None);
        assert_eq!(
            first_time(&format!("{} 1970-01-01T00:00:01Z", "x".repeat(60))),
            None
        );
        for odd in [
            "2026-11-26T00:52:13",
            "2026-13-26T00:52:13Z",
            "2026-11-26T0",
            "äöü2026-",
        ] {
            assert_eq!(first_time(odd), None, "{odd}");
        }
    }
}
