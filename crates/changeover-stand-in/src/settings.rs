//! What `environmentd` is told by flags and variables. Whatever is not known is refused.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Variables that are taken and change nothing here. Facts 4.1 (docker) and 8 of the observations (binaries).
const IGNORED: [&str; 44] = [
    "MZ_ADAPTER_STASH_URL",
    "MZ_AWS_CONNECTION_ROLE_ARN",
    "MZ_AWS_EXTERNAL_ID_PREFIX",
    "MZ_BOOTSTRAP_BUILTIN_ANALYTICS_CLUSTER_REPLICA_SIZE",
    "MZ_BOOTSTRAP_BUILTIN_ANALYTICS_CLUSTER_REPLICATION_FACTOR",
    "MZ_BOOTSTRAP_BUILTIN_CATALOG_SERVER_CLUSTER_REPLICA_SIZE",
    "MZ_BOOTSTRAP_BUILTIN_PROBE_CLUSTER_REPLICA_SIZE",
    "MZ_BOOTSTRAP_BUILTIN_PROBE_CLUSTER_REPLICATION_FACTOR",
    "MZ_BOOTSTRAP_BUILTIN_SUPPORT_CLUSTER_REPLICA_SIZE",
    "MZ_BOOTSTRAP_BUILTIN_SYSTEM_CLUSTER_REPLICA_SIZE",
    "MZ_BOOTSTRAP_BUILTIN_SYSTEM_CLUSTER_REPLICATION_FACTOR",
    "MZ_BOOTSTRAP_DEFAULT_CLUSTER_REPLICATION_FACTOR",
    "MZ_BOOTSTRAP_DEFAULT_CLUSTER_REPLICA_SIZE",
    "MZ_BOOTSTRAP_ROLE",
    "MZ_CATALOG_STORE",
    "MZ_CLUSTER_REPLICA_SIZES",
    "MZ_EAT_MY_DATA",
    "MZ_ENVIRONMENT_ID",
    "MZ_EXTERNAL_LOGIN_PASSWORD_MZ_SYSTEM",
    "MZ_INTERNAL_PERSIST_PUBSUB_LISTEN_ADDR",
    "MZ_LISTENERS_CONFIG_PATH",
    "MZ_LOG_FILTER",
    "MZ_LICENSE_KEY",
    "MZ_NO_BUILTIN_COCKROACH",
    "MZ_NO_BUILTIN_CONSOLE",
    "MZ_NO_BUILTIN_POSTGRES",
    "MZ_NO_EXTERNAL_CLUSTERD",
    "MZ_NO_TELEMETRY",
    "MZ_ORCHESTRATOR",
    "MZ_ORCHESTRATOR_PROCESS_PROMETHEUS_SERVICE_DISCOVERY_DIRECTORY",
    "MZ_ORCHESTRATOR_PROCESS_SCRATCH_DIRECTORY",
    "MZ_ORCHESTRATOR_PROCESS_SECRETS_DIRECTORY",
    "MZ_ORCHESTRATOR_PROCESS_TCP_PROXY_LISTEN_ADDR",
    "MZ_PERSIST_BLOB_URL",
    "MZ_PERSIST_CONSENSUS_URL",
    "MZ_PERSIST_PUBSUB_URL",
    "MZ_RESTART_LIMIT",
    "MZ_RESTART_ON_FAILURE",
    "MZ_SOFT_ASSERTIONS",
    "MZ_SYSTEM_PARAMETER_DEFAULT",
    "MZ_TEST_ONLY_DUMMY_SEGMENT_CLIENT",
    "MZ_TIMESTAMP_ORACLE_URL",
    "MZ_DEPLOY_GENERATION",
    "MZ_UNSAFE_MODE",
];

/// A version as far as it matters here: major and minor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Minor(pub(crate) u64, pub(crate) u64);

impl Minor {
    pub(crate) fn of(version: &str) -> Option<Self> {
        let mut parts = version.strip_prefix('v')?.split('.');
        let (major, minor) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Minor(major, minor))
    }
}

