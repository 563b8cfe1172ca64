//! A database by its URL: `postgres://user[:password]@host[:port][,host…]/db?option=value&…`.
//!
//! The client crate parses what libpq knows; certificates are ours. Nothing here ever shows a password, nor a URL that
//! could not be parsed: a forgotten percent sign would put the password anywhere in it.

use super::super::place::Place;
use super::door::Door;
use super::tls::{self, Files, Trust};
use changeover_model::Secret;
use std::fmt::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

const PORT: u16 = 5432;

/// What we call ourselves where nothing else is said.
const NAME: &str = "changeover-probe";

/// The options that are shown as they were given: no other one can hold a secret that we know of.
const SHOWN: [&str; 6] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "hostaddr",
    "options",
    "target_session_attrs",
];

/// What a URL that cannot be used lacks, in a clause. The URL itself is never quoted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct EndpointError(String);

/// Who asks for a database, for those whose URL does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asking<'a> {
    /// The host, or the directory of its socket.
    pub host: &'a str,
    /// The port.
    pub port: u16,
    /// The database.
    pub database: &'a str,
    /// The user.
    pub user: &'a str,
}

/// A database, on one or several hosts.
#[derive(Debug, Clone)]
pub struct Endpoint {
    doors: Vec<Door>,
    shown: String,
}

impl Endpoint {
    /// Reads a URL. `user` is who connects where it names nobody; `password` is asked for each host, where it has none;
    /// `patience` is how long an attempt at one host may take.
    ///
    /// # Errors
    ///
    /// When the URL or one of its files cannot be used.
    pub fn parse(
        url: &str,
        user: Option<&str>,
        password: impl Fn(&Asking<'_>) -> Option<Secret<Vec<u8>>>,
        patience: Duration,
    ) -> Result<Self, EndpointError> {
        let url = Url::parse(url, user).map_err(EndpointError)?;
        let doors = url.doors(password, patience).map_err(EndpointError)?;
        Ok(Endpoint {
            shown: url.to_string(),
            doors,
        })
    }

    /// The URL without its password; whoever is told connects in the same way.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    pub(super) fn doors(&self) -> &[Door] {
        &self.doors
    }
}

/// A URL, taken apart.
struct Url {
    config: Config,
    mode: String,
    trust: Trust,
    files: Files,
    /// Those of [`SHOWN`] that were given.
    options: Vec<(String, String)>,
}

impl Url {
    fn parse(text: &str, user: Option<&str>) -> Result<Self, String> {
        // Credentials end at the first `@`, as the client sees it: a question mark before it is a password's.
        let place = text.find('@').map_or(0, |at| at + 1);
        if are_no_credentials(text) {
            return Err(
                "its first `@` does not end a name and password; percent-encode one that is part of something as %40, and a slash as %2F"
                    .to_owned(),
            );
        }
        if text[place..].contains('@') {
            return Err(
                "it has a second `@`; percent-encode that of a name or password as %40".to_owned(),
            );
        }
        let (base, options) = match text[place..].find('?') {
            Some(at) => (&text[..place + at], &text[place + at + 1..]),
            None => (text, ""),
        };
        let (mut mode, mut files) = (None, Files::default());
        let (mut others, mut shown) = (Vec::new(), Vec::new());
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (decoded(name)?, value),
                None => (String::new(), ""),
            };
            match name.as_str() {
                "sslmode" => mode = Some(decoded(value)?),
                "sslrootcert" => files.roots = Some(PathBuf::from(decoded(value)?)),
                "sslcert" => files.certificate = Some(PathBuf::from(decoded(value)?)),
                "sslkey" => files.key = Some(PathBuf::from(decoded(value)?)),
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
        let (ssl_mode, trust) = encryption(mode.as_deref(), files.roots.as_deref())?;
        config.ssl_mode(ssl_mode);
        if config.get_hosts().is_empty() {
            config.host("localhost");
        }
        if config.get_user().is_none() {
            let Some(user) = user else {
                return Err("it names no user; write postgres://USER@HOST/DATABASE".to_owned());
            };
            config.user(user);
        }
        if config.get_dbname().is_none_or(str::is_empty) {
            let user = config.get_user().unwrap_or_default().to_owned();
            config.dbname(user);
        }
        if config.get_application_name().is_none() {
            config.application_name(NAME);
        }
        let (hosts, ports) = (config.get_hosts().len(), config.get_ports().len());
        if ports > 1 && ports != hosts {
            return Err(format!("it has {hosts} hosts and {ports} ports"));
        }
        if !config.get_hostaddrs().is_empty() && config.get_hostaddrs().len() != hosts {
            return Err("hostaddr must have an address for every host".to_owned());
        }
        Ok(Url {
            config,
            mode: mode.unwrap_or_else(|| "prefer".to_owned()),
            trust,
            files,
            options: shown,
        })
    }

