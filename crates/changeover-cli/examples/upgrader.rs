//! Upgrades the reference database step by step, with code of one's own between the steps.
//!
//! `cargo build`, then `cargo run --example upgrader`. Another changeover binary is given as the argument.

use changeover_model::PathVersion;
use changeover_plan::{Knowledge, generate_upgrade_args};
use changeover_rehearse::upgrader::{Options, Service, Upgrader};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use tokio_postgres::NoTls;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let program = match std::env::args_os().nth(1) {
        Some(program) => PathBuf::from(program),
        // Cargo puts examples into a directory beside the binaries.
        None => std::env::current_exe()?.with_file_name("../changeover"),
    };
    for (version, rows) in upgrade(program).await? {
        println!("{version}: {rows:?}");
    }
    Ok(())
}

/// Goes through the path. Returns, for each version that led, the rows that were read there.
pub(crate) async fn upgrade(
    program: PathBuf,
) -> Result<Vec<(String, Vec<String>)>, Box<dyn Error>> {
    // A path, and a service for each of its versions. The reference database has no system parameters and no images.
    let path = ["v0.1.0", "v0.2.0", "v0.3.0", "current"].map(str::parse::<PathVersion>);
    let path = path.into_iter().collect::<Result<Vec<_>, _>>()?;
    let args = generate_upgrade_args(&path, &BTreeMap::new(), None)?;
    let services = Service::from_path(args, &path)?;

    // Where they run is ours to choose; by default it is a temporary directory, and nothing of it stays.
    let options = Options {
        program: Some(program),
        ..Options::default()
    };
    let target = Knowledge::of("reference")?.target;
    let upgrader = Upgrader::new(target, services, options).await?;
    upgrader.print_upgrade_path();

    // Starts v0.1.0. Should anything below fail, the drop of the upgrader ends what runs by then.
    let (first, steps) = upgrader.initialize().await?;
    execute(upgrader.url(), "CREATE TABLE visits (version TEXT)").await?;
    let mut seen = vec![(first.version().to_string(), visit(&upgrader, &first).await?)];

    for step in steps {
        // The new service starts read-only beside the previous one, catches up, is promoted, leads and serves; the
        // previous one finds itself fenced and leaves.
        (step.upgrade)().await?;
        let rows = visit(&upgrader, &step.new_service).await?;
        seen.push((step.new_service.version().to_string(), rows));
    }
    upgrader.cleanup().await?;
    Ok(seen)
}

/// What we do between the steps: leave a row, and read them all back. The front door's URL leads to whoever leads.
async fn visit(upgrader: &Upgrader, leader: &Service) -> Result<Vec<String>, Box<dyn Error>> {
    let insert = format!("INSERT INTO visits VALUES ('{}')", leader.version());
    execute(upgrader.url(), &insert).await?;
    execute(upgrader.url(), "SELECT version FROM visits").await
}

/// Runs a statement on a connection of its own. Returns the first column.
async fn execute(url: &str, sql: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    // Ends with the client.
    tokio::spawn(connection);
    let rows = client.query(sql, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
