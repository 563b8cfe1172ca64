//! The commands, a module each.

pub(crate) mod bugs;
pub(crate) mod check;
pub(crate) mod cleanup;
pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod plan;
pub(crate) mod probe;
pub(crate) mod rehearse;
pub(crate) mod releases;
pub(crate) mod report;
pub(crate) mod route;
pub(crate) mod runs;
pub(crate) mod scenarios;

/// A text as one word of a POSIX shell.
pub(crate) fn shell_word(text: &str) -> String {
    let tame = |c: char| c.is_ascii_alphanumeric() || "/._-+@%:,=".contains(c);
    if text.chars().all(tame) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_of_a_shell() {
        assert_eq!(shell_word("/a/plan.json"), "/a/plan.json");
        assert_eq!(shell_word("/a b/it's"), r"'/a b/it'\''s'");
    }
}
