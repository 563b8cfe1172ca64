//! `report.html` in a real Chromium: read, clicked, scrubbed, and looked at by axe.

mod driver;

use crate::stored::{record, record_of_a_lost_write, verdict};
use changeover_model::check::{Check, Severity};
use changeover_model::event::{Event, EventKind, StatusSeen};
use changeover_model::verdict::{Finding, Verdict, VerdictOutcome};
use changeover_report::page;
use driver::Browser;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

/// Right arrow and end, in WebDriver's own area of Unicode.
const RIGHT: &str = "\u{e014}";
const END: &str = "\u{e010}";

/// A directory with pages of a run that passed, one that failed and one that is inconclusive.
struct Pages(tempfile::TempDir);

impl Pages {
    fn new() -> Self {
        Pages(tempfile::tempdir().unwrap())
    }

    fn page(&self, name: &str, html: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, html).unwrap();
        path
    }
}

fn inconclusive() -> String {
    let mut verdict: Verdict = verdict("v1-pass");
    verdict.outcome = VerdictOutcome::Inconclusive;
    verdict.reasons = vec!["lane read/held left more than one interval late".to_owned(); 9];
    let mut stored = record("v1-pass");
    stored.judged_anew(verdict);
    page::render(&stored)
}

/// A page of each outcome: its name, the word on top of it, and itself.
fn outcomes() -> [(&'static str, &'static str, String); 3] {
    [
        ("pass.html", "✓ passed", page::render(&record("v1-pass"))),
        (
            "fail.html",
            "✗ failed",
            page::render(&record_of_a_lost_write(json!("x".repeat(90)))),
        ),
        ("inconclusive.html", "? inconclusive", inconclusive()),
    ]
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value}"))
}

