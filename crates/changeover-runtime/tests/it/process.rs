use changeover_model::event::ProcessEnd;
use changeover_runtime::process::{Outcome, ProcessRuntime, cleanup};
use changeover_runtime::{Instance, InstanceSpec, Runtime};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const GRACE: Duration = Duration::from_secs(20);

/// A run in a directory of its own.
struct Run {
    dir: TempDir,
    runtime: ProcessRuntime,
}

impl Run {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime = ProcessRuntime::new("test-run", dir.path()).unwrap();
        Run { dir, runtime }
    }

    async fn spec(&self, command: &[&str]) -> InstanceSpec {
        let (sql_addr, http_addr) = self.runtime.reserve_addresses().await.unwrap();
        InstanceSpec {
            slot: "mz_1".to_owned(),
            generation: 3,
            command: command.iter().map(|&part| part.to_owned()).collect(),
            env: BTreeMap::from([("OWN".to_owned(), "value".into())]),
            sql_addr,
            http_addr,
            log: self.dir.path().join("mz_1.3.log"),
            container: None,
        }
    }

    async fn shell(&self, script: &str) -> Box<dyn Instance> {
        let spec = self.spec(&["/bin/sh", "-c", script]).await;
        self.runtime.spawn(spec).await.unwrap()
    }

    /// Makes the record look as if another process, which is gone, had written it.
    fn forget_the_harness(&self) {
        let own = format!("\"harness\":{}", std::process::id());
        self.edit_record(|text| text.replace(&own, "\"harness\":0"));
    }

    fn edit_record(&self, edit: impl Fn(&str) -> String) {
        let path = self.dir.path().join("processes.jsonl");
        let before = fs::read_to_string(&path).unwrap();
        let after = edit(&before);
        assert_ne!(before, after, "the edit changed nothing");
        fs::write(path, after).unwrap();
    }
}

