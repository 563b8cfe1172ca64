//! A plan on Docker as files for docker-compose, so that a person can walk through an upgrade by hand.

use changeover_model::plan::{Plan, StepPlan};
use changeover_model::service::ServiceArgs;
use changeover_model::target::{ContainerTemplate, SHARED_DIR, Surroundings, Target};
use std::collections::{BTreeMap, BTreeSet};

/// The metadata store's service, and its port.
const STORE: &str = "metadata-store";
const STORE_PORT: u16 = 26257;

/// What is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compose {
    /// `compose.yaml`.
    pub yaml: String,
    /// The calls between the steps, as a script.
    pub script: String,
    /// The files that containers see, by path beside `compose.yaml`.
    pub files: BTreeMap<String, String>,
}

/// What of a run's surroundings is no part of its plan.
#[derive(Debug, Clone, Copy)]
pub struct ComposeImages<'a> {
    /// The image of services that name none. A variable of the shell will do, as `${CURRENT_IMAGE}`.
    pub unnamed: &'a str,
    /// The image of the metadata store.
    pub metadata_store: &'a str,
}

/// The files of this plan; `None` for a target that does not say how it is started in a container.
pub fn compose(plan: &Plan, target: &Target, images: ComposeImages<'_>) -> Option<Compose> {
    let template = target.container.as_ref()?;
    let over_postgres = plan.metadata_store == "postgres";
    let server = format!("postgres://root@{STORE}:{STORE_PORT}/root");
    let store = match over_postgres {
        true => format!("{server}?sslmode=disable"),
        false => format!("sqlite:{SHARED_DIR}/metadata.sqlite"),
    };
    let around = Surroundings {
        metadata_store: &store,
        metadata_server: &server,
        blob_store: &target.blob_store.container,
    };
    let mut files = BTreeMap::new();
    let mut volumes = BTreeSet::new();
    let mut services = String::new();
    let arguments = plan.arguments();
    if over_postgres {
        let schemas = &target.target.metadata_schemas;
        let schemas = schemas
            .iter()
            .map(|it| format!("CREATE SCHEMA IF NOT EXISTS {it};\n"));
        files.insert("files/metadata-store.sql".to_owned(), schemas.collect());
        services.push_str(&metadata_store(images.metadata_store));
    }
    for (index, service) in plan.services.iter().enumerate() {
        let version = plan.version_of_service(index);
        let (recipe, shared) = template.filled(service, version, around);
        let name = name(service);
        let mut command = recipe.command;
        command.extend(arguments.of(service.deploy_generation, version).cloned());
        let mut mounts: Vec<String> = shared
            .iter()
            .map(|(volume, path)| format!("{volume}:{path}"))
            .collect();
        volumes.extend(shared.into_keys());
        for (path, text) in recipe.files {
            let file = format!("files/{name}{path}");
            mounts.push(format!("./{file}:{path}:ro"));
            files.insert(file, text);
        }
        let env = recipe.env.into_iter();
        let mut env: BTreeMap<_, _> = env.map(|(name, value)| (name, Some(value))).collect();
        env.extend(template.pass_env.iter().map(|name| (name.clone(), None)));
        if let Some(licence) = &template.licence
            && licence.is_needed(version)
        {
            env.insert(licence.variable.clone(), Some(licence.path.clone()));
            mounts.push(format!("./license_key:{}:ro", licence.path));
        }
        let image = match &service.image {
            Some(image) => quoted(image),
            None => format!("\"{}\"", images.unnamed),
        };
        services.push_str(&format!(
            "\n  # {} of the upgrade path: {version}, generation {}.\n  {name}:\n    image: {image}\n    hostname: {}\n    command:{}\n",
            ordinal(service),
            service.deploy_generation,
            service.name,
            list(&command, "      ")
        ));
        services.push_str(&map("environment", &env));
        services.push_str(&format!("    volumes:{}", list(&mounts, "      ")));
        services.push('\n');
        if !template.tmpfs.is_empty() {
            services.push_str(&format!("    tmpfs:{}\n", list(&template.tmpfs, "      ")));
        }
        if !template.security_opt.is_empty() {
            services.push_str(&format!(
                "    security_opt:{}\n",
                list(&template.security_opt, "      ")
            ));
        }
        services.push_str(&format!("    ports:{}\n", list(&ports(template), "      ")));
        services.push_str(&format!(
            "    networks:\n      default:\n        aliases:\n          - {}\n",
            service.name
        ));
        if over_postgres {
            services.push_str(&format!("    depends_on:\n      - {STORE}\n"));
        }
    }
    let mut yaml = format!(
        "# {} from {}. upgrade.sh beside this file has the calls between the steps.\nversion: \"3.8\"\n\nservices:{services}",
        plan.target,
        plan.path
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" → ")
    );
    if !volumes.is_empty() {
        yaml.push_str("\nvolumes:\n");
        for volume in volumes {
            yaml.push_str(&format!("  {volume}: {{}}\n"));
        }
    }
    Some(Compose {
        yaml,
        script: script(plan, template, over_postgres),
        files,
    })
}