/// What it was told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The version that it plays.
    pub(crate) version: String,
    /// Fact 4.1: `--deploy-generation=N`, or `MZ_DEPLOY_GENERATION`; 0 without.
    pub(crate) generation: u64,
    /// The metadata store, as the reference database takes it.
    pub(crate) store: String,
    /// Fact 4.1: from v0.147 on.
    pub(crate) listeners: Option<PathBuf>,
}

impl Settings {
    /// Reads flags and variables.
    pub(crate) fn of(
        version: &str,
        arguments: &[String],
        env: &BTreeMap<String, String>,
    ) -> Result<Self, String> {
        let minor = Minor::of(version).ok_or_else(|| format!("{version:?} is no version"))?;
        let stranger = env
            .keys()
            .find(|name| name.starts_with("MZ_") && !IGNORED.contains(&name.as_str()));
        if let Some(stranger) = stranger {
            return Err(format!("unknown variable {stranger}"));
        }
        let mut generation = env.get("MZ_DEPLOY_GENERATION").cloned();
        let mut consensus = env.get("MZ_PERSIST_CONSENSUS_URL").cloned();
        for argument in arguments {
            let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
            match (name, value) {
                // Fact 4.1: constructor arguments unsafe_mode and propagate_crashes, with their defaults.
                ("--unsafe-mode" | "--orchestrator-process-propagate-crashes", "") => {}
                ("--deploy-generation", value) => generation = Some(value.to_owned()),
                ("--persist-consensus-url", value) => consensus = Some(value.to_owned()),
                ("--environment-id" | "--persist-blob-url", value) if !value.is_empty() => {}
                // Fact 4.1: force_migrations.
                ("--unsafe-force-builtin-schema-migration", "replacement" | "evolution") => {}
                _ => return Err(format!("unexpected argument '{argument}' found")),
            }
        }
        let generation = generation.unwrap_or_else(|| "0".to_owned());
        let generation = generation
            .parse()
            .map_err(|_| format!("invalid value '{generation}' for '--deploy-generation'"))?;
        // Fact 4.1: without an external store two instances cannot share anything.
        let consensus = consensus
            .ok_or("no --persist-consensus-url: its own store serves no second instance")?;
        let oracle = env
            .get("MZ_TIMESTAMP_ORACLE_URL")
            .ok_or("no MZ_TIMESTAMP_ORACLE_URL beside an external metadata store")?;
        search_path(oracle).ok_or("MZ_TIMESTAMP_ORACLE_URL has no search_path")?;
        let schema = search_path(&consensus).ok_or("--persist-consensus-url has no search_path")?;
        let server = consensus.split('?').next().unwrap_or_default();
        environment_id(arguments, env)?;
        parameters(env)?;
        licence(minor, env)?;
        let listeners = env.get("MZ_LISTENERS_CONFIG_PATH").map(PathBuf::from);
        // Fact 4.1: older versions know no listeners configuration.
        if listeners.is_some() && minor < Minor(0, 147) {
            return Err(format!("{version} knows no MZ_LISTENERS_CONFIG_PATH"));
        }
        Ok(Settings {
            version: version.to_owned(),
            generation,
            store: format!("{server}?sslmode=disable&schema={schema}"),
            listeners,
        })
    }
}

/// Facts 4.1 and 5.7: shared by all instances.
fn environment_id(arguments: &[String], env: &BTreeMap<String, String>) -> Result<(), String> {
    let flag = arguments
        .iter()
        .find_map(|it| it.strip_prefix("--environment-id="));
    let id = flag.or(env.get("MZ_ENVIRONMENT_ID").map(String::as_str));
    let id = id.ok_or("no --environment-id")?;
    // Provider, region, organisation (a UUID) and a number.
    let ordinal = id.rsplit_once('-').map(|(_, ordinal)| ordinal);
    match id.split('-').count() >= 8 && ordinal.is_some_and(|it| it.parse::<u64>().is_ok()) {
        true => Ok(()),
        false => Err(format!("invalid environment id {id}")),
    }
}