#[test]
fn a_page_is_clicked_and_scrubbed() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let pages = Pages::new();
    browser.resize(1280, 900);
    browser.open(&pages.page("fail.html", &page::render(&record("v1-fail"))));
    let state = || {
        browser
            .eval("return document.getElementById('state').innerText")
            .to_string()
    };
    let view = || {
        let view = browser.eval("const v = changeoverReport.view; return [v.from, v.to]");
        (number(&view[0]), number(&view[1]))
    };
    let moment = || number(&browser.eval("return changeoverReport.moment"));
    let end = number(&browser.eval("return changeoverReport.data.end"));
    assert_eq!(view(), (0.0, end));

    // Something is drawn, in more than one colour.
    let colours = browser.eval(
        "const c = document.getElementById('canvas'), d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; \
         const s = new Set(); for (let i = 0; i < d.length; i += 4) s.add(d[i] << 16 | d[i + 1] << 8 | d[i + 2]); return s.size",
    );
    assert!(number(&colours) > 20.0, "{colours}");

    // A finding leads to its moment, and the keyboard follows.
    browser.click("#finding-0 .jump");
    let finding =
        browser.eval("const f = changeoverReport.data.findings[0]; return [f.from, f.to]");
    let (from, to) = view();
    assert!(
        from <= number(&finding[0]) && number(&finding[1]) <= to && to - from < end,
        "{from} {to}"
    );
    assert_eq!(moment(), number(&finding[0]));
    assert_eq!(browser.eval("return document.activeElement.id"), "canvas");
    browser.keys("#canvas", "0");
    assert_eq!(view(), (0.0, end));
    browser.keys("#canvas", "++");
    assert!(view().1 - view().0 < end / 2.0);
    browser.keys("#canvas", "0");

    // The scrubber says who led and what instances said.
    browser.keys("#moment", END);
    assert_eq!(moment(), end);
    browser.eval("const m = document.getElementById('moment'); m.value = 150; m.dispatchEvent(new Event('input'))");
    let before = state();
    assert!(
        before.contains("The front door leads to mz_1 (generation 0)"),
        "{before}"
    );
    assert!(
        before.contains("mz_1 (generation 0), v0.1.0: IsLeader"),
        "{before}"
    );
    browser.eval("const m = document.getElementById('moment'); m.value = 900; m.dispatchEvent(new Event('input'))");
    assert!(
        state().contains("The front door leads to mz_2 (generation 1)"),
        "{}",
        state()
    );
    let at = moment();
    browser.keys("#moment", RIGHT);
    assert!(moment() > at);
    let spoken =
        browser.eval("return document.getElementById('moment').getAttribute('aria-valuetext')");
    assert!(spoken.as_str().unwrap().ends_with("mz_2 leads"), "{spoken}");

    // A step's button shows the step.
    browser.click("#controls [aria-label^='Show step 1']");
    let step = browser.eval("const s = changeoverReport.data.steps[1]; return [s.from, s.to]");
    let (from, to) = view();
    assert!(from <= number(&step[0]) && number(&step[1]) <= to && to - from < end / 2.0);
    // While it promotes, operations wait.
    let longest = browser.eval(
        "let best = [0, 0]; changeoverReport.data.cloud.points.slice(0, 5).forEach((c) => { let t = 0; c.after.forEach((a, i) => { t += a; if (c.lasts[i] > best[0]) best = [c.lasts[i], t]; }); }); return best",
    );
    let middle = number(&longest[1]) + number(&longest[0]) / 2.0;
    browser.eval(&format!(
        "const r = changeoverReport, m = document.getElementById('moment'); document.querySelector('#controls button').click(); \
         m.step = 'any'; m.value = {middle} / r.data.end * 1000; m.dispatchEvent(new Event('input'))"
    ));
    assert!(!state().contains("0 operations in flight"), "{}", state());

    // Dragging zooms, hovering tells, a click looks.
    browser.mouse(
        "#canvas",
        &[(-100, 0, "pointerDown"), (50, 0, ""), (100, 0, "pointerUp")],
    );
    let (from, to) = view();
    assert!(from > 0.0 && to < end, "{from} {to}");
    browser.click("#controls button");
    browser.mouse(
        "#canvas",
        &[(-300, 40, "pointerDown"), (-300, 40, "pointerUp")],
    );
    assert!(moment() > 0.0 && moment() < end / 2.0, "{}", moment());
    let told = browser.eval(
        "const c = document.getElementById('canvas'); for (let x = 120; x < c.clientWidth; x += 3) { const t = changeoverReport.describe(x, 52); if (t) return t; } return ''",
    );
    assert!(told.as_str().unwrap().contains("generation 0"), "{told}");

    // What is switched off is not drawn.
    let ink = "const c = document.getElementById('canvas'), d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0; for (let i = 0; i < d.length; i += 4) n += d[i] + d[i + 1] + d[i + 2]; return n";
    let before = number(&browser.eval(ink));
    browser.click("#controls input[type=checkbox]");
    let after = number(&browser.eval_async(&format!(
        "const done = arguments[arguments.length - 1]; requestAnimationFrame(() => requestAnimationFrame(() => done((() => {{ {ink} }})())))"
    )));
    assert!(after > before, "{before} {after}");
    let mut complaints = browser.complaints();
    // That we read the canvas often is this test's doing.
    complaints.retain(|complaint| complaint["source"] != "rendering");
    assert_eq!(complaints, Vec::<Value>::new());
}

