//! Users' checks: what a scenario does to a database before, during and after its upgrades.

use crate::record::{About, Recorder};
use crate::surroundings::ClientSide;
use changeover_model::Secret;
use changeover_model::event::{EventKind, ProcessEnd};
use changeover_model::scenario::{Action, ScenarioPlan, When};
use changeover_model::text::harmless_cut;
use changeover_model::user_check::Script;
use changeover_model::version::PathVersion;
use changeover_runtime::{InstanceSpec, Runtime};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long a user's program may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// How much of what a program says is kept, in characters.
const SAID: usize = 500;

/// What does one action of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// Statements.
    Sql(String, Script),
    /// A program, which finds the database by `PGHOST`, `PGPORT` and `CHANGEOVER_URL`.
    Program(PathBuf),
}

/// One check of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserCheck {
    /// Its name.
    pub name: String,
    parts: BTreeMap<Action, Vec<Part>>,
}

/// What is done where there are none of the user's: a table with a row for each action.
const BUILT_IN: [(Action, &str); 4] = [
    (
        Action::Initialize,
        "CREATE TABLE changeover_check (id BIGINT NOT NULL, note TEXT);\nINSERT INTO changeover_check VALUES (0, 'initialize');\n",
    ),
    (
        Action::Manipulate1,
        "INSERT INTO changeover_check VALUES (1, 'manipulate-1');\n",
    ),
    (
        Action::Manipulate2,
        "INSERT INTO changeover_check VALUES (2, 'manipulate-2');\n",
    ),
    (
        Action::Validate,
        "SELECT id, note FROM changeover_check ORDER BY id;\n-- 0 | initialize\n-- 1 | manipulate-1\n-- 2 | manipulate-2\n",
    ),
];

impl UserCheck {
    /// The one that is built in.
    pub fn built_in() -> Self {
        let parts = BUILT_IN.into_iter().filter_map(|(action, text)| {
            let script = Script::parse(text).ok()?;
            Some((action, vec![Part::Sql(action.name().to_owned(), script)]))
        });
        UserCheck {
            name: "built-in".to_owned(),
            parts: parts.collect(),
        }
    }

    /// Those of a directory, by name: a directory for each. `validate.sql`, `validate.v26.sql` and an executable
    /// `validate` are all parts of its validation.
    ///
    /// # Errors
    ///
    /// When there are none, or one cannot be read or understood.
    pub fn read_all(directory: &Path) -> Result<Vec<Self>, String> {
        let shown = directory.display();
        let mut checks = Vec::new();
        for path in entries(directory)?.into_iter().filter(|path| path.is_dir()) {
            let check = Self::read(&path)?;
            if check.parts.is_empty() {
                return Err(format!(
                    "check {} has none of initialize, manipulate-1, manipulate-2 and validate; name its files so",
                    path.display()
                ));
            }
            checks.push(check);
        }
        match checks.is_empty() {
            true => Err(format!(
                "there is no check in {shown}; make a directory for each, with initialize.sql and validate.sql"
            )),
            false => Ok(checks),
        }
    }

    fn read(directory: &Path) -> Result<Self, String> {
        let mut parts: BTreeMap<Action, Vec<Part>> = BTreeMap::new();
        for path in entries(directory)? {
            let file = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let (stem, _) = file.split_once('.').unwrap_or((&file, ""));
            let Some(action) = Action::ALL.into_iter().find(|it| it.name() == stem) else {
                continue;
            };
            let part = match file.ends_with(".sql") {
                true => {
                    let script = fs::read_to_string(&path)
                        .map_err(|error| error.to_string())
                        .and_then(|text| Script::parse(&text))
                        .map_err(|error| format!("{}: {error}", path.display()))?;
                    Part::Sql(file, script)
                }
                false if is_executable(&path) => {
                    Part::Program(fs::canonicalize(&path).unwrap_or(path))
                }
                false => {
                    return Err(format!(
                        "{} is neither SQL nor a program; call it {action}.sql, or make it executable",
                        path.display()
                    ));
                }
            };
            parts.entry(action).or_default().push(part);
        }
        Ok(UserCheck {
            name: directory
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            parts,
        })
    }
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let unreadable = |error: std::io::Error| {
        format!(
            "the checks {} cannot be read: {error}; correct --checks",
            directory.display()
        )
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        paths.push(entry.map_err(unreadable)?.path());
    }
    paths.sort();
    Ok(paths)
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|seen| seen.is_file() && seen.permissions().mode() & 0o111 != 0)
}

/// The scenario of a run, and what it does.
pub(crate) struct Scenario {
    plan: ScenarioPlan,
    path: Vec<PathVersion>,
    checks: Vec<UserCheck>,
    recorder: Recorder,
    programs: Programs,
}

impl Scenario {
    pub(crate) fn new(
        plan: ScenarioPlan,
        path: Vec<PathVersion>,
        checks: Vec<UserCheck>,
        recorder: Recorder,
        programs: Programs,
    ) -> Self {
        Scenario {
            plan,
            path,
            checks,
            recorder,
            programs,
        }
    }

    /// Does what is to be done at this point, on whoever leads. Returns whether there was anything.
    pub(crate) async fn act(&self, clients: &ClientSide, step: u32, when: When) -> bool {
        // During a step the version before it still leads.
        let leads = match when {
            When::During => step.saturating_sub(1),
            When::After => step,
        };
        let version = usize::try_from(leads).ok().and_then(|at| self.path.get(at));
        let mut any = false;
        for action in self.plan.at(step, when) {
            for check in &self.checks {
                let Some(parts) = check.parts.get(&action) else {
                    continue;
                };
                any = true;
                let about = About {
                    step: Some(step),
                    ..About::default()
                };
                let name = check.name.clone();
                let kind = EventKind::UserCheckIntent {
                    check: name.clone(),
                    action,
                };
                self.recorder.event(&about, kind);
                let problem = self.run(check, parts, version, clients, action).await;
                let kind = EventKind::UserCheckDone {
                    check: name,
                    action,
                    problem,
                };
                self.recorder.event(&about, kind);
            }
        }
        any
    }

