//! Durations as people type them: `10ms`, `1s`, `1.5s`, `2m`.

/// Reads a duration, in milliseconds.
///
/// # Errors
///
/// When it is no number, has no unit, or is negative.
pub(crate) fn milliseconds(text: &str) -> Result<f64, String> {
    let unit_at = text
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-')))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let factor = match unit {
        "us" => 0.001,
        "ms" => 1.0,
        "s" => 1000.0,
        "m" => 60_000.0,
        "h" => 3_600_000.0,
        "" => return Err("a unit is missing, as in 10ms, 1s or 2m".to_owned()),
        _ => return Err(format!("unknown unit {unit:?}; known: us, ms, s, m, h")),
    };
    let number: f64 = number
        .parse()
        .map_err(|_| "not a duration, as in 10ms, 1s or 2m".to_owned())?;
    if number < 0.0 {
        return Err("a duration cannot be negative".to_owned());
    }
    Ok(number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_with_units() {
        for (text, ms) in [
            ("10ms", 10.0),
            ("1s", 1000.0),
            ("1.5s", 1500.0),
            ("2m", 120_000.0),
            ("2h", 7_200_000.0),
            ("500us", 0.5),
            ("0ms", 0.0),
        ] {
            assert_eq!(milliseconds(text), Ok(ms), "{text}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for (text, why) in [
            ("", "a unit is missing"),
            ("10", "a unit is missing"),
            ("10parsecs", "unknown unit \"parsecs\""),
            ("ms", "not a duration"),
            ("1.2.3s", "not a duration"),
            ("-1s", "cannot be negative"),
            ("NaNs", "unknown unit"),
        ] {
            let error = milliseconds(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
