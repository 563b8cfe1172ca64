//! `aged`: data that older releases make, each some, and what it must look like ever after.
//!
//! Each release adds rows of every kind, changes some of what the release before it has left, removes others, and
//! makes a table of its own. What must be there afterwards follows from how many releases there were.

use super::objects::Query;

/// Rows that a release adds.
const ROWS: u64 = 200;

/// Rows of an INSERT.
const BATCH: u64 = 50;

/// Of the release before, the first so many rows are changed, and those from here on removed.
const CHANGED: u64 = 50;
const REMOVED_FROM: u64 = 190;

/// Rows in a release's own table.
const OWN: u64 = 10;

/// A query, and the rows that it must answer, as text.
pub type Expected = (Query, Vec<Vec<Option<String>>>);

/// What release number `release` (0, 1, …) of the chain does.
pub fn statements(release: u64) -> Vec<String> {
    let mut all = Vec::new();
    if release == 0 {
        all.push("CREATE TABLE changeover_aged (release BIGINT NOT NULL, n BIGINT NOT NULL, note TEXT, amount BIGINT NOT NULL, flag BOOLEAN NOT NULL)".to_owned());
        all.push("CREATE INDEX changeover_aged_note ON changeover_aged (note)".to_owned());
        all.push("CREATE VIEW changeover_aged_sums AS SELECT release, count(*) AS elements, min(amount) AS least, max(amount) AS most FROM changeover_aged GROUP BY release".to_owned());
    }
    for first in (0..ROWS).step_by(BATCH as usize) {
        let rows = (first..first + BATCH).map(|n| {
            let Row { note, amount, flag } = Row::new(release, n);
            let note = match note {
                Some(note) => format!("'{}'", note.replace('\'', "''")),
                None => "NULL".to_owned(),
            };
            format!("({release}, {n}, {note}, {amount}, {flag})")
        });
        all.push(format!(
            "INSERT INTO changeover_aged (release, n, note, amount, flag) VALUES {}",
            rows.collect::<Vec<_>>().join(", ")
        ));
    }
    if let Some(before) = release.checked_sub(1) {
        all.push(format!(
            "UPDATE changeover_aged SET note = 'changed by {release}', amount = amount + 1 WHERE release = {before} AND n < {CHANGED}"
        ));
        all.push(format!(
            "DELETE FROM changeover_aged WHERE release = {before} AND n >= {REMOVED_FROM}"
        ));
    }
    all.push(format!(
        "CREATE TABLE changeover_aged_{release} (n BIGINT NOT NULL)"
    ));
    let own: Vec<String> = (0..OWN).map(|n| format!("({n})")).collect();
    all.push(format!(
        "INSERT INTO changeover_aged_{release} (n) VALUES {}",
        own.join(", ")
    ));
    all
}

/// What must be answered after a chain of so many releases; nothing after none.
pub fn expected(releases: u64) -> Vec<Expected> {
    if releases == 0 {
        return Vec::new();
    }
    let rows = rows(releases);
    let text = |value: i64| Some(value.to_string());
    let number = |value: u64| Some(value.to_string());
    let query = |name: &str, sql: &str| Query {
        name: name.to_owned(),
        sql: sql.to_owned(),
    };
    let mut all = vec![(
        query(
            "rows",
            "SELECT release, n, note, amount, flag FROM changeover_aged",
        ),
        rows.iter()
            .map(|(release, n, row)| {
                let flag = if row.flag { "t" } else { "f" };
                vec![
                    number(*release),
                    number(*n),
                    row.note.clone(),
                    text(row.amount),
                    Some(flag.to_owned()),
                ]
            })
            .collect(),
    )];
    let sums = (0..releases).map(|release| {
        let of = || {
            rows.iter()
                .filter(move |(r, ..)| *r == release)
                .map(|(.., row)| row.amount)
        };
        vec![
            number(release),
            number(of().count() as u64),
            of().min().and_then(text),
            of().max().and_then(text),
        ]
    });
    all.push((
        query(
            "view",
            "SELECT release, elements, least, most FROM changeover_aged_sums",
        ),
        sums.collect(),
    ));
    let changed = rows
        .iter()
        .filter(|(.., row)| row.note.as_deref() == Some("it's 3"));
    all.push((
        query(
            "index",
            "SELECT release, n FROM changeover_aged WHERE note = 'it''s 3'",
        ),
        changed
            .map(|(release, n, _)| vec![number(*release), number(*n)])
            .collect(),
    ));
    for release in 0..releases {
        all.push((
            query(
                &format!("table {release}"),
                &format!("SELECT n FROM changeover_aged_{release}"),
            ),
            (0..OWN).map(|n| vec![number(n)]).collect(),
        ));
    }
    all
}

struct Row {
    note: Option<String>,
    amount: i64,
    flag: bool,
}

impl Row {
    /// As it is added. Numbers of all sizes and signs, texts of all kinds.
    fn new(release: u64, n: u64) -> Self {
        let note = match n % 5 {
            0 => None,
            1 => Some(String::new()),
            2 => Some(format!("größer als {n} · {release}")),
            3 => Some(format!("it's {n}")),
            _ => Some("x".repeat(n as usize)),
        };
        Row {
            note,
            // At most 100 × 7^19, which is less than 2^63.
            amount: (n as i64 - 100) * 7_i64.pow((n % 20) as u32),
            flag: n.is_multiple_of(3),
        }
    }
}

/// All rows after so many releases.
fn rows(releases: u64) -> Vec<(u64, u64, Row)> {
    let mut all = Vec::new();
    for release in 0..releases {
        let last = release + 1 == releases;
        let there = if last { ROWS } else { REMOVED_FROM };
        for n in 0..there {
            let mut row = Row::new(release, n);
            if !last && n < CHANGED {
                row.note = Some(format!("changed by {}", release + 1));
                row.amount += 1;
            }
            all.push((release, n, row));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_changes_what_the_one_before_has_left() {
        assert_eq!(expected(1)[0].1.len(), 200);
        let two = expected(2);
        assert_eq!(two[0].1.len(), 390);
        let changed = two[0]
            .1
            .iter()
            .filter(|row| row[2].as_deref() == Some("changed by 1"));
        assert_eq!(changed.count(), 50);
        assert_eq!(two[1].1[0][1].as_deref(), Some("190"));
        // Of the release before it, that row was changed.
        assert_eq!(two[2].1, [[Some("1".to_owned()), Some("3".to_owned())]]);
        assert_eq!(two.len(), 5);
        assert!(statements(1).iter().any(|sql| sql.starts_with("DELETE")));
        assert!(!statements(0).iter().any(|sql| sql.starts_with("DELETE")));
    }

    #[test]
    fn every_kind_of_value_is_there() {
        let rows = rows(1);
        let amounts: Vec<i64> = rows.iter().map(|(.., row)| row.amount).collect();
        assert!(amounts.iter().any(|a| *a > i64::from(i32::MAX)));
        assert!(amounts.iter().any(|a| *a < i64::from(i32::MIN)));
        assert!(rows.iter().any(|(.., row)| row.note.is_none()));
        assert!(rows.iter().any(|(.., row)| row.note.as_deref() == Some("")));
    }
}
