//! The small history that still fails.

use changeover_model::history::{Header, Operation};

/// A history that fails for the reason of a finding, with nothing in it that does not matter.
#[derive(Debug, Clone, PartialEq)]
pub struct SubHistory {
    /// Its first line.
    pub header: Header,
    /// Its operations.
    pub operations: Vec<Operation>,
}

impl SubHistory {
    /// The history as a file holds it.
    pub fn to_lines(&self) -> String {
        let line = |value: serde_json::Result<String>| {
            value.expect("a history holds nothing that JSON cannot")
        };
        let mut text = line(serde_json::to_string(&self.header));
        text.push('\n');
        for operation in &self.operations {
            text.push_str(&line(serde_json::to_string(operation)));
            text.push('\n');
        }
        text
    }
}

/// Takes away what can be taken away: the parts that are left still fail, and would not without any one of them.
/// `fails` says whether a history of these parts fails; it is asked at most `tries` times.
///
/// Halves first, then quarters, down to single parts (Zeller and Hildebrandt's delta debugging, 2002).
pub(crate) fn shrink(
    parts: Vec<u32>,
    mut tries: u32,
    mut fails: impl FnMut(&[u32]) -> bool,
) -> Vec<u32> {
    let mut parts = parts;
    let mut size = parts.len().div_ceil(2).max(1);
    loop {
        let mut removed = false;
        let mut start = 0;
        while start < parts.len() {
            if tries == 0 {
                return parts;
            }
            tries -= 1;
            let end = (start + size).min(parts.len());
            let rest: Vec<u32> = [&parts[..start], &parts[end..]].concat();
            if fails(&rest) {
                parts = rest;
                removed = true;
            } else {
                start = end;
            }
        }
        if size > 1 {
            size = size.div_ceil(2);
        } else if !removed {
            return parts;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_matters_is_left() {
        let mut asked = 0;
        let left = shrink((0..1000).collect(), u32::MAX, |parts| {
            asked += 1;
            [17, 400, 401].iter().all(|n| parts.contains(n))
        });
        assert_eq!(left, [17, 400, 401]);
        assert!(asked < 200, "asked {asked} times");
        assert_eq!(shrink(vec![1, 2], 0, |_| true), [1, 2]);
    }
}
