//! `changeover route`.

use crate::args::{Format, RouteArgs};
use crate::error::CliError;
use crate::exit::Exit;
use crate::{knowledge, output};
use changeover_plan::route::{Router, text};
use changeover_plan::{PlanRequestError, admit_stop, parse_version};

/// Runs the command.
///
/// # Errors
///
/// When there are not two versions to find a route between, or standard output cannot be written.
pub(crate) fn run(args: &RouteArgs) -> Result<Exit, CliError> {
    let known = knowledge::of(&args.knowledge)?;
    let catalog = &known.catalog;
    let from = parse_version(&args.from, catalog)?;
    let to = parse_version(&args.to, catalog)?;
    if from.is_same(&to) {
        return Err(PlanRequestError::SameEnds { version: from }.into());
    }
    let rules = known
        .rules
        .pick(knowledge::rules(&args.legality).as_deref())
        .map_err(PlanRequestError::from)?;
    let current = knowledge::current_version(&args.legality, &known)?;
    let warnings = [
        catalog.admit(&from).map_err(PlanRequestError::from)?,
        admit_stop(&to, catalog)?,
    ];
    for warning in warnings.iter().flatten() {
        output::warning(warning);
    }
    let route = Router::new(catalog, rules, current).route(&from, &to);
    output::print(&match args.format.format {
        Format::Human => text::render(&route),
        Format::Json => route.to_json(),
    })?;
    Ok(match route.stops {
        Some(_) => Exit::Passed,
        None => Exit::Failed,
    })
}
