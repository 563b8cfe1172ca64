//! Encryption by `sslmode`, as libpq has it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bad_input::check;
use crate::client::Sql;
use crate::postgres_server::Server;
use crate::world::World;

/// Runs openssl in a directory; the arguments are words.
fn openssl(directory: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(directory)
        .output()
        .expect("openssl starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments}: {told}");
}

/// An authority and a server's certificate for `localhost`, signed by it. The authority's certificate.
fn certificates(directory: &Path) -> PathBuf {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(
        directory,
        &format!("req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=authority -days 2"),
    );
    openssl(
        directory,
        &format!("req {key} -keyout server.key -out server.csr -subj /CN=localhost"),
    );
    std::fs::write(directory.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    openssl(
        directory,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names -out server.pem -days 2",
    );
    directory.join("ca.pem")
}

#[test]
fn the_connection_is_as_safe_as_asked() {
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
    let world = World::sqlite();
    let (port, place) = (server.port(), world.directory.path());
    let root = certificates(place);
    let start = |host: &str, options: &str| {
        let store = format!("postgres://changeover@{host}:{port}/postgres?schema=tls&{options}");
        world.instance("a", "current", 0).store(&store)
    };
    let encrypted = |host: &str, options: &str| {
        let mut instance = start(host, options).start();
        instance.wait_ready();
        let store = Sql::to_store(&server.address("schema=tls"));
        let how = store.rows(
            "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
             WHERE application_name = 'changeover-reference'",
        );
        instance.kill();
        assert_eq!(how.len(), 1, "{options}: {how:?}");
        how[0][0].as_deref() == Some("t")
    };
    let refused = |host: &str, options: &str, wanted: &str| {
        let _ = std::fs::remove_file(world.path("a.log"));
        check(start(host, options).run_to_end(), 4, &[wanted]);
    };

    assert!(!encrypted("127.0.0.1", "sslmode=prefer"));
    refused(
        "127.0.0.1",
        "sslmode=require",
        "server does not support TLS",
    );

    for name in ["server.key", "server.pem"] {
        let file = server.directory().join("data").join(name);
        std::fs::copy(place.join(name), &file).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
        server.give(&file);
    }
    std::fs::write(
        server.directory().join("data/postgresql.auto.conf"),
        "ssl = on\nssl_cert_file = 'server.pem'\nssl_key_file = 'server.key'\n",
    )
    .unwrap();
    server.stop();
    server.start_again();

    let with = |mode: &str, root: &Path| format!("sslmode={mode}&sslrootcert={}", root.display());
    assert!(encrypted("127.0.0.1", "sslmode=prefer"));
    assert!(encrypted("127.0.0.1", "sslmode=require"));
    assert!(!encrypted("127.0.0.1", "sslmode=disable"));
    assert!(encrypted("127.0.0.1", &with("verify-ca", &root)));
    assert!(encrypted("localhost", &with("verify-full", &root)));
    refused(
        "127.0.0.1",
        &with("verify-full", &root),
        "not valid for name",
    );

    let other = tempfile::tempdir().unwrap();
    let stranger = certificates(other.path());
    for mode in ["verify-ca", "verify-full", "require"] {
        refused(
            "localhost",
            &with(mode, &stranger),
            "invalid peer certificate",
        );
    }
    let nothing = world.path("nothing.pem");
    refused("localhost", &with("verify-ca", &nothing), "nothing.pem");
    std::fs::write(&nothing, "no certificate\n").unwrap();
    refused("localhost", &with("verify-ca", &nothing), "there is none");
}
