//! A line per notable event, for pipes, files and CI.

use crate::describe::describe;
use changeover_model::event::Event;
use changeover_model::text::harmless;
use changeover_model::verdict::Finding;

/// The event as a line, time in seconds since the run's zero first; `None` for what is not worth a line.
///
/// Log lines that belong to an event follow on lines of their own, so that the text may hold newlines; it ends with
/// none.
pub fn line(event: &Event) -> Option<String> {
    let (what, log) = describe(event)?;
    let seconds = event.at / 1_000_000_000;
    let millis = event.at / 1_000_000 % 1000;
    let step = match event.step {
        Some(step) => format!("step {step}: "),
        None => String::new(),
    };
    let mut out = format!("{seconds:>5}.{millis:03} s  {step}{what}");
    for line in log {
        out.push_str(&format!("\n               | {line}"));
    }
    Some(out)
}

/// A finding as a line, while the run goes on.
pub fn finding(finding: &Finding) -> String {
    format!("finding: {}: {}", finding.check, harmless(&finding.message))
}

/// The event as a line in any case: one that is not worth a line otherwise is shown as its file has it.
pub fn any_line(event: &Event) -> String {
    line(event).unwrap_or_else(|| {
        let seconds = event.at / 1_000_000_000;
        let millis = event.at / 1_000_000 % 1000;
        format!("{seconds:>5}.{millis:03} s  {}", harmless(&event.to_line()))
    })
}
