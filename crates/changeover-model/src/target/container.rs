//! `[container]`: how an instance is started on an engine of containers.

use super::template::{fill, has};
use crate::service::ServiceArgs;
use crate::version::{PathVersion, Version};
use std::collections::BTreeMap;

/// What a container is started with. Values have placeholders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recipe {
    /// Arguments behind the image's entrypoint.
    pub command: Vec<String>,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// Files that are put into it, by path.
    pub files: BTreeMap<String, String>,
}

impl Recipe {
    fn extend(&mut self, more: &Recipe) {
        self.command.extend(more.command.iter().cloned());
        let clone = |(key, value): (&String, &String)| (key.clone(), value.clone());
        self.env.extend(more.env.iter().map(clone));
        self.files.extend(more.files.iter().map(clone));
    }

    /// Every text in it that may have placeholders.
    pub fn texts(&self) -> impl Iterator<Item = &String> {
        let env = self.env.values();
        self.command.iter().chain(env).chain(self.files.values())
    }
}

/// More of it, for some versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// For this version and later ones, by SemVer precedence.
    pub from: Option<Version>,
    /// For earlier versions than this.
    pub below: Option<Version>,
    /// What is added, and wins.
    pub recipe: Recipe,
}

impl Variant {
    /// Whether it is for this version. The current one is newer than every other.
    pub fn is_for(&self, version: &PathVersion) -> bool {
        match version.known() {
            Some(version) => {
                self.from.as_ref().is_none_or(|from| version >= from)
                    && self.below.as_ref().is_none_or(|below| version < below)
            }
            None => self.below.is_none(),
        }
    }
}

/// How an instance is started in a container.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerTemplate {
    /// The image of services that name none; `{program}` makes one of the changeover binary.
    pub image: Option<String>,
    /// For every version.
    pub recipe: Recipe,
    /// For some.
    pub variants: Vec<Variant>,
    /// Variables of our own environment that it gets, those that are set; they win.
    pub pass_env: Vec<String>,
    /// The port in it that answers SQL.
    pub sql_port: u16,
    /// The port in it that answers the leader API.
    pub http_port: u16,
    /// More ports that are published.
    pub ports: Vec<u16>,
    /// Volumes that all containers of a run share, and where they have them.
    pub volumes: BTreeMap<String, String>,
    /// Directories in memory.
    pub tmpfs: Vec<String>,
    /// Security options, as the engine knows them.
    pub security_opt: Vec<String>,
    /// Budgets instead of the target's.
    pub budgets: BTreeMap<String, f64>,
    /// The loop in the image that starts its process again, if it has one.
    pub restart_loop: Option<LoopTemplate>,
    /// The licence key that it wants, if it wants one.
    pub licence: Option<Licence>,
    /// Exit codes that ask for a restart in place.
    pub restart_exit_codes: Vec<i32>,
    /// Exit codes that say "I was fenced".
    pub fenced_exit_codes: Vec<i32>,
}

impl ContainerTemplate {
    /// What this version is started with.
    pub fn at(&self, version: &PathVersion) -> Recipe {
        let mut recipe = self.recipe.clone();
        for variant in self.variants.iter().filter(|it| it.is_for(version)) {
            recipe.extend(&variant.recipe);
        }
        recipe
    }
}

/// Where containers of a run have what they share, when a target asks for it.
pub const SHARED_DIR: &str = "/changeover/shared";

/// The volume behind it.
pub const SHARED_VOLUME: &str = "shared";

/// Where a container has what belongs to its instance alone.
pub const DATA_DIR: &str = "/changeover/data";

/// What an instance in a container is told of its surroundings.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The metadata store's address, as instances take it.
    pub metadata_store: &'a str,
    /// That of a PostgreSQL server, without anything that is asked of it.
    pub metadata_server: &'a str,
    /// Where they keep their data beside it.
    pub blob_store: &'a str,
}

impl ContainerTemplate {
    /// What this service is started with, with nothing left to be filled in, and the volumes that it has.
    pub fn filled(
        &self,
        service: &ServiceArgs,
        version: &PathVersion,
        around: Surroundings<'_>,
    ) -> (Recipe, BTreeMap<String, String>) {
        let recipe = self.at(version);
        let (sql, http) = (
            format!("0.0.0.0:{}", self.sql_port),
            format!("0.0.0.0:{}", self.http_port),
        );
        let version = version.to_string();
        let generation = service.deploy_generation.to_string();
        let parameters = service.system_parameters();
        let values = [
            ("version", version.as_str()),
            ("generation", &generation),
            ("slot", &service.name),
            ("metadata_store", around.metadata_store),
            ("metadata_server", around.metadata_server),
            ("blob_store", around.blob_store),
            ("system_parameters", &parameters),
            ("sql_addr", &sql),
            ("http_addr", &http),
            ("data_dir", DATA_DIR),
            ("shared_dir", SHARED_DIR),
        ];
        let mut volumes = self.volumes.clone();
        let shares = around.metadata_store.contains(SHARED_DIR)
            || recipe.texts().any(|text| has(text, "shared_dir"));
        if shares {
            volumes.insert(SHARED_VOLUME.to_owned(), SHARED_DIR.to_owned());
        }
        let filled = |map: BTreeMap<String, String>| {
            let pairs = map.into_iter();
            pairs
                .map(|(key, value)| (key, fill(&value, &values)))
                .collect()
        };
        let recipe = Recipe {
            command: recipe.command.iter().map(|it| fill(it, &values)).collect(),
            env: filled(recipe.env),
            files: filled(recipe.files),
        };
        (recipe, volumes)
    }
}

/// What a loop in an image says when its process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoopTemplate {
    /// The end of the line that says it will be started again, with `{code}`.
    pub restarts: String,
    /// The end of the line that says it ended with 0 and will not.
    pub sleeps: String,
    /// How long it waits before it starts it again, in milliseconds.
    pub pause_ms: u64,
}

/// The licence key of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Licence {
    /// From this version on it is given, if there is one.
    pub given_from: Version,
    /// From this version on there must be one.
    pub needed_from: Version,
    /// The variable that names its file to the instance, and that it is taken from.
    pub variable: String,
    /// Where the container has it.
    pub path: String,
}

impl Licence {
    /// Whether this version is given one.
    pub fn is_given(&self, version: &PathVersion) -> bool {
        version.known().is_none_or(|it| *it >= self.given_from)
    }

    /// Whether this version is not started without one.
    pub fn is_needed(&self, version: &PathVersion) -> bool {
        version.known().is_none_or(|it| *it >= self.needed_from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> PathVersion {
        text.parse().unwrap()
    }

    #[test]
    fn a_variant_is_for_its_range_and_the_current_version_is_newer_than_all() {
        let variant = |from: Option<&str>, below: Option<&str>| Variant {
            from: from.map(|it| it.parse().unwrap()),
            below: below.map(|it| it.parse().unwrap()),
            recipe: Recipe::default(),
        };
        let old = variant(None, Some("v0.147.0-dev"));
        let new = variant(Some("v0.147.0-dev"), None);
        for (text, is_old) in [
            ("v0.146.3", true),
            ("v0.147.0-dev", false),
            ("v26.0.0", false),
            ("current", false),
        ] {
            assert_eq!(old.is_for(&version(text)), is_old, "{text}");
            assert_eq!(new.is_for(&version(text)), !is_old, "{text}");
        }
    }
}
