//! Templates: text with placeholders in braces.

/// Replaces each `{name}` by its value. What is not known stays as it is.
pub fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    // One pass: a value that looks like a placeholder must not be filled again.
    while let Some(open) = rest.find('{') {
        out.push_str(&rest[..open]);
        rest = &rest[open..];
        let hit = rest.find('}').and_then(|close| {
            let name = &rest[1..close];
            let (_, value) = values.iter().find(|(n, _)| *n == name)?;
            Some((close, *value))
        });
        match hit {
            Some((close, value)) => {
                out.push_str(value);
                rest = &rest[close + 1..];
            }
            None => {
                out.push('{');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// What looks like a placeholder, in order: a word of small letters and `_` in braces. Other braces are text.
pub fn placeholders(template: &str) -> impl Iterator<Item = &str> {
    template.split('{').skip(1).filter_map(|rest| {
        let (name, _) = rest.split_once('}')?;
        let word = |c: char| c.is_ascii_lowercase() || c == '_';
        (!name.is_empty() && name.chars().all(word)).then_some(name)
    })
}

/// Whether a template has this placeholder.
pub fn has(template: &str, name: &str) -> bool {
    placeholders(template).any(|found| found == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_once() {
        let filled = fill("{a} {b} {c", &[("a", "{b}"), ("b", "2")]);
        assert_eq!(filled, "{b} 2 {c");
    }

    #[test]
    fn braces_around_anything_but_a_word_are_text() {
        let found: Vec<&str> =
            placeholders(r#"{"id": "{id}", "n": {}, {1}} {sql_addr}{open"#).collect();
        assert_eq!(found, ["id", "sql_addr"]);
    }
}
