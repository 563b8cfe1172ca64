//! `cargo xtask screenshots`: the pictures of the README and the guide, made from real runs.

use crate::run::{release_binary, root, run as run_command};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The terminal that the live view is shown on.
const ROWS: u16 = 6;
const COLUMNS: u16 = 110;

/// `cargo xtask screenshots`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Take this binary instead of building one
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

/// Rehearses on a pretended terminal, and takes pictures of the live view and of the report.
///
/// # Errors
///
/// When a program is missing (chromium, and script of util-linux), or the rehearsal does not end with a report.
pub(crate) fn run(args: &Args) -> Result<()> {
    let binary = match &args.binary {
        Some(binary) => {
            fs::canonicalize(binary).with_context(|| format!("there is no {}", binary.display()))?
        }
        None => release_binary()?,
    };
    let images = root().join("docs/images");
    fs::create_dir_all(&images)?;
    let place = tempfile::tempdir().context("cannot make a temporary directory")?;
    let recording = place.path().join("terminal");
    let out = place.path().join("run");
    run_command(
        Command::new("script")
            .args(["--quiet", "--flush", "--command"])
            .arg(format!(
                "stty cols {COLUMNS} rows {ROWS}; exec '{}' rehearse --out '{}'",
                binary.display(),
                out.display()
            ))
            .arg(&recording)
            // In CI the view is lines.
            .env_remove("CI")
            .env("TERM", "xterm-256color")
            .stdin(Stdio::null())
            .stdout(Stdio::null()),
    )?;
    let page = place.path().join("terminal.html");
    let recorded = fs::read(&recording).context("the terminal was not recorded")?;
    fs::write(&page, terminal(&recorded)?)?;
    picture(
        place.path(),
        &page,
        &images.join("terminal.png"),
        (980, 168),
    )?;
    let report = out.join("report.html");
    picture(
        place.path(),
        &report,
        &images.join("report.png"),
        (1180, 1130),
    )
}

/// A page with the fullest screen in the recording: that of the view in the middle of a step.
fn terminal(recorded: &[u8]) -> Result<String> {
    // The recorder's own first line is not the terminal's.
    let recorded = match recorded.iter().position(|byte| *byte == b'\n') {
        Some(end) if recorded.starts_with(b"Script started") => &recorded[end + 1..],
        _ => recorded,
    };
    let mut parser = vt100::Parser::new(ROWS, COLUMNS, 0);
    let mut best: Option<((bool, usize), String)> = None;
    // A picture is whole where the view says that it is.
    const WHOLE: &[u8] = b"\x1b[?2026l";
    let mut rest = recorded;
    while !rest.is_empty() {
        let mut marks = rest.windows(WHOLE.len());
        let next = marks.position(|bytes| bytes == WHOLE);
        let (chunk, after) = rest.split_at(next.map_or(rest.len(), |at| at + WHOLE.len()));
        parser.process(chunk);
        rest = after;
        let rows: Vec<String> = parser.screen().rows(0, COLUMNS).collect();
        let text = rows.join("\n");
        // A phase that is under way says more than a quiet window; steps are short, and may have been missed.
        let rank = (text.contains(" for "), text.trim().chars().count());
        if text.contains("operations/s") && best.as_ref().is_none_or(|(most, _)| rank > *most) {
            best = Some((rank, text));
        }
    }
    let Some((_, text)) = best else {
        bail!("the live view was never seen: take the pictures again");
    };
    let text = text.trim_end().replace('&', "&amp;").replace('<', "&lt;");
    Ok(format!(
        "<!doctype html><meta charset=\"utf-8\"><style>body {{ margin: 0; background: #0d1117; color: #e6edf3; }} \
         pre {{ margin: 0; padding: 18px 22px; font: 14px/1.5 'DejaVu Sans Mono', monospace; }} .prompt {{ color: #56d364; }}</style>\
         <pre><span class=\"prompt\">$</span> changeover rehearse\n{text}</pre>"
    ))
}

/// Takes a picture of a page in a window of this size.
fn picture(place: &Path, page: &Path, image: &Path, (width, height): (u32, u32)) -> Result<()> {
    let profile = place.join("profile");
    run_command(
        Command::new("chromium")
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--hide-scrollbars",
            ])
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg(format!("--window-size={width},{height}"))
            .arg(format!("--screenshot={}", image.display()))
            .arg(format!("file://{}", page.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    )?;
    if !image.exists() {
        bail!("chromium took no picture of {}", page.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_screen_in_the_middle_of_a_step_is_taken() {
        let recorded = "Script started on a machine\n  1.0 s  mz_1 leads\r\n  3 operations/s\r\x1b[?2026l\x1b[1A\r\x1b[J  2.0 s  step 1, boot for 0 ms <b>\r\n  5 operations/s\r\x1b[?2026l\x1b[1A\r\x1b[J";
        let page = terminal(recorded.as_bytes()).unwrap();
        assert!(
            page.contains("boot for 0 ms &lt;b>\n  5 operations/s"),
            "{page}"
        );
        assert!(!page.contains("Script started"));
        assert!(terminal(b"nothing").is_err());
    }

    #[test]
    fn the_readme_shows_pictures_that_are_there() {
        let readme = include_str!("../../README.md");
        for image in ["docs/images/report.png", "docs/images/terminal.png"] {
            assert!(readme.contains(image), "{image}");
            assert!(root().join(image).exists(), "{image}");
        }
    }
}
