//! The image's entrypoint: starts `environmentd`, and starts it again.

use std::io::Write;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Duration;

/// Where the image has it.
const ENVIRONMENTD: &str = "/usr/local/bin/environmentd";

/// Fact 4.2: tries unless `MZ_RESTART_LIMIT` says otherwise.
const LIMIT: u64 = 9_999_999_999;

/// Fact 0.4: the pause before a restart.
const PAUSE: Duration = Duration::from_secs(5);

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    println!("{}", crate::BANNER);
    let mut command = Command::new(ENVIRONMENTD);
    command.args(arguments);
    // Fact 4.1: `restart="on-failure"` sets this variable; it is no policy of the engine.
    if std::env::var("MZ_RESTART_ON_FAILURE").as_deref() != Ok("1") {
        let error = command.exec();
        eprintln!("cannot start {ENVIRONMENTD}: {error}");
        return ExitCode::from(127);
    }
    let limit = std::env::var("MZ_RESTART_LIMIT").ok();
    let limit = limit.and_then(|limit| limit.parse().ok()).unwrap_or(LIMIT);
    for attempt in 1.. {
        let code = match command.status() {
            // As a shell has it.
            Ok(status) => status
                .code()
                .unwrap_or_else(|| 128 + status.signal().unwrap_or_default()),
            Err(error) => {
                eprintln!("cannot start {ENVIRONMENTD}: {error}");
                127
            }
        };
        // Facts 0.4 and 4.2: zero is for ever, anything else is another try.
        if code == 0 {
            say("environmentd exited gracefully; sleeping forever");
            loop {
                thread::park();
            }
        }
        if attempt >= limit {
            say(&format!(
                "environmentd exited; giving up after {attempt} tries"
            ));
            return ExitCode::from(u8::try_from(code).unwrap_or(1));
        }
        say(&format!(
            "environmentd exited (code: {code}); restarting in 5s..."
        ));
        thread::sleep(PAUSE);
    }
    ExitCode::FAILURE
}

fn say(line: &str) {
    // Nobody reads it any more: then nobody misses it.
    let _ = writeln!(std::io::stdout(), "{line}");
}
