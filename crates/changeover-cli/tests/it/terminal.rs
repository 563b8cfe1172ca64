//! The live view on a terminal, which is resized meanwhile: what is written to it is replayed on a model of one.

use serde_json::{Value, json};
use std::process::Command;

/// Debian's own; it has the module that makes pseudo-terminals.
const PYTHON: &str = "/usr/bin/python3";

/// Runs a command on a terminal of the first size, changes its size after every two pictures to the next one, and prints
/// in order what was written to it, the sizes, and how the command ended.
const DRIVER: &str = r#"
import fcntl, json, os, pty, struct, sys, termios
sizes, command = json.loads(sys.argv[1]), sys.argv[2:]
def resize(fd):
    rows, columns = sizes.pop(0)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    return json.dumps({"size": [rows, columns]})
first = sizes[0]
child, terminal = pty.fork()
if child == 0:
    resize(0)
    os.execvp(command[0], command)
sizes.pop(0)
print(json.dumps({"size": first}))
pictures, unseen, text = 0, b"", b""
while True:
    try:
        text = os.read(terminal, 65536)
    except OSError:
        break
    if not text:
        break
    print(json.dumps({"wrote": text.decode("latin-1")}))
    unseen += text
    while b"\x1b[?2026l" in unseen:
        unseen = unseen.split(b"\x1b[?2026l", 1)[1]
        pictures += 1
        if pictures % 2 == 0 and sizes:
            print(resize(terminal))
print(json.dumps({"code": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}))
"#;

const BEGIN: &str = "\x1b[?2026h";
const END: &str = "\x1b[?2026l";

/// What a terminal was told, in order.
#[derive(Debug)]
enum Told {
    /// Rows and columns from now on.
    Size(usize),
    /// Text.
    Wrote(String),
}

/// What a rehearsal wrote to a terminal.
struct Session {
    told: Vec<Told>,
    code: i64,
}

impl Session {
    /// Rehearses one upgrade or two on a terminal of these sizes; `None`, and a line that says so, where none can be made.
    fn of(sizes: &Value, environment: &[(&str, &str)], arguments: &[&str]) -> Option<Self> {
        let place = tempfile::tempdir().unwrap();
        let output = Command::new(PYTHON)
            .args(["-c", DRIVER, &sizes.to_string()])
            .args([env!("CARGO_BIN_EXE_changeover"), "rehearse"])
            .args(arguments)
            .current_dir(place.path())
            // In CI the view is lines.
            .env_remove("CI")
            .env_remove("NO_COLOR")
            .env("TERM", "xterm-256color")
            .envs(environment.iter().copied())
            .output();
        let output = match output {
            Ok(output) => output,
            Err(error) if std::env::var_os("CHANGEOVER_PROVISIONED").is_none_or(|v| v != "1") => {
                println!("skipped: the live view on a terminal ({PYTHON}: {error})");
                return None;
            }
            Err(error) => panic!("{PYTHON}: {error}"),
        };
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        let mut session = Session {
            told: Vec::new(),
            code: -1,
        };
        let mut bytes = Vec::new();
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let told: Value = serde_json::from_str(line).unwrap();
            if let Some(text) = told["wrote"].as_str() {
                bytes.extend(text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()));
                continue;
            }
            // What is cut in the middle of a character waits for the rest of it.
            let whole = match std::str::from_utf8(&bytes) {
                Ok(_) => bytes.len(),
                Err(error) => error.valid_up_to(),
            };
            let rest = bytes.split_off(whole);
            let text = String::from_utf8(std::mem::replace(&mut bytes, rest)).unwrap();
            session.told.push(Told::Wrote(text));
            if let Some(columns) = told["size"][1].as_u64() {
                session.told.push(Told::Size(columns as usize));
            }
            session.code = told["code"].as_i64().unwrap_or(session.code);
        }
        Some(session)
    }

    /// All text.
    fn text(&self) -> String {
        let texts = self.told.iter().map(|told| match told {
            Told::Wrote(text) => text.as_str(),
            Told::Size(_) => "",
        });
        texts.collect()
    }
}

/// A terminal that wraps what it shows anew when its width changes: lines as they were written, and a cursor in one.
#[derive(Debug, Default)]
struct Screen {
    columns: usize,
    lines: Vec<Vec<char>>,
    line: usize,
    column: usize,
}

impl Screen {
    fn rows_of(&self, line: usize) -> usize {
        self.lines[line].len().div_ceil(self.columns).max(1)
    }

    fn up(&mut self, rows: usize) {
        for _ in 0..rows {
            if self.column >= self.columns {
                self.column -= self.columns;
            } else if self.line > 0 {
                self.line -= 1;
                self.column += (self.rows_of(self.line) - 1) * self.columns;
            }
        }
    }

    fn down(&mut self) {
        if self.column / self.columns + 1 < self.rows_of(self.line) {
            self.column += self.columns;
            return;
        }
        self.line += 1;
        self.column %= self.columns;
        if self.line == self.lines.len() {
            self.lines.push(Vec::new());
        }
    }

    fn write(&mut self, text: &str) {
        if self.lines.is_empty() {
            self.lines.push(Vec::new());
        }
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if let Some(sequence) = rest.strip_prefix("\x1b[") {
                let end = sequence.find(|c: char| c.is_ascii_alphabetic()).unwrap();
                let (number, command) = (&sequence[..end], &sequence[end..=end]);
                match command {
                    "A" => self.up(number.parse().unwrap()),
                    "J" | "K" => {
                        self.lines[self.line].truncate(self.column);
                        if command == "J" {
                            self.lines.truncate(self.line + 1);
                        }
                    }
                    // Marks of pictures, and colours.
                    "h" | "l" | "m" => {}
                    other => panic!("nobody expects {other:?}: {text:?}"),
                }
                rest = &sequence[end + 1..];
                continue;
            }
            rest = &rest[c.len_utf8()..];
            match c {
                '\r' => self.column -= self.column % self.columns,
                '\n' => self.down(),
                c => {
                    let line = &mut self.lines[self.line];
                    line.resize(line.len().max(self.column + 1), ' ');
                    line[self.column] = c;
                    self.column += 1;
                }
            }
        }
    }

    fn text(&self) -> Vec<String> {
        self.lines
            .iter()
            .map(|line| line.iter().collect())
            .collect()
    }
}

