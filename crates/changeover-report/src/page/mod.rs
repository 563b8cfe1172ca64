//! `report.html`: a run as one file that needs nothing else.
//!
//! What can be said in words and tables is written here, so that it is there without a script, on paper and for a
//! screen reader; the script draws the timeline from the data at the end of the file. Text of targets goes through
//! [`html::text`] here, and through nothing but text nodes in the script; and only the script that belongs to the page
//! may run, by the page's own policy.

mod data;
mod evidence;
mod faults;
mod html;
mod sections;
mod series;
mod small;
mod steps;

use crate::record::Record;
use crate::summary;
use html::text;
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// The page of a run.
pub fn render(record: &Record) -> String {
    let verdict = &record.verdict;
    let data = data::json(record);
    let mut body = String::new();
    for section in [
        sections::head(record),
        sections::findings(record),
        sections::why(record),
        faults::faults(record),
        series::series(record),
        sections::timeline(record),
        steps::steps(record),
        sections::budgets(record),
        sections::operations(record),
        sections::environment(record),
        sections::plan(record),
        sections::foot(record),
    ] {
        body.push_str(&section);
    }
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src 'sha256-{hash}'; img-src data:; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n\
         <body class=\"{outcome}\">\n<a class=\"skip\" href=\"#timeline\">To the timeline</a>\n{body}\
         <script type=\"application/json\" id=\"data\">{data}</script>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
        hash = base64(&Sha256::digest(SCRIPT)),
        title = text(&format!(
            "{}: {}",
            summary::what(verdict),
            summary::outcome(verdict)
        )),
        outcome = verdict.outcome,
    )
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let group = [0, 1, 2].map(|i| u32::from(chunk.get(i).copied().unwrap_or(0)));
        let bits = group[0] << 16 | group[1] << 8 | group[2];
        for place in 0..4 {
            out.push(match place <= chunk.len() {
                true => char::from(DIGITS[(bits >> (18 - 6 * place) & 63) as usize]),
                false => '=',
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn the_script_makes_no_markup_of_text_and_asks_nobody() {
        for word in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "Function(",
            "fetch(",
            "XMLHttpRequest",
            "import(",
        ] {
            assert!(!SCRIPT.contains(word), "{word}");
        }
        // It stands in a script element, which ends at the first of these.
        assert!(!SCRIPT.contains("</"));
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import") && !STYLE.contains("</"));
    }
}
