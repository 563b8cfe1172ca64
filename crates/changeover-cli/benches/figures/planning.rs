//! What planning costs: long random paths through Materialize's releases, and every route there is.

use crate::report::{Bar, Figure, spread};
use changeover_model::version::PathVersion;
use changeover_plan::route::Router;
use changeover_plan::{DrawRequest, Knowledge, Request, Strategy, plan};
use std::hint::black_box;
use std::time::Instant;

const ROUNDS: usize = 5;
const PLANS: usize = 1_000;
const LONG: usize = 60;

/// Measures both.
pub(crate) fn measure() -> Result<Vec<Figure>, String> {
    let known = Knowledge::of("materialize").map_err(|e| e.to_string())?;
    Ok(vec![plans(&known)?, routes(&known)?])
}

fn plans(known: &Knowledge) -> Result<Figure, String> {
    let usable: Vec<PathVersion> = known
        .catalog
        .usable()
        .map(|release| release.version.clone().into())
        .collect();
    // Sixty neighbours that the rules lead through, so that no hop is filled in.
    let first: PathVersion = "v0.96.0".parse().map_err(|_| "no version")?;
    let begin = usable.partition_point(|version| *version < first);
    let candidates = usable.get(begin..begin + LONG).ok_or("too few versions")?;
    let mut seconds = Vec::new();
    for round in 0..ROUNDS {
        let started = Instant::now();
        for seed in 0..PLANS {
            let request = Request {
                strategy: Some(Strategy::Random),
                versions: Some(candidates.to_vec()),
                draw: DrawRequest {
                    probability: Some(1.0),
                    ..DrawRequest::default()
                },
                seed: Some((round * PLANS + seed).to_string()),
                ..Request::default()
            };
            let (made, _) = plan(&request, known).map_err(|e| e.to_string())?;
            if made.path.len() != LONG {
                return Err(format!(
                    "a plan of {} versions, not {LONG}",
                    made.path.len()
                ));
            }
            black_box(made);
        }
        seconds.push(started.elapsed().as_secs_f64());
    }
    let (value, range) = spread(&seconds);
    Ok(Figure {
        what: "1,000 plans of 60 versions (s)",
        how: format!(
            "{ROUNDS} rounds of {PLANS} plans of {LONG} neighbouring Materialize releases, in memory, another seed each"
        ),
        value,
        range,
        bar: Bar::AtMost(1.0),
    })
}

fn routes(known: &Knowledge) -> Result<Figure, String> {
    let releases = known.catalog.releases().iter();
    let all: Vec<PathVersion> = releases.map(|r| r.version.clone().into()).collect();
    let mut found = 0;
    let mut seconds = Vec::new();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let router = Router::new(&known.catalog, known.rules.defaults(), None);
        let pairs = all
            .iter()
            .flat_map(|from| all.iter().map(move |to| (from, to)));
        found = pairs
            .filter(|(from, to)| black_box(router.stops(from, to)).is_some())
            .count();
        seconds.push(started.elapsed().as_secs_f64());
    }
    let (value, range) = spread(&seconds);
    Ok(Figure {
        what: "a route for every pair of Materialize's releases (s)",
        how: format!(
            "{ROUNDS} rounds of one router over all {} × {} pairs, unusable ones and downgrades too, by the default \
             rules; {found} have a route",
            all.len(),
            all.len()
        ),
        value,
        range,
        bar: Bar::AtMost(1.0),
    })
}