/// Fact 3: one variable of the form `k=v;k=v`. Unknown names only warn there, so names are not looked at.
fn parameters(env: &BTreeMap<String, String>) -> Result<(), String> {
    let Some(text) = env.get("MZ_SYSTEM_PARAMETER_DEFAULT") else {
        return Ok(());
    };
    match text
        .split(';')
        .find(|pair| !pair.is_empty() && !pair.contains('='))
    {
        Some(pair) => Err(format!("system parameter {pair:?} has no value")),
        None => Ok(()),
    }
}

/// Facts 4.1 and 9.2: a file, given from v0.140 on and needed from v0.161 on.
fn licence(version: Minor, env: &BTreeMap<String, String>) -> Result<(), String> {
    match env.get("MZ_LICENSE_KEY") {
        Some(_) if version < Minor(0, 140) => Err("unknown variable MZ_LICENSE_KEY".to_owned()),
        Some(file) => match std::fs::read_to_string(Path::new(file)) {
            Ok(key) if !key.trim().is_empty() => Ok(()),
            Ok(_) => Err("the license key is empty".to_owned()),
            Err(error) => Err(format!("the license key {file} cannot be read: {error}")),
        },
        // Observation 8: a development build from binaries wanted none.
        None if version >= Minor(0, 161) && !env.contains_key("MZ_ORCHESTRATOR") => {
            Err("no license key".to_owned())
        }
        None => Ok(()),
    }
}

/// Fact 4.1: `options=--search_path=SCHEMA`.
fn search_path(url: &str) -> Option<&str> {
    let (_, query) = url.split_once('?')?;
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix("options=--search_path="))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(more: &[(&str, &str)]) -> BTreeMap<String, String> {
        [
            (
                "MZ_TIMESTAMP_ORACLE_URL",
                "postgres://root@m:26257/root?options=--search_path=tsoracle",
            ),
            ("MZ_ORCHESTRATOR", "process"),
        ]
        .iter()
        .chain(more)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
    }

    fn read(version: &str, more: &[&str], variables: &[(&str, &str)]) -> Result<Settings, String> {
        let arguments = [
            "--unsafe-mode",
            "--deploy-generation=3",
            "--environment-id=mzcompose-us-east-1-00000000-0000-0000-0000-000000000000-0",
            "--persist-consensus-url=postgres://root@m:26257/root?options=--search_path=consensus",
        ];
        let arguments = arguments.iter().chain(more).map(|it| (*it).to_owned());
        Settings::of(version, &arguments.collect::<Vec<_>>(), &env(variables))
    }

    #[test]
    fn what_is_known_is_taken() {
        let settings = read("v26.0.0", &[], &[("MZ_NO_TELEMETRY", "1")]).unwrap();
        assert_eq!(settings.generation, 3);
        assert_eq!(
            settings.store,
            "postgres://root@m:26257/root?sslmode=disable&schema=consensus"
        );
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let refused = |version, more: &[&str], variables: &[(&str, &str)]| {
            read(version, more, variables).unwrap_err()
        };
        assert_eq!(
            refused("v26.0.0", &["--bogus"], &[]),
            "unexpected argument '--bogus' found"
        );
        assert_eq!(
            refused("v26.0.0", &[], &[("MZ_BOGUS", "1")]),
            "unknown variable MZ_BOGUS"
        );
        assert_eq!(
            refused("v0.130.0", &[], &[("MZ_LISTENERS_CONFIG_PATH", "/l")]),
            "v0.130.0 knows no MZ_LISTENERS_CONFIG_PATH"
        );
        assert_eq!(
            refused("v26.0.0", &[], &[("MZ_SYSTEM_PARAMETER_DEFAULT", "a=b;c")]),
            "system parameter \"c\" has no value"
        );
        assert_eq!(
            refused(
                "v26.0.0",
                &["--unsafe-force-builtin-schema-migration=x"],
                &[]
            ),
            "unexpected argument '--unsafe-force-builtin-schema-migration=x' found"
        );
    }
}
