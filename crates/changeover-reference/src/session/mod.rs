//! A client's session: one thread, from the startup message to the end of the connection.

mod execute;
mod extended;
pub(crate) mod settings;
mod transaction;
mod wire;

use std::collections::HashMap;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use pgwire::messages::PgWireFrontendMessage as Frontend;
use pgwire::messages::SslNegotiationMetaMessage as Negotiation;
use pgwire::messages::response::{
    EmptyQueryResponse, GssEncResponse, ReadyForQuery, SslResponse, TransactionStatus,
};
use pgwire::messages::startup::{
    Authentication, BackendKeyData, NegotiateProtocolVersion, ParameterStatus, SecretKey,
};

use crate::acklog::Acknowledged;
use crate::bug::{self, Bug};
use crate::copy::functions;
use crate::engine::{CancelSlot, Engine, Mode};
use crate::sql::{self, Plan, SqlError};
use execute::Wanted;
use extended::{Portal, Prepared};
use settings::Settings;
use transaction::{Transaction, Work};
pub(crate) use wire::is_decoding;
use wire::{Incoming, Wire};

/// A transaction that writes keeps everybody else from writing; this long may it do nothing.
const WRITE_IDLE: Duration = Duration::from_secs(1);

/// The newest version of the protocol that we speak, as the protocol writes it.
const PROTOCOL_3_0: i32 = 3 << 16;

/// Plans of simple queries kept for texts that come again.
const PLANS: usize = 64;

/// Why a statement ended early.
#[derive(Debug, thiserror::Error)]
enum ExecuteError {
    #[error(transparent)]
    Sql(#[from] SqlError),
    /// The client is gone; there is nobody to tell.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<rusqlite::Error> for ExecuteError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error.into())
    }
}

/// Whether the session goes on.
#[derive(PartialEq, Eq)]
enum Next {
    Continue,
    End,
}

struct Session {
    engine: Arc<Engine>,
    wire: Wire,
    transaction: Transaction,
    /// What the process was when the transaction's snapshot was taken, or, without one, when the message came.
    mode: Mode,
    settings: Settings,
    statements: HashMap<String, Arc<Prepared>>,
    portals: HashMap<String, Portal>,
    plans: HashMap<String, Arc<Vec<Plan>>>,
    cancel: Arc<CancelSlot>,
    /// After an error in the extended protocol everything up to Sync is ignored.
    skipping: bool,
    /// What the answer on the wire acknowledges, for the truth log.
    acknowledged: Option<Acknowledged>,
}

/// Serves one connection until it ends.
pub(crate) fn serve(engine: &Arc<Engine>, stream: TcpStream) {
    let Ok(wire) = Wire::new(stream) else { return };
    let cancel = Arc::new(CancelSlot::default());
    functions::CANCELLED.set(cancel.cancelled());
    let mut session = Session {
        engine: Arc::clone(engine),
        wire,
        transaction: Transaction::new(),
        mode: engine.mode(),
        settings: Settings::new(),
        statements: HashMap::new(),
        portals: HashMap::new(),
        plans: HashMap::new(),
        cancel: Arc::clone(&cancel),
        skipping: false,
        acknowledged: None,
    };
    // A socket's error is how most connections end; only the client could be told.
    let Ok(Some(process)) = session.start() else {
        return;
    };
    let _ = session.run();
    engine.unregister(process);
}

impl Session {
    /// The startup exchange; the session's number, or nothing if there is to be no session.
    fn start(&mut self) -> io::Result<Option<i32>> {
        loop {
            match self.wire.receive(None)? {
                Incoming::Message(Frontend::SslNegotiation(Negotiation::PostgresSsl(_))) => {
                    self.wire.put(&SslResponse::Refuse);
                    self.wire.flush(None)?;
                }
                Incoming::Message(Frontend::SslNegotiation(Negotiation::PostgresGss(_))) => {
                    self.wire.put(&GssEncResponse::Refuse);
                    self.wire.flush(None)?;
                }
                Incoming::Message(Frontend::SslNegotiation(Negotiation::None)) => {
                    self.wire.context.awaiting_frontend_ssl = false;
                }
                Incoming::Message(Frontend::CancelRequest(request)) => {
                    if let SecretKey::I32(secret) = request.secret_key {
                        self.engine.cancel(request.pid, secret);
                    }
                    return Ok(None);
                }
                Incoming::Message(Frontend::Startup(startup)) => {
                    self.wire.context.awaiting_frontend_startup = false;
                    let options: Vec<String> = startup
                        .parameters
                        .keys()
                        .filter(|name| name.starts_with("_pq_."))
                        .cloned()
                        .collect();
                    if startup.protocol_number_minor > 0 || !options.is_empty() {
                        self.wire
                            .put(&NegotiateProtocolVersion::new(PROTOCOL_3_0, options));
                    }
                    for (name, value) in &startup.parameters {
                        if !matches!(
                            name.as_str(),
                            "user" | "database" | "options" | "replication"
                        ) && !name.starts_with("_pq_.")
                        {
                            let _ = self.settings.set(&name.to_ascii_lowercase(), Some(value));
                        }
                    }
                    let (process, secret) = self.engine.register(Arc::clone(&self.cancel));
                    self.wire.put(&Authentication::Ok);
                    for name in settings::REPORTED {
                        let value = self.settings.get(name).unwrap_or_default().to_owned();
                        self.wire.put(&ParameterStatus::new(name.to_owned(), value));
                    }
                    self.wire
                        .put(&BackendKeyData::new(process, SecretKey::I32(secret)));
                    self.ready()?;
                    return Ok(Some(process));
                }
                Incoming::Message(_) | Incoming::Closed | Incoming::Idle => return Ok(None),
                Incoming::Garbage(what) => {
                    self.wire.put_error(&SqlError::new("08P01", what));
                    self.wire.flush(None)?;
                    return Ok(None);
                }
            }
        }
    }

