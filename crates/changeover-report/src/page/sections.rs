//! What a page says in words and tables.

use super::html::{lines, section, table, text};
use super::{evidence, small};
use crate::human::{budgets as in_order, evidence as words, kept, measured, other_reasons};
use crate::numbers::{count, time};
use crate::record::Record;
use crate::series;
use crate::summary;
use changeover_model::check::Severity;
use changeover_model::history::Class;
use changeover_model::verdict::{Finding, Verdict, VerdictOutcome};

/// So many reasons and findings are seen at once.
const FEW: usize = 5;

/// Outcome, one number, one sentence.
pub(super) fn head(record: &Record) -> String {
    let verdict = &record.verdict;
    let word = match verdict.outcome {
        VerdictOutcome::Pass => "✓ passed",
        VerdictOutcome::Fail => "✗ failed",
        VerdictOutcome::Inconclusive => "? inconclusive",
    };
    let zero = record.clock_zero.as_deref().map(day_and_minute);
    format!(
        "<header>\n<p class=\"kicker\">Changeover · {} on {}{}</p>\n\
         <h1><span class=\"outcome\">{word}</span> {}</h1>\n\
         <p class=\"number\"><strong>{}</strong></p>\n<p class=\"sentence\">{}</p>\n</header>\n<main>\n",
        text(&verdict.target),
        text(&verdict.runtime),
        zero.map_or(String::new(), |zero| format!(" · {}", text(&zero))),
        from_to(verdict),
        number(verdict),
        text(&summary::claim(verdict)),
    )
}

/// First and last version, and how far it is; the sentence has the whole path.
fn from_to(verdict: &Verdict) -> String {
    if verdict.probe.is_some() {
        return text(&summary::what(verdict));
    }
    let (Some(first), Some(last)) = (verdict.path.first(), verdict.path.last()) else {
        return text(&verdict.target);
    };
    let steps = match verdict.path.len() - 1 {
        0 => return text(&first.to_string()),
        1 => "1 step".to_owned(),
        n => format!("{n} steps"),
    };
    format!(
        "{} → {} in {steps}",
        text(&first.to_string()),
        text(&last.to_string())
    )
}

/// `2026-11-26 00:52 UTC` of an RFC 3339 time in UTC; any other text as it is.
fn day_and_minute(zero: &str) -> String {
    match (zero.get(..10), zero.get(11..16), zero.ends_with('Z')) {
        (Some(day), Some(minute), true) => format!("{day} {minute} UTC"),
        _ => zero.to_owned(),
    }
}

/// The longest write gap, as HTML.
fn number(verdict: &Verdict) -> String {
    match (
        verdict.lane_without_success(Class::Write),
        verdict.longest_gap(Class::Write),
    ) {
        (Some((step, _)), _) => format!(
            "no write <small>succeeded{}</small>",
            summary::at_step(verdict, step)
        ),
        (None, Some((step, ms, gap))) => {
            let own = (ms, gap.resolution_ms, summary::at_step(verdict, step));
            // Of a series the longest of all runs, whichever decides.
            let longest = series::longest_gap(verdict, Class::Write);
            let (ms, resolution, place) = longest.map_or(own, |(run, gap)| {
                let place = format!(" at step {} of run {}", gap.step, run.run);
                (gap.ms, gap.resolution_ms, place)
            });
            format!(
                "{} <small>± {} longest write gap{}</small>",
                time(ms),
                time(resolution),
                text(&place)
            )
        }
        (None, None) => "– <small>no write gap was measured</small>".to_owned(),
    }
}

/// Reasons that no finding tells as well.
pub(super) fn why(record: &Record) -> String {
    let reasons = other_reasons(&record.verdict);
    if reasons.is_empty() {
        return String::new();
    }
    let heading = match record.verdict.outcome {
        VerdictOutcome::Inconclusive => "Why this is inconclusive",
        _ => "Other reasons",
    };
    let items: Vec<String> = reasons
        .iter()
        .map(|reason| format!("<li>{}</li>\n", text(reason)))
        .collect();
    section("why", heading, &some("ul", "", &items, "reasons"))
}

pub(super) fn findings(record: &Record) -> String {
    let findings = &record.verdict.findings;
    let items: Vec<String> = findings
        .iter()
        .enumerate()
        .map(|(index, f)| finding(record, index, f))
        .collect();
    if items.is_empty() {
        return String::new();
    }
    section(
        "findings",
        "Findings",
        &some("ol", " class=\"findings\"", &items, "findings"),
    )
}