fn metadata_store(image: &str) -> String {
    let command: Vec<String> = [
        "postgres",
        "-c",
        "listen_addresses=*",
        "-c",
        "fsync=off",
        "-c",
        "wal_level=logical",
        "-c",
        "max_connections=5000",
    ]
    .map(str::to_owned)
    .into();
    let env = [
        ("POSTGRES_USER", "root"),
        ("POSTGRES_DB", "root"),
        ("POSTGRES_HOST_AUTH_METHOD", "trust"),
        ("PGPORT", "26257"),
    ]
    .map(|(name, value)| (name.to_owned(), Some(value.to_owned())))
    .into();
    let mounts =
        ["./files/metadata-store.sql:/docker-entrypoint-initdb.d/changeover.sql:ro".to_owned()];
    format!(
        "\n  {STORE}:\n    image: {}\n    command:{}\n{}    volumes:{}\n",
        quoted(image),
        list(&command, "      "),
        map("environment", &env),
        list(&mounts, "      ")
    )
}

/// A service of its own for every generation: one of a slot's name would have two images.
fn name(service: &ServiceArgs) -> String {
    format!("{}-{}", service.name, service.deploy_generation)
}

fn ordinal(service: &ServiceArgs) -> String {
    match service.deploy_generation {
        0 => "The first".to_owned(),
        generation => format!("Step {generation}"),
    }
}

/// Free ports of this machine's loopback address.
fn ports(template: &ContainerTemplate) -> Vec<String> {
    let own = [template.sql_port, template.http_port].into_iter();
    own.chain(template.ports.iter().copied())
        .map(|port| format!("127.0.0.1::{port}"))
        .collect()
}

/// A text as YAML takes it whatever is in it, and as compose replaces nothing in it.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '$' => out.push_str("$$"),
            c if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c) & 0xff)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn list(texts: &[String], indent: &str) -> String {
    match texts {
        [] => " []".to_owned(),
        texts => texts
            .iter()
            .map(|text| format!("\n{indent}- {}", quoted(text)))
            .collect(),
    }
}

/// Without a value it is the shell's, if that has one.
fn map(key: &str, pairs: &BTreeMap<String, Option<String>>) -> String {
    if pairs.is_empty() {
        return String::new();
    }
    let mut out = format!("    {key}:\n");
    for (name, value) in pairs {
        out.push_str(&match value {
            Some(value) => format!("      {name}: {}\n", quoted(value)),
            None => format!("      {name}:\n"),
        });
    }
    out
}

fn script(plan: &Plan, template: &ContainerTemplate, over_postgres: bool) -> String {
    let port = template.http_port;
    let mut out = format!(
        r#"#!/bin/sh
# The calls between the steps. Run it beside compose.yaml; it waits for ENTER before each step, so that you can look around.
set -eu
cd "$(dirname "$0")"
compose=${{COMPOSE:-docker-compose}}

# Where the leader API of a service is on this machine.
api() {{ echo "http://$($compose port "$1" {port})/api/leader"; }}
status() {{ curl --silent --max-time 10 "$(api "$1")/status" || true; }}

# Nobody answers, or an empty answer: the process is being restarted.
await() {{
    echo "waiting for $1 to say $2"
    until status "$1" | grep --quiet "\"$2\""; do sleep 1; done
}}
step() {{ echo; echo "== $1 (ENTER)"; read -r _ || true; }}
"#
    );
    let licence = template.licence.as_ref();
    if licence.is_some_and(|it| plan.path.iter().any(|version| it.is_needed(version))) {
        out.push_str("\n[ -s license_key ] || { echo 'put the licence key into the file license_key first' >&2; exit 1; }\n");
    }
    if over_postgres {
        out.push_str(&format!(
            "\nstep 'Start the metadata store'\n$compose up -d {STORE}\nuntil $compose exec -T {STORE} pg_isready -h 127.0.0.1 -p {STORE_PORT} -U root; do sleep 1; done\n"
        ));
    }
    let first = name(&plan.services[0]);
    out.push_str(&format!(
        "\nstep 'Start {}'\n$compose up -d {first}\nawait {first} IsLeader\n",
        plan.path[0]
    ));
    for (step, services) in plan.steps.iter().zip(plan.services.windows(2)) {
        out.push_str(&calls(step, &name(&services[0]), &name(&services[1])));
    }
    out.push_str("\nstep 'Remove everything'\n$compose down --volumes\n");
    out
}

fn calls(step: &StepPlan, old: &str, new: &str) -> String {
    let StepPlan {
        number, from, to, ..
    } = step;
    format!(
        r#"
step 'Step {number}: start {to} beside {from}'
$compose up -d {new}
await {new} ReadyToPromote
step 'Step {number}: promote {to}'
curl --silent --show-error --fail -X POST "$(api {new})/promote"; echo
# It restarts, and says so before it answers queries.
await {new} IsLeader
# The old one has fenced itself; what is left of it goes.
$compose stop {old}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compose_replaces_nothing_in_a_text() {
        assert_eq!(quoted("a$b \"c\" \\\n"), r#""a$$b \"c\" \\\n""#);
        assert_eq!(list(&[], ""), " []");
    }
}
