//! What is said of a plan that was run several times: how often, medians with their ranges, and what differs from
//! the control by more than noise.

use crate::numbers::{count, time};
use changeover_model::check::Check;
use changeover_model::figure::Spread;
use changeover_model::history::Class;
use changeover_model::verdict::{FigureReport, LongestGap, RunReport, Verdict, VerdictOutcome};

/// The columns of a table of runs.
pub(crate) const RUN_HEADER: [&str; 6] = [
    "run",
    "outcome",
    "write gap",
    "read gap",
    "connect gap",
    "operations",
];

/// The columns of a table of medians.
pub(crate) const MEDIAN_HEADER: [&str; 7] = [
    "step",
    "from → to",
    "write gap",
    "read gap",
    "connect gap",
    "promote",
    "bootstrap",
];

/// What such a table shows, in a sentence.
pub(crate) const MEDIANS: &str =
    "medians in ms, with the range; ≠: further from the control than noise";

/// The columns of a table of all figures.
pub(crate) const FIGURE_HEADER: [&str; 9] = [
    "step",
    "from → to",
    "figure",
    "median",
    "smallest",
    "largest",
    "noise floor",
    "control's median",
    "differs",
];

const GAPS: [Class; 3] = [Class::Write, Class::Read, Class::Connect];

/// Runs, and those of the control.
pub(crate) fn all_runs(verdict: &Verdict) -> impl Iterator<Item = &RunReport> {
    let repeated = verdict.repeat.iter().flat_map(|repeat| &repeat.runs);
    let control = verdict.control.iter().flat_map(|control| &control.runs);
    repeated.chain(control)
}

/// The checks that found errors, in any of the runs.
pub(crate) fn failed_checks(verdict: &Verdict) -> Vec<Check> {
    let mut checks = verdict.failed_checks();
    for check in all_runs(verdict).flat_map(|run| run.checks.clone()) {
        if !checks.contains(&check) {
            checks.push(check);
        }
    }
    checks
}

/// In how many runs the outcome was this; nothing of a single one.
pub(crate) fn how_often(verdict: &Verdict) -> String {
    let Some(repeat) = &verdict.repeat else {
        return String::new();
    };
    let runs = repeat.runs.len();
    let as_bad = repeat.runs.iter().filter(|r| r.outcome == verdict.outcome);
    match (as_bad.count(), verdict.outcome) {
        (_, VerdictOutcome::Pass) if runs == 1 => String::new(),
        (all, VerdictOutcome::Pass) => format!(" {all} times"),
        (0, _) => " in its control alone".to_owned(),
        (some, _) => format!(" in {some} of {runs} runs"),
    }
}

/// The longest gap of a class in any of the runs, and that run.
pub(crate) fn longest_gap(verdict: &Verdict, class: Class) -> Option<(&RunReport, &LongestGap)> {
    let runs = verdict.repeat.iter().flat_map(|repeat| &repeat.runs);
    runs.filter_map(|run| Some((run, run.longest_gap(class)?)))
        .max_by(|a, b| a.1.ms.total_cmp(&b.1.ms))
}

fn spread_of(runs: &[RunReport], class: Class) -> Option<Spread> {
    let gaps = runs.iter().filter_map(|run| run.longest_gap(class));
    Spread::of(&gaps.map(|gap| gap.ms).collect::<Vec<_>>())
}

/// The longest write gap of all runs, and their median.
pub(crate) fn longest_write_gap(verdict: &Verdict) -> String {
    let runs = verdict.repeat.as_ref().map_or(&[][..], |it| &it.runs);
    let (Some((run, gap)), Some(spread)) = (
        longest_gap(verdict, Class::Write),
        spread_of(runs, Class::Write),
    ) else {
        return "No write gap measured".to_owned();
    };
    let median = match spread.values {
        1 => String::new(),
        _ => format!(
            " of run {}, at a median of {}",
            run.run,
            time(spread.median_ms)
        ),
    };
    format!(
        "Longest write gap {} (resolution {}) at step {}{median}",
        time(gap.ms),
        time(gap.resolution_ms),
        gap.step,
    )
}

/// What the restarts of one version came to.
pub(crate) fn against_control(verdict: &Verdict) -> String {
    let Some(control) = &verdict.control else {
        return String::new();
    };
    let version = &control.version;
    match spread_of(&control.runs, Class::Write) {
        None => format!("; no write gap measured when {version} was restarted instead"),
        Some(spread) => format!(
            "; when {version} was restarted instead, the longest write gap was {}{}",
            time(spread.max_ms),
            match spread.values {
                1 => String::new(),
                _ => format!(", at a median of {}", time(spread.median_ms)),
            }
        ),
    }
}

