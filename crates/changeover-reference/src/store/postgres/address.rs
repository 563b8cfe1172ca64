//! The address of a store in PostgreSQL: `postgres://user[:password]@host[:port]/db?option=value&…`.
//!
//! The client crate parses what libpq knows; `schema` and the certificates are ours. What is shown can be given to another
//! process, which then connects in the same way. Nothing here ever shows the password, nor an address that could not be
//! parsed: a forgotten percent sign would put the password anywhere in it.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use super::percent::{decoded, encoded};

/// Used when the address names no schema.
const SCHEMA: &str = "changeover";

/// The longest name that PostgreSQL keeps whole, in bytes.
const LONGEST_NAME: usize = 63;

const PORT: u16 = 5432;

/// The options that are shown as they were given. The other ones that the client knows have a place of their own in what
/// is shown, but for the password; one that it will know some day may be a secret too.
const SHOWN: [&str; 13] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "hostaddr",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "options",
    "sslnegotiation",
    "target_session_attrs",
    "tcp_user_timeout",
];

/// Where a metadata store in PostgreSQL is: server, database and schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresAddress {
    config: Config,
    schema: String,
    schema_given: bool,
    trust: Trust,
    /// Those of [`SHOWN`] that were given.
    options: Vec<(String, String)>,
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

    /// Whether a schema was named, or the store goes where it goes by default.
    pub fn schema_given(&self) -> bool {
        self.schema_given
    }

    /// The same place for processes with any current directory: a file of root certificates that is named relatively is
    /// in `directory`. The directory of a socket cannot be named so.
    #[must_use]
    pub fn absolute(mut self, directory: &Path) -> Self {
        if let Trust::Root(root) | Trust::RootAndName(root) = &mut self.trust {
            *root = directory.join(&root);
        }
        self
    }

    /// The same place with another schema.
    ///
    /// # Errors
    ///
    /// When the name cannot be a schema's.
    pub fn with_schema(self, name: &str) -> Result<Self, String> {
        Ok(Self {
            schema: checked_schema(name)?,
            schema_given: true,
            ..self
        })
    }

    /// The same server and role, and another database.
    #[must_use]
    pub fn with_database(mut self, name: &str) -> Self {
        self.config.dbname(name);
        self
    }

    /// The address for those who take nothing else: a URL with the password, `PGPASSWORD` if the address gives none, and
    /// without options. Show it to nobody.
    pub fn url(&self) -> String {
        let config = self.config();
        let mut url = "postgres://".to_owned();
        if let Some(user) = config.get_user() {
            url += &part(user.as_bytes());
            if let Some(password) = config.get_password() {
                url += &format!(":{}", part(password));
            }
            url.push('@');
        }
        url += &match config.get_hosts().first() {
            Some(Host::Tcp(host)) if host.contains(':') => format!("[{host}]"),
            Some(Host::Tcp(host)) => part(host.as_bytes()),
            Some(Host::Unix(path)) => part(path.as_os_str().as_encoded_bytes()),
            None => String::new(),
        };
        let port = config.get_ports().first().copied().unwrap_or(PORT);
        let database = config.get_dbname().unwrap_or("");
        url + &format!(":{port}/{}", part(database.as_bytes()))
    }

    /// What the address says that [`url`](Self::url) does not, if it matters: the option's name.
    pub fn beyond_url(&self) -> Option<&str> {
        // Without a word about it, clients encrypt where the server does.
        let encrypts = self.config.get_ssl_mode() == SslMode::Require;
        let first = self.options.first().map(|(name, _)| name.as_str());
        first.or(encrypts.then_some("sslmode"))
    }

    /// Whether only this machine gets there: by its loopback address, or by a socket.
    pub fn is_local(&self) -> bool {
        let is_loopback = |host: &Host| match host {
            Host::Unix(_) => true,
            Host::Tcp(name) => match name.parse::<IpAddr>() {
                Ok(addr) => addr.is_loopback() || addr.is_unspecified(),
                Err(_) => {
                    let name = name.to_ascii_lowercase();
                    name == "localhost" || name.ends_with(".localhost")
                }
            },
        };
        match self.config.get_hostaddrs() {
            [] => self.config.get_hosts().iter().any(is_loopback),
            addrs => addrs
                .iter()
                .any(|addr| addr.is_loopback() || addr.is_unspecified()),
        }
    }

    /// The password that the address gives. It is not shown with the address; hand it on as `PGPASSWORD`.
    pub fn password(&self) -> Option<String> {
        let password = self.config.get_password()?;
        Some(String::from_utf8_lossy(password).into_owned())
    }

    /// The address without schema and password.
    pub fn server(&self) -> String {
        Server(self).to_string()
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
        let (mut schema, mut mode, mut root) = (None, None, None);
        let (mut others, mut shown) = (Vec::new(), Vec::new());
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (decoded(name)?, value),
                None => (String::new(), ""),
            };
            match name.as_str() {
                "schema" => schema = Some(checked_schema(&decoded(value)?)?),
                "sslmode" => mode = Some(decoded(value)?),
                "sslrootcert" => root = Some(PathBuf::from(decoded(value)?)),
                _ => {
                    others.push(option);
                    if SHOWN.contains(&name.as_str()) {
                        shown.push((name, decoded(value)?));
                    }
                }
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
        if config.get_ports().is_empty() {
            config.port(PORT);
        }
        // Two servers are two stores, of which each could have a leader.
        if config.get_hosts().len() > 1 || config.get_hostaddrs().len() > 1 {
            return Err("the address names several hosts; a metadata store is on one".to_owned());
        }
        Ok(Self {
            config,
            schema_given: schema.is_some(),
            schema: schema.unwrap_or_else(|| SCHEMA.to_owned()),
            trust,
            options: shown,
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

/// Whether what stands before the first `@` is no user and password, but a place and options whose `@` is not encoded.
/// The client would take the beginning of a password for them, and its end for the host, which is shown.
fn are_no_credentials(text: &str) -> bool {
    let Some((credentials, _)) = text
        .split_once("://")
        .and_then(|(_, rest)| rest.split_once('@'))
    else {
        return false;
    };
    let user = credentials.split(':').next().unwrap_or_default();
    let is_password = |option: &str| {
        let name = option.split('=').next().unwrap_or_default();
        !decoded(name).is_ok_and(|name| !name.contains("pass"))
    };
    let mut options = credentials.split(['?', '&']).skip(1);
    credentials.contains('/') || user.contains('?') || options.any(is_password)
}

/// A part of a URL.
fn part(text: &[u8]) -> String {
    // In a part a slash would end it.
    encoded(text).replace('/', "%2F")
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

impl FromStr for PostgresAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Credentials end at the first `@`, as the client sees it: a question mark before it is a password's.
        let place = text.find('@').map_or(0, |at| at + 1);
        if are_no_credentials(text) {
            return Err(
                "the first `@` of the address does not end a name and password; percent-encode one that is part of \
                 something as `%40`, and a slash as `%2F`"
                    .to_owned(),
            );
        }
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
        write!(f, "{}&schema={}", Server(self), self.schema)
    }
}

/// What an address says without its schema.
struct Server<'a>(&'a PostgresAddress);

impl fmt::Display for Server<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PostgresAddress {
            config,
            trust,
            options,
            ..
        } = self.0;
        f.write_str("postgres://")?;
        if let Some(user) = config.get_user() {
            write!(f, "{}@", encoded(user.as_bytes()))?;
        }
        let port = config.get_ports().first().copied().unwrap_or(PORT);
        let mut socket: Option<&Path> = None;
        match config.get_hosts().first() {
            Some(Host::Tcp(host)) if host.contains(':') => write!(f, "[{host}]:{port}")?,
            Some(Host::Tcp(host)) => write!(f, "{}:{port}", encoded(host.as_bytes()))?,
            Some(Host::Unix(path)) => socket = Some(path),
            None => {}
        }
        write!(
            f,
            "/{}?",
            encoded(config.get_dbname().unwrap_or("").as_bytes())
        )?;
        if let Some(path) = socket {
            let path = encoded(path.as_os_str().as_encoded_bytes());
            write!(f, "host={path}&port={port}&")?;
        }
        let mode = match (config.get_ssl_mode(), trust) {
            (_, Trust::Root(_)) => "verify-ca",
            (_, Trust::RootAndName(_)) => "verify-full",
            (SslMode::Disable, Trust::Any) => "disable",
            (SslMode::Require, Trust::Any) => "require",
            (_, Trust::Any) => "prefer",
        };
        write!(f, "sslmode={mode}")?;
        if let Trust::Root(root) | Trust::RootAndName(root) = trust {
            let root = encoded(root.as_os_str().as_encoded_bytes());
            write!(f, "&sslrootcert={root}")?;
        }
        for (name, value) in options {
            write!(f, "&{name}={}", encoded(value.as_bytes()))?;
        }
        Ok(())
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
            (
                "postgres://me:pw@h/d?options=-c%20x%3Dy&password=SECRET&schema=s&hostaddr=10.0.0.7&%75ser=you&connect_timeout=3",
                "postgres://you@h:5432/d?sslmode=prefer&options=-c%20x%3Dy&hostaddr=10.0.0.7&connect_timeout=3&schema=s",
            ),
            (
                "postgres://h/d?channel_binding=require&keepalives=0&application_name=a%26b&target_session_attrs=any",
                "postgres://h:5432/d?sslmode=prefer&channel_binding=require&keepalives=0&application_name=a%26b&target_session_attrs=any&schema=changeover",
            ),
        ] {
            let parsed = address(given).unwrap();
            assert_eq!(parsed.to_string(), shown, "{given}");
            let again = address(shown).unwrap();
            assert_eq!(again.to_string(), shown);
            assert_eq!(again.password(), None);
            // But for the password, whoever is told the address connects in the same way.
            let [config, other] = [parsed, again].map(|mut one| {
                one.config.password("");
                one.config
            });
            assert_eq!(config, other, "{given}");
        }
    }

    #[test]
    fn whether_a_schema_was_given_is_known() {
        for (given, named) in [
            ("postgres://me@h/d", false),
            ("postgres://me@h/d?schema=s", true),
            ("postgres://me@h/d?connect_timeout=3&%73chema=s", true),
            // A question mark before the `@` belongs to the password.
            ("postgres://me:a?b@h/d?schema=s", true),
            ("postgres://me:a?schema=s@h/d", false),
            ("postgres://me@h/d?application_name=schema=s", false),
        ] {
            let address = address(given).unwrap();
            assert_eq!(address.schema_given(), named, "{given}");
            assert_eq!(address.schema(), if named { "s" } else { "changeover" });
            assert!(address.with_schema("x").unwrap().schema_given());
        }
    }

    #[test]
    fn certificates_are_found_from_anywhere() {
        for (file, wanted) in [
            ("ca.pem", "/home/me/ca.pem"),
            ("/etc/ca.pem", "/etc/ca.pem"),
        ] {
            let given = format!("postgres://h/d?sslmode=verify-ca&sslrootcert={file}&schema=s");
            let absolute = address(&given).unwrap().absolute(Path::new("/home/me"));
            let wanted =
                format!("postgres://h:5432/d?sslmode=verify-ca&sslrootcert={wanted}&schema=s");
            assert_eq!(absolute.to_string(), wanted);
        }
    }

    #[test]
    fn a_url_is_all_that_some_are_told() {
        for (given, database, url, beyond) in [
            (
                "postgres://me:p%40s%2F@db.example/store?sslmode=disable&schema=x",
                "run_1",
                "postgres://me:p%40s%2F@db.example:5432/run_1",
                None,
            ),
            (
                "postgres://me@[::1]:7/store?password=a%20b&sslmode=require",
                "run_1",
                "postgres://me:a%20b@[::1]:7/run_1",
                Some("sslmode"),
            ),
            (
                "postgres://me:p@/store?host=/run/pg&connect_timeout=3",
                "a/b",
                "postgres://me:p@%2Frun%2Fpg:5432/a%2Fb",
                Some("connect_timeout"),
            ),
        ] {
            let address = address(given).unwrap().with_database(database);
            assert_eq!(address.url(), url);
            assert_eq!(address.beyond_url(), beyond, "{given}");
            // Whoever is told it gets to the same place.
            let again: PostgresAddress = url.parse().unwrap();
            assert_eq!(again.config.get_hosts(), address.config.get_hosts());
            assert_eq!(again.config.get_ports(), address.config.get_ports());
            assert_eq!(again.config.get_dbname(), Some(database));
            assert_eq!(again.password(), address.password());
        }
    }

    #[test]
    fn what_only_this_machine_reaches_is_known() {
        for (given, local) in [
            ("postgres:///d", true),
            ("postgres://me@LocalHost/d", true),
            ("postgres://me@127.0.0.2:5/d", true),
            ("postgres://me@[::1]/d", true),
            ("postgres://me@0.0.0.0/d", true),
            ("postgres://me@/d?host=/run/pg", true),
            ("postgres://me@%2Frun%2Fpg/d", true),
            ("postgres://me@db.example/d?hostaddr=127.0.0.1", true),
            ("postgres://me@db.example/d", false),
            ("postgres://me@localhost.example/d", false),
            ("postgres://me:localhost@172.17.0.1:5432/d", false),
            ("postgres://me@localhost/d?hostaddr=172.17.0.1", false),
        ] {
            assert_eq!(address(given).unwrap().is_local(), local, "{given}");
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
            ("postgres://h/d?hostaddr=10.0.0.7,10.0.0.8", "several hosts"),
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
        fn a_password_is_never_shown(
            password in "[@:/?#&=%a-z]{0,3}(options=|host=)?SECRET[@:/?#&=%a-z]{0,3}",
            name in prop::sample::select(vec!["", "password", "%70assword", "pass%77ord"]),
            nobody in prop::sample::select(vec!["h?", "h:5432?", "h/d?", "h:5432/d?", "h:5432/d?connect_timeout=3&"]),
            shown in prop::sample::select(SHOWN.to_vec()),
        ) {
            let text = match name {
                "" => format!("postgres://me:{password}@h/d?{shown}=1&schema=s"),
                name => format!("postgres://me@h/d?{shown}=1&{name}={}&schema=s", encoded(password.as_bytes())),
            };
            // And where it is an option of an address that names nobody, an `@` of its own comes first.
            let raw = password.replace('&', "");
            let unnamed = format!("postgres://{nobody}password={raw}&schema=s");
            for text in [text, unnamed] {
                match address(&text) {
                    Ok(address) => {
                        for shown in [address.to_string(), address.server(), format!("{address:?}")] {
                            prop_assert!(!shown.contains("SECRET"), "{}", shown);
                        }
                    }
                    Err(error) => prop_assert!(!error.contains("SECRET"), "{}", error),
                }
            }
        }
    }
}
