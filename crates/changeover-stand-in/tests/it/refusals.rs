//! Bad input: one sentence each, the right exit code, nothing left behind.

use crate::engine::{changeover, engine, engine_with_images};
use changeover_stand_in::images;
use std::os::unix::net::UnixListener;

/// Runs a rehearsal that cannot begin; returns its exit code and its last line.
fn refused(args: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String) {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("run");
    let output = changeover()
        .arg("rehearse")
        .args(args)
        .arg("--out")
        .arg(&out)
        .envs(env.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let errors = text
        .lines()
        .filter(|line| line.starts_with("error: "))
        .count();
    assert_eq!(errors, 1, "{text}");
    let line = text.lines().last().unwrap_or_default().to_owned();
    (output.status.code(), line)
}

const DOCKER: [&str; 4] = ["--runtime", "docker", "--versions", "v0.2.0,v0.3.0"];

const MATERIALIZE: [&str; 6] = [
    "--target",
    "materialize",
    "--image-repository",
    images::STAND_IN,
    "--versions",
    "v26.0.0,v26.10.0",
];

#[test]
fn no_engine_is_a_sentence() {
    let (code, line) = refused(&DOCKER, &[("DOCKER_HOST", "unix:///no/such.sock")]);
    assert_eq!(code, Some(4));
    assert_eq!(
        line,
        "error: the Docker engine at /no/such.sock cannot be reached: nobody has made it; install Docker and start its engine, dockerd, or name its socket in DOCKER_HOST"
    );
    let (code, line) = refused(&DOCKER, &[("DOCKER_HOST", "tcp://127.0.0.1:2375")]);
    assert_eq!(code, Some(4));
    assert!(
        line.contains("name the socket of an engine of this machine"),
        "{line}"
    );
}

#[test]
fn an_engine_that_is_too_old_is_a_sentence() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("old.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    // Docker 19.03 speaks 1.40.
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        for mut stream in listener.incoming().flatten() {
            let mut asked = [0; 4096];
            let _ = stream.read(&mut asked);
            let body = r#"{"Version":"19.03.15","ApiVersion":"1.40","MinAPIVersion":"1.12"}"#;
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    let host = format!("unix://{}", socket.display());
    let (code, line) = refused(&DOCKER, &[("DOCKER_HOST", &host)]);
    assert_eq!(code, Some(4));
    assert!(
        line.contains("is too old: 19.03.15 speaks API 1.40, and 1.41 is needed"),
        "{line}"
    );
}

#[test]
fn a_licence_key_that_is_missing_is_a_sentence_before_anything_starts() {
    let arguments = MATERIALIZE;
    let (code, line) = refused(&arguments, &[("DOCKER_HOST", "unix:///no/such.sock")]);
    assert_eq!(code, Some(4));
    assert_eq!(
        line,
        "error: version v26.0.0 of materialize does not start without a licence key; give its file with --licence-key, or set MZ_LICENSE_KEY"
    );
    let mut arguments = arguments.to_vec();
    arguments.extend(["--licence-key", "/no/such/key"]);
    let (code, line) = refused(&arguments, &[]);
    assert_eq!(code, Some(2));
    assert!(
        line.contains("the licence key /no/such/key cannot be read"),
        "{line}"
    );
}

#[test]
fn an_image_that_is_missing_is_named() {
    if !engine() {
        return;
    }
    let arguments = [
        "--target",
        "materialize",
        "--image-repository",
        "localhost:1/nobody/has-this",
        "--versions",
        "v26.0.0,v26.10.0",
    ];
    let (code, line) = refused(&arguments, &[("MZ_LICENSE_KEY", "key")]);
    assert_eq!(code, Some(4));
    assert!(
        line.contains(
            "image localhost:1/nobody/has-this:v26.0.0 is not there and cannot be pulled"
        ),
        "{line}"
    );
}

#[test]
fn the_current_version_without_an_image_is_a_sentence() {
    if !engine_with_images() {
        return;
    }
    let mut arguments = MATERIALIZE;
    arguments[5] = "v26.0.0,current";
    let (code, line) = refused(&arguments, &[("MZ_LICENSE_KEY", "key")]);
    assert_eq!(code, Some(4));
    assert!(line.contains("name it with --current-image"), "{line}");
}

#[test]
fn options_that_would_do_nothing_are_refused() {
    for (more, told) in [
        (
            &["--binaries", "/tmp"][..],
            "--binaries is for instances that run as processes",
        ),
        (
            &["--metadata-store", "sqlite:/tmp/x"],
            "instances in containers do not see it",
        ),
        (
            &["--workload", "aged"],
            "name a PostgreSQL server that both reach with --metadata-store",
        ),
        (
            &["--metadata-store-image", "x"],
            "--metadata-store-image starts a container",
        ),
        (
            &["--metadata-store", "postgres://a@127.0.0.1:1/b"],
            "is at this machine's loopback address",
        ),
    ] {
        let arguments: Vec<&str> = DOCKER.iter().chain(more).copied().collect();
        let (code, line) = refused(&arguments, &[]);
        assert!(matches!(code, Some(2 | 4)), "{line}");
        assert!(line.contains(told), "{line}");
    }
    let (code, line) = refused(
        &["--versions", "v0.2.0,v0.3.0", "--current-image", "x"],
        &[],
    );
    assert_eq!(code, Some(2));
    assert!(line.contains("add --runtime docker"), "{line}");
}

#[test]
fn programs_that_are_missing_are_named() {
    let arguments = [
        "--target",
        "materialize",
        "--runtime",
        "process",
        "--versions",
        "v26.0.0,v26.10.0",
    ];
    let (code, line) = refused(&arguments, &[]);
    assert_eq!(code, Some(4));
    assert!(
        line.contains("say where they are with --binaries DIR"),
        "{line}"
    );
    let mut arguments = arguments.to_vec();
    arguments.extend(["--binaries", "/no/such"]);
    let (code, line) = refused(&arguments, &[]);
    assert_eq!(code, Some(4));
    assert!(
        line.contains("version v26.0.0 has no program /no/such/v26.0.0/environmentd"),
        "{line}"
    );
}
