//! Documents of which a part is written by a chore, between two marks.

use anyhow::{Context, Result, bail};
use std::path::Path;

/// Writes a document anew, as `change` makes it.
///
/// # Errors
///
/// When it cannot be read or written, or `change` fails.
pub(crate) fn rewrite(place: &Path, change: impl Fn(&str) -> Result<String>) -> Result<()> {
    let document = std::fs::read_to_string(place)
        .with_context(|| format!("cannot read {}", place.display()))?;
    std::fs::write(place, change(&document)?)
        .with_context(|| format!("cannot write {}", place.display()))
}

/// The document with `text` between the marks of that name.
///
/// # Errors
///
/// When it lacks them.
pub(crate) fn between(document: &str, name: &str, text: &str) -> Result<String> {
    let (begin, end) = (
        format!("<!-- written by {name} -->\n"),
        format!("<!-- end of what {name} wrote -->\n"),
    );
    let places = document.find(&begin).zip(document.find(&end));
    let Some((at, until)) = places.filter(|(at, until)| at < until) else {
        bail!("the document lacks the lines {begin:?} and {end:?}");
    };
    Ok(format!(
        "{}{text}{}",
        &document[..at + begin.len()],
        &document[until..]
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_between_the_marks_is_replaced_and_nothing_else() {
        let document = "a\n<!-- written by x -->\nold\n<!-- end of what x wrote -->\nb\n";
        let written = between(document, "x", "new\n").unwrap();
        assert_eq!(written, document.replace("old", "new"));
        assert_eq!(between(&written, "x", "new\n").unwrap(), written);
        assert!(between(document, "y", "new").is_err());
    }
}
