//! What the tests need beyond a Rust toolchain and a C compiler, in one place.

use crate::engine;
use crate::run::{cargo, run, succeeds};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Tells tests that everything below is there: what is missing nevertheless is a failure, not a reason to skip.
pub(crate) const PROVISIONED: &str = "CHANGEOVER_PROVISIONED";

/// Something that tests need.
#[derive(Debug)]
pub(crate) struct Prerequisite {
    /// Debian's package, or what cargo installs.
    package: &'static str,
    /// What is skipped without it.
    pub(crate) needed_for: &'static str,
    /// A command that succeeds if it is there.
    probe: &'static [&'static str],
}

/// Everything that tests need.
pub(crate) const PREREQUISITES: [Prerequisite; 9] = [
    Prerequisite {
        package: "postgresql-client",
        needed_for: "talking to the reference database with psql",
        probe: &["psql", "--version"],
    },
    Prerequisite {
        package: POSTGRESQL,
        needed_for: "the metadata store in PostgreSQL, and rehearsing a pair of PostgreSQL servers",
        // Debian keeps the server's programs off the path.
        probe: &[
            "sh",
            "-c",
            "for bin in /usr/lib/postgresql/*/bin; do PATH=$PATH:$bin; done; command -v initdb && command -v pg_ctl && command -v pg_basebackup",
        ],
    },
    Prerequisite {
        package: "python3-psycopg",
        needed_for: "talking to the reference database with psycopg",
        // Debian's own interpreter: another one on the path does not see Debian's modules.
        probe: &["/usr/bin/python3", "-c", "import psycopg"],
    },
    Prerequisite {
        package: DOCKER,
        needed_for: "rehearsing on a Docker engine",
        probe: &engine::PROBE,
    },
    Prerequisite {
        package: "docker-compose",
        needed_for: "checking the compose files of plans",
        probe: &["docker-compose", "version"],
    },
    Prerequisite {
        package: "libxml2-utils",
        needed_for: "validating JUnit's XML against its schema",
        probe: &["xmllint", "--version"],
    },
    Prerequisite {
        package: "chromium",
        needed_for: "looking at report.html in a browser",
        probe: &["chromium", "--version"],
    },
    Prerequisite {
        package: "chromium-driver",
        needed_for: "telling the browser what to do",
        probe: &["chromedriver", "--version"],
    },
    Prerequisite {
        package: MDBOOK,
        needed_for: "making the book of docs",
        probe: &["mdbook", "--version"],
    },
];

/// Not Debian's: cargo installs it, in two minutes on two processors. What serves and searches is left out.
const MDBOOK: &str = "mdbook";

/// Debian's newest server. Tests start servers of their own from its programs.
const POSTGRESQL: &str = "postgresql";

/// Debian's engine. It is started where the system does not.
const DOCKER: &str = "docker.io";

/// Where Debian's packages of PostgreSQL look before they make and start a server for the machine.
const NO_CLUSTER: &str = "/etc/postgresql-common/createcluster.d/changeover-tests.conf";

impl Prerequisite {
    fn is_there(&self) -> bool {
        succeeds(Command::new(self.probe[0]).args(&self.probe[1..]))
    }

    /// One line about its absence.
    pub(crate) fn skipped(&self) -> String {
        format!(
            "skipped: {} ({} is missing; cargo xtask test --provision installs it)",
            self.needed_for, self.package
        )
    }
}

/// What is not there.
pub(crate) fn missing() -> Vec<&'static Prerequisite> {
    PREREQUISITES.iter().filter(|p| !p.is_there()).collect()
}

/// Installs what is missing. Does nothing, and asks no server, when nothing is.
///
/// # Errors
///
/// When this is not Debian, not root, or something cannot be installed.
pub(crate) fn install() -> Result<()> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    let (cargos, packages): (Vec<&str>, Vec<&str>) = missing
        .iter()
        .map(|p| p.package)
        .partition(|package| *package == MDBOOK);
    if !cargos.is_empty() {
        run(&mut cargo([
            "install",
            MDBOOK,
            "--locked",
            "--no-default-features",
        ]))?;
    }
    if packages.is_empty() {
        return still_missing();
    }
    let list = packages.join(", ");
    if !Path::new("/etc/debian_version").exists() {
        bail!("--provision knows Debian only: install {list} yourself, and run without it");
    }
    let id = Command::new("id")
        .arg("-u")
        .output()
        .context("cannot start id")?;
    if id.stdout.trim_ascii() != b"0" {
        bail!(
            "--provision installs {list} and so wants to be root: run it as root, or install them yourself"
        );
    }
    let apt = |arguments: &[&str]| {
        run(Command::new("apt-get")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive"))
    };
    if packages.contains(&POSTGRESQL) {
        let place = Path::new(NO_CLUSTER);
        fs::create_dir_all(place.parent().unwrap_or(place))
            .and_then(|()| fs::write(place, "create_main_cluster = false\n"))
            .with_context(|| format!("cannot write {NO_CLUSTER}"))?;
    }
    apt(&["update", "--quiet"])?;
    let mut install = vec!["install", "--yes", "--quiet", "--no-install-recommends"];
    install.extend(&packages);
    apt(&install)?;
    if packages.contains(&DOCKER) {
        engine::start()?;
    }
    still_missing()
}

fn still_missing() -> Result<()> {
    match missing().first() {
        Some(still) => bail!("{} was installed and still does not work", still.package),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absence_is_one_line() {
        for prerequisite in &PREREQUISITES {
            let line = prerequisite.skipped();
            assert!(
                line.starts_with("skipped: ") && !line.contains('\n'),
                "{line}"
            );
        }
    }

    #[test]
    fn what_is_not_there_is_noticed() {
        let nothing = Prerequisite {
            package: "nothing",
            needed_for: "nothing",
            probe: &["/no/such/program"],
        };
        assert!(!nothing.is_there());
    }
}
