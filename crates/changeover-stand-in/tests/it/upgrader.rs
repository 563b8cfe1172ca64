//! The upgrader on images: what the Python module's users do, with code of their own between the steps.

use crate::engine::{block_on, engine_with_images};
use changeover_model::version::PathVersion;
use changeover_plan::{Knowledge, generate_upgrade_args};
use changeover_rehearse::launcher::Equipment;
use changeover_rehearse::metadata_store::MetadataStore;
use changeover_rehearse::upgrader::{Options, Service, Upgrader};
use changeover_stand_in::images::{POSTGRES, STAND_IN};
use std::collections::BTreeMap;
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

fn left() -> String {
    let filter = "label=changeover.run=upgrader-on-images";
    let output = Command::new("docker")
        .args(["ps", "--all", "--quiet", "--filter", filter])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn rehearses_the_upgrader_on_images_over_a_postgresql_container() {
    if !engine_with_images() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    block_on(async {
        let path =
            ["v0.147.20", "v26.0.0", "v26.10.0"].map(|it| it.parse::<PathVersion>().unwrap());
        let args = generate_upgrade_args(&path, &BTreeMap::new(), Some(STAND_IN)).unwrap();
        let options = Options {
            directory: Some(place.path().join("upgrader-on-images")),
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
        let upgrader = Upgrader::new(target, services, options).await.unwrap();
        let (_, steps) = upgrader.initialize().await.unwrap();
        assert!(!left().is_empty());
        let mut rows = vec![one_more(upgrader.url()).await];
        for step in steps {
            (step.upgrade)().await.unwrap();
            rows.push(one_more(upgrader.url()).await);
        }
        assert_eq!(rows, [1, 2, 3]);
        upgrader.cleanup().await.unwrap();
    });
    assert_eq!(left(), "");
}