    /// Does one action of a check; returns what was not as it should be.
    async fn run(
        &self,
        check: &UserCheck,
        parts: &[Part],
        version: Option<&PathVersion>,
        clients: &ClientSide,
        action: Action,
    ) -> Option<String> {
        for part in parts {
            let problem = match part {
                Part::Sql(file, script) if version.is_none_or(|it| script.is_for(it)) => {
                    statements(file, script, clients).await
                }
                Part::Sql(..) => None,
                Part::Program(program) => {
                    let programs = &self.programs;
                    let done = programs.exec(&check.name, program, version, clients, action);
                    done.await
                }
            };
            if problem.is_some() {
                return problem;
            }
        }
        None
    }
}

async fn statements(file: &str, script: &Script, clients: &ClientSide) -> Option<String> {
    for statement in &script.statements {
        let asked = std::slice::from_ref(&statement.sql);
        let answer = clients.execute(clients.front_door.addr(), asked).await;
        let objection = match &answer {
            Ok(rows) => statement.expected.objection(Ok(rows)),
            Err(error) => statement.expected.objection(Err(error)),
        };
        if let Some(objection) = objection {
            return Some(format!("{file}, line {}: {objection}", statement.line));
        }
    }
    None
}

/// Where users' programs run: as processes of the run, which leave nothing behind.
pub(crate) struct Programs {
    pub(crate) runtime: Arc<dyn Runtime>,
    /// The directory of the run's logs.
    pub(crate) logs: PathBuf,
}

impl Programs {
    /// Runs a program of a check. It has our environment, and what it starts ends with it.
    async fn exec(
        &self,
        check: &str,
        program: &Path,
        version: Option<&PathVersion>,
        clients: &ClientSide,
        action: Action,
    ) -> Option<String> {
        let door = clients.front_door.addr();
        let own = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let told = [
            ("PGHOST", door.ip().to_string()),
            ("PGPORT", door.port().to_string()),
            ("CHANGEOVER_URL", clients.client.url_at(&door.to_string())),
            ("CHANGEOVER_ACTION", action.name().to_owned()),
            (
                "CHANGEOVER_VERSION",
                version.map(ToString::to_string).unwrap_or_default(),
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value));
        let log = self.logs.join(format!("check-{check}.{action}.log"));
        let before = fs::metadata(&log).map_or(0, |log| log.len());
        let spec = InstanceSpec {
            slot: format!("check-{check}"),
            generation: 0,
            command: vec![program.to_string_lossy().into_owned()],
            env: own
                .chain(told)
                .map(|(name, value)| (name, Secret::from(value)))
                .collect(),
            sql_addr: door,
            http_addr: door,
            log: log.clone(),
            container: None,
        };
        let mut running = match self.runtime.spawn(spec).await {
            Ok(running) => running,
            Err(error) => return Some(error.message),
        };
        let ended = timeout(PATIENCE, running.ended()).await;
        running.stop(Duration::ZERO).await;
        let shown = program.display();
        match ended {
            Ok(ended) if ended.end == ProcessEnd::Code(0) => None,
            Ok(ended) => Some(format!(
                "{shown} failed ({}): {}",
                ended.end,
                said_since(&log, before)
            )),
            Err(_) => Some(format!(
                "{shown} was not done within {} s",
                PATIENCE.as_secs()
            )),
        }
    }
}

/// What a program said, behind so many bytes of its log.
fn said_since(log: &Path, before: u64) -> String {
    let all = fs::read(log).unwrap_or_default();
    let from = usize::try_from(before).unwrap_or(usize::MAX);
    let said = String::from_utf8_lossy(all.get(from..).unwrap_or_default());
    harmless_cut(said.trim(), SAID)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_check_is_sound() {
        assert_eq!(UserCheck::built_in().parts.len(), 4);
    }

    #[test]
    fn checks_are_read_by_name_and_what_is_none_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let refused = UserCheck::read_all(place.path()).unwrap_err();
        assert!(refused.contains("there is no check in"), "{refused}");
        let check = place.path().join("tables");
        fs::create_dir(&check).unwrap();
        let refused = UserCheck::read_all(place.path()).unwrap_err();
        assert!(refused.contains("has none of initialize"), "{refused}");
        fs::write(check.join("README.md"), "words").unwrap();
        fs::write(check.join("initialize.sql"), "SELECT 1;\n").unwrap();
        fs::write(
            check.join("validate.v26.sql"),
            "-- from: v26.0.0\nSELECT 1;\n-- 1\n",
        )
        .unwrap();
        let checks = UserCheck::read_all(place.path()).unwrap();
        assert_eq!(checks[0].name, "tables");
        assert_eq!(checks[0].parts.len(), 2);
        fs::write(check.join("manipulate-1.sql"), "SELECT 1").unwrap();
        let refused = UserCheck::read_all(place.path()).unwrap_err();
        assert!(
            refused.contains("manipulate-1.sql: line 1: the statement"),
            "{refused}"
        );
        fs::remove_file(check.join("manipulate-1.sql")).unwrap();
        fs::write(check.join("manipulate-2"), "echo").unwrap();
        let refused = UserCheck::read_all(place.path()).unwrap_err();
        assert!(refused.contains("neither SQL nor a program"), "{refused}");
    }
}