#[test]
fn a_page_asks_for_nothing_and_obeys_no_text() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let evil = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"><b>bold</b>";
    let mut verdict = verdict("v1-fail");
    verdict.findings.insert(
        0,
        Finding {
            check: Check::CrashLoop,
            severity: Severity::Error,
            step: Some(1),
            message: evil.to_owned(),
            evidence: json!({"log": [evil]}),
        },
    );
    verdict.reasons.push(evil.to_owned());
    let mut stored = record("v1-fail");
    stored.judged_anew(verdict);
    for (seq, kind) in [
        EventKind::StatusSeen {
            seen: StatusSeen::Nonsense(evil.to_owned()),
            polls: 1,
        },
        EventKind::StepFailed {
            reason: evil.to_owned(),
        },
    ]
    .into_iter()
    .enumerate()
    {
        stored.event(&Event {
            seq: seq as u64,
            at: 1_000_000_000,
            kind,
            step: Some(1),
            slot: Some("mz_1".to_owned()),
            generation: Some(0),
        });
    }
    stored.log_line("mz_1", 0, &format!("2026-11-26T01:12:15.000Z ERROR {evil}"));
    let pages = Pages::new();
    browser.open(&pages.page("evil.html", &page::render(&stored)));
    browser.keys("#moment", END);
    assert_eq!(
        browser.eval("return document.querySelectorAll('img, b, iframe, object').length"),
        0
    );
    assert_eq!(browser.eval("return document.scripts.length"), 2);
    let title = browser.eval("return document.title");
    assert!(title.as_str().unwrap().contains("failed"), "{title}");
    let text = browser.eval("return document.body.innerText");
    assert!(text.as_str().unwrap().contains("<b>bold</b>"));
    assert_eq!(
        browser.eval("return performance.getEntriesByType('resource').length"),
        0
    );
    // Even markup that got in could run nothing.
    browser.eval("const s = document.createElement('script'); s.textContent = \"document.title = 'owned'\"; document.body.append(s)");
    let title = browser.eval("return document.title");
    assert_ne!(title, "owned");
}

#[test]
fn a_page_is_accessible_and_fits_in_every_look() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let pages = Pages::new();
    let axe = include_str!("axe/axe.min.js");
    for (name, _, html) in outcomes() {
        // All there is to see, folded or not.
        let path = pages.page(name, &html.replace("<details", "<details open"));
        for (width, height, scheme) in [
            (1280, 900, "light"),
            (1280, 900, "dark"),
            (360, 740, "light"),
            (360, 740, "dark"),
        ] {
            browser.resize(width, height);
            browser.scheme(scheme);
            browser.open(&path);
            let wide = browser.eval("return document.scrollingElement.scrollWidth - innerWidth");
            assert!(
                number(&wide) <= 0.0,
                "{name} at {width}: {wide} pixels too wide"
            );
            browser.eval(axe);
            let found = browser.eval_async(
                "const done = arguments[arguments.length - 1]; axe.run(document, { resultTypes: ['violations'] }).then((r) => \
                 done(r.violations.map((v) => ({ id: v.id, impact: v.impact, nodes: v.nodes.slice(0, 3).map((n) => [n.html, n.failureSummary]) }))))",
            );
            let serious: Vec<&Value> = found
                .as_array()
                .unwrap()
                .iter()
                .filter(|v| v["impact"] == "serious" || v["impact"] == "critical")
                .collect();
            assert!(
                serious.is_empty(),
                "{name}, {width} wide, {scheme}: {serious:#?}"
            );
        }
    }
    // axe looks at what it is given: without a language it complains.
    browser.eval("document.documentElement.removeAttribute('lang')");
    let found = browser.eval_async(
        "const done = arguments[arguments.length - 1]; axe.run().then((r) => done(r.violations.map((v) => v.id)))",
    );
    assert!(found.to_string().contains("html-has-lang"), "{found}");
}

