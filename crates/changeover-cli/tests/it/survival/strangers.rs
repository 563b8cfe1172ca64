//! A target that means harm: whatever it says, nothing obeys it, and nothing of what it is told goes through a shell.

use crate::harness::{Rehearsal, changeover, told};
use changeover_model::check::Check;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Clears a screen, renames a window, writes backwards, runs a script, and breaks out of a table.
const EVIL: &str = "\\x1b[2J\\x1b]0;owned\\x07\\x9b31m\\u202e</script><script>alert(1)</script><img src=x onerror=alert(2)>]]>|`$(touch PWNED)`";

/// Where the service says it: in its log, as its version, instead of a status, as the answer to reads and writes, as
/// the answer to its promotion, and at last when it crashes.
const SAYS: [(&str, &str); 4] = [
    (
        "args = parser.parse_args()\n",
        "args = parser.parse_args()\nEVIL = \"@\"\nasked = {}\nos.write(2, EVIL.encode('latin-1', 'replace') + b'\\n')\nos.write(1, EVIL.encode() + b'\\n')\nprint(args.note, flush=True)\n",
    ),
    (
        "def answer(method, path, body):\n",
        "def answer(method, path, body):\n    asked[path[:5]] = n = asked.get(path[:5], 0) + 1\n    if path == '/api/leader/status' and n > 1 and args.version == 'v2.0.0':\n        os._exit(7)\n    if path == '/api/leader/status' and n == 1:\n        return 200, EVIL\n    if path.startswith('/sets/') and n % 50 == 0:\n        return 500, EVIL\n    if path == '/api/leader/promote' and not asked.get('refused'):\n        asked['refused'] = True\n        return 400, EVIL\n",
    ),
    (
        "return 200, args.version\n",
        "return 200, args.version + EVIL\n",
    ),
    (
        "        self.send_response(code)\n",
        "        self.send_response(code, 'no' if code == 200 else EVIL.replace('\\x07', ''))\n",
    ),
];

#[test]
fn rehearses_a_target_that_means_harm_and_obeys_none_of_it() {
    if Command::new("python3").arg("--version").output().is_err() {
        println!("skipped: python3 not found");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/python-service");
    let mut service = fs::read_to_string(example.join("service.py")).unwrap();
    for (from, to) in SAYS {
        assert!(service.contains(from), "{from}");
        service = service.replacen(from, &to.replace('@', EVIL), 1);
    }
    service = service.replacen("\"state\"):", "\"state\", \"note\"):", 1);
    fs::write(place.path().join("service.py"), service).unwrap();
    let target = fs::read_to_string(example.join("target.toml")).unwrap();
    let note = "$(touch PWNED); touch PWNED `touch PWNED` && touch PWNED | \\\"touch PWNED\\\" #";
    let target = target.replacen(
        "  \"--state\"",
        &format!("  \"--note\", \"{note}\",\n  \"--state\""),
        1,
    );
    let file = place.path().join("target.toml");
    fs::write(&file, target).unwrap();

    let runs = place.path().join(".changeover/runs");
    fs::create_dir_all(&runs).unwrap();
    let mut run = Rehearsal::of(
        changeover()
            .args([
                "rehearse",
                "--verbose",
                "--probe-interval",
                "50ms",
                "--target",
            ])
            .arg(&file)
            .current_dir(place.path()),
    );
    let output = run.finish();
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let verdict = run.verdict();
    let found = |check| verdict.findings.iter().any(|f| f.check == check);
    assert!(found(Check::CrashLoop), "{:?}", verdict.findings);
    let mut shown = vec![("rehearse", told(&output))];
    for (name, arguments) in [
        ("human", vec!["report", "--format", "human"]),
        ("markdown", vec!["report", "--format", "markdown"]),
        ("junit", vec!["report", "--format", "junit"]),
        ("html", vec!["report", "--format", "html"]),
        ("json", vec!["report", "--format", "json"]),
    ] {
        let report = changeover()
            .args(arguments)
            .arg(run.dir())
            .output()
            .unwrap();
        assert_eq!(report.status.code(), Some(0), "{name}: {}", told(&report));
        shown.push((name, told(&report)));
    }
    shown.push(("report.html", run.read("report.html")));
    shown.push(("junit.xml", run.read("junit.xml")));
    for (name, text) in &shown {
        let obeyed = |c: char| {
            (c.is_control() && !matches!(c, '\n' | '\t')) || matches!(c, '\u{202a}'..='\u{202e}')
        };
        let at = text.find(obeyed);
        let near = at.map(|at| text[..at].chars().rev().take(80).collect::<String>());
        assert_eq!(near, None, "{name}");
    }
    for (name, text) in &shown {
        if matches!(
            *name,
            "html" | "report.html" | "junit" | "junit.xml" | "markdown"
        ) {
            assert!(!text.contains("<img src=x"), "{name}");
            assert!(!text.contains("</script><script>alert"), "{name}");
        }
    }
    // It was said: all that is looked for above had its chance.
    assert!(shown[0].1.contains("alert(1)"), "{}", shown[0].1);
    assert!(run.read("report.html").contains("alert(1)"));

    // Its arguments were taken literally.
    let log = fs::read(run.dir().join("logs/mz_1.0.log")).unwrap();
    let log = String::from_utf8_lossy(&log);
    assert!(log.contains(&note.replace('\\', "")), "{log}");
    for place in [place.path().to_owned(), run.dir(), run.dir().join("work")] {
        assert!(!place.join("PWNED").exists());
    }
    assert!(!Path::new("PWNED").exists());
    let list = changeover()
        .args(["runs", "--dir"])
        .arg(run.dir().parent().unwrap())
        .output()
        .unwrap();
    assert_eq!(list.status.code(), Some(0), "{}", told(&list));
    assert!(!told(&list).contains('\u{1b}'));
}
