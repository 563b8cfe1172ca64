//! Numbers as people read them.

/// A count with a comma between thousands.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A length of time, milliseconds in and unit out: `62.1 ms`, `1.83 s`, `12 s`.
pub(crate) fn time(ms: f64) -> String {
    if ms.abs() < 999.95 {
        format!("{} ms", short(ms, 1))
    } else {
        format!("{} s", short(ms / 1000.0, 2))
    }
}

/// Milliseconds for a table cell; `-` for what was not measured.
pub(crate) fn cell(ms: Option<f64>) -> String {
    match ms {
        Some(ms) => format!("{ms:.1}"),
        None => "-".to_owned(),
    }
}

/// At most so many decimals, none that say nothing.
fn short(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped() {
        for (n, text) in [
            (0, "0"),
            (999, "999"),
            (4201, "4,201"),
            (100_000, "100,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(count(n), text);
        }
    }

    #[test]
    fn times_choose_their_unit() {
        for (ms, text) in [
            (0.0, "0 ms"),
            (62.1, "62.1 ms"),
            (62.04, "62 ms"),
            (999.96, "1 s"),
            (1830.0, "1.83 s"),
            (60_000.0, "60 s"),
        ] {
            assert_eq!(time(ms), text, "{ms}");
        }
    }
}
