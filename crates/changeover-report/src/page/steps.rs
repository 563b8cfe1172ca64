//! The steps of a page: phases and their share, gaps, latencies, and what overlapping instances cost.

use super::html::{section, table, text};
use crate::numbers::{count, time};
use crate::record::{Need, Record};
use changeover_model::event::Phase;
use changeover_model::history::Class;
use changeover_model::verdict::{GapReport, StepReport, When};

pub(super) fn steps(record: &Record) -> String {
    let steps = &record.verdict.steps;
    let mut body = String::new();
    if record.verdict.probe.is_some() {
        // A probe knows of no steps: its one row is the whole of it.
        for step in steps {
            body.push_str(&gaps(step));
            body.push_str(&latency(step));
        }
        return section("steps", "Lanes", &body);
    }
    if !steps.is_empty() {
        body.push_str(&overview(steps));
    }
    // One step's tables are read at once; of many, each when it is wanted.
    let open = if steps.len() == 1 { " open" } else { "" };
    for step in steps {
        body.push_str(&format!(
            "<details class=\"step\"{open}><summary>Step {}: {} → {} <span class=\"note\">in {}, generation {}</span></summary>\n",
            step.number,
            text(&step.from.to_string()),
            text(&step.to.to_string()),
            text(&step.service),
            step.deploy_generation
        ));
        body.push_str(&phases(record, step));
        body.push_str(&gaps(step));
        body.push_str(&latency(step));
        body.push_str(&overlap(record, step));
        body.push_str("</details>\n");
    }
    section("steps", "Steps", &body)
}

/// A row a step.
fn overview(steps: &[StepReport]) -> String {
    let mut headings = vec!["step", "from → to"];
    headings.extend(Phase::ALL.map(Phase::name));
    headings.extend(["write gap", "read gap", "connect gap", "stale"]);
    let rows: Vec<Vec<String>> = steps
        .iter()
        .map(|step| {
            let mut row = vec![
                step.number.to_string(),
                text(&format!("{} → {}", step.from, step.to)),
            ];
            row.extend(Phase::ALL.map(|phase| {
                let report = step.phases.iter().find(|report| report.name == phase);
                milliseconds(report.and_then(|report| report.ms))
            }));
            row.extend([Class::Write, Class::Read, Class::Connect].map(|class| worst(step, class)));
            row.push(milliseconds(step.freshness.max_ms));
            row
        })
        .collect();
    table(
        "Times in ms; a gap is the longest span without a success, ± its resolution; stale is the largest freshness lag",
        &headings,
        &rows,
    )
}

fn milliseconds(ms: Option<f64>) -> String {
    ms.map_or("–".to_owned(), |ms| format!("{ms:.1}"))
}

fn worst(step: &StepReport, class: Class) -> String {
    let lanes = || step.gaps.iter().filter(|gap| gap.class == class);
    if lanes().any(|gap| gap.longest_ms.is_none()) {
        return "no success".to_owned();
    }
    let longest = lanes().max_by(|a, b| {
        a.longest_ms
            .unwrap_or(0.0)
            .total_cmp(&b.longest_ms.unwrap_or(0.0))
    });
    longest.map_or("–".to_owned(), |gap| {
        format!("{} ±{:.1}", milliseconds(gap.longest_ms), gap.resolution_ms)
    })
}

/// The phases with their length, and how much of the longest write gap fell into each.
fn phases(record: &Record, step: &StepReport) -> String {
    let story = record
        .story
        .steps
        .iter()
        .find(|story| story.number == step.number);
    let longest = step
        .gaps
        .iter()
        .filter(|gap| gap.class == Class::Write && gap.count > 0)
        .max_by(|a, b| {
            a.longest_ms
                .unwrap_or(0.0)
                .total_cmp(&b.longest_ms.unwrap_or(0.0))
        })
        .and_then(|gap| gap.spans.first());
    let shares: Vec<f64> = step
        .phases
        .iter()
        .map(|phase| {
            let (Some(gap), Some(story)) = (longest, story) else {
                return 0.0;
            };
            let began = story.phases.iter().find(|(name, _)| *name == phase.name);
            let Some(from) = began.map(|(_, at)| *at as f64 / 1e6) else {
                return 0.0;
            };
            let to = from + phase.ms.unwrap_or(0.0);
            (to.min(gap.to_ms) - from.max(gap.from_ms)).max(0.0)
        })
        .collect();
    let whole = longest.map_or(0.0, |gap| gap.to_ms - gap.from_ms);
    let mut rows: Vec<Vec<String>> = step
        .phases
        .iter()
        .zip(&shares)
        .map(|(phase, share)| {
            vec![
                format!(
                    "<span class=\"swatch {}\"></span>{}",
                    phase.name, phase.name
                ),
                milliseconds(phase.ms),
                share_of(*share, whole),
            ]
        })
        .collect();
    if whole > 0.0 {
        rows.push(vec![
            "outside the step".to_owned(),
            String::new(),
            share_of((whole - shares.iter().sum::<f64>()).max(0.0), whole),
        ]);
    }
    table(
        "Phases, and how the longest write gap divides among them",
        &["phase", "ms", "share of the write gap"],
        &rows,
    )
}

