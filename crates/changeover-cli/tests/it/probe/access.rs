//! Passwords and encryption.

use super::{Session, command, everything, finish, refusal, refusal_of, told, url};
use crate::harness::Rehearsal;
use crate::postgres_server::Server;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A password that is easy to find, wherever it should not be.
const SECRET: &str = "SECRET word:1";

/// What lets in whom, from now on.
fn set_hba(server: &Server, text: &str) {
    let file = server.directory().join("data/pg_hba.conf");
    fs::write(&file, text).unwrap();
    server.stop();
    server.start_again();
}

/// A short probe that must be let in, and whose evidence holds no secret.
fn gets_in(command: &mut Command) {
    // An unoptimised build needs long for a password's proof.
    command.args(["--for", "1s", "--probe-interval", "1s", "--read-only"]);
    let mut run = Rehearsal::of(command);
    let (code, told, verdict) = finish(&mut run);
    assert!(matches!(code, 0 | 3), "{told}");
    assert_eq!(verdict.operations.fail, 0, "{told}");
    let kept = everything(&run.dir());
    assert!(!kept.contains("SECRET"), "{kept}");
    assert!(!told.contains("SECRET"), "{told}");
}

#[test]
fn rehearses_probes_with_passwords_from_everywhere_and_shows_none() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let place = tempfile::tempdir().unwrap();
    let session = Session::to(&server);
    session.run(&format!("ALTER USER changeover PASSWORD '{SECRET}'"));
    session.run("CREATE USER plain PASSWORD 'SECRET'; GRANT CREATE ON SCHEMA public TO plain");
    drop(session);
    set_hba(
        &server,
        "host all plain 127.0.0.1/32 password\nhost all all 127.0.0.1/32 scram-sha-256\n",
    );
    let address = url(&server);
    let port = server.port();
    gets_in(command(&[&address]).env("PGPASSWORD", SECRET));
    let pgpass = place.path().join("pgpass");
    let escaped = SECRET.replace(':', "\\:");
    fs::write(
        &pgpass,
        format!("127.0.0.1:{port}:*:changeover:{escaped}\n"),
    )
    .unwrap();
    fs::set_permissions(&pgpass, fs::Permissions::from_mode(0o600)).unwrap();
    gets_in(command(&[&address]).env("PGPASSFILE", &pgpass));
    let file = place.path().join("password");
    fs::write(&file, format!("{SECRET}\n")).unwrap();
    gets_in(command(&[&address]).arg("--password-file").arg(&file));
    let with = address.replace("changeover@", "changeover:SECRET%20word%3A1@");
    gets_in(&mut command(&[&with]));
    let plain = format!("postgres://plain:SECRET@127.0.0.1:{port}/postgres?sslmode=disable");
    gets_in(&mut command(&[&plain]));

    let wrong = address.replace("changeover@", "changeover:SECRETS@");
    let (code, said) = refusal(&[&wrong]);
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("password authentication failed"), "{said}");
    assert!(!said.contains("SECRET"), "{said}");
    let (code, said) = refusal(&[&address]);
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("password missing"), "{said}");
    let nowhere = place.path().join("nowhere");
    let (code, said) = refusal_of(command(&[&address]).arg("--password-file").arg(&nowhere));
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("cannot read the password from"), "{said}");
}

/// Runs openssl in a directory; the arguments are words.
fn openssl(directory: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(directory)
        .output()
        .expect("openssl starts");
    assert!(
        output.status.success(),
        "openssl {arguments}: {}",
        told(&output)
    );
}

/// An authority's certificate, and what it signs.
struct Authority {
    place: tempfile::TempDir,
}

const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";

impl Authority {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        openssl(
            place.path(),
            &format!("req -x509 {KEY} -keyout ca.key -out ca.pem -subj /CN=authority -days 2"),
        );
        Authority { place }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// A certificate for `name`, valid from now on for so many days; negative ones are over.
    fn sign(&self, file: &str, name: &str, days: i32) {
        let place = self.place.path();
        openssl(
            place,
            &format!("req {KEY} -keyout {file}.key -out {file}.csr -subj /CN={name}"),
        );
        fs::write(self.file("names"), format!("subjectAltName=DNS:{name}\n")).unwrap();
        openssl(
            place,
            &format!(
                "x509 -req -in {file}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names -out {file}.pem -days {days}"
            ),
        );
    }