/// A list, of which what is beyond the first few is folded away.
fn some(list: &str, attributes: &str, items: &[String], what: &str) -> String {
    let (first, rest) = items.split_at(items.len().min(FEW));
    let mut out = format!("<{list}{attributes}>\n{}</{list}>\n", first.concat());
    if !rest.is_empty() {
        out.push_str(&format!(
            "<details class=\"more\"><summary>{} more {what}</summary>\n<{list}{attributes}>\n{}</{list}></details>\n",
            rest.len(),
            rest.concat()
        ));
    }
    out
}

fn finding(record: &Record, index: usize, finding: &Finding) -> String {
    let (class, mark) = match finding.severity {
        Severity::Error => ("error", "✗ error"),
        Severity::Warning => ("warning", "! warning"),
    };
    let place = match finding.step {
        Some(step) => format!(" at step {step}"),
        None => String::new(),
    };
    let jump = match evidence::when(record, finding) {
        Some(when) => format!(
            " <button type=\"button\" class=\"jump\" data-finding=\"{index}\">Show at {:.3} s</button>",
            when.from as f64 / 1e9
        ),
        None => String::new(),
    };
    let small = small::history(record, index, finding);
    // Of the first, what shows most is open: the history that fails, or else the evidence.
    let open = if index == 0 && small.is_empty() {
        " open"
    } else {
        ""
    };
    let shown = words(&finding.evidence);
    let evidence = match shown.is_empty() {
        true => String::new(),
        false => format!(
            "<details{open}><summary>Evidence</summary><pre tabindex=\"0\">{}</pre></details>",
            text_lines(&shown)
        ),
    };
    format!(
        "<li class=\"{class}\" id=\"finding-{index}\"><p><span class=\"tag\">{mark}</span> <strong>{}</strong>{place}{jump}</p>\
         <p>{}</p>{small}{evidence}</li>\n",
        finding.check,
        text(&finding.message)
    )
}

fn text_lines(lines: &[String]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| text(line)).collect();
    lines.join("\n")
}

/// Where the script draws. Without it, what is above and below says the same in words.
pub(super) fn timeline(record: &Record) -> String {
    let shown = match &record.cloud {
        Some(cloud) if cloud.shown() < cloud.total => format!(
            " {} operations are counted exactly and shaded by latency; {} are drawn one by one: of every little while \
             the slowest and those without success.",
            count(cloud.total),
            count(cloud.shown())
        ),
        Some(cloud) => format!(" All {} operations are drawn.", count(cloud.total)),
        None => " The run has no operations.".to_owned(),
    };
    let logs = match record.logs.left_out {
        0 => String::new(),
        n => format!(
            " {} more lines of logs are in the run's directory.",
            count(n)
        ),
    };
    let moments = match record.story.left_out {
        0 => String::new(),
        n => format!(
            " {} events in the middle of the run are left to events.jsonl.",
            count(n)
        ),
    };
    section(
        "timeline",
        "Timeline",
        &format!(
            "<p class=\"note\">Drag to zoom, Shift and drag to pan, click to look at a moment; with the keyboard arrow \
             keys pan, + and − zoom, 0 shows the whole run.{shown}{logs}{moments}</p>\n\
             <div id=\"controls\" hidden></div>\n\
             <div id=\"chart\" hidden><canvas id=\"canvas\" tabindex=\"0\" role=\"img\" \
             aria-label=\"Timeline of the run; the table of steps says the same in words\"></canvas>\
             <div id=\"tip\" hidden></div></div>\n\
             <div id=\"scrubber\" hidden><label for=\"moment\">Moment</label>\
             <input id=\"moment\" type=\"range\" min=\"0\" max=\"1000\" value=\"0\" step=\"1\"><output id=\"time\" for=\"moment\"></output></div>\n\
             <div id=\"state\" hidden></div>\n\
             <noscript><p>The timeline needs JavaScript; everything else on this page does not.</p></noscript>\n"
        ),
    )
}