fn share_of(part: f64, whole: f64) -> String {
    if whole <= 0.0 {
        return "no gap".to_owned();
    }
    format!(
        "<span class=\"bar\"><span style=\"width:{:.0}%\"></span></span> {part:.1} ms",
        (part / whole * 100.0).clamp(0.0, 100.0)
    )
}

fn gaps(step: &StepReport) -> String {
    let rows: Vec<Vec<String>> = step
        .gaps
        .iter()
        .map(|gap: &GapReport| {
            vec![
                lane_name(gap),
                gap.longest_ms.map_or("no success".to_owned(), time),
                format!("± {}", time(gap.resolution_ms)),
                count(gap.count),
                time(gap.total_ms),
            ]
        })
        .collect();
    table(
        "Gaps by lane",
        &["lane", "longest span", "resolution", "gaps", "in all"],
        &rows,
    )
}

fn lane_name(gap: &GapReport) -> String {
    let own = gap.lane.as_deref();
    text(&format!(
        "{}/{}",
        own.unwrap_or(gap.class.name()),
        gap.connection.name()
    ))
}

fn latency(step: &StepReport) -> String {
    let rows: Vec<Vec<String>> = [Class::Read, Class::Write, Class::Connect]
        .into_iter()
        .map(|class| {
            let mut row = vec![class.name().to_owned()];
            for when in [When::Before, When::During, When::After] {
                let report = step
                    .latency
                    .iter()
                    .find(|l| l.class == class && l.when == when);
                row.extend([
                    milliseconds(report.and_then(|l| l.p50_ms)),
                    milliseconds(report.and_then(|l| l.p99_ms)),
                    milliseconds(report.and_then(|l| l.max_ms)),
                ]);
            }
            row
        })
        .collect();
    table(
        "Latency of successes in ms",
        &[
            "class",
            "before: median",
            "p99",
            "largest",
            "during: median",
            "p99",
            "largest",
            "after: median",
            "p99",
            "largest",
        ],
        &rows,
    )
}

/// What both instances needed while the step went on.
fn overlap(record: &Record, step: &StepReport) -> String {
    let story = record
        .story
        .steps
        .iter()
        .find(|story| story.number == step.number);
    let mut needs: Vec<&Need> = story.map_or(Vec::new(), |story| story.needs.iter().collect());
    if needs.is_empty() {
        return String::new();
    }
    needs.sort_by_key(|need| need.generation);
    let rows: Vec<Vec<String>> = needs
        .into_iter()
        .map(|need| {
            let version = record
                .story
                .instances
                .iter()
                .find(|i| i.slot == need.slot && i.generation == need.generation)
                .map_or("", |i| &i.version);
            vec![
                text(&format!("{}, generation {}", need.slot, need.generation)),
                text(version),
                need.cpu_ms.map_or("–".to_owned(), |ms| time(ms as f64)),
                format!("{:.1} MiB", need.memory_kb as f64 / 1024.0),
                need.connections.map_or("–".to_owned(), count),
                count(need.samples),
            ]
        })
        .collect();
    table(
        "The cost of overlap: what each instance needed during the step (processor time is known to 10 ms; connections are those by TCP, to the metadata store as well as of clients)",
        &[
            "instance",
            "version",
            "processor time",
            "most memory",
            "most connections",
            "samples",
        ],
        &rows,
    )
}
