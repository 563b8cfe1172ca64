//! Where the password comes from, when the URL has none: a file, PGPASSWORD, or PGPASSFILE. It is never shown.

use crate::error::CliError;
use crate::output;
use changeover_model::Secret;
use changeover_rehearse::client::Asking;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Passwords, and for whom.
pub(super) enum Passwords {
    /// The same for everybody.
    One(Secret<Vec<u8>>),
    /// Lines of a password file, as libpq has it.
    File(Vec<Line>),
}

/// A line of a password file.
pub(super) struct Line {
    /// Host, port, database and user; `*` is anybody's.
    whom: [String; 4],
    password: Secret<Vec<u8>>,
}

impl Passwords {
    /// Looks where libpq looks; `file` goes before that.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub(super) fn find(file: Option<&Path>) -> Result<Self, CliError> {
        if let Some(file) = file {
            let read = fs::read(file).map_err(|e| {
                CliError::bad_input(format!(
                    "cannot read the password from {}: {e}; name another file with --password-file",
                    file.display()
                ))
            })?;
            return Ok(Passwords::One(Secret::new(first_line(&read))));
        }
        if let Some(password) = set("PGPASSWORD") {
            return Ok(Passwords::One(Secret::new(
                password.as_encoded_bytes().to_vec(),
            )));
        }
        let file = set("PGPASSFILE").map(PathBuf::from);
        let file = file.or_else(|| Some(PathBuf::from(set("HOME")?).join(".pgpass")));
        Ok(Passwords::File(
            file.map_or_else(Vec::new, |f| read_file(&f)),
        ))
    }

    /// The password of somebody.
    pub(super) fn of(&self, asking: &Asking<'_>) -> Option<Secret<Vec<u8>>> {
        match self {
            Passwords::One(password) => Some(password.clone()),
            Passwords::File(lines) => {
                let port = asking.port.to_string();
                // To libpq the default socket is localhost; other directories have their name.
                let wanted = [asking.host, &port, asking.database, asking.user];
                let fits = |line: &&Line| {
                    let mut fields = line.whom.iter().zip(wanted);
                    fields.all(|(field, wanted)| field == "*" || field == wanted)
                };
                lines.iter().find(fits).map(|line| line.password.clone())
            }
        }
    }
}

fn set(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Without the newline that editors put at the end.
fn first_line(bytes: &[u8]) -> Vec<u8> {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or(bytes);
    line.strip_suffix(b"\r").unwrap_or(line).to_vec()
}

/// A password file that others can read is not used, as libpq has it; one that is not there is no problem.
fn read_file(file: &Path) -> Vec<Line> {
    let Ok(text) = fs::read_to_string(file) else {
        return Vec::new();
    };
    let open = fs::metadata(file).is_ok_and(|m| m.permissions().mode() & 0o077 != 0);
    if open {
        output::warning(&format!(
            "the password file {} is not used, because others can read it; run chmod 0600 on it",
            file.display()
        ));
        return Vec::new();
    }
    text.lines().filter_map(read_line).collect()
}

/// `host:port:database:user:password`, where a backslash takes away the meaning of what follows.
fn read_line(line: &str) -> Option<Line> {
    if line.starts_with('#') {
        return None;
    }
    let mut fields = vec![String::new()];
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        let last = fields.len() == 5;
        match (c, fields.last_mut()) {
            ('\\', Some(field)) => field.extend(rest.next()),
            (':', _) if !last => fields.push(String::new()),
            (c, Some(field)) => field.push(c),
            (_, None) => {}
        }
    }
    let [host, port, database, user, password] = fields.try_into().ok()?;
    Some(Line {
        whom: [host, port, database, user],
        password: Secret::new(String::into_bytes(password)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_file_is_read_as_libpq_reads_it() {
        let lines = [
            "# h:5432:d:u:no",
            "h:5432:d:u:one",
            r"a\:b:*:*:u:t\\w\:o:x",
            "*:*:*:*:three",
            "too:short",
        ];
        let passwords = Passwords::File(lines.iter().filter_map(|l| read_line(l)).collect());
        let of = |host, database| {
            let asking = Asking {
                host,
                port: 5432,
                database,
                user: "u",
            };
            passwords
                .of(&asking)
                .map(|p| String::from_utf8(p.reveal().clone()).unwrap())
        };
        assert_eq!(of("h", "d").unwrap(), "one");
        assert_eq!(of("a:b", "d").unwrap(), r"t\w:o:x");
        assert_eq!(of("h", "other").unwrap(), "three");
    }

    #[test]
    fn a_file_that_others_can_read_is_not_used() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("pgpass");
        fs::write(&file, "*:*:*:*:p\n").unwrap();
        for (mode, lines) in [(0o644, 0), (0o600, 1)] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(read_file(&file).len(), lines);
        }
    }

    #[test]
    fn the_first_line_is_the_password() {
        assert_eq!(first_line(b"pw\r\nmore"), b"pw");
        assert_eq!(first_line(b"p w"), b"p w");
        assert_eq!(first_line(b""), b"");
    }
}