pub(super) fn budgets(record: &Record) -> String {
    let rows: Vec<Vec<String>> = in_order(&record.verdict)
        .into_iter()
        .map(|budget| {
            vec![
                text(&budget.name),
                measured(budget),
                time(budget.limit_ms),
                format!("<span class=\"{}\">{}</span>", budget.outcome, kept(budget)),
            ]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let table = table(
        "Longest gap of any step against its limit",
        &["budget", "measured", "limit", "outcome"],
        &rows,
    );
    section("budgets", "Budgets", &table)
}

pub(super) fn operations(record: &Record) -> String {
    let counts = &record.verdict.operations;
    let mut body = table(
        "Operations of lanes and workload",
        &[
            "all",
            "acknowledged",
            "failed",
            "unknown",
            "acknowledged writes",
        ],
        &[vec![
            count(counts.total),
            count(counts.ok),
            count(counts.fail),
            count(counts.unknown),
            counts.acknowledged_writes.map_or("–".to_owned(), count),
        ]],
    );
    let errors = record.cloud.as_ref().map(|cloud| cloud.errors());
    if let Some(errors) = errors.filter(|errors| !errors.is_empty()) {
        let items: Vec<String> = errors
            .iter()
            .map(|(kind, n)| {
                let name = serde_json::json!(kind);
                format!("{} {}", count(*n), text(name.as_str().unwrap_or_default()))
            })
            .collect();
        body.push_str(&format!(
            "<p>Without success, by kind: {}.</p>\n",
            items.join(", ")
        ));
    }
    section("operations", "Operations", &body)
}

pub(super) fn environment(record: &Record) -> String {
    let (story, verdict) = (&record.story, &record.verdict);
    let mut rows: Vec<(&str, String)> = vec![
        ("run", text(story.run.as_deref().unwrap_or(&verdict.run))),
        ("target", text(&verdict.target)),
        ("runtime", text(&verdict.runtime)),
        ("seed", text(&verdict.seed)),
    ];
    if let Some(changeover) = &story.changeover {
        rows.push(("changeover", text(changeover)));
    }
    if let Some(plan) = &record.plan {
        rows.push(("metadata store", text(&plan.metadata_store)));
        let load = &plan.workload;
        rows.push((
            "load",
            format!(
                "{} operations a second by {} clients; each lane once in {}",
                count(u64::from(load.rate)),
                load.clients,
                time(load.probe_interval_ms as f64)
            ),
        ));
        let seen = story.images.iter();
        let mut images: Vec<String> = seen
            .map(|(name, what)| format!("{}: {}", text(name), text(what)))
            .collect();
        // A run that has not said what they were, an earlier version's for instance, planned them at least.
        if images.is_empty() {
            let planned = plan.services.iter();
            let planned = planned.filter_map(|service| service.image.as_deref());
            images = planned.map(text).collect();
        }
        if !images.is_empty() {
            rows.push(("images", images.join("<br>")));
        }
    }
    if let Some(cores) = story.cores {
        rows.push(("processors", cores.to_string()));
    }
    if let Some((system, processor, memory_kb)) = &story.machine {
        rows.push(("processor", text(processor)));
        rows.push((
            "memory",
            format!("{:.1} GiB", *memory_kb as f64 / 1_048_576.0),
        ));
        rows.push(("system", text(system)));
    }
    if let Some(zero) = &record.clock_zero {
        rows.push(("begun", text(zero)));
    }
    rows.push(("lasted", time(record.end() as f64 / 1e6)));
    let list: Vec<String> = rows
        .into_iter()
        .map(|(name, value)| format!("<div><dt>{name}</dt><dd>{value}</dd></div>\n"))
        .collect();
    section(
        "environment",
        "Environment",
        &format!("<dl class=\"facts\">\n{}</dl>\n", list.concat()),
    )
}

pub(super) fn plan(record: &Record) -> String {
    let mut body = String::new();
    if !record.tree.is_empty() {
        body.push_str(&format!(
            "<pre tabindex=\"0\" class=\"tree\">{}</pre>\n",
            lines(&record.tree)
        ));
    }
    let parameters = record
        .plan
        .as_ref()
        .and_then(|plan| plan.services.first())
        .map(|service| &service.system_parameter_defaults);
    if let Some(parameters) = parameters.filter(|parameters| !parameters.is_empty()) {
        let rows: Vec<Vec<String>> = parameters
            .iter()
            .map(|(name, value)| vec![text(name), text(value)])
            .collect();
        body.push_str(&format!(
            "<details><summary>{} system parameters of every service</summary>{}</details>\n",
            parameters.len(),
            table("System parameters", &["name", "value"], &rows)
        ));
    }
    section("plan", "Plan", &body)
}

pub(super) fn foot(record: &Record) -> String {
    format!(
        "{}</main>\n<footer><p>Times are since the run's zero on one clock; a gap is how long a client arriving at the worst \
         moment would have waited for its first success, ± what it was measured with. Percentiles from too few operations \
         are left out. The data of this page is in it, as JSON.</p></footer>\n",
        section(
            "reproduce",
            "Reproduce",
            &format!(
                "<pre tabindex=\"0\">{}</pre>\n",
                text(&record.verdict.reproduce)
            )
        )
    )
}
