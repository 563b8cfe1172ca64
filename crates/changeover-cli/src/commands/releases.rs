//! `changeover releases`.

use crate::args::{Format, ReleasesArgs};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use changeover_model::Date;
use changeover_model::catalog::{Catalog, Release, Unusable};
use changeover_plan::Knowledge;
use serde::Serialize;

/// Runs the command.
///
/// # Errors
///
/// When there is no such target, or standard output cannot be written.
pub(crate) fn run(args: &ReleasesArgs) -> Result<Exit, CliError> {
    let catalog = Knowledge::of(&args.target.target)?.catalog;
    output::print(&match args.format.format {
        Format::Human => human(&catalog),
        Format::Json => json(&catalog),
    })?;
    Ok(Exit::Passed)
}

fn human(catalog: &Catalog) -> String {
    let width = catalog
        .releases()
        .iter()
        .map(|release| release.version.to_string().len())
        .chain(["current".len()])
        .max()
        .unwrap_or_default();
    let mut out = format!("Releases of {}, oldest first\n", catalog.target());
    for release in catalog.releases() {
        let Release {
            version,
            date,
            unusable,
            summary,
            ..
        } = release;
        let date = date.map(|d| d.to_string()).unwrap_or_default();
        let unusable = match unusable {
            Some(Unusable { reason, by }) => format!(" (unusable: {reason}, says {by})"),
            None => String::new(),
        };
        out.push_str(&format!(
            "{:width$}  {date:10}  {summary}{unusable}\n",
            version.to_string()
        ));
    }
    out.push_str(&format!(
        "{:width$}  {:10}  The version built from local source.\n",
        "current", ""
    ));
    out
}

#[derive(Serialize)]
struct Document<'a> {
    format: &'static str,
    target: &'a str,
    releases: Vec<Entry<'a>>,
}

/// What scripts read; the catalog's own type may change without them.
#[derive(Serialize)]
struct Entry<'a> {
    version: String,
    date: Option<Date>,
    summary: &'a str,
    unusable: Option<&'a str>,
}

fn json(catalog: &Catalog) -> String {
    let document = Document {
        format: "changeover.releases/1",
        target: catalog.target(),
        releases: catalog
            .releases()
            .iter()
            .map(|release| Entry {
                version: release.version.to_string(),
                date: release.date,
                summary: &release.summary,
                unusable: release.unusable.as_ref().map(|u| u.reason.as_str()),
            })
            .collect(),
    };
    output::json(&document)
}
