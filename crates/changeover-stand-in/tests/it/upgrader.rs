//! The upgrader on images: what the Python module's users do, with code of their own between the steps.

use crate::engine::{block_on, engine_with_images};
use changeover_model::version::PathVersion;
use changeover_plan::{Knowledge, generate_upgrade_args};
use changeover_rehearse::launcher::Equipment;
use changeover_rehearse::metadata_store::MetadataStore;
use changeover_rehearse::upgrader::{Options, Service, Upgrader};
use changeover_stand_in::images::{POSTGRES, STAND_IN};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use tokio_postgres::NoTls;

/// Writes a row through this URL, and reads how many there are.
async fn one_more(url: &str) -> i64 {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let write = "CREATE TABLE IF NOT EXISTS mine (n BIGINT); INSERT INTO mine VALUES (1)";
    for statement in write.split("; ") {
        client.batch_execute(statement).await.unwrap();
    }
    let row = client.query_one("SELECT count(*) FROM mine", &[]).await;
    let rows = row.unwrap().get(0);
    drop(client);
    connection.await.unwrap().unwrap();
    rows
}

/// What is on the engine of upgraders in a directory of this name.
fn left(name: &str) -> Vec<String> {
    let filter = format!("label=changeover.run={name}");
    let lists = [
        &["ps", "--all", "--format", "{{.Names}}"][..],
        &["network", "ls", "--format", "{{.Name}}"],
        &["volume", "ls", "--format", "{{.Name}}"],
    ];
    let listed = lists.iter().flat_map(|list| {
        let output = Command::new("docker")
            .args(*list)
            .args(["--filter", &filter])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    });
    listed.collect()
}

/// An upgrader through these versions, which lies in a directory of this name.
async fn upgrader(place: &Path, name: &str, versions: &[&str]) -> Upgrader {
    let path: Vec<PathVersion> = versions.iter().map(|it| it.parse().unwrap()).collect();
    let args = generate_upgrade_args(&path, &BTreeMap::new(), Some(STAND_IN)).unwrap();
    let options = Options {
        directory: Some(place.join(name)),
        metadata_store: Some(MetadataStore::PostgresContainer(POSTGRES.to_owned())),
        equipment: Equipment {
            containers: true,
            licence: Some("of a stand-in".into()),
            ..Equipment::default()
        },
        ..Options::default()
    };
    let target = Knowledge::of("materialize").unwrap().target;
    let services = Service::from_path(args, &path).unwrap();
    Upgrader::new(target, services, options).await.unwrap()
}

#[test]
fn rehearses_the_upgrader_on_images_over_a_postgresql_container() {
    if !engine_with_images() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let name = "upgrader-on-images";
    block_on(async {
        let upgrader = upgrader(place.path(), name, &["v0.147.20", "v26.0.0", "v26.10.0"]).await;
        let (_, steps) = upgrader.initialize().await.unwrap();
        assert!(!left(name).is_empty());
        let mut rows = vec![one_more(upgrader.url()).await];
        for step in steps {
            (step.upgrade)().await.unwrap();
            rows.push(one_more(upgrader.url()).await);
        }
        assert_eq!(rows, [1, 2, 3]);
        upgrader.cleanup().await.unwrap();
    });
    assert_eq!(left(name), [""; 0]);
}

#[test]
fn rehearses_the_drop_of_an_upgrader_on_images_of_which_nothing_stays() {
    if !engine_with_images() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let name = "upgrader-that-is-dropped";
    block_on(async {
        let upgrader = upgrader(place.path(), name, &["v26.0.0", "v26.10.0"]).await;
        upgrader.initialize().await.unwrap();
        assert!(!left(name).is_empty());
        // As if the caller had failed.
        drop(upgrader);
    });
    assert_eq!(left(name), [""; 0]);
}
