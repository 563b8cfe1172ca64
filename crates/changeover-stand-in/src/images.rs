//! The images that tests run, made from files of this machine: no registry is asked.

use changeover_runtime::docker::Engine;
use changeover_runtime::docker::scratch::{Image, Layer, source_of};
use changeover_runtime::postgres::Programs;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// The repository of the stand-in.
pub const STAND_IN: &str = "changeover/materialized-stand-in";

/// The image of the metadata store.
pub const POSTGRES: &str = "changeover/postgres-of-this-machine:latest";

/// Where the stand-in's image has its one program, by its two names.
const ENTRYPOINT: &str = "/usr/local/bin/entrypoint";
const ENVIRONMENTD: &str = "/usr/local/bin/environmentd";

/// Fact 4.1: the image has it, for health checks. Materialize's own harness asks for the status with it.
const CURL: &str = "/usr/bin/curl";

/// Programs that a PostgreSQL server and its entrypoint want besides its own.
const TOOLS: [&str; 7] = [
    "/bin/sh",
    "/bin/mkdir",
    "/bin/chown",
    "/bin/chmod",
    "/usr/bin/setpriv",
    "/usr/bin/locale",
    "/bin/cat",
];

/// PostgreSQL's own.
const POSTGRES_PROGRAMS: [&str; 5] = ["postgres", "initdb", "pg_ctl", "psql", "pg_isready"];

/// What it loads while its files are made, and while it runs.
const POSTGRES_LIBRARIES: [&str; 3] = ["plpgsql.so", "dict_snowball.so", "libpqwalreceiver.so"];

/// Makes the stand-in's image, tagged as these versions, unless it is there.
///
/// # Errors
///
/// When it cannot be made.
pub async fn provide_stand_in(
    engine: &Engine,
    program: &Path,
    versions: &[&str],
) -> io::Result<()> {
    let curl = Path::new(CURL);
    let mut source = source_of(program)?;
    if curl.exists() {
        source = format!("{source} {}", source_of(curl)?);
    }
    let images: Vec<Image> = versions.iter().map(|version| stand_in(version)).collect();
    let mut there = true;
    for image in &images {
        there &= engine.is_made_from(&image.name, &source).await;
    }
    if there {
        return Ok(());
    }
    let mut layer = Layer::new();
    layer.program(program, ENTRYPOINT)?;
    layer.program(program, ENVIRONMENTD)?;
    if curl.exists() {
        layer.program(curl, CURL)?;
    }
    engine
        .load(layer, &source, &images)
        .await
        .map_err(io::Error::other)
}

fn stand_in(version: &str) -> Image {
    Image {
        name: format!("{STAND_IN}:{version}"),
        entrypoint: vec![ENTRYPOINT.to_owned()],
        env: BTreeMap::from([(crate::VERSION.to_owned(), version.to_owned())]),
    }
}

/// Makes the image of the metadata store from this machine's PostgreSQL, unless it is there.
///
/// # Errors
///
/// When this machine has none, or it cannot be made.
pub async fn provide_postgres(engine: &Engine) -> io::Result<()> {
    let programs = Programs::find()
        .ok_or_else(|| io::Error::other("no PostgreSQL server is installed here"))?;
    // What is on the path may be links to where Debian has them, with everything else around.
    let server = programs.directory().join("postgres").canonicalize()?;
    let bin = server.parent().unwrap_or(Path::new("/")).to_owned();
    let source = format!(
        "{} {}",
        source_of(&server)?,
        include_str!("../image/postgres-entrypoint.sh").len()
    );
    if engine.is_made_from(POSTGRES, &source).await {
        return Ok(());
    }
    let layer = postgres_layer(&bin)?;
    let image = Image {
        name: POSTGRES.to_owned(),
        entrypoint: vec!["/entrypoint.sh".to_owned()],
        env: BTreeMap::from([(
            "PATH".to_owned(),
            format!("{}:/usr/bin:/bin", bin.display()),
        )]),
    };
    engine
        .load(layer, &source, &[image])
        .await
        .map_err(io::Error::other)
}

fn postgres_layer(bin: &Path) -> io::Result<Layer> {
    let mut layer = Layer::new();
    for tool in TOOLS.iter().map(Path::new).filter(|tool| tool.exists()) {
        layer.program(tool, &tool.to_string_lossy())?;
    }
    for name in POSTGRES_PROGRAMS {
        let program = bin.join(name);
        layer.program(&program, &program.to_string_lossy())?;
    }
    // Debian: /usr/lib/postgresql/15/bin, …/lib, /usr/share/postgresql/15.
    let version = bin.parent().unwrap_or(bin);
    for name in POSTGRES_LIBRARIES {
        let library = version.join("lib").join(name);
        layer.program(&library, &library.to_string_lossy())?;
    }
    let number = version.file_name().unwrap_or_default();
    for shared in [
        PathBuf::from("/usr/share/postgresql").join(number),
        PathBuf::from("/usr/share/zoneinfo/Etc"),
    ] {
        layer.tree(&shared)?;
    }
    layer.file(
        "/etc/passwd",
        b"root:x:0:0::/:/bin/sh\npostgres:x:999:999::/var/lib/postgresql:/bin/sh\n",
        0o644,
    )?;
    layer.file("/etc/group", b"root:x:0:\npostgres:x:999:\n", 0o644)?;
    layer.file(
        "/entrypoint.sh",
        include_bytes!("../image/postgres-entrypoint.sh"),
        0o755,
    )?;
    Ok(layer)
}
