//! Bad input: one sentence each, the right exit code, nothing left behind.

use crate::engine::{Rehearsal, changeover, engine, engine_with_images, left_of};
use changeover_stand_in::images;
use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

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
            "is where this machine alone gets to, at a loopback address or a socket",
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

/// The user `nobody`, where we are root: others are refused by the socket's mode alone.
const NOBODY: u32 = 65534;

#[test]
fn a_socket_that_may_not_be_used_is_a_sentence() {
    let place = tempfile::tempdir().unwrap();
    let mode = |path: &std::path::Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(place.path(), 0o755);
    let socket = place.path().join("engine.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    mode(&socket, 0o000);
    let mut command = changeover();
    if nix::unistd::Uid::effective().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let out = place.path().join("run");
    let output = command
        .arg("rehearse")
        .args(DOCKER)
        .arg("--out")
        .arg(&out)
        .current_dir("/")
        .env("DOCKER_HOST", format!("unix://{}", socket.display()))
        .output();
    let output = match output {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            eprintln!("skipped: rehearsing as nobody ({error})");
            return;
        }
        output => output.unwrap(),
    };
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{told}");
    assert_eq!(
        told,
        format!(
            "error: the Docker engine at {} cannot be reached: permission denied; run as root, or as a member of the group docker\n",
            socket.display()
        )
    );
    assert!(!out.exists());
}

/// Where the engine of this machine is.
fn engine_socket() -> String {
    let host = std::env::var("DOCKER_HOST").ok();
    let host = host.filter(|host| !host.is_empty());
    let host = host
        .as_deref()
        .and_then(|host| host.strip_prefix("unix://"));
    host.unwrap_or("/var/run/docker.sock").to_owned()
}

/// Takes the first port that a container is to be published on, the moment the engine is asked for it.
fn thief(socket: &std::path::Path) {
    let listener = UnixListener::bind(socket).unwrap();
    let stolen: Arc<Mutex<Option<TcpListener>>> = Arc::default();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let engine = UnixStream::connect(engine_socket()).unwrap();
            let (mut answers, mut back) =
                (engine.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || {
                // Either side may go away.
                let _ = io::copy(&mut answers, &mut back);
                let _ = back.shutdown(std::net::Shutdown::Both);
            });
            let (mut client, mut engine, stolen) = (client, engine, Arc::clone(&stolen));
            thread::spawn(move || {
                let mut chunk = [0; 65536];
                while let Ok(length @ 1..) = client.read(&mut chunk) {
                    let asked = String::from_utf8_lossy(&chunk[..length]);
                    let mut stolen = stolen.lock().unwrap();
                    if stolen.is_none()
                        && let Some((_, rest)) = asked.split_once("\"HostPort\":\"")
                        && let Some((port, _)) = rest.split_once('"')
                    {
                        let port: u16 = port.parse().unwrap();
                        *stolen = Some(TcpListener::bind(("127.0.0.1", port)).unwrap());
                    }
                    drop(stolen);
                    if engine.write_all(&chunk[..length]).is_err() {
                        break;
                    }
                }
                let _ = engine.shutdown(std::net::Shutdown::Write);
            });
        }
    });
}

#[test]
fn rehearses_nothing_on_a_port_that_somebody_else_takes_in_between() {
    if !engine_with_images() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("engine.sock");
    thief(&socket);
    let host = format!("unix://{}", socket.display());
    let mut run = Rehearsal::start(&DOCKER, &[("DOCKER_HOST", &host)]);
    let output = run.finish();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{told}");
    let errors = told.lines().filter(|line| line.starts_with("error: "));
    assert_eq!(errors.count(), 1, "{told}");
    assert!(
        told.contains("somebody else has published that port; end it, or start again for another"),
        "{told}"
    );
    assert_eq!(run.left(), [""; 0]);
    assert!(!run.dir().join("containers.json").exists());
}

/// What runs where the run's directory is on a small disk of its own, which somebody fills while clients write.
const ON_A_SMALL_DISK: &str = r#"
program=$1; disk=$2; out=$3; shift 3
mount -t tmpfs -o size=8m none "$disk"
"$program" rehearse "$@" --out "$disk/run" >"$out/stdout" 2>"$out/stderr" &
until grep -q '"load-intent"' "$disk/run/events.jsonl" 2>/dev/null; do kill -0 $! || break; done
cat /dev/zero >"$disk/filler" 2>/dev/null
wait $!
echo $? >"$out/code"
"#;

#[test]
fn rehearses_in_containers_on_a_disk_that_is_full_and_leaves_nothing_on_the_engine() {
    if !engine_with_images() {
        return;
    }
    let namespace = Command::new("unshare").args(["-m", "true"]).output();
    if !namespace.is_ok_and(|tried| tried.status.success()) {
        eprintln!("skipped: a mount namespace of one's own is not permitted");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let (disk, out) = (place.path().join("disk"), place.path().join("out"));
    fs::create_dir(&disk).unwrap();
    fs::create_dir(&out).unwrap();
    let shell = Command::new("unshare")
        .args(["-m", "sh", "-c", ON_A_SMALL_DISK, "sh"])
        .arg(env!("CARGO_BIN_EXE_changeover-on-docker"))
        .args([&disk, &out])
        .args(DOCKER)
        .args(["--rate", "2000"])
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(shell.success());
    let read = |name: &str| fs::read_to_string(out.join(name)).unwrap();
    let told = read("stderr");
    assert_eq!(read("code"), "2\n", "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(
        told.starts_with("error: cannot write ") && told.contains("free some space"),
        "{told}"
    );
    let run = fs::canonicalize(&disk).unwrap().join("run");
    assert_eq!(left_of(&run), [""; 0]);
}
