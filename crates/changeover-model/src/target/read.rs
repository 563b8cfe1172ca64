//! From `target.toml` to a [`Target`]: defaults are filled in, and what could not work is refused with its line.

use super::file::{self, TargetFile};
use super::lines::{Part, line_at, line_of};
use super::{
    BlobStores, ClientTemplate, ContainerTemplate, Endpoint, Examine, HTTP, InstanceTemplate,
    Instances, Licence, LoadDefaults, LoopTemplate, PointsTemplate, Promote, Recipe, Status,
    StatusTemplate, Target, TargetHead, Variant, Versions, WorkloadTemplate, check, has,
};
use crate::fault::Fault;
use crate::nearest;
use crate::plan::{BUDGETS, MAX_TIMEOUT_MS, Timeout};
use crate::status::DeploymentStatus;
use crate::version::{PathVersion, Version};
use crate::workload::{Capabilities, Capability};
use std::collections::BTreeMap;
use std::fmt;

/// Why a target is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetError {
    /// The line, from 1.
    pub line: usize,
    /// The key, such as `client.url`; empty where the text is no such file at all.
    pub key: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => write!(f, "line {}: {}", self.line, self.problem),
            key => write!(f, "line {}, {key}: {}", self.line, self.problem),
        }
    }
}

impl std::error::Error for TargetError {}

/// A problem, and the way to the value that has it.
#[derive(Debug)]
pub(super) struct Problem {
    way: Vec<Part>,
    words: String,
}

/// A problem of `table.key`.
pub(super) fn problem(table: &str, key: &str, words: impl Into<String>) -> Problem {
    Problem {
        way: vec![table.into(), key.into()],
        words: words.into(),
    }
}

impl Problem {
    /// The same of one entry of the value.
    pub(super) fn at(mut self, part: impl Into<Part>) -> Self {
        self.way.push(part.into());
        self
    }

    fn in_text(self, text: &str) -> TargetError {
        let mut key = String::new();
        for part in &self.way {
            match part {
                Part::Key(name) if key.is_empty() => key.push_str(name),
                Part::Key(name) => key.push_str(&format!(".{name}")),
                Part::Index(index) => key.push_str(&format!("[{index}]")),
            }
        }
        TargetError {
            line: line_of(text, &self.way).unwrap_or(1),
            key,
            problem: self.words,
        }
    }
}

/// What other targets than the built-in ones wait for at most: half an hour for the catch-up, and a minute where
/// nothing depends on how much data there is.
const TIMEOUTS_MS: [(Timeout, u64); 6] = [
    (Timeout::Boot, 60_000),
    (Timeout::CatchUp, 1_800_000),
    (Timeout::Promote, 60_000),
    (Timeout::Bootstrap, 60_000),
    (Timeout::Retire, 30_000),
    (Timeout::Operation, 2_000),
];

/// The longest gap that passes where nobody says.
const BUDGET_MS: f64 = 5_000.0;

const DEFAULTS: LoadDefaults = LoadDefaults {
    rate: 50,
    clients: 8,
    probe_interval_ms: 100,
    faults: Vec::new(),
};

pub(super) fn read(text: &str) -> Result<Target, TargetError> {
    let file: TargetFile = toml::from_str(text).map_err(|error| TargetError {
        line: error.span().map_or(1, |span| line_at(text, span.start)),
        key: String::new(),
        problem: format!(
            "{}; docs/targets.md has every key",
            error.message().replace('\n', ", ")
        ),
    })?;
    let target = target(file).and_then(|target| check::check(&target).map(|()| target));
    target.map_err(|problem| problem.in_text(text))
}

