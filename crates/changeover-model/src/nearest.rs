//! The nearest known name, for messages about unknown ones.

/// The candidate most like `word`, if any is like enough to be worth naming.
///
/// Likeness is Jaro–Winkler similarity of at least 0.7; among equals the first candidate wins. A word of one or two
/// characters is like nothing: too much begins with it.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.chars().count() < 3 {
        return None;
    }
    let mut best: Option<(f64, &str)> = None;
    for candidate in candidates {
        let likeness = strsim::jaro_winkler(word, candidate);
        if likeness >= 0.7 && best.is_none_or(|(b, _)| likeness > b) {
            best = Some((likeness, candidate));
        }
    }
    best.map(|(_, name)| name)
}

/// The end of a sentence about an unknown name: `: did you mean X?` or the list of what there is.
pub fn suggestion<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(word, candidates.clone()) {
        Some(name) => format!("did you mean {name}?"),
        None => {
            let known: Vec<&str> = candidates.into_iter().collect();
            format!("known: {}", known.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_nearest_and_lists_all_otherwise() {
        let known = ["linear", "direct"];
        assert_eq!(nearest("linaer", known), Some("linear"));
        // Three characters are enough, two are not.
        assert_eq!(nearest("lin", known), Some("linear"));
        assert_eq!(nearest("li", known), None);
        assert_eq!(suggestion("zzz", known), "known: linear, direct");
    }
}
