//! How fast the driver reacts: from a status that flips on the server to the next call the driver makes.
//!
//! The server is scripted, because it must know the very moment of the flip; the driver is the real one.

use crate::driven::{driver, slot, step};
use crate::report::{Bar, Figure, percentile};
use async_trait::async_trait;
use changeover_model::event::ProcessEnd;
use changeover_model::version::PathVersion;
use changeover_rehearse::control::Control;
use changeover_rehearse::driver::{Launch, Surroundings};
use changeover_runtime::{Ended, Instance, InstanceSpec, Runtime, RuntimeError};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::watch;

const STEPS: u64 = 120;

/// What a scripted instance says, and when it came to say so.
#[derive(Default)]
struct Script {
    status: &'static str,
    flipped: Option<Instant>,
    samples: Vec<f64>,
}

impl Script {
    fn flip(&mut self, status: &'static str) {
        self.status = status;
        self.flipped = Some(Instant::now());
    }

    /// The next call has come.
    fn called(&mut self) {
        if let Some(flipped) = self.flipped.take() {
            self.samples.push(flipped.elapsed().as_secs_f64() * 1e3);
        }
    }
}

type Shared = Arc<Mutex<Script>>;

/// Measures the 99th percentile over both flips of many steps.
pub(crate) fn measure() -> Result<Vec<Figure>, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    let mut samples = runtime.block_on(steps())?;
    let count = samples.len();
    let value = percentile(&mut samples, 0.99);
    Ok(vec![Figure {
        what: "harness reaction, 99th percentile (ms)",
        how: format!(
            "{count} flips of a scripted server's status (ReadyToPromote → POST promote, IsLeader → first query), each \
             10 ms to 2 s after the phase began"
        ),
        value,
        range: Some((samples[0], samples[count - 1])),
        bar: Bar::AtMost(30.0),
    }])
}

async fn steps() -> Result<Vec<f64>, String> {
    let runtime = Arc::new(Scripted::default());
    let driver = driver(
        Arc::clone(&runtime) as Arc<dyn Runtime>,
        Calls(Arc::clone(&runtime)),
    );
    let version: PathVersion = PathVersion::Current;
    let mut leader = driver
        .start_first(&version, runtime.launch(0).await?)
        .await
        .map_err(|e| e.to_string())?;
    let mut samples = Vec::new();
    for generation in 1..=STEPS {
        let launch = runtime.launch(generation).await?;
        let next = driver
            .upgrade(&step(generation, &version, &version), &mut leader, launch)
            .await
            .map_err(|e| e.to_string())?;
        leader = next;
        samples.append(
            &mut runtime
                .script()
                .lock()
                .unwrap_or_else(|e| e.into_inner())
                .samples,
        );
    }
    Ok(samples)
}

/// A runtime whose instances are threads with a listener.
#[derive(Default)]
struct Scripted {
    latest: Mutex<Shared>,
    /// Tells an instance to leave, by generation.
    leave: Mutex<BTreeMap<u64, watch::Sender<bool>>>,
}

impl Scripted {
    fn script(&self) -> Shared {
        Arc::clone(&self.latest.lock().unwrap_or_else(|e| e.into_inner()))
    }

    fn leave(&self, generation: u64) {
        let senders = self.leave.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(sender) = senders.get(&generation) {
            sender.send_replace(true);
        }
    }

    async fn launch(&self, generation: u64) -> Result<Launch, String> {
        let (sql_addr, http_addr) = self.reserve_addresses().await.map_err(|e| e.to_string())?;
        Ok(Launch {
            spec: InstanceSpec {
                slot: slot(generation),
                generation,
                command: vec!["scripted".to_owned()],
                env: Default::default(),
                sql_addr,
                http_addr,
                log: "/dev/null".into(),
                container: None,
            },
            expected_version: "scripted".to_owned(),
            control: Control::leader_api(http_addr),
        })
    }
}

#[async_trait]
impl Runtime for Scripted {
    async fn reserve_addresses(&self) -> Result<(SocketAddr, SocketAddr), RuntimeError> {
        let free = || {
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                .and_then(|l| l.local_addr())
                .map_err(|e| RuntimeError::new(e.to_string()))
        };
        Ok((free()?, free()?))
    }