    fn hosts(&self) -> impl Iterator<Item = (&Host, u16)> {
        let ports = self.config.get_ports();
        let port = move |n: usize| ports.get(n).or(ports.first()).copied().unwrap_or(PORT);
        let hosts = self.config.get_hosts().iter().enumerate();
        hosts.map(move |(n, host)| (host, port(n)))
    }

    fn doors(
        &self,
        password: impl Fn(&Asking<'_>) -> Option<Secret<Vec<u8>>>,
        patience: Duration,
    ) -> Result<Vec<Door>, String> {
        let mode = self.config.get_ssl_mode();
        let tls = match mode {
            SslMode::Disable => None,
            _ => Some(tls::connector(self.trust, &self.files)?),
        };
        let door = |(n, (host, port)): (usize, (&Host, u16))| {
            let mut config = self.config.clone();
            let (name, place) = match host {
                Host::Tcp(name) => {
                    let at = match self.config.get_hostaddrs().get(n) {
                        Some(addr) => addr.to_string(),
                        None => name.clone(),
                    };
                    (name.clone(), Place::Host(at, port))
                }
                Host::Unix(directory) => (
                    directory.to_string_lossy().into_owned(),
                    Place::Socket(directory.join(format!(".s.PGSQL.{port}"))),
                ),
            };
            if config.get_password().is_none() {
                let asking = Asking {
                    host: &name,
                    port,
                    database: config.get_dbname().unwrap_or_default(),
                    user: config.get_user().unwrap_or_default(),
                };
                if let Some(password) = password(&asking) {
                    config.password(password.reveal());
                }
            }
            let door = match (&tls, host) {
                // What stays on the machine is not encrypted, as libpq has it.
                (Some(tls), Host::Tcp(_)) => Door::encrypted(place, config, tls.clone(), name),
                _ => {
                    config.ssl_mode(SslMode::Disable);
                    Door::plain(place, config)
                }
            };
            let own = self.config.get_connect_timeout().copied();
            door.patient(Some(own.map_or(patience, |own| own.min(patience))))
        };
        Ok(self.hosts().enumerate().map(door).collect())
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

fn encryption(mode: Option<&str>, roots: Option<&Path>) -> Result<(SslMode, Trust), String> {
    match (mode.unwrap_or("prefer"), roots) {
        ("disable", _) => Ok((SslMode::Disable, Trust::Any)),
        ("prefer", _) => Ok((SslMode::Prefer, Trust::Any)),
        ("require", None) => Ok((SslMode::Require, Trust::Any)),
        // As libpq has it: who gives a root wants it to be used.
        ("require" | "verify-ca", Some(_)) => Ok((SslMode::Require, Trust::Authority)),
        ("verify-full", Some(_)) => Ok((SslMode::Require, Trust::AuthorityAndName)),
        (mode @ ("verify-ca" | "verify-full"), None) => Err(format!(
            "sslmode={mode} needs sslrootcert=FILE beside it, or sslrootcert=system"
        )),
        _ => {
            Err("sslmode is one of disable, prefer, require, verify-ca and verify-full".to_owned())
        }
    }
}

/// What the client says about a URL, as it names options and never their values.
fn unusable(error: &tokio_postgres::Error) -> String {
    let cause = std::error::Error::source(error).map_or_else(String::new, |e| format!(" ({e})"));
    format!(
        "it cannot be used{cause}; write postgres://USER@HOST:PORT/DATABASE, with special characters of its parts \
         percent-encoded"
    )
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        let user = self.config.get_user().unwrap_or_default();
        write!(f, "{}@", encoded(user.as_bytes()))?;
        for (n, (host, port)) in self.hosts().enumerate() {
            if n > 0 {
                f.write_char(',')?;
            }
            match host {
                Host::Tcp(host) if host.contains(':') => write!(f, "[{host}]:{port}")?,
                Host::Tcp(host) => write!(f, "{}:{port}", encoded(host.as_bytes()))?,
                Host::Unix(path) => {
                    let path = path.as_os_str().as_encoded_bytes();
                    write!(f, "{}:{port}", encoded(path).replace('/', "%2F"))?;
                }
            }
        }
        let database = self.config.get_dbname().unwrap_or_default();
        write!(f, "/{}", encoded(database.as_bytes()))?;
        let mut separator = '?';
        let mut option = |name: &str, value: &[u8]| {
            let before = std::mem::replace(&mut separator, '&');
            write!(f, "{before}{name}={}", encoded(value))
        };
        if self.mode != "prefer" {
            option("sslmode", self.mode.as_bytes())?;
        }
        for (name, file) in [
            ("sslrootcert", &self.files.roots),
            ("sslcert", &self.files.certificate),
            ("sslkey", &self.files.key),
        ] {
            if let Some(file) = file {
                option(name, file.as_os_str().as_encoded_bytes())?;
            }
        }
        for (name, value) in &self.options {
            option(name, value.as_bytes())?;
        }
        Ok(())
    }
}

/// The text of an option.
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

/// What stands for these bytes in a URL.
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn endpoint(url: &str) -> Result<Endpoint, EndpointError> {
        Endpoint::parse(url, Some("me"), |_| None, Duration::from_secs(2))
    }

    #[test]
    fn what_is_shown_can_be_given_again() {
        for (given, shown) in [
            ("postgres://h/d", "postgres://me@h:5432/d"),
            (
                "postgresql://you:SECRET@h:5433",
                "postgres://you@h:5433/you",
            ),
            ("postgres://u@h1,h2:5/d", "postgres://u@h1:5432,h2:5/d"),
            (
                "postgres://u@[::1]/d?sslmode=require&password=SECRET&connect_timeout=3",
                "postgres://u@[::1]:5432/d?sslmode=require&connect_timeout=3",
            ),
            (
                "postgres://u@%2Frun%2Fpg/d?application_name=a%26b",
                "postgres://u@%2Frun%2Fpg:5432/d?application_name=a%26b",
            ),
            (
                "postgres://h1,h2/d?target_session_attrs=read-write&sslmode=disable",
                "postgres://me@h1:5432,h2:5432/d?sslmode=disable&target_session_attrs=read-write",
            ),
        ] {
            let parsed = endpoint(given).unwrap();
            assert_eq!(parsed.shown(), shown, "{given}");
            assert_eq!(endpoint(shown).unwrap().shown(), shown);
            assert!(!format!("{parsed:?}").contains("SECRET"));
        }
    }

    #[test]
    fn mistakes_are_told_without_the_url() {
        for (given, wanted) in [
            ("postgres://u:SECRET@h/d?sslmode=maybe", "sslmode is one of"),
            ("postgres://u:SECRET@h/d?sslmode=verify-full", "sslrootcert"),
            ("postgres://u:SECRET@h/d?sslkey=k", "needs sslcert"),
            (
                "postgres://u:SECRET@h/d?colour=red",
                "unknown option `colour`",
            ),
            ("postgres://u:SEC@RET@h/d", "second `@`"),
            (
                "postgres://u:SECRET@h:none/d",
                "invalid value for option `port`",
            ),
            (
                "postgres://u:SECRET@h/d?sslmode=verify-ca&sslrootcert=/no/ca.pem",
                "/no/ca.pem cannot be used",
            ),
        ] {
            let error = endpoint(given).unwrap_err().to_string();
            assert!(error.contains(wanted), "{given}: {error}");
            assert!(
                !error.contains("SECRET") && !error.contains("RET@"),
                "{error}"
            );
        }
        let nobody = Endpoint::parse("postgres://h/d", None, |_| None, Duration::ZERO);
        assert!(nobody.unwrap_err().to_string().contains("names no user"));
    }

    #[test]
    fn an_at_sign_that_is_not_encoded_shows_no_password() {
        for url in [
            "postgres://h/d?password=p@SECRET",
            "postgres://h:5432/d?password=SEC@RET",
            "postgres://h:5432?password=SEC@RET",
            "postgres://h:5432?sslmode=disable&%70assword=SEC@RET",
            "postgres://h?password=SEC@RET",
            "postgres://me:a/SEC@RET/d",
        ] {
            let error = endpoint(url).unwrap_err().to_string();
            assert!(error.contains("percent-encode"), "{url}: {error}");
            assert!(!error.contains("SEC") && !error.contains("RET"), "{error}");
        }
        // A question mark may be one of a password's.
        let shown = endpoint("postgres://me:SEC?RET@h/d").unwrap();
        assert_eq!(shown.shown(), "postgres://me@h:5432/d");
    }

    #[test]
    fn a_password_is_asked_for_host_by_host_and_only_without_one() {
        let asked = RefCell::new(Vec::new());
        let ask = |asking: &Asking<'_>| {
            let Asking {
                host,
                port,
                database,
                user,
            } = asking;
            asked
                .borrow_mut()
                .push(format!("{user}@{host}:{port}/{database}"));
            None
        };
        Endpoint::parse("postgres://u@a,b:7/d", None, ask, Duration::ZERO).unwrap();
        Endpoint::parse("postgres://u:p@c/d", None, ask, Duration::ZERO).unwrap();
        assert_eq!(asked.into_inner(), ["u@a:5432/d", "u@b:7/d"]);
    }
}
