//! `cargo xtask screenshots`: the pictures of the README and the guide, made from real runs.

use crate::run::{release_binary, root, run as run_command};
use anyhow::{Context, Result, bail};
use serde_json::Value;
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

/// A picture of a page: its name, the window it is seen in, and whether whoever looks likes the dark.
struct Picture {
    name: &'static str,
    size: (u32, u32),
    dark: bool,
}

/// What passed.
const PASSED: [Picture; 2] = [
    Picture {
        name: "report.png",
        size: (1180, 1130),
        dark: false,
    },
    Picture {
        name: "report-phone.png",
        size: (390, 1295),
        dark: true,
    },
];

/// What failed: on top, and what it says about its finding.
const FAILED: Picture = Picture {
    name: "report-failed.png",
    size: (1180, 1080),
    dark: false,
};

/// What was measured too coarsely for its budget.
const INCONCLUSIVE: Picture = Picture {
    name: "report-inconclusive.png",
    size: (1180, 1110),
    dark: true,
};

/// Which of the planted bugs is seen: the last one that this check catches.
const CHECK: &str = "lost-write";

/// Rehearses on a pretended terminal, and takes pictures of the live view and of reports: of runs that passed, failed and
/// are inconclusive.
///
/// # Errors
///
/// When a program is missing (chromium, pngquant, and script of util-linux), or a rehearsal ends otherwise.
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
    let live = Picture {
        name: "terminal.png",
        size: (980, 168),
        dark: false,
    };
    take(place.path(), &page, &images, &live)?;
    for picture in &PASSED {
        take(place.path(), &out.join("report.html"), &images, picture)?;
    }
    let failed = rehearse(&binary, &place.path().join("failed"), &planted(&binary)?, 1)?;
    take(place.path(), &failed, &images, &FAILED)?;
    // So coarse that the budget cannot be judged by it.
    let coarse = [
        "--versions",
        "v0.1.0,v0.2.0,v0.3.0",
        "--probe-interval",
        "100ms",
    ];
    let coarse = [&coarse[..], &["--max-write-gap", "400ms"]].concat();
    let coarse: Vec<String> = coarse.into_iter().map(str::to_owned).collect();
    let inconclusive = rehearse(&binary, &place.path().join("inconclusive"), &coarse, 3)?;
    take(place.path(), &inconclusive, &images, &INCONCLUSIVE)
}

/// The options that show a planted bug.
fn planted(binary: &Path) -> Result<Vec<String>> {
    let output = Command::new(binary)
        .args(["reference", "bugs", "--format", "json"])
        .output()
        .with_context(|| format!("cannot start {}", binary.display()))?;
    let listed: Value =
        serde_json::from_slice(&output.stdout).context("no list of planted bugs")?;
    let bugs = listed["bugs"]
        .as_array()
        .context("no list of planted bugs")?;
    let bug = bugs.iter().rfind(|bug| bug["check"] == CHECK);
    let bug = bug.with_context(|| format!("no planted bug is caught by {CHECK}"))?;
    serde_json::from_value(bug["options"].clone()).context("a planted bug has no options")
}

/// Rehearses to a verdict with this exit code; the page beside it.
fn rehearse(binary: &Path, out: &Path, options: &[String], code: i32) -> Result<PathBuf> {
    let mut command = Command::new(binary);
    command.arg("rehearse").args(options).arg("--out").arg(out);
    eprintln!("$ {command:?}");
    let status = command.stdout(Stdio::null()).status()?;
    if status.code() != Some(code) {
        bail!("the rehearsal ended with {status}, expected was {code}: take the pictures again");
    }
    Ok(out.join("report.html"))
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

/// Takes a picture of a page, with a palette: so it is a third as large.
fn take(place: &Path, page: &Path, images: &Path, picture: &Picture) -> Result<()> {
    let profile = place.join("profile");
    let image = images.join(picture.name);
    let (width, height) = picture.size;
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
            // 0 is dark.
            .args(
                picture
                    .dark
                    .then_some("--blink-settings=preferredColorScheme=0"),
            )
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
    run_command(
        Command::new("pngquant")
            .args([
                "--force", "--nofs", "--speed", "1", "--strip", "128", "--output",
            ])
            .arg(&image)
            .arg(&image),
    )
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
    fn pictures_are_shown_and_small() {
        let documents = [
            include_str!("../../README.md"),
            include_str!("../../docs/guide/reading-a-report.md"),
        ];
        let mut taken: Vec<&str> = PASSED.iter().map(|picture| picture.name).collect();
        taken.extend(["terminal.png", FAILED.name, INCONCLUSIVE.name]);
        for name in &taken {
            let shown = |text: &&str| text.contains(&format!("images/{name})"));
            assert!(documents.iter().any(shown), "{name}");
            let file = fs::metadata(root().join("docs/images").join(name)).unwrap();
            assert!(file.len() < 150_000, "{name}: {} bytes", file.len());
        }
        for there in fs::read_dir(root().join("docs/images")).unwrap() {
            let name = there.unwrap().file_name().into_string().unwrap();
            assert!(taken.contains(&name.as_str()), "nobody takes {name}");
        }
    }
}