fn target(file: TargetFile) -> Result<Target, Problem> {
    let of_processes = file.instance.as_ref().and_then(|it| it.blob_store.clone());
    let of_containers = file.container.as_ref().and_then(|it| it.blob_store.clone());
    let blob_store = BlobStores {
        process: of_processes.unwrap_or_default(),
        container: of_containers.unwrap_or_default(),
    };
    let (instances, attached_url) = instances(file.instance)?;
    let attached = attached_url.is_some();
    let status = match file.status {
        Some(status) => Status::Http(status_template(status)),
        None if attached => Status::Query,
        None => Status::LeaderApi,
    };
    let promote = match file.promote {
        Some(promote) => self::promote(promote)?,
        None if attached => {
            return Err(problem(
                "instance",
                "attach",
                "says nothing of how an endpoint takes over; add [promote] with url or command",
            ));
        }
        None => Promote::LeaderApi,
    };
    let url = match (file.client.url, attached_url) {
        (Some(url), None) => url,
        (None, Some(url)) => url,
        (None, None) => {
            return Err(problem(
                "client",
                "url",
                "is missing; write postgres://USER@{sql_addr}/DATABASE or http://{http_addr}",
            ));
        }
        (Some(_), Some(_)) => {
            return Err(problem(
                "client",
                "url",
                "is said by instance.attach already; leave one of them out",
            ));
        }
    };
    let speaks_http = is_http(&url);
    Ok(Target {
        target: TargetHead {
            name: file.target.name,
            runtime: file.target.runtime,
            image: file.target.image,
            metadata_store: file.target.metadata_store,
            metadata_schemas: file.target.metadata_schemas,
        },
        instances,
        container: file.container.map(container).transpose()?,
        blob_store,
        status,
        promote,
        ready: file.ready.map(|ready| ready.sql),
        examine: file.examine.map(examine).transpose()?.unwrap_or_default(),
        points: points(file.points)?,
        client: ClientTemplate {
            url,
            create: file.client.create,
            write: file.client.write,
            read: file.client.read,
            version: file.client.version,
            catalog: file.client.catalog,
        },
        workload: workload(file.workload, speaks_http, attached)?,
        versions: file.versions.map(versions).transpose()?,
        defaults: LoadDefaults {
            rate: file.defaults.rate.unwrap_or(DEFAULTS.rate),
            clients: file.defaults.clients.unwrap_or(DEFAULTS.clients),
            probe_interval_ms: file
                .defaults
                .probe_interval_ms
                .unwrap_or(DEFAULTS.probe_interval_ms),
            faults: faults(&file.defaults.faults)?,
        },
        timeouts_ms: timeouts(&file.timeouts_ms)?,
        budgets: budgets(&file.budgets)?,
        dir: String::new(),
    })
}

/// Where instances come from; and where they run already, what URL clients use.
fn instances(file: Option<file::Instance>) -> Result<(Instances, Option<String>), Problem> {
    let Some(file) = file else {
        return Ok((Instances::Unknown, None));
    };
    let of_command = [
        ("command", file.command.is_some()),
        ("env", file.env.is_some()),
        ("pass_env", file.pass_env.is_some()),
        ("files", file.files.is_some()),
        ("blob_store", file.blob_store.is_some()),
        ("restart_exit_codes", file.restart_exit_codes.is_some()),
        ("fenced_exit_codes", file.fenced_exit_codes.is_some()),
    ];
    match (file.command, file.attach) {
        (Some(command), None) if !command.is_empty() => {
            let template = InstanceTemplate {
                command,
                env: file.env.unwrap_or_default(),
                pass_env: file.pass_env.unwrap_or_default(),
                files: file.files.unwrap_or_default(),
                restart_exit_codes: file.restart_exit_codes.unwrap_or_else(|| vec![166]),
                fenced_exit_codes: file.fenced_exit_codes.unwrap_or_else(|| vec![0]),
            };
            Ok((Instances::Started(template), None))
        }
        (None, Some(urls)) => match of_command.iter().find(|(_, given)| *given) {
            Some((key, _)) => Err(problem(
                "instance",
                key,
                "is for instances that are started; leave it out, or attach",
            )),
            None => {
                attached(&urls).map(|(endpoints, url)| (Instances::Attached(endpoints), Some(url)))
            }
        },
        (Some(_), Some(_)) => Err(problem(
            "instance",
            "attach",
            "stands beside command; endpoints that run already are not started, leave out one",
        )),
        _ => Err(problem(
            "instance",
            "command",
            "names no program; give program and arguments, or attach with endpoints that run already",
        )),
    }
}

fn examine(file: file::Examine) -> Result<Examine, Problem> {
    let both = |key: &str, other: &str| {
        problem(
            "examine",
            key,
            format!("stands alone; give {other} with it, or leave it out"),
        )
    };
    Ok(Examine {
        early_promotion: file.early_promotion,
        second_promotion: file.second_promotion,
        read_only_write: match (file.read_only_write, file.read_only_refusal) {
            (Some(write), Some(refusal)) => Some((write, refusal)),
            (None, None) => None,
            (Some(_), None) => return Err(both("read_only_write", "read_only_refusal")),
            (None, Some(_)) => return Err(both("read_only_refusal", "read_only_write")),
        },
        read_only_read: file.read_only_read,
        catalog_query: match (file.catalog_query, file.catalog_query_ms) {
            (Some(query), Some(ms)) => Some((query, ms)),
            (None, None) => None,
            (Some(_), None) => return Err(both("catalog_query", "catalog_query_ms")),
            (None, Some(_)) => return Err(both("catalog_query_ms", "catalog_query")),
        },
    })
}

fn faults(texts: &[String]) -> Result<Vec<Fault>, Problem> {
    let read = texts.iter().enumerate().map(|(index, text)| {
        text.parse::<Fault>()
            .map_err(|error| problem("defaults", "faults", error.to_string()).at(index))
    });
    read.collect()
}