    /// Gives a certificate to a server.
    fn install(&self, server: &Server, certificate: &str) {
        let data = server.directory().join("data");
        for (from, to) in [
            (format!("{certificate}.key"), "server.key"),
            (format!("{certificate}.pem"), "server.pem"),
            ("ca.pem".to_owned(), "ca.pem"),
        ] {
            fs::copy(self.file(&from), data.join(to)).unwrap();
            fs::set_permissions(data.join(to), fs::Permissions::from_mode(0o600)).unwrap();
            server.give(&data.join(to));
        }
        fs::write(
            data.join("postgresql.auto.conf"),
            "ssl = on\nssl_cert_file = 'server.pem'\nssl_key_file = 'server.key'\nssl_ca_file = 'ca.pem'\n",
        )
        .unwrap();
    }
}

#[test]
fn rehearses_probes_with_and_without_tls() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    if Command::new("openssl").arg("version").output().is_err() {
        // Debian's server needs it itself.
        let provisioned = std::env::var_os("CHANGEOVER_PROVISIONED").is_some_and(|v| v == "1");
        assert!(!provisioned, "openssl should be here");
        println!("skipped: openssl not found");
        return;
    }
    let authority = Authority::new();
    authority.sign("server", "localhost", 2);
    authority.sign("expired", "localhost", -1);
    authority.sign("client", "changeover", 2);
    let at = |host: &str, options: &str| {
        format!(
            "postgres://changeover@{host}:{}/postgres?{options}",
            server.port()
        )
    };
    // Asked on the lane's own connection.
    let encrypted = |url: &str, expected: &str| {
        let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        gets_in(&mut command(&[url, "--sql", sql, "--sql-expect", expected]));
    };
    let refused = |host: &str, options: &str, code: i32, wanted: &str| {
        let (exit, said) = refusal(&[&at(host, options)]);
        assert_eq!(exit, code, "{options}: {said}");
        assert!(said.contains(wanted), "{options}: {said}");
    };
    encrypted(&at("127.0.0.1", "sslmode=prefer"), "f");
    refused(
        "127.0.0.1",
        "sslmode=require",
        4,
        "server does not support TLS",
    );

    authority.install(&server, "server");
    let hba = "hostssl all all 127.0.0.1/32 trust clientcert=verify-full\nhostnossl all all 127.0.0.1/32 trust\n";
    set_hba(&server, "host all all 127.0.0.1/32 trust\n");
    let with = |mode: &str, root: &Path| format!("sslmode={mode}&sslrootcert={}", root.display());
    let root = authority.file("ca.pem");
    encrypted(&at("127.0.0.1", "sslmode=disable"), "f");
    encrypted(&at("127.0.0.1", ""), "t");
    encrypted(&at("127.0.0.1", &with("verify-ca", &root)), "t");
    encrypted(&at("localhost", &with("verify-full", &root)), "t");
    refused(
        "127.0.0.1",
        &with("verify-full", &root),
        4,
        "not valid for name",
    );
    let stranger = Authority::new();
    let other = stranger.file("ca.pem");
    for mode in ["require", "verify-ca", "verify-full"] {
        refused(
            "localhost",
            &with(mode, &other),
            4,
            "invalid peer certificate",
        );
    }
    let nothing = authority.file("nothing.pem");
    refused(
        "localhost",
        &with("verify-ca", &nothing),
        2,
        "nothing.pem cannot be used",
    );

    set_hba(&server, hba);
    refused("localhost", &with("verify-full", &root), 4, "certificate");
    let client = format!(
        "{}&sslcert={}&sslkey={}",
        with("verify-full", &root),
        authority.file("client.pem").display(),
        authority.file("client.key").display()
    );
    encrypted(&at("localhost", &client), "t");

    authority.install(&server, "expired");
    set_hba(&server, "host all all 127.0.0.1/32 trust\n");
    refused(
        "localhost",
        &with("verify-full", &root),
        4,
        "certificate: Expired",
    );
    refused(
        "localhost",
        &with("verify-ca", &root),
        4,
        "certificate: Expired",
    );
    // Whoever does not ask does not notice.
    encrypted(&at("localhost", "sslmode=require"), "t");
}