/// A row for each run, those of the control last.
pub(crate) fn run_rows(verdict: &Verdict) -> Vec<[String; RUN_HEADER.len()]> {
    let decides = verdict.repeat.as_ref().map(|repeat| &repeat.decides);
    let rows = all_runs(verdict).map(|run| {
        let gap = |class| {
            run.longest_gap(class).map_or("–".to_owned(), |gap| {
                format!("{:.1} ±{:.1}", gap.ms, gap.resolution_ms)
            })
        };
        let mark = if Some(&run.run) == decides { " *" } else { "" };
        [
            format!("{}{mark}", run.run),
            match run.checks.as_slice() {
                [] => run.outcome.to_string(),
                checks => {
                    let names: Vec<&str> = checks.iter().map(|check| check.name()).collect();
                    format!("{} ({})", run.outcome, names.join(", "))
                }
            },
            gap(Class::Write),
            gap(Class::Read),
            gap(Class::Connect),
            count(run.operations.total),
        ]
    });
    rows.collect()
}

/// The figure of a class with the largest median among its lanes, of those of a step or of a control.
fn worst_lane<'a>(figures: &[&'a FigureReport], class: Class) -> Option<&'a FigureReport> {
    let prefix = format!("gap {}/", class.name());
    let lanes = figures.iter().filter(|it| it.what.starts_with(&prefix));
    lanes
        .max_by(|a, b| a.spread.median_ms.total_cmp(&b.spread.median_ms))
        .copied()
}

fn cell(figure: Option<&FigureReport>) -> String {
    let Some(figure) = figure else {
        return "–".to_owned();
    };
    let spread = &figure.spread;
    let differs = match figure.differs_from_control {
        Some(true) => " ≠",
        _ => "",
    };
    match spread.values {
        1 => format!("{:.1}{differs}", spread.median_ms),
        _ => format!(
            "{:.1} ({:.1}–{:.1}){differs}",
            spread.median_ms, spread.min_ms, spread.max_ms
        ),
    }
}

fn median_row(step: String, hop: &str, figures: &[&FigureReport]) -> [String; MEDIAN_HEADER.len()] {
    let phase = |name: &str| {
        let what = format!("phase {name}");
        cell(figures.iter().find(|it| it.what == what).copied())
    };
    let [write, read, connect] = GAPS.map(|class| cell(worst_lane(figures, class)));
    [
        step,
        hop.to_owned(),
        write,
        read,
        connect,
        phase("promote"),
        phase("bootstrap"),
    ]
}

/// A row for each step, and one for the control.
pub(crate) fn median_rows(verdict: &Verdict) -> Vec<[String; MEDIAN_HEADER.len()]> {
    let Some(repeat) = &verdict.repeat else {
        return Vec::new();
    };
    let mut rows = Vec::new();
    for step in &verdict.steps {
        let of_step = repeat.figures.iter();
        let figures: Vec<&FigureReport> = of_step
            .filter(|figure| figure.step == Some(step.number))
            .collect();
        let hop = format!("{} → {}", step.from, step.to);
        rows.push(median_row(step.number.to_string(), &hop, &figures));
    }
    if let Some(control) = &verdict.control {
        let figures: Vec<&FigureReport> = control.figures.iter().collect();
        let hop = format!("restarts of {}", control.version);
        rows.push(median_row("all".to_owned(), &hop, &figures));
    }
    rows
}

/// How far gaps may lie apart without a meaning, in a sentence; `None` if nothing is known.
pub(crate) fn noise_floor(verdict: &Verdict) -> Option<String> {
    let repeated = verdict.repeat.iter().flat_map(|it| &it.figures);
    let control = verdict.control.iter().flat_map(|it| &it.figures);
    let figures: Vec<&FigureReport> = repeated.chain(control).collect();
    let of_class = |class: Class| {
        let prefix = format!("gap {}/", class.name());
        let noise = figures
            .iter()
            .filter(|figure| figure.what.starts_with(&prefix))
            .filter_map(|figure| figure.noise_ms)
            .max_by(f64::total_cmp)?;
        Some(format!("{} gaps {}", class.name(), time(noise)))
    };
    let known: Vec<String> = GAPS.into_iter().filter_map(of_class).collect();
    (!known.is_empty()).then(|| format!("Noise floor: {}", known.join(", ")))
}

/// A row for each figure there is, without those of the control, which stand beside.
pub(crate) fn figure_rows(verdict: &Verdict) -> Vec<[String; FIGURE_HEADER.len()]> {
    let figures = verdict.repeat.iter().flat_map(|repeat| &repeat.figures);
    let control = |what: &str| {
        let mut figures = verdict.control.iter().flat_map(|it| &it.figures);
        figures.find(|figure| figure.what == what)
    };
    let ms = |ms: f64| format!("{ms:.1}");
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    figures
        .map(|figure| {
            [
                or_dash(figure.step.map(|step| step.to_string())),
                figure.hop.clone(),
                figure.what.clone(),
                ms(figure.spread.median_ms),
                ms(figure.spread.min_ms),
                ms(figure.spread.max_ms),
                or_dash(figure.noise_ms.map(ms)),
                or_dash(control(&figure.what).map(|it| ms(it.spread.median_ms))),
                match figure.differs_from_control {
                    Some(true) => "≠ yes".to_owned(),
                    Some(false) => "no".to_owned(),
                    None => "–".to_owned(),
                },
            ]
        })
        .collect()
}
