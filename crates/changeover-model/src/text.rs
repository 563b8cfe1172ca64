//! Text that came from a target, made harmless: for a terminal, a report, one line of a file.

use std::fmt::Write;

/// `text` on one line. Control characters, ANSI escapes among them, and characters that reorder their neighbours are
/// written as escapes, so that nothing is obeyed and nothing is hidden; tabs become spaces.
pub fn harmless(text: &str) -> String {
    harmless_cut(text, usize::MAX)
}

/// Like [`harmless`], and at most `limit` characters long, and one more when cut: an ellipsis.
pub fn harmless_cut(text: &str, limit: usize) -> String {
    let mut out = String::with_capacity(text.len().min(limit));
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
        if chars > limit {
            out.truncate(before);
            out.push('…');
            break;
        }
    }
    out
}

/// A JSON document that is shown: what [`harmless`] escapes, as JSON escapes it. Whoever reads it reads the same.
pub fn harmless_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            // Of the lower ones, only those between its values are left.
            '\u{7f}'..='\u{9f}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c if reorders(c) => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// Embeddings, overrides, isolates and marks of the bidirectional algorithm, and line and paragraph separators: they
/// make a line look like another.
fn reorders(c: char) -> bool {
    matches!(
        c,
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_shown_and_not_obeyed() {
        assert_eq!(
            harmless("\x1b[2Jhi\tthere\r\n\u{9b}\u{202e}"),
            "\\u{1b}[2Jhi there\\r\\n\\u{9b}\\u{202e}"
        );
        assert_eq!(harmless("Grüße →"), "Grüße →");
    }

    #[test]
    fn a_document_reads_the_same_and_obeys_nothing() {
        let value = serde_json::json!({"\u{9b}31m": ["\u{202e}\u{7f}\x1b", "Grüße"]});
        let shown = harmless_json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!shown.contains(|c: char| reorders(c) || c.is_control() && c != '\n'));
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
            value
        );
    }

    #[test]
    fn the_cut_falls_between_whole_characters_and_is_marked() {
        assert_eq!(harmless_cut("äöü", 3), "äöü");
        assert_eq!(harmless_cut("äöüß", 3), "äöü…");
        assert_eq!(harmless_cut("ab\x1b", 4), "ab…");
    }
}
