//! Endpoints that run already are found and left alone.

use changeover_model::target::Endpoint;
use changeover_runtime::attached::{AttachedRuntime, find};
use changeover_runtime::process::ProcessRuntime;
use changeover_runtime::{InstanceSpec, Runtime};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

#[tokio::test]
async fn endpoints_are_handed_out_in_turn_and_stopping_one_leaves_it() {
    let listeners = [
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
    ];
    let addrs = listeners.each_ref().map(|l| l.local_addr().unwrap());
    let endpoints = addrs.map(|addr| Endpoint {
        host: addr.ip().to_string(),
        port: addr.port(),
    });
    let found = find(&endpoints).await.unwrap();
    assert_eq!(found, addrs);

    let place = tempfile::tempdir().unwrap();
    let helpers = Arc::new(ProcessRuntime::new("attached", place.path()).unwrap());
    let runtime = AttachedRuntime::new(found, helpers);
    for addr in [addrs[0], addrs[1], addrs[0]] {
        assert_eq!(runtime.reserve_addresses().await.unwrap(), (addr, addr));
    }
    let spec = InstanceSpec {
        slot: "mz_1".to_owned(),
        generation: 0,
        command: Vec::new(),
        env: Default::default(),
        sql_addr: addrs[0],
        http_addr: addrs[0],
        log: place.path().join("log"),
        container: None,
    };
    let mut instance = runtime.spawn(spec).await.unwrap();
    assert!(instance.restart().await.is_err());
    instance.stop(Duration::ZERO).await;
    drop(instance);
    assert!(TcpStream::connect(addrs[0]).await.is_ok());
    assert_eq!(runtime.sweep().await, [""; 0]);
}

#[tokio::test]
async fn an_endpoint_at_which_nobody_listens_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let host = "127.0.0.1".to_owned();
    let error = find(&[Endpoint { host, port }]).await.unwrap_err();
    let expected = format!("endpoint 127.0.0.1:{port} of instance.attach cannot be reached: ");
    assert!(error.message.starts_with(&expected), "{error}");
}
