//! The address of a store in PostgreSQL: `postgres://user[:password]@host[:port]/db?option=value&…`.
//!
//! The client crate parses what libpq knows; `schema` and the certificates are ours. Nothing here ever shows the
//! password, nor an address that could not be parsed: a forgotten percent sign would put the password anywhere in it.

use std::fmt::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

/// Used when the address names no schema.
const SCHEMA: &str = "changeover";

/// The longest name that PostgreSQL keeps whole, in bytes.
const LONGEST_NAME: usize = 63;

const PORT: u16 = 5432;

/// Where a metadata store in PostgreSQL is: server, database and schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresAddress {
    config: Config,
    schema: String,
    trust: Trust,
}

/// Which certificates of the server are good enough, once the connection is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trust {
    /// Any, as libpq has it for `prefer` and `require`.
    Any,
    /// Those that a root in this file vouches for, whatever the name in them: `verify-ca`.
    Root(PathBuf),
    /// The same, and the name must be the host's: `verify-full`.
    RootAndName(PathBuf),
}

impl PostgresAddress {
    /// The schema that holds the store's tables.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// The same place with another schema.
    ///
    /// # Errors
    ///
    /// When the name cannot be a schema's.
    pub fn with_schema(self, name: &str) -> Result<Self, String> {
        Ok(Self {
            schema: checked_schema(name)?,
            ..self
        })
    }

    /// The password that the address gives. It is not shown with the address; hand it on as `PGPASSWORD`.
    pub fn password(&self) -> Option<String> {
        let password = self.config.get_password()?;
        Some(String::from_utf8_lossy(password).into_owned())
    }

    /// The address without schema and password.
    pub fn server(&self) -> String {
        let shown = self.to_string();
        let schema = format!("&schema={}", self.schema);
        shown.strip_suffix(&schema).unwrap_or(&shown).to_owned()
    }

    /// Whether the address itself names a schema.
    pub fn names_schema(text: &str) -> bool {
        let options = text.split_once('?').map_or("", |(_, options)| options);
        options
            .split('&')
            .any(|option| option.starts_with("schema="))
    }

    pub(super) fn trust(&self) -> &Trust {
        &self.trust
    }

    /// What the client connects with: always a session that takes writes, which of several addresses of a name may be
    /// one only. A password that the address does not give is taken from `PGPASSWORD`.
    pub(super) fn config(&self) -> Config {
        let mut config = self.config.clone();
        if config.get_password().is_none()
            && let Some(password) = std::env::var_os("PGPASSWORD")
        {
            config.password(password.as_encoded_bytes());
        }
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        if config.get_application_name().is_none() {
            config.application_name("changeover-reference");
        }
        config
    }

    /// Takes what is ours out of the options; the rest is the client's.
    fn with_options(base: &str, options: &str) -> Result<Self, String> {
        let (mut schema, mut mode, mut root) = (SCHEMA.to_owned(), None, None);
        let mut others = Vec::new();
        for option in options.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("schema", name)) => schema = checked_schema(&decoded(name)?)?,
                Some(("sslmode", value)) => mode = Some(decoded(value)?),
                Some(("sslrootcert", file)) => root = Some(PathBuf::from(decoded(file)?)),
                _ => others.push(option),
            }
        }
        let mut config: Config = format!("{base}?{}", others.join("&"))
            .parse()
            .map_err(|error: tokio_postgres::Error| unusable(&error))?;
        let (ssl_mode, trust) = encryption(mode.as_deref(), root)?;
        config.ssl_mode(ssl_mode);
        if config.get_hosts().is_empty() {
            config.host("localhost");
        }
        // Two servers are two stores, of which each could have a leader.
        let [Host::Unix(_) | Host::Tcp(_)] = config.get_hosts() else {
            return Err("the address names several hosts; a metadata store is on one".to_owned());
        };
        Ok(Self {
            config,
            schema,
            trust,
        })
    }
}

fn encryption(mode: Option<&str>, root: Option<PathBuf>) -> Result<(SslMode, Trust), String> {
    match (mode.unwrap_or("prefer"), root) {
        ("disable", _) => Ok((SslMode::Disable, Trust::Any)),
        ("prefer", _) => Ok((SslMode::Prefer, Trust::Any)),
        ("require", None) => Ok((SslMode::Require, Trust::Any)),
        // As libpq has it: who gives a root wants it to be used.
        ("require" | "verify-ca", Some(root)) => Ok((SslMode::Require, Trust::Root(root))),
        ("verify-full", Some(root)) => Ok((SslMode::Require, Trust::RootAndName(root))),
        (mode @ ("verify-ca" | "verify-full"), None) => {
            Err(format!("sslmode={mode} needs `sslrootcert=FILE` beside it"))
        }
        _ => {
            Err("sslmode is one of disable, prefer, require, verify-ca and verify-full".to_owned())
        }
    }
}

fn checked_schema(name: &str) -> Result<String, String> {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let goes_on = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !starts || !name.chars().all(goes_on) || name.len() > LONGEST_NAME {
        return Err(format!(
            "`{name}` cannot be a schema; give up to {LONGEST_NAME} letters, digits and underscores, no digit first"
        ));
    }
    if name.starts_with("pg_") || name == "information_schema" {
        return Err(format!(
            "the schema `{name}` belongs to PostgreSQL itself; give another"
        ));
    }
    Ok(name.to_owned())
}

/// What the client says about an address, as it names options and never their values.
fn unusable(error: &tokio_postgres::Error) -> String {
    let cause = std::error::Error::source(error).map_or_else(String::new, |e| format!(" ({e})"));
    format!(
        "the address after `postgres://` cannot be used{cause}; give `postgres://user@host:port/database`, with \
         special characters of its parts percent-encoded"
    )
}

fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || rest.next().and_then(|byte| (byte as char).to_digit(16));
                match (digit(), digit()) {
                    (Some(high), Some(low)) => (high * 16 + low) as u8,
                    _ => return Err("a percent sign lacks its two digits".to_owned()),
                }
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| "an option is not UTF-8".to_owned())
}

fn encoded(text: &[u8]) -> String {
    text.iter().fold(String::new(), |mut out, &byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(byte as char);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

impl FromStr for PostgresAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Credentials end at the first `@`, as the client sees it: a question mark before it is a password's.
        let place = text.find('@').map_or(0, |at| at + 1);
        if text[place..].contains('@') {
            return Err(
                "the address has a second `@`; percent-encode that of a name or password as `%40`"
                    .to_owned(),
            );
        }
        match text[place..].find('?') {
            Some(at) => Self::with_options(&text[..place + at], &text[place + at + 1..]),
            None => Self::with_options(text, ""),
        }
    }
}

impl fmt::Display for PostgresAddress {
    /// The address without its password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        if let Some(user) = self.config.get_user() {
            write!(f, "{}@", encoded(user.as_bytes()))?;
        }
        let port = self.config.get_ports().first().copied().unwrap_or(PORT);
        let mut socket: Option<&Path> = None;
        match self.config.get_hosts().first() {
            Some(Host::Tcp(host)) if host.contains(':') => write!(f, "[{host}]:{port}")?,
            Some(Host::Tcp(host)) => write!(f, "{}:{port}", encoded(host.as_bytes()))?,
            Some(Host::Unix(path)) => socket = Some(path),
            None => {}
        }
        write!(
            f,
            "/{}?",
            encoded(self.config.get_dbname().unwrap_or("").as_bytes())
        )?;
        if let Some(path) = socket {
            let path = encoded(path.as_os_str().as_encoded_bytes());
            write!(f, "host={path}&port={port}&")?;
        }
        let mode = match (self.config.get_ssl_mode(), &self.trust) {
            (_, Trust::Root(_)) => "verify-ca",
            (_, Trust::RootAndName(_)) => "verify-full",
            (SslMode::Disable, Trust::Any) => "disable",
            (SslMode::Require, Trust::Any) => "require",
            (_, Trust::Any) => "prefer",
        };
        write!(f, "sslmode={mode}")?;
        if let Trust::Root(root) | Trust::RootAndName(root) = &self.trust {
            let root = encoded(root.as_os_str().as_encoded_bytes());
            write!(f, "&sslrootcert={root}")?;
        }
        write!(f, "&schema={}", self.schema)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(text: &str) -> Result<PostgresAddress, String> {
        text.parse()
    }

    #[test]
    fn what_is_shown_can_be_given_again() {
        for (given, shown) in [
            (
                "postgres://me@db.example:5433/store",
                "postgres://me@db.example:5433/store?sslmode=prefer&schema=changeover",
            ),
            (
                "postgresql://me@[::1]/store?schema=run_7&sslmode=disable",
                "postgres://me@[::1]:5432/store?sslmode=disable&schema=run_7",
            ),
            (
                "postgres://a%40b@%2Frun%2Fpg/x%20y",
                "postgres://a%40b@/x%20y?host=/run/pg&port=5432&sslmode=prefer&schema=changeover",
            ),
            (
                "postgres:///store?host=/run/pg&port=5433",
                "postgres:///store?host=/run/pg&port=5433&sslmode=prefer&schema=changeover",
            ),
            (
                "postgres:///store",
                "postgres://localhost:5432/store?sslmode=prefer&schema=changeover",
            ),
            (
                "postgres://h/d?sslmode=require&sslrootcert=/etc/ca%20b.pem",
                "postgres://h:5432/d?sslmode=verify-ca&sslrootcert=/etc/ca%20b.pem&schema=changeover",
            ),
            (
                "postgres://h/d?sslmode=verify-full&sslrootcert=ca.pem",
                "postgres://h:5432/d?sslmode=verify-full&sslrootcert=ca.pem&schema=changeover",
            ),
        ] {
            let parsed = address(given).unwrap();
            assert_eq!(parsed.to_string(), shown, "{given}");
            assert_eq!(address(shown).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn mistakes_are_told_in_a_sentence() {
        for (given, wanted) in [
            ("postgres://h/d?sslmode=sometimes", "sslmode is one of"),
            (
                "postgres://h/d?sslmode=verify-full",
                "needs `sslrootcert=FILE`",
            ),
            ("postgres://h/d?schema=7up", "cannot be a schema"),
            ("postgres://h/d?schema=a%22b", "cannot be a schema"),
            (
                "postgres://h/d?schema=pg_catalog",
                "belongs to PostgreSQL itself",
            ),
            ("postgres://h/d?schema=%4", "percent sign"),
            ("postgres://h1,h2/d", "several hosts"),
            ("postgres://h/d?colour=red", "unknown option `colour`"),
            ("postgres://h:none/d", "invalid value for option `port`"),
        ] {
            let error = address(given).unwrap_err();
            assert!(error.contains(wanted), "{given}: {error}");
        }
    }

    proptest! {
        /// Also where somebody forgot to encode it, and parts of it land in host, database or options.
        #[test]
        fn a_password_is_never_shown(password in "[@:/?#&=%a-z]{0,3}SECRET[@:/?#&=%a-z]{0,3}") {
            let text = format!("postgres://me:{password}@h/d?schema=s");
            match address(&text) {
                Ok(address) => {
                    prop_assert!(!address.to_string().contains("SECRET"), "{}", address);
                    let debug = format!("{address:?}");
                    prop_assert!(!debug.contains("SECRET"), "{}", debug);
                }
                Err(error) => prop_assert!(!error.contains("SECRET"), "{}", error),
            }
        }
    }
}