#[test]
fn a_page_of_each_outcome_is_opened_clicked_and_scrubbed() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let pages = Pages::new();
    for ((name, word, html), width) in outcomes().into_iter().zip([1280, 1280, 390]) {
        browser.resize(width, 900);
        browser.open(&pages.page(name, &html));
        let text = |selector: &str| {
            let script = format!("return document.querySelector({selector:?}).innerText");
            let text = browser.eval(&script);
            text.as_str().unwrap().to_owned()
        };
        assert_eq!(text(".outcome"), word);
        // A click on what is folded shows it, and so does the keyboard.
        let shows = |selector: &str| {
            let script = format!(
                "return document.querySelector({selector:?}).checkVisibility({{ contentVisibilityAuto: true }})"
            );
            browser.eval(&script) == true
        };
        let folded: &[&str] = match name {
            "pass.html" => &[],
            "fail.html" => &["#finding-1"],
            _ => &["#why .more"],
        };
        for part in folded {
            let inside = format!("{part} pre, {part} ul");
            assert!(!shows(&inside), "{part}");
            browser.click(&format!("{part} summary"));
            assert!(shows(&inside), "{part}");
        }
        if name == "fail.html" {
            let rows = "return document.querySelectorAll('#finding-0 .history tbody tr').length";
            assert_eq!(browser.eval(rows), 3);
            let link = browser.eval("return document.querySelector('#finding-0 .history a').href");
            let file = "/findings/finding-1.jsonl";
            assert!(link.as_str().unwrap().ends_with(file), "{link}");
            browser.click("#finding-0 .jump");
            let moment =
                "return changeoverReport.moment === changeoverReport.data.findings[0].from";
            assert_eq!(browser.eval(moment), true);
        }
        browser.click("#controls [aria-label^='Show step 1']");
        assert!(
            text("#state").contains("Step 1: v0.1.0 → v0.2.0"),
            "{}",
            text("#state")
        );
        browser.click("#controls button");
        browser.keys("#moment", END);
        let at_the_end = text("#state");
        assert!(
            at_the_end.contains("The front door leads to mz_2 (generation 1)"),
            "{at_the_end}"
        );
        browser.eval("const m = document.getElementById('moment'); m.value = 150; m.dispatchEvent(new Event('input'))");
        assert!(text("#state").contains("The front door leads to mz_1 (generation 0)"));
        assert_eq!(browser.complaints(), Vec::<Value>::new(), "{name}");
    }
}

#[test]
fn a_page_is_whole_on_paper() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let pages = Pages::new();
    // A sheet of A4 between its margins, at 96 dots an inch.
    browser.resize(688, 1000);
    for (name, _, html) in outcomes() {
        browser.open(&pages.page(name, &html));
        let open = "return [...document.querySelectorAll('details')].map((d) => d.open)";
        let before = browser.eval(open);
        let folded = before.to_string().contains("false");
        assert!(folded || name == "pass.html", "{name}");
        browser.print();
        // Folded or not, wide or not, everything is there: nothing is cut off, and nothing is beyond the sheet.
        let hidden = browser.eval(
            "return [...document.querySelectorAll('main details > *')].filter((e) => !e.checkVisibility({ contentVisibilityAuto: true }) || e.getBoundingClientRect().height === 0).map((e) => e.outerHTML.slice(0, 200))",
        );
        assert_eq!(hidden, json!([]), "{name}");
        let cut = browser.eval(
            "return [...document.querySelectorAll('body *')].filter((e) => getComputedStyle(e).display !== 'none' && !e.matches('.skip, .bar, .bar *, canvas, script, style')).filter((e) => { \
               const s = getComputedStyle(e), hides = [s.overflowX, s.overflowY].some((o) => o !== 'visible'); \
               return (hides && (e.scrollWidth > e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 1)) || e.getBoundingClientRect().right > innerWidth + 1; \
             }).map((e) => [e.outerHTML.slice(0, 200), e.scrollWidth, e.getBoundingClientRect().right])",
        );
        assert_eq!(cut, json!([]), "{name}");
        // It is on white paper, and without what only a screen has.
        let paper = browser.eval("return getComputedStyle(document.body).backgroundColor");
        assert_eq!(paper, "rgb(255, 255, 255)", "{name}");
        for part in ["#controls", "#scrubber", "#state"] {
            let script =
                format!("return getComputedStyle(document.querySelector({part:?})).display");
            assert_eq!(browser.eval(&script), "none", "{name}: {part}");
        }
        assert!(browser.pdf().starts_with("JVBERi"), "{name}");
        // What was folded is folded again.
        assert_eq!(browser.eval(open), before, "{name}");
    }
}
