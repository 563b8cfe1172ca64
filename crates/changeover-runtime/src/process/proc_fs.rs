//! What `/proc` tells about processes: enough to be sure whom we end. Linux only.

use std::fs;

/// A process as `/proc` showed it a moment ago.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) pid: u32,
    /// Its process group.
    pub(super) group: u32,
    /// Clock ticks from the machine's boot to the process's start: field 22 of `/proc/PID/stat`.
    pub(super) start: u64,
}

/// The process with this number, unless there is none or it is a zombie.
pub(super) fn process(pid: u32) -> Option<Seen> {
    parse_stat(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The letter of a process's state, such as `T` for stopped; `None` if there is none.
pub(super) fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_fields(pid, &stat)?.1.chars().next()
}

/// When a child of ours was started, also if it has already ended but nobody has waited for it.
pub(super) fn start_of(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_fields(pid, &stat).map(|(seen, _)| seen.start)
}

/// The process that a process belongs to now.
pub(super) fn parent(pid: u32) -> Option<Seen> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Field 4, the second after the command.
    let after_command = &stat[stat.rfind(')')? + 1..];
    process(after_command.split_whitespace().nth(1)?.parse().ok()?)
}

/// All processes but this one.
pub(super) fn others() -> Vec<Seen> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&pid: &u32| pid != std::process::id())
        .filter_map(process)
        .collect()
}

/// The environment the process was started with, as `NAME=value` entries; empty if it cannot be read.
pub(super) fn environment(pid: u32) -> Vec<Vec<u8>> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    bytes.split(|&b| b == 0).map(<[u8]>::to_vec).collect()
}

/// The command line, arguments joined by spaces; empty if it cannot be read.
pub(super) fn command_line(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.trim_end_matches('\0').replace('\0', " ")
}

/// Tells this boot of the machine from every other: start times count from it.
pub(super) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

/// The first of the ports that the kernel hands out by itself.
pub(super) fn first_ephemeral_port() -> Option<u16> {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    range.split_whitespace().next()?.parse().ok()
}

/// A process that has something left to end: neither a zombie nor dead.
fn parse_stat(pid: u32, stat: &str) -> Option<Seen> {
    let (seen, state) = parse_fields(pid, stat)?;
    (!matches!(state, "Z" | "X")).then_some(seen)
}

/// The process and its state; see proc(5). The command may hold spaces and parentheses, so the fields count from its
/// last parenthesis.
fn parse_fields(pid: u32, stat: &str) -> Option<(Seen, &str)> {
    let after_command = &stat[stat.rfind(')')? + 1..];
    // Field 3, the state, is the first here.
    let fields: Vec<&str> = after_command.split_whitespace().collect();
    let seen = Seen {
        pid,
        group: fields.get(2)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
    };
    Some((seen, fields.first()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 1 5 5 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9";
        let seen = parse_stat(7, stat).unwrap();
        assert_eq!((seen.group, seen.start), (5, 4711));
        assert_eq!(parse_stat(7, &stat.replace(" S ", " Z ")), None);
        assert_eq!(parse_stat(7, "7 (a"), None);
    }

    #[test]
    fn this_process_can_be_read_and_is_not_among_the_others() {
        let own = std::process::id();
        assert!(process(own).is_some_and(|seen| seen.start > 0));
        assert!(others().iter().all(|seen| seen.pid != own));
    }
}
