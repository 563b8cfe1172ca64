//! A session's settings: what `SET` takes and `SHOW` tells.

use std::collections::BTreeMap;

use crate::sql::SqlError;

/// The version of PostgreSQL whose protocol and dialect we speak.
pub(crate) const SERVER_VERSION: &str = "15.0";

/// Told to every client when it connects.
pub(super) const REPORTED: [&str; 8] = [
    "server_version",
    "server_encoding",
    "client_encoding",
    "DateStyle",
    "TimeZone",
    "integer_datetimes",
    "standard_conforming_strings",
    "application_name",
];

const DEFAULTS: [(&str, &str); 16] = [
    ("server_version", SERVER_VERSION),
    ("server_version_num", "150000"),
    ("server_encoding", "UTF8"),
    ("client_encoding", "UTF8"),
    ("datestyle", "ISO, MDY"),
    ("timezone", "UTC"),
    ("integer_datetimes", "on"),
    ("standard_conforming_strings", "on"),
    ("application_name", ""),
    ("transaction_isolation", "serializable"),
    ("default_transaction_isolation", "serializable"),
    ("transaction_read_only", "off"),
    ("search_path", "public"),
    ("extra_float_digits", "1"),
    ("statement_timeout", "0"),
    ("is_superuser", "off"),
];

pub(super) struct Settings {
    values: BTreeMap<String, String>,
}

impl Settings {
    pub(super) fn new() -> Self {
        Self {
            values: DEFAULTS
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    pub(super) fn get(&self, name: &str) -> Result<&str, SqlError> {
        self.values
            .get(&name.to_ascii_lowercase())
            .map(String::as_str)
            .ok_or_else(|| {
                SqlError::new(
                    "42704",
                    format!("unrecognized configuration parameter \"{name}\""),
                )
            })
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Sets a parameter, or takes it back to its default. Parameters that mean nothing here are kept and shown.
    pub(super) fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), SqlError> {
        let default = || {
            DEFAULTS
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| *value)
        };
        match value.filter(|value| !value.eq_ignore_ascii_case("default")) {
            _ if name == "all" => *self = Self::new(),
            Some(_)
                if matches!(
                    name,
                    "server_version"
                        | "server_encoding"
                        | "integer_datetimes"
                        | "is_superuser"
                        | "server_version_num"
                ) =>
            {
                return Err(SqlError::new(
                    "55P02",
                    format!("parameter \"{name}\" cannot be changed"),
                ));
            }
            Some(value)
                if name == "client_encoding"
                    && !matches!(
                        value.to_ascii_lowercase().as_str(),
                        "utf8" | "utf-8" | "unicode"
                    ) =>
            {
                return Err(SqlError::new(
                    "22023",
                    format!("client encoding {value} is not supported, only UTF8 is"),
                ));
            }
            Some(value) if self.values.len() < 1000 => {
                self.values.insert(name.to_owned(), value.to_owned());
            }
            Some(_) => return Err(SqlError::new("54000", "too many settings")),
            None => match default() {
                Some(value) => {
                    self.values.insert(name.to_owned(), value.to_owned());
                }
                None => {
                    self.values.remove(name);
                }
            },
        }
        Ok(())
    }
}