/// The lines of a picture, without what moves the cursor and without what was put above it.
fn lines_of(picture: &str) -> Vec<String> {
    let (_, body) = picture.split_once('\r').unwrap();
    let body = match body.strip_prefix("\x1b[J") {
        Some(above) if above.contains('\n') => above.split_once('\n').unwrap().1,
        _ => body,
    };
    let plain = body
        .replace("\x1b[K", "")
        .replace("\x1b[J", "")
        .replace('\r', "");
    plain.split('\n').map(str::to_owned).collect()
}

#[test]
fn rehearses_on_a_terminal_that_is_resized_and_leaves_no_litter() {
    let sizes = json!([
        [24, 110],
        [24, 60],
        [24, 30],
        [24, 120],
        [3, 45],
        [24, 10],
        [30, 90]
    ]);
    let path = [
        "--versions",
        "v0.1.0,v0.2.0,v0.3.0",
        "--probe-interval",
        "100ms",
    ];
    let Some(session) = Session::of(&sizes, &[], &path) else {
        return;
    };
    assert!(matches!(session.code, 0 | 3), "{}", session.text());
    let mut screen = Screen::default();
    let (mut pictures, mut drawn_at) = (0, Vec::new());
    // The width that is already there and that no picture has been seen of.
    let mut next = None;
    for told in &session.told {
        let text = match told {
            Told::Size(columns) => {
                next = Some(*columns);
                continue;
            }
            Told::Wrote(text) => text,
        };
        for piece in text.split_inclusive(END) {
            let picture = piece.split_once(BEGIN).map(|(_, picture)| picture);
            let lines = picture.and_then(|it| it.strip_suffix(END)).map(lines_of);
            let fits = |columns| {
                let lines = lines.iter().flatten();
                lines
                    .map(|line| line.chars().count())
                    .all(|length| length < columns)
            };
            // One may have been on its way when the width changed; then the next has it.
            match next {
                Some(columns) if screen.columns == 0 || fits(columns) => {
                    screen.columns = columns;
                    next = None;
                }
                Some(columns) => {
                    assert!(fits(screen.columns), "{piece:?} at {columns}");
                    screen.write(piece);
                    screen.columns = columns;
                    next = None;
                    continue;
                }
                None => assert!(fits(screen.columns), "{piece:?} at {}", screen.columns),
            }
            screen.write(piece);
            if lines.is_none() {
                continue;
            }
            pictures += 1;
            drawn_at.push(screen.columns);
            // One picture is on the screen, whole, and nothing of those before.
            let text = screen.text();
            let is_head =
                |line: &&String| line.contains(" s  mz_") || line.contains(" s  nobody leads");
            assert!(text.iter().filter(is_head).count() <= 1, "{text:#?}");
        }
    }
    assert!(pictures >= 14, "{pictures}");
    drawn_at.dedup();
    assert_eq!(drawn_at, [110, 60, 30, 120, 45, 10, 90]);
    // At the end there is the report alone.
    let text = screen.text().join("\n");
    assert!(
        !text.contains("operations/s") && !text.contains("leads ("),
        "{text}"
    );
    assert!(
        text.trim_start().starts_with("Steps (times in ms"),
        "{text}"
    );
    assert!(text.contains("Run directory: "), "{text}");
}

#[test]
fn rehearses_on_a_terminal_as_loud_and_as_colourful_as_is_asked() {
    let size = json!([[24, 100]]);
    let path = ["--versions", "v0.1.0,v0.2.0"];
    let told = |environment: &[(&str, &str)], option: &[&str]| {
        let session = Session::of(&size, environment, &[&path[..], option].concat())?;
        assert!(matches!(session.code, 0 | 3), "{}", session.text());
        Some(session.text())
    };
    let Some(quiet) = told(&[], &["--quiet"]) else {
        return;
    };
    assert!(
        !quiet.contains(BEGIN) && !quiet.contains("mz_1 leads"),
        "{quiet}"
    );
    // Colours, and a table with borders.
    assert!(quiet.contains("\x1b[") && quiet.contains('│'), "{quiet}");

    let plain = told(&[("NO_COLOR", "1")], &["--quiet"]).unwrap();
    assert!(!plain.contains('\x1b') && plain.contains('│'), "{plain}");
    let picture = told(&[("NO_COLOR", "1")], &[]).unwrap();
    assert!(
        picture.contains(BEGIN) && picture.contains("mz_1 leads"),
        "{picture}"
    );
    assert!(!picture.split("\x1b[").skip(1).any(|sequence| {
        let end = sequence.find(|c: char| c.is_ascii_alphabetic()).unwrap();
        sequence[end..].starts_with('m')
    }));

    let every = told(&[], &["--verbose"]).unwrap();
    assert!(!every.contains(BEGIN), "{every}");
    assert!(every.contains("\"event\":\"phase-started\""), "{every}");
    // In CI terminals are often pretended.
    let lines = told(&[("CI", "true")], &[]).unwrap();
    assert!(
        !lines.contains(BEGIN) && lines.contains("the run is over"),
        "{lines}"
    );
}
