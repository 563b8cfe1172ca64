//! What an instance needs to run in a container: plain data, so that whoever makes it knows no engine.

use changeover_model::Secret;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// The container of an instance. The instance's command is the container's, behind the image's entrypoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Container {
    /// The image, with its tag.
    pub image: String,
    /// Instead of the image's own entrypoint.
    pub entrypoint: Option<Vec<String>>,
    /// Ports of the container, and the addresses of this machine at which they are reached.
    pub publish: Vec<(u16, SocketAddr)>,
    /// More of its ports, each reached at some free port of 127.0.0.1.
    pub expose: Vec<u16>,
    /// The run's volumes, by name, and where the container has them. Containers of a run share those of one name.
    pub volumes: BTreeMap<String, String>,
    /// Directories in memory.
    pub tmpfs: Vec<String>,
    /// Security options, as the engine knows them.
    pub security_opt: Vec<String>,
    /// Files that are put into it, by path.
    pub files: BTreeMap<String, Secret>,
    /// How the ends of processes are read from its output, where a loop in the container restarts them.
    pub restart_loop: Option<RestartLoop>,
}

/// A loop in a container that starts its process again, so that the container itself goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestartLoop {
    /// The line that it writes when the process ended and will be started again, with `{code}`.
    pub restarts: String,
    /// The line that it writes when the process ended with 0 and nothing will be started again.
    pub sleeps: String,
    /// How long it waits before it starts the process again.
    pub pause: Duration,
}

/// What a line of a container's output says about its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LoopEnd {
    pub(crate) code: i32,
}

impl RestartLoop {
    /// The end that this line tells of, if it does.
    pub(crate) fn end(&self, line: &str) -> Option<LoopEnd> {
        let line = line.trim_end();
        // The image may put a time before its words.
        if line.ends_with(&self.sleeps) {
            return Some(LoopEnd { code: 0 });
        }
        let (before, after) = self.restarts.split_once("{code}")?;
        let rest = line.strip_suffix(after)?;
        let (_, code) = rest.rsplit_once(before)?;
        code.parse().ok().map(|code| LoopEnd { code })
    }
}

/// Which image a container has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageSeen {
    /// What it was asked for by.
    pub name: String,
    /// What the engine knows it by.
    pub id: String,
    /// What the registry knows it by that it came from, if any.
    pub digest: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_read_from_the_loops_own_lines_and_from_no_others() {
        let restart_loop = RestartLoop {
            restarts: "environmentd exited (code: {code}); restarting in 5s...".to_owned(),
            sleeps: "environmentd exited gracefully; sleeping forever".to_owned(),
            pause: Duration::from_secs(5),
        };
        let end = |line| restart_loop.end(line).map(|end| end.code);
        assert_eq!(
            end("environmentd exited (code: 166); restarting in 5s..."),
            Some(166)
        );
        assert_eq!(
            end("12:00:01 environmentd exited (code: 134); restarting in 5s...\r"),
            Some(134)
        );
        assert_eq!(
            end("environmentd exited gracefully; sleeping forever"),
            Some(0)
        );
        assert_eq!(end("environmentd exited; giving up after 3 tries"), None);
        assert_eq!(
            end("environmentd exited (code: many); restarting in 5s..."),
            None
        );
        assert_eq!(end("halting process"), None);
    }
}
