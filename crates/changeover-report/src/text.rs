//! Text that came from a target, made harmless.

/// Replaces what could move the cursor, recolour the terminal or reverse the line.
///
/// Control characters, among them newlines, and the invisible characters that change the direction of text become
/// U+FFFD; tabs become spaces.
pub fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' => ' ',
            c if c.is_control() || is_directional(c) => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// Like [`harmless`], and cut to `limit` characters; a cut ends in `…`.
pub fn harmless_cut(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return harmless(text);
    }
    let kept: String = text.chars().take(limit.saturating_sub(1)).collect();
    harmless(&kept) + "…"
}

/// Embeddings, overrides, isolates and marks of the bidirectional algorithm, and line and paragraph separators.
fn is_directional(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_on_its_line_and_in_its_colour() {
        assert_eq!(harmless("a\u{1b}[31mb\r\nc\td"), "a�[31mb��c d");
        assert_eq!(harmless("\u{202e}gnp.exe\u{9b}2J"), "�gnp.exe�2J");
        assert_eq!(harmless("Grüße →"), "Grüße →");
    }

    #[test]
    fn a_cut_is_marked() {
        assert_eq!(harmless_cut("abcdef", 6), "abcdef");
        assert_eq!(harmless_cut("abcdefg", 6), "abcde…");
        assert_eq!(harmless_cut("äöü\nx", 4), "äöü…");
    }
}