fn points(file: file::Points) -> Result<PointsTemplate, Problem> {
    let hold_names = |hold: &[String], name| hold.iter().any(|word| has(word, name));
    if let Some(hold) = &file.hold {
        for name in ["point", "socket"] {
            if !hold_names(hold, name) {
                let words = format!("has no {{{name}}}; an instance must be told both");
                return Err(problem("points", "hold", words));
            }
        }
    }
    let log = file.log.into_iter().map(|(name, text)| match name.parse() {
        Ok(_) if text.is_empty() => {
            let words = "is empty; every line of a log contains that";
            Err(problem("points", "log", words).at(name.as_str()))
        }
        Ok(point) => Ok((point, text)),
        Err(words) => Err(problem("points", "log", words).at(name.as_str())),
    });
    Ok(PointsTemplate {
        log: log.collect::<Result<_, _>>()?,
        hold: file.hold,
    })
}

fn container(file: file::Container) -> Result<ContainerTemplate, Problem> {
    let version = |key: &str, text: String| {
        text.parse::<Version>().map_err(|error| {
            let words = format!("{text:?} is not a version: {}", error.problem);
            problem("container", key, words)
        })
    };
    let variants = file.when.into_iter().map(|when| {
        Ok(Variant {
            from: when.from.map(|text| version("when", text)).transpose()?,
            below: when.below.map(|text| version("when", text)).transpose()?,
            recipe: Recipe {
                command: when.command,
                env: when.env,
                files: when.files,
            },
        })
    });
    let licence = file.licence.map(|file| {
        Ok(Licence {
            given_from: version("licence", file.given_from)?,
            needed_from: version("licence", file.needed_from)?,
            variable: file.variable,
            path: file.path,
        })
    });
    Ok(ContainerTemplate {
        image: file.image,
        recipe: Recipe {
            command: file.command,
            env: file.env,
            files: file.files,
        },
        variants: variants.collect::<Result<_, Problem>>()?,
        pass_env: file.pass_env,
        sql_port: file.sql_port,
        http_port: file.http_port,
        ports: file.ports,
        volumes: file.volumes,
        tmpfs: file.tmpfs,
        security_opt: file.security_opt,
        budgets: given_budgets("container", file.budgets)?,
        restart_loop: file.restart_loop.map(|file| LoopTemplate {
            restarts: file.restarts,
            sleeps: file.sleeps,
            pause_ms: file.pause_ms,
        }),
        licence: licence.transpose()?,
        restart_exit_codes: file.restart_exit_codes.unwrap_or_else(|| vec![166]),
        fenced_exit_codes: file.fenced_exit_codes.unwrap_or_else(|| vec![0]),
    })
}

/// The endpoints, and their one URL with a placeholder for the address.
fn attached(urls: &[String]) -> Result<(Vec<Endpoint>, String), Problem> {
    let refuse = |index: usize, words: &str| Err(problem("instance", "attach", words).at(index));
    if urls.len() < 2 {
        return Err(problem(
            "instance",
            "attach",
            "needs two endpoints, one to upgrade to; the first one leads",
        ));
    }
    let mut endpoints = Vec::new();
    let mut template: Option<String> = None;
    for (index, url) in urls.iter().enumerate() {
        let Some((endpoint, rest)) = split_address(url) else {
            return refuse(
                index,
                "is no URL of an endpoint; write postgres://USER@HOST:PORT/DATABASE or http://HOST:PORT",
            );
        };
        endpoints.push(endpoint);
        if *template.get_or_insert_with(|| rest.clone()) != rest {
            return refuse(
                index,
                "differs from the first in more than host and port; clients are moved from one to the other",
            );
        }
    }
    Ok((endpoints, template.unwrap_or_default()))
}

/// Cuts the address out of a URL and puts `{sql_addr}` in its place.
fn split_address(url: &str) -> Option<(Endpoint, String)> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = match rest.find(['/', '?']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let (user, address) = match authority.rsplit_once('@') {
        Some((user, address)) => (format!("{user}@"), address),
        None => (String::new(), authority),
    };
    let (host, port) = address.rsplit_once(':')?;
    if host.is_empty() {
        return None;
    }
    let endpoint = Endpoint {
        host: host.to_owned(),
        port: port.parse().ok()?,
    };
    Some((endpoint, format!("{scheme}://{user}{{sql_addr}}{path}")))
}

fn status_template(file: file::Status) -> StatusTemplate {
    let themselves = || {
        let all = DeploymentStatus::ALL.into_iter();
        all.map(|status| (status.name().to_owned(), status))
            .collect()
    };
    StatusTemplate {
        url: file.url,
        json_pointer: file.json_pointer,
        map: file.map.unwrap_or_else(themselves),
    }
}