/// Waits until the log's last line is a number, and returns it.
async fn number_in_log(instance: &dyn Instance) -> u32 {
    loop {
        let last = instance.log_tail(1).pop();
        if let Some(number) = last.and_then(|line| line.parse().ok()) {
            return number;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Whether the process runs; a zombie does not.
fn runs(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat[stat.rfind(')').unwrap()..].starts_with(") Z"))
}

async fn until_gone(pid: u32) {
    while runs(pid) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn the_end_of_a_process_is_told_and_its_log_kept() {
    let run = Run::new();
    let mut instance = run
        .shell("echo $OWN $CHANGEOVER_RUN $CHANGEOVER_INSTANCE ${CARGO_MANIFEST_DIR:-unset}; echo oops >&2; exit 166")
        .await;
    let ended = instance.ended().await;
    assert_eq!(ended.end, ProcessEnd::Code(166));
    assert!(!ended.by_us);
    assert_eq!(instance.ended().await, ended, "the same again");
    assert_eq!(
        instance.log_tail(9),
        ["value test-run mz_1.3 unset", "oops"],
        "minimal environment, both streams"
    );
    let first = instance.pid();
    instance.restart().await.unwrap();
    assert_ne!(instance.pid(), first);
    assert_eq!(instance.ended().await.end, ProcessEnd::Code(166));
    assert_eq!(instance.log_tail(9).len(), 4, "the log is appended to");
    assert_eq!(instance.stop(GRACE).await.end, ProcessEnd::Code(166));
    let record = fs::read_to_string(run.dir.path().join("processes.jsonl")).unwrap();
    assert_eq!(record.matches("\"starting\"").count(), 2);
    assert_eq!(record.matches("\"started\"").count(), 2);
}

#[tokio::test]
async fn a_stop_is_soft_first() {
    let run = Run::new();
    let mut instance = run
        .shell("trap 'echo bye; exit 7' TERM; echo $$; while :; do sleep 0.01; done")
        .await;
    number_in_log(&*instance).await;
    let ended = instance.stop(GRACE).await;
    assert_eq!(ended.end, ProcessEnd::Code(7));
    assert!(ended.by_us);
    assert_eq!(instance.log_tail(1), ["bye"]);
    assert_eq!(instance.stop(GRACE).await, ended);
}

#[tokio::test]
async fn a_process_that_ignores_the_soft_stop_is_killed() {
    let run = Run::new();
    let mut instance = run
        .shell("trap '' TERM; echo $$; while :; do sleep 0.01; done")
        .await;
    number_in_log(&*instance).await;
    let ended = instance.stop(Duration::from_millis(30)).await;
    assert_eq!(ended.end, ProcessEnd::Signal(9));
    assert!(ended.by_us);
}

#[tokio::test]
async fn a_restart_needs_an_end() {
    let run = Run::new();
    let mut instance = run.shell("sleep 600").await;
    let error = instance.restart().await.unwrap_err();
    assert!(error.message.contains("still runs"), "{error}");
}

#[tokio::test]
async fn grandchildren_die_with_the_group_even_those_of_an_earlier_process() {
    let run = Run::new();
    // The first process leaves a helper behind and ends.
    let mut instance = run.shell("sleep 600 & echo $!").await;
    instance.ended().await;
    let orphan = number_in_log(&*instance).await;
    assert!(runs(orphan));
    instance.restart().await.unwrap();
    instance.stop(GRACE).await;
    assert!(!runs(orphan), "stop returns when they are gone");

    let mut instance = run.shell("trap '' TERM; sleep 600 & echo $!; wait").await;
    let helper = number_in_log(&*instance).await;
    instance.stop(Duration::from_millis(30)).await;
    assert!(!runs(helper));
}

#[tokio::test]
async fn a_panic_leaves_no_orphan() {
    let run = Run::new();
    let instance = run.shell("trap '' TERM; sleep 600 & echo $!; wait").await;
    let helper = number_in_log(&*instance).await;
    let pid = instance.pid();
    let task = tokio::spawn(async move {
        let _held = instance;
        panic!("on purpose");
    });
    assert!(task.await.unwrap_err().is_panic());
    assert!(!runs(pid) && !runs(helper));
    assert_eq!(run.runtime.sweep().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_missing_program_is_one_clear_sentence() {
    let run = Run::new();
    let spec = run.spec(&["/no/such/program"]).await;
    let error = run.runtime.spawn(spec).await.err().unwrap();
    assert_eq!(
        error.message,
        "program \"/no/such/program\" of instance mz_1 cannot be started: No such file or directory (os error 2); \
         install it, or correct the target's command"
    );
    let spec = run.spec(&[]).await;
    let error = run.runtime.spawn(spec).await.err().unwrap();
    assert!(error.message.contains("empty command"), "{error}");
}

#[tokio::test]
async fn a_sweep_finds_what_slipped_away_and_ends_it() {
    let run = Run::new();
    let other = Run::new();
    // setsid: a session and a group of its own, as a daemon has.
    let mut instance = run.shell("setsid sleep 600 & echo $!").await;
    let slipped = number_in_log(&*instance).await;
    let neighbour = other.shell("sleep 600").await;
    instance.ended().await;
    // Leaked on purpose: dropping it would end the helper.
    std::mem::forget(instance);
    let swept = run.runtime.sweep().await;
    assert_eq!(swept.len(), 1, "{swept:?}");
    assert!(swept[0].contains("sleep 600"), "{swept:?}");
    assert!(!runs(slipped));
    assert!(runs(neighbour.pid()), "another run of the same name");
}

/// Waits until `exec env -i sleep 600` has come to the sleep: the mark is off then. The environment alone cannot tell,
/// it looks empty for a moment while any program is being replaced.
async fn until_unmarked(pid: u32) {
    while fs::read(format!("/proc/{pid}/cmdline")).unwrap() != b"sleep\x00600\0" {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn removed(outcomes: &[Outcome]) -> Vec<&str> {
    outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            Outcome::Removed(what) => Some(what.as_str()),
            Outcome::Refused(_) => None,
        })
        .collect()
}

#[tokio::test]
async fn cleanup_ends_what_was_recorded_and_removes_the_work_directory() {
    let run = Run::new();
    fs::create_dir_all(run.dir.path().join("work/a")).unwrap();
    let instance = run.shell("trap '' TERM; sleep 600 & echo $!; wait").await;
    let helper = number_in_log(&*instance).await;
    let pid = instance.pid();

    let refused = cleanup(run.dir.path());
    assert!(
        matches!(&refused[..], [Outcome::Refused(why)] if why.contains("still going")),
        "{refused:?}"
    );
    assert!(runs(pid) && run.dir.path().join("work").exists());

    run.forget_the_harness();
    let outcomes = cleanup(run.dir.path());
    assert_eq!(removed(&outcomes).len(), 3, "{outcomes:?}");
    until_gone(pid).await;
    assert!(!runs(helper));
    assert!(!run.dir.path().join("work").exists());
    drop(instance);
    assert_eq!(cleanup(run.dir.path()), Vec::new());
}

#[tokio::test]
async fn cleanup_spares_a_process_with_another_start_time() {
    let run = Run::new();
    let instance = run.shell("exec sleep 600").await;
    let pid = instance.pid();
    run.edit_record(|text| text.replace("\"start\":", "\"start\":9"));
    run.forget_the_harness();
    let outcomes = cleanup(run.dir.path());
    assert!(runs(pid));
    assert_eq!(removed(&outcomes), Vec::<&str>::new());
    assert!(
        outcomes.iter().any(
            |outcome| matches!(outcome, Outcome::Refused(why) if why.contains("another time"))
        )
    );
}

#[tokio::test]
async fn cleanup_spares_a_process_without_the_mark() {
    let run = Run::new();
    let instance = run.shell("exec env -i sleep 600").await;
    let pid = instance.pid();
    until_unmarked(pid).await;
    run.forget_the_harness();
    let outcomes = cleanup(run.dir.path());
    assert!(runs(pid));
    assert!(
        matches!(&outcomes[..], [Outcome::Refused(why)] if why.contains("mark")),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn cleanup_keeps_the_work_directory_while_a_process_may_use_it() {
    let run = Run::new();
    let work = run.dir.path().join("work");
    fs::create_dir(&work).unwrap();
    let mut instance = run.shell("exec env -i sleep 600").await;
    until_unmarked(instance.pid()).await;
    run.forget_the_harness();
    let outcomes = cleanup(run.dir.path());
    assert!(work.exists());
    assert!(
        matches!(&outcomes[..], [Outcome::Refused(_), Outcome::Refused(why)] if why.contains("in use")),
        "{outcomes:?}"
    );
    instance.stop(GRACE).await;
    assert_eq!(removed(&cleanup(run.dir.path())).len(), 1);
    assert!(!work.exists());
}

/// Takes the lines of that kind out of the record.
fn without_lines(text: &str, kind: &str) -> String {
    let kind = format!("\"line\":\"{kind}\"");
    text.split_inclusive('\n')
        .filter(|line| !line.contains(&kind))
        .collect()
}

#[tokio::test]
async fn cleanup_ends_what_was_announced_and_not_recorded_any_more() {
    let run = Run::new();
    let instance = run.shell("sleep 600 & echo $!; wait").await;
    let helper = number_in_log(&*instance).await;
    let pid = instance.pid();
    run.edit_record(|text| without_lines(text, "started"));
    run.forget_the_harness();
    let outcomes = cleanup(run.dir.path());
    assert_eq!(removed(&outcomes).len(), outcomes.len(), "{outcomes:?}");
    until_gone(pid).await;
    until_gone(helper).await;
}

#[tokio::test]
async fn cleanup_spares_a_carrier_of_the_mark_that_nothing_announced() {
    let run = Run::new();
    let instance = run.shell("sleep 600").await;
    run.edit_record(|text| without_lines(&without_lines(text, "started"), "starting"));
    run.forget_the_harness();
    let outcomes = cleanup(run.dir.path());
    assert!(runs(instance.pid()));
    assert!(!outcomes.is_empty());
    assert_eq!(removed(&outcomes), Vec::<&str>::new());

    // Nor does the start of another instance.
    let run = Run::new();
    let instance = run.shell("sleep 600").await;
    run.edit_record(|text| without_lines(text, "started").replace("\"mz_1.3\"", "\"mz_2.4\""));
    run.forget_the_harness();
    assert_eq!(removed(&cleanup(run.dir.path())), Vec::<&str>::new());
    assert!(runs(instance.pid()));
}

#[test]
fn cleanup_of_what_is_no_run_does_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let work = dir.path().join("work");
    fs::create_dir(&work).unwrap();
    assert_eq!(cleanup(dir.path()), Vec::new());
    assert_eq!(cleanup(Path::new("no/such/directory")), Vec::new());
    fs::write(dir.path().join("processes.jsonl"), "nonsense\n").unwrap();
    assert!(matches!(&cleanup(dir.path())[..], [Outcome::Refused(_)]));
    assert!(work.exists(), "somebody's own work");
}
