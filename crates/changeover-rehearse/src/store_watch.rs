//! Watches the metadata store of a run, if it is a server in PostgreSQL: when it goes away, and when it is back.
//!
//! It is asked whether it speaks TLS, which every server answers in one byte, before it wants a name or a password, and
//! without a line in its log. A store that cannot be asked when the run begins is not watched. One in a container, which
//! only the network of containers reaches, is away when its process has ended.

use crate::metadata_store::SharedServer;
use crate::record::{About, Recorder};
use changeover_model::event::EventKind;
use changeover_runtime::docker::postgres as container;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_postgres::config::{Config, Host};

/// Between two questions.
const PERIOD: Duration = Duration::from_millis(250);

/// Before it is asked again when it did not answer.
const SOON: Duration = Duration::from_millis(50);

/// A server that has not answered after this long does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often in a row it must not answer to be gone: a connection may be refused because many want one.
const TIMES: u32 = 2;

/// The question, as PostgreSQL's protocol has it.
const TLS: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Tcp(String, u16),
    Unix(String),
}

/// What is watched.
pub(crate) enum Watched {
    /// A server that is asked at the first of these places that answers.
    Server(Vec<Place>),
    /// A process of the run's own.
    Process(SharedServer),
}

impl Watched {
    /// The server of this address.
    pub(crate) fn at(address: &str) -> Self {
        Watched::Server(places(address))
    }

    /// What it is called.
    fn name(&self) -> String {
        match self {
            Watched::Server(places) => shown(places),
            Watched::Process(_) => format!("{}:{}", container::HOST, container::PORT),
        }
    }

    /// Whether it is there; else why not.
    async fn ask(&self) -> Result<(), String> {
        match self {
            Watched::Server(places) => ask(places).await,
            Watched::Process(server) => match server.lock().await.as_mut() {
                None => Err("it was not started".to_owned()),
                Some(server) => match server.ended().await {
                    None => Ok(()),
                    Some(ended) => Err(format!("its process ended: {}", ended.end)),
                },
            },
        }
    }
}

/// Watches until it is dropped.
pub(crate) struct StoreWatch {
    task: JoinHandle<()>,
    away: watch::Receiver<bool>,
}

impl StoreWatch {
    /// Starts watching; `None` if nobody is there.
    pub(crate) async fn start(recorder: Recorder, watched: Watched) -> Option<Self> {
        watched.ask().await.ok()?;
        let (tell, away) = watch::channel(false);
        Some(StoreWatch {
            task: tokio::spawn(look(recorder, watched, tell)),
            away,
        })
    }

    /// Returns when it does not answer; at once, if it does not now.
    pub(crate) async fn away(&self) {
        // Who looks is there as long as this is.
        let _ = self.away.clone().wait_for(|away| *away).await;
    }
}

impl Drop for StoreWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn look(recorder: Recorder, watched: Watched, away: watch::Sender<bool>) {
    let nobody = About::default();
    let addr = watched.name();
    let mut since = recorder.clock().now();
    let mut failed = 0;
    loop {
        sleep(match failed {
            0 => PERIOD,
            _ => SOON,
        })
        .await;
        match watched.ask().await {
            Ok(()) => {
                since = recorder.clock().now();
                if failed >= TIMES {
                    let addr = addr.clone();
                    away.send_replace(false);
                    recorder.event(&nobody, EventKind::MetadataStoreBack { addr });
                }
                failed = 0;
            }
            Err(reason) => {
                failed += 1;
                if failed == TIMES {
                    let addr = addr.clone();
                    let lost = EventKind::MetadataStoreLost {
                        addr,
                        since,
                        reason,
                    };
                    away.send_replace(true);
                    recorder.event(&nobody, lost);
                }
            }
        }
    }
}

/// The places of a server's address; none for a store of another kind.
fn places(server: &str) -> Vec<Place> {
    let Ok(config) = server.parse::<Config>() else {
        return Vec::new();
    };
    let ports = config.get_ports();
    let port = |index: usize| *ports.get(index).or(ports.first()).unwrap_or(&5432);
    let hosts = config.get_hosts().iter().enumerate();
    hosts
        .map(|(index, host)| match host {
            Host::Tcp(name) => Place::Tcp(name.clone(), port(index)),
            Host::Unix(directory) => Place::Unix(socket(directory, port(index))),
        })
        .collect()
}

/// A server's socket in its directory.
fn socket(directory: &Path, port: u16) -> String {
    let file = directory.join(format!(".s.PGSQL.{port}"));
    file.to_string_lossy().into_owned()
}

fn shown(places: &[Place]) -> String {
    let places = places.iter().map(|place| match place {
        Place::Tcp(name, port) => format!("{name}:{port}"),
        Place::Unix(path) => path.clone(),
    });
    places.collect::<Vec<_>>().join(", ")
}