fn promote(file: file::Promote) -> Result<Promote, Problem> {
    match (file.url, file.command, file.method) {
        (Some(url), None, method) => Ok(Promote::Http {
            method: method.unwrap_or_else(|| "POST".to_owned()),
            url,
        }),
        (None, Some(command), None) if !command.is_empty() => Ok(Promote::Command(command)),
        (None, Some(_), Some(_)) => Err(problem(
            "promote",
            "method",
            "belongs to a url; leave it out beside command",
        )),
        (Some(_), Some(_), _) => Err(problem(
            "promote",
            "command",
            "stands beside url; leave out one of them",
        )),
        _ => Err(problem(
            "promote",
            "command",
            "names no program; give program and arguments, or a url",
        )),
    }
}

fn workload(
    file: file::Workload,
    speaks_http: bool,
    attached: bool,
) -> Result<WorkloadTemplate, Problem> {
    // What follows from the rest of the file is not said here.
    let implied = [Capability::Sql, Capability::StartedInstances];
    let of_file = || Capability::ALL.iter().filter(|c| !implied.contains(c));
    let given = [
        ("capabilities", !file.capabilities.is_empty()),
        ("create", !file.create.is_empty()),
        ("agree", file.agree.is_some()),
    ];
    if let Some((key, _)) = given.iter().find(|(_, given)| speaks_http && *given) {
        let words =
            "is for clients that speak SQL; over http there is workload set alone, leave it out";
        return Err(problem("workload", key, words));
    }
    let mut capabilities = Capabilities::new();
    if !speaks_http {
        capabilities.insert(Capability::Sql);
    }
    if !attached {
        capabilities.insert(Capability::StartedInstances);
    }
    for (index, name) in file.capabilities.iter().enumerate() {
        let found = of_file().find(|capability| capability.name() == name);
        let capability = found.ok_or_else(|| {
            let suggestion = nearest::suggestion(name, of_file().map(|c| c.name()));
            problem(
                "workload",
                "capabilities",
                format!("{name:?} is unknown: {suggestion}"),
            )
            .at(index)
        })?;
        capabilities.insert(*capability);
    }
    Ok(WorkloadTemplate {
        capabilities,
        create: file.create,
        agree: file.agree,
    })
}

fn versions(file: file::Versions) -> Result<Versions, Problem> {
    match (file.list, file.command) {
        (Some(list), None) => {
            let versions = list.iter().enumerate().map(|(index, text)| {
                text.parse::<PathVersion>().map_err(|error| {
                    let words = format!("{:?} is not a version: {}", error.input, error.problem);
                    problem("versions", "list", words).at(index)
                })
            });
            Ok(Versions::List(versions.collect::<Result<_, _>>()?))
        }
        (None, Some(command)) if !command.is_empty() => Ok(Versions::Command(command)),
        _ => Err(problem(
            "versions",
            "command",
            "give either a list of versions or the command that prints them",
        )),
    }
}

fn timeouts(given: &BTreeMap<String, u64>) -> Result<BTreeMap<String, u64>, Problem> {
    let mut all: BTreeMap<String, u64> = TIMEOUTS_MS
        .into_iter()
        .map(|(timeout, ms)| (timeout.name().to_owned(), ms))
        .collect();
    for (name, &ms) in given {
        known("timeouts_ms", name, Timeout::ALL.map(|(_, name)| name))?;
        if ms == 0 || ms > MAX_TIMEOUT_MS {
            let words = format!("is {ms}; give 1 to {MAX_TIMEOUT_MS} milliseconds");
            return Err(problem("timeouts_ms", name, words));
        }
        all.insert(name.clone(), ms);
    }
    Ok(all)
}

fn budgets(given: &BTreeMap<String, f64>) -> Result<BTreeMap<String, f64>, Problem> {
    let mut all: BTreeMap<String, f64> = BUDGETS
        .into_iter()
        .map(|name| (name.to_owned(), BUDGET_MS))
        .collect();
    all.extend(given_budgets("budgets", given.clone())?);
    Ok(all)
}

fn given_budgets(
    table: &str,
    given: BTreeMap<String, f64>,
) -> Result<BTreeMap<String, f64>, Problem> {
    for (name, &ms) in &given {
        known(table, name, BUDGETS)?;
        if !ms.is_finite() || ms <= 0.0 {
            let words = format!("is {ms}; give more than 0 milliseconds");
            return Err(problem(table, name, words));
        }
    }
    Ok(given)
}

fn known<const N: usize>(table: &str, name: &str, names: [&str; N]) -> Result<(), Problem> {
    if names.contains(&name) {
        return Ok(());
    }
    let words = format!(
        "is unknown: {}",
        nearest::suggestion(name, names.into_iter())
    );
    Err(problem(table, name, words))
}

/// Whether a template is asked over HTTP: one that begins with its scheme.
pub(super) fn is_http(url: &str) -> bool {
    url.starts_with(HTTP)
}
