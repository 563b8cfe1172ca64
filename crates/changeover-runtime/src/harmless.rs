//! Foreign text, made harmless: for a terminal, a report, one line of a file.

use std::fmt::Write;

/// `text` on one line and at most `max_chars` characters long (one more when cut: an ellipsis). Control characters,
/// ANSI escapes among them, and characters that reorder their neighbours are written as escapes.
pub fn harmless(text: &str, max_chars: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max_chars));
    let mut chars = 0;
    for c in text.chars() {
        let before = out.len();
        match c {
            '\t' => out.push(' '),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() || reorders(c) => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
        chars += out[before..].chars().count();
        if chars > max_chars {
            out.truncate(before);
            out.push('…');
            break;
        }
    }
    out
}

/// Line and paragraph separators, and the marks that turn the direction of writing: they make a line look like
/// another.
fn reorders(c: char) -> bool {
    matches!(
        c,
        '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_shown_and_not_obeyed() {
        assert_eq!(
            harmless("\x1b[2Jhi\tthere\r\n\u{9b}\u{202e}", 100),
            "\\u{1b}[2Jhi there\\r\\n\\u{9b}\\u{202e}"
        );
    }

    #[test]
    fn the_cut_falls_between_whole_characters() {
        assert_eq!(harmless("äöü", 3), "äöü");
        assert_eq!(harmless("äöüß", 3), "äöü…");
        assert_eq!(harmless("ab\x1b", 4), "ab…");
    }
}