/// Whether one of them answers; else what the last one did instead.
async fn ask(places: &[Place]) -> Result<(), String> {
    let mut told = "it has no address".to_owned();
    for place in places {
        let asked = async {
            match place {
                Place::Tcp(name, port) => {
                    speak(TcpStream::connect((name.as_str(), *port)).await?).await
                }
                Place::Unix(path) => speak(UnixStream::connect(path).await?).await,
            }
        };
        told = match timeout(PATIENCE, asked).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer in {} s", PATIENCE.as_secs()),
        };
    }
    Err(told)
}

async fn speak(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
    stream.write_all(&TLS).await?;
    // Whatever it says, somebody is there.
    stream.read_u8().await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::record::Sink;
    use changeover_model::event::{Event, ProcessEnd};
    use changeover_model::history::Operation;
    use changeover_runtime::{Disturbance, Ended, RuntimeError, StoreServer};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

    struct Told(UnboundedSender<EventKind>);

    impl Sink for Told {
        fn event(&mut self, event: &Event) {
            // The test may have seen enough.
            let _ = self.0.send(event.kind.clone());
        }

        fn operation(&mut self, _: &Operation) {}
    }

    /// Answers every question, and closes.
    fn serve(listener: TcpListener) -> JoinHandle<()> {
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut question = [0; 8];
                if stream.read_exact(&mut question).await.is_ok() {
                    let _ = stream.write_all(b"N").await;
                }
            }
        })
    }

    #[test]
    fn an_address_is_asked_at_all_its_places() {
        assert_eq!(
            places("postgres://root:pw@a:1,b:2/d"),
            [Place::Tcp("a".to_owned(), 1), Place::Tcp("b".to_owned(), 2)]
        );
        assert_eq!(
            places("postgres://root@%2Frun%2Fpg/d"),
            [Place::Unix("/run/pg/.s.PGSQL.5432".to_owned())]
        );
        assert_eq!(places(""), []);
        assert_eq!(places("sqlite:/a"), []);
    }

    #[tokio::test]
    async fn a_server_that_goes_and_comes_back_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let server = serve(listener);
        let (sender, mut told) = unbounded_channel();
        let recorder = Recorder::new(Clock::start(), Box::new(Told(sender)));
        let url = format!("postgres://u@{addr}/d");
        let _watch = StoreWatch::start(recorder, Watched::at(&url))
            .await
            .unwrap();
        server.abort();
        // The listener is closed with it.
        let _ = server.await;
        match told.recv().await {
            Some(EventKind::MetadataStoreLost { addr: at, .. }) => assert_eq!(at, addr.to_string()),
            other => panic!("{other:?}"),
        }
        let _server = serve(TcpListener::bind(addr).await.unwrap());
        match told.recv().await {
            Some(EventKind::MetadataStoreBack { .. }) => {}
            other => panic!("{other:?}"),
        }
    }

    /// A server whose process has ended as soon as this is set.
    struct Mortal(Arc<AtomicBool>);

    #[async_trait::async_trait]
    impl StoreServer for Mortal {
        async fn disturb(&mut self, _: Disturbance) -> Result<Option<Ended>, RuntimeError> {
            Err(RuntimeError::new("it is left alone"))
        }

        async fn start_again(&mut self) -> Result<(), RuntimeError> {
            Ok(())
        }

        async fn condition(&mut self) -> String {
            String::new()
        }

        async fn ended(&mut self) -> Option<Ended> {
            self.0.load(Ordering::Relaxed).then_some(Ended {
                end: ProcessEnd::Signal(9),
                by_us: false,
            })
        }

        async fn stop(self: Box<Self>, _: Duration) {}
    }

    #[tokio::test]
    async fn a_process_that_ends_is_away() {
        let over = Arc::new(AtomicBool::new(false));
        let server: SharedServer = Arc::default();
        *server.lock().await = Some(Box::new(Mortal(Arc::clone(&over))));
        let (sender, mut told) = unbounded_channel();
        let recorder = Recorder::new(Clock::start(), Box::new(Told(sender)));
        let watch = StoreWatch::start(recorder, Watched::Process(server)).await;
        over.store(true, Ordering::Relaxed);
        watch.unwrap().away().await;
        match told.recv().await {
            Some(EventKind::MetadataStoreLost { addr, reason, .. }) => {
                assert_eq!(addr, "metadata-store:26257");
                assert!(reason.starts_with("its process ended: "), "{reason}");
            }
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn what_cannot_be_asked_is_not_watched() {
        let (sender, _told) = unbounded_channel();
        let recorder = Recorder::new(Clock::start(), Box::new(Told(sender)));
        let watch = StoreWatch::start(recorder, Watched::at("postgres://root@127.0.0.1:1/d")).await;
        assert!(watch.is_none());
    }
}
