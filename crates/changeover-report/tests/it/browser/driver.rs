//! A Chromium that is told what to do: WebDriver over one connection a command, as chromedriver speaks it.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// An answer that takes longer than this never comes: a bound, not a measurement.
const DEADLINE: Duration = Duration::from_secs(60);

/// A browser with a profile of its own. Dropping it ends it.
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one; `None`, and a line that says so, where there is none.
    pub(crate) fn start() -> Option<Self> {
        let started = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut driver = match started {
            Ok(driver) => driver,
            Err(error) if std::env::var_os("CHANGEOVER_PROVISIONED").is_none_or(|v| v != "1") => {
                println!("skipped: looking at report.html in a browser (chromedriver: {error})");
                return None;
            }
            Err(error) => panic!("chromedriver: {error}"),
        };
        let port = port(&mut driver);
        let profile = tempfile::tempdir().unwrap();
        let mut browser = Browser {
            driver,
            port,
            session: String::new(),
            _profile: profile,
        };
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--force-prefers-reduced-motion",
        ]
        .map(str::to_owned)
        .into_iter()
        .chain([format!(
            "--user-data-dir={}",
            browser._profile.path().display()
        )])
        .collect::<Vec<_>>();
        let answer = browser.command(
            "POST",
            "/session",
            &json!({"capabilities": {"alwaysMatch": {
                "goog:chromeOptions": {"args": arguments},
                "goog:loggingPrefs": {"browser": "ALL"},
            }}}),
        );
        browser.session = answer["sessionId"].as_str().unwrap().to_owned();
        Some(browser)
    }

    fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let body = match method {
            "GET" => String::new(),
            _ => body.to_string(),
        };
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.port,
            body.len()
        )
        .unwrap();
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        let mut answer = vec![0; length];
        reader.read_exact(&mut answer).unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let value = answer["value"].clone();
        assert!(
            value.get("error").is_none_or(Value::is_null),
            "{path}: {value}"
        );
        value
    }

    fn post(&self, what: &str, body: &Value) -> Value {
        self.command("POST", &format!("/session/{}/{what}", self.session), body)
    }

    /// Goes to a page in a file.
    pub(crate) fn open(&self, page: &Path) {
        self.post("url", &json!({"url": format!("file://{}", page.display())}));
    }

    /// The result of a function's body in the page.
    pub(crate) fn eval(&self, script: &str) -> Value {
        self.post("execute/sync", &json!({"script": script, "args": []}))
    }

    /// What a function's body in the page gives to its last argument.
    pub(crate) fn eval_async(&self, script: &str) -> Value {
        self.post("execute/async", &json!({"script": script, "args": []}))
    }

    /// Makes the window so large.
    pub(crate) fn resize(&self, width: u32, height: u32) {
        self.cdp(
            "Emulation.setDeviceMetricsOverride",
            &json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}),
        );
    }

    /// Light or dark.
    pub(crate) fn scheme(&self, scheme: &str) {
        self.cdp(
            "Emulation.setEmulatedMedia",
            &json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]}),
        );
    }

    /// As on paper, by somebody who likes the dark.
    pub(crate) fn print(&self) {
        self.cdp(
            "Emulation.setEmulatedMedia",
            &json!({"media": "print", "features": [{"name": "prefers-color-scheme", "value": "dark"}]}),
        );
    }

    /// The page as a PDF, in base64.
    pub(crate) fn pdf(&self) -> String {
        let printed = self.cdp("Page.printToPDF", &json!({}));
        printed["data"].as_str().unwrap().to_owned()
    }

    fn cdp(&self, command: &str, parameters: &Value) -> Value {
        self.post(
            "goog/cdp/execute",
            &json!({"cmd": command, "params": parameters}),
        )
    }

    /// The element that a selector finds first.
    fn element(&self, selector: &str) -> String {
        let found = self.post(
            "element",
            &json!({"using": "css selector", "value": selector}),
        );
        let reference = found.as_object().unwrap().values().next().unwrap();
        reference.as_str().unwrap().to_owned()
    }

    /// Clicks as a person does: where the element is, if nothing covers it.
    pub(crate) fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.post(&format!("element/{element}/click"), &json!({}));
    }

    /// Types into an element. Special keys are those of the WebDriver standard.
    pub(crate) fn keys(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.post(&format!("element/{element}/value"), &json!({"text": text}));
    }

    /// Moves the mouse over an element, so far from its middle, with these button actions.
    pub(crate) fn mouse(&self, selector: &str, moves: &[(i32, i32, &str)]) {
        let element = self.element(selector);
        let origin = json!({"element-6066-11e4-a52e-4f735466cecf": element});
        let actions: Vec<Value> = moves
            .iter()
            .flat_map(|(x, y, button)| {
                let mut actions = vec![
                    json!({"type": "pointerMove", "duration": 0, "origin": origin, "x": x, "y": y}),
                ];
                if !button.is_empty() {
                    actions.push(json!({"type": button, "button": 0}));
                }
                actions
            })
            .collect();
        self.post(
            "actions",
            &json!({"actions": [{"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": actions}]}),
        );
    }

    /// What the page and the browser complained about since the last call.
    pub(crate) fn complaints(&self) -> Vec<Value> {
        let log = self.post("se/log", &json!({"type": "browser"}));
        log.as_array().unwrap().clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() && !std::thread::panicking() {
            self.command("DELETE", &format!("/session/{}", self.session), &json!({}));
        }
        // It ends its browser with itself; there may be nothing left to end.
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The port that it says it took.
fn port(driver: &mut Child) -> u16 {
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let port = lines.by_ref().find_map(|line| {
        let line = line.unwrap();
        let (_, rest) = line.split_once("started successfully on port ")?;
        rest.trim_end_matches('.').parse().ok()
    });
    // Nobody reads the rest, and it must not block on that.
    std::thread::spawn(move || lines.for_each(drop));
    port.expect("chromedriver says where it listens")
}
