//! `changeover releases`.

use crate::args::{Format, ReleasesArgs};
use crate::error::CliError;
use crate::exit::Exit;
use crate::{knowledge, output};
use changeover_model::Date;
use changeover_model::catalog::{Catalog, Release, Unusable};
use changeover_model::format::Kind;
use changeover_model::text::harmless;
use serde::Serialize;

/// Runs the command.
///
/// # Errors
///
/// When there is no such target, `--releases` gives no newer knowledge, or standard output cannot be written.
pub(crate) fn run(args: &ReleasesArgs) -> Result<Exit, CliError> {
    let catalog = knowledge::of(&args.knowledge)?.catalog;
    let releases = wanted(&catalog, args.since, args.usable);
    output::print(&match args.format.format {
        Format::Human => human(&catalog, &releases),
        Format::Json => json(&catalog, &releases),
    })?;
    Ok(Exit::Passed)
}

/// The releases that were asked for.
///
/// One without any date, known by its tag alone, counts as older than `since` when a newer version is.
fn wanted(catalog: &Catalog, since: Option<Date>, usable: bool) -> Vec<&Release> {
    let date = |release: &Release| release.date.or(release.series_date);
    let older = |release: &Release| date(release).is_some_and(|d| since.is_some_and(|s| d < s));
    let newest_older = catalog.releases().iter().rfind(|r| older(r));
    let hidden = |release: &Release| match date(release) {
        Some(_) => older(release),
        None => newest_older.is_some_and(|newest| release.version < newest.version),
    };
    let releases = catalog.releases().iter();
    releases
        .filter(|release| !hidden(release))
        .filter(|release| !usable || release.unusable.is_none())
        .collect()
}

fn human(catalog: &Catalog, releases: &[&Release]) -> String {
    let mut rows: Vec<[String; 4]> = releases.iter().map(|release| row(release)).collect();
    rows.push([
        "current".to_owned(),
        String::new(),
        String::new(),
        "The version built from local source.".to_owned(),
    ]);
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or_default()
    };
    let widths = [width(0), width(1), width(2), 0];
    let mut out = heading(catalog);
    for row in &rows {
        let cells = row.iter().zip(widths).enumerate();
        let line: Vec<String> = cells
            // A column that nobody fills takes no room.
            .filter(|(column, (_, width))| *column == 3 || *width > 0)
            .map(|(_, (cell, width))| format!("{cell:width$}"))
            .collect();
        out.push_str(line.join("  ").trim_end());
        out.push('\n');
    }
    out
}

fn heading(catalog: &Catalog) -> String {
    let as_of = catalog.as_of().map(|date| format!("as of {date}"));
    let newer = catalog
        .newer_from()
        .map(|from| format!("with newer knowledge from {}", harmless(from)));
    let knowledge: Vec<String> = as_of.into_iter().chain(newer).collect();
    let target = catalog.target();
    match knowledge.is_empty() {
        true => format!("Releases of {target}, oldest first\n"),
        false => format!(
            "Releases of {target}, oldest first, {}\n",
            knowledge.join(" ")
        ),
    }
}

/// Version, date, operators, and what there is to say.
fn row(release: &Release) -> [String; 4] {
    let date = match (release.date, release.series_date) {
        (Some(date), _) => date.to_string(),
        (None, Some(date)) => format!("series of {date}"),
        (None, None) => String::new(),
    };
    let operators: Vec<String> = release
        .operators
        .iter()
        .map(|chart| match &chart.flag {
            Some(flag) => format!("{} ({flag})", chart.operator),
            None => chart.operator.to_string(),
        })
        .collect();
    let operators = match operators.is_empty() {
        true => String::new(),
        false => format!("operator {}", operators.join(", ")),
    };
    let unusable = match &release.unusable {
        Some(Unusable { reason, by }) => format!("unusable: {reason} ({by})"),
        None => String::new(),
    };
    let remarks = [release.summary.clone(), unusable];
    [
        release.version.to_string(),
        date,
        operators,
        remarks.join(" ").trim().to_owned(),
    ]
}

#[derive(Serialize)]
struct Document<'a> {
    format: String,
    target: &'a str,
    as_of: Option<Date>,
    newer_from: Option<&'a str>,
    releases: Vec<Entry<'a>>,
}

/// What scripts read; the catalog's own type may change without them.
#[derive(Serialize)]
struct Entry<'a> {
    version: String,
    date: Option<Date>,
    series_date: Option<Date>,
    summary: &'a str,
    operators: Vec<Operator<'a>>,
    unusable: Option<&'a str>,
    unusable_by: Option<&'a str>,
}

#[derive(Serialize)]
struct Operator<'a> {
    version: String,
    date: Option<Date>,
    flag: Option<&'a str>,
}

fn json(catalog: &Catalog, releases: &[&Release]) -> String {
    output::json(&Document {
        format: Kind::Releases.mark(),
        target: catalog.target(),
        as_of: catalog.as_of(),
        newer_from: catalog.newer_from(),
        releases: releases.iter().map(|release| entry(release)).collect(),
    })
}

fn entry(release: &Release) -> Entry<'_> {
    let Release {
        version,
        date,
        series_date,
        summary,
        operators,
        unusable,
    } = release;
    Entry {
        version: version.to_string(),
        date: *date,
        series_date: *series_date,
        summary,
        operators: operators
            .iter()
            .map(|chart| Operator {
                version: chart.operator.to_string(),
                date: chart.date,
                flag: chart.flag.as_deref(),
            })
            .collect(),
        unusable: unusable.as_ref().map(|u| u.reason.as_str()),
        unusable_by: unusable.as_ref().map(|u| u.by.as_str()),
    }
}