    async fn spawn(&self, spec: InstanceSpec) -> Result<Box<dyn Instance>, RuntimeError> {
        let script = Shared::default();
        let listener =
            TcpListener::bind(spec.http_addr).map_err(|e| RuntimeError::new(e.to_string()))?;
        let (leave, left) = watch::channel(false);
        let first = spec.generation == 0;
        play(listener, Arc::clone(&script), first, spec.generation);
        *self.latest.lock().unwrap_or_else(|e| e.into_inner()) = script;
        self.leave
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .insert(spec.generation, leave.clone());
        Ok(Box::new(Thread { spec, left, leave }))
    }

    async fn sweep(&self) -> Vec<String> {
        Vec::new()
    }
}

struct Thread {
    spec: InstanceSpec,
    left: watch::Receiver<bool>,
    leave: watch::Sender<bool>,
}

#[async_trait]
impl Instance for Thread {
    fn spec(&self) -> &InstanceSpec {
        &self.spec
    }

    fn pid(&self) -> u32 {
        0
    }

    async fn ended(&mut self) -> Ended {
        // The sender lives in this very instance.
        let _ = self.left.wait_for(|left| *left).await;
        Ended {
            end: ProcessEnd::Code(0),
            by_us: false,
        }
    }

    async fn restart(&mut self) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn stop(&mut self, _grace: Duration) -> Ended {
        self.leave.send_replace(true);
        self.ended().await
    }

    fn log_tail(&self, _lines: usize) -> Vec<String> {
        Vec::new()
    }
}

/// Serves the leader API, and flips the status at times spread from 10 ms to 2 s.
fn play(listener: TcpListener, script: Shared, first: bool, generation: u64) {
    change(&script, |s| {
        s.status = if first { "IsLeader" } else { "Initializing" }
    });
    // The golden ratio spreads the times evenly over the range and over the phases of the poll.
    let share = move |salt: u64| ((generation * 2 + salt) as f64 * 0.618_033_988_75).fract();
    let wait = move |salt| Duration::from_secs_f64(0.01 + share(salt).powi(4) * 2.0);
    if !first {
        let script = Arc::clone(&script);
        thread::spawn(move || {
            thread::sleep(wait(0));
            change(&script, |s| s.flip("ReadyToPromote"));
        });
    }
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = String::new();
            let mut reader = BufReader::new(&stream);
            if reader.read_line(&mut request).is_err() {
                continue;
            }
            let promote = request.starts_with("POST");
            if promote {
                change(&script, |s| {
                    s.called();
                    s.status = "Promoting";
                });
                let script = Arc::clone(&script);
                thread::spawn(move || {
                    thread::sleep(wait(1));
                    change(&script, |s| s.flip("IsLeader"));
                });
            }
            let mut body = String::from("{\"result\":\"Success\"}");
            if !promote {
                lock_body(&script, &mut body);
            }
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
}

fn change(script: &Shared, change: impl FnOnce(&mut Script)) {
    change(&mut script.lock().unwrap_or_else(|e| e.into_inner()));
}

fn lock_body(script: &Shared, body: &mut String) {
    let status = script.lock().unwrap_or_else(|e| e.into_inner()).status;
    *body = format!("{{\"status\":\"{status}\"}}");
}

/// Notes when the driver asks for SQL; answers at once.
struct Calls(Arc<Scripted>);

impl Surroundings for Calls {
    async fn serves(&self, _instance: &InstanceSpec) -> Result<(), String> {
        self.0
            .script()
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .called();
        Ok(())
    }

    async fn version(&self) -> Result<Option<String>, String> {
        Ok(Some("scripted".to_owned()))
    }

    fn switch(&self, _instance: &InstanceSpec) {}
    fn answers(&self, _new: &InstanceSpec) {}
    fn promoting(&self, _new: &InstanceSpec) {}
    fn gone(&self, _instance: &InstanceSpec) {}

    fn leads(&self, _new: &InstanceSpec, old: &InstanceSpec) {
        self.0.leave(old.generation);
    }
}