    fn run(&mut self) -> io::Result<()> {
        loop {
            let idle = self.transaction.is_writing().then_some(WRITE_IDLE);
            let next = match self.wire.receive(idle)? {
                Incoming::Message(message) => self.handle(message)?,
                Incoming::Closed => Next::End,
                Incoming::Idle => {
                    self.transaction.abort(SqlError::conflict(
                        "the transaction was ended, as it kept others from writing for 1 s",
                    ));
                    Next::Continue
                }
                Incoming::Garbage(what) => {
                    self.wire.put_error(&SqlError::new("08P01", what));
                    self.wire.flush(None)?;
                    Next::End
                }
            };
            if next == Next::End {
                return Ok(());
            }
        }
    }

    fn handle(&mut self, message: Frontend) -> io::Result<Next> {
        if matches!(self.transaction.work, Work::Nothing) {
            let before = std::mem::replace(&mut self.mode, self.engine.mode());
            if bug::on(Bug::LosesSession) && before != self.mode {
                self.settings = Settings::new();
                self.statements.clear();
            }
        }
        match message {
            Frontend::Terminate(_) => return Ok(Next::End),
            Frontend::Query(query) => {
                self.skipping = false;
                self.portals.remove("");
                match self.query(&query.query) {
                    Ok(()) => {}
                    Err(ExecuteError::Sql(error)) => self.report(&error),
                    Err(ExecuteError::Io(error)) => return Err(error),
                }
                self.end_of_exchange()?;
            }
            Frontend::Sync(_) => {
                self.skipping = false;
                self.end_of_exchange()?;
            }
            Frontend::Flush(_) => self.flush()?,
            message if message.is_extended_query() => {
                if !self.skipping {
                    match self.extended(message) {
                        Ok(()) => {}
                        Err(ExecuteError::Sql(error)) => {
                            self.skipping = true;
                            self.report(&error);
                        }
                        Err(ExecuteError::Io(error)) => return Err(error),
                    }
                }
            }
            // Left over from a COPY that we have refused.
            Frontend::CopyData(_) | Frontend::CopyDone(_) | Frontend::CopyFail(_) => {}
            _ => {
                self.wire.put_error(&SqlError::new(
                    "08P01",
                    "a message that does not belong here",
                ));
                self.wire.flush(None)?;
                return Ok(Next::End);
            }
        }
        Ok(Next::Continue)
    }

    /// Tells the client of an error, and ends or marks the transaction.
    fn report(&mut self, error: &SqlError) {
        self.acknowledged = None;
        if self.transaction.explicit {
            self.transaction.fail();
        } else {
            self.transaction = Transaction::new();
        }
        self.wire.put_error(error);
    }

    /// Ends what no BEGIN keeps open, and hands everything to the client.
    fn end_of_exchange(&mut self) -> io::Result<()> {
        if !self.transaction.explicit {
            let mut transaction = std::mem::replace(&mut self.transaction, Transaction::new());
            let ended = match transaction.untold.take() {
                Some(reason) => Err(reason),
                None => transaction.commit(&self.engine),
            };
            match ended {
                Ok(true) => self.acknowledged = Some(Acknowledged::Write),
                Ok(false) => {}
                Err(error) => self.report(&error),
            }
            self.portals.clear();
        }
        self.ready()
    }

    fn ready(&mut self) -> io::Result<()> {
        let status = match (
            self.transaction.explicit,
            self.transaction.failed && self.transaction.untold.is_none(),
        ) {
            (false, _) => TransactionStatus::Idle,
            (true, false) => TransactionStatus::Transaction,
            (true, true) => TransactionStatus::Error,
        };
        self.wire.put(&ReadyForQuery::new(status));
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.wire
            .flush(self.transaction.is_writing().then_some(WRITE_IDLE))?;
        if let Some(what) = self.acknowledged.take() {
            self.engine.acknowledge(what);
        }
        Ok(())
    }

    fn plans(&mut self, text: &str) -> Result<Arc<Vec<Plan>>, SqlError> {
        if let Some(plans) = self.plans.get(text) {
            return Ok(Arc::clone(plans));
        }
        let plans = Arc::new(sql::parse(text)?);
        if text.len() < 1024 {
            if self.plans.len() >= PLANS {
                self.plans.clear();
            }
            self.plans.insert(text.to_owned(), Arc::clone(&plans));
        }
        Ok(plans)
    }

    /// The simple protocol: all statements of a text, as one transaction unless they say otherwise.
    fn query(&mut self, text: &str) -> Result<(), ExecuteError> {
        let plans = self.plans(text)?;
        if plans.is_empty() {
            self.wire.put(&EmptyQueryResponse::new());
        }
        for plan in plans.iter() {
            if plan.parameters > 0 {
                return Err(SqlError::new("42P02", "there is no parameter $1").into());
            }
            // Once a transaction that nobody began has written, its answers wait for its end.
            let stream = self.transaction.explicit
                || !self.transaction.is_writing() && matches!(plan.kind, sql::Kind::Read);
            self.execute(
                plan,
                &[],
                &Wanted {
                    describe: plan.returns_rows(),
                    formats: &[],
                    stream,
                },
            )?;
        }
        Ok(())
    }
}
