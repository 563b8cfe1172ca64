//! A client's socket: messages in, messages out. Blocking, as each session has a thread of its own.

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};
use pgwire::messages::response::{ErrorResponse, NoticeResponse};
use pgwire::messages::{DecodeContext, Message, PgWireFrontendMessage, ProtocolVersion};

use crate::sql::SqlError;

/// Bytes of output that are sent without waiting for the end of the answer.
pub(super) const ENOUGH: usize = 64 * 1024;

thread_local! {
    static DECODING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread reads a client's bytes just now: a panic then is the client's mistake, not ours.
pub(crate) fn is_decoding() -> bool {
    DECODING.get()
}

/// The decoder panics on some messages whose length does not fit their content.
fn decode(
    input: &mut BytesMut,
    context: &DecodeContext,
) -> Result<Option<PgWireFrontendMessage>, String> {
    DECODING.set(true);
    let result = catch_unwind(AssertUnwindSafe(|| {
        PgWireFrontendMessage::decode(input, context)
    }));
    DECODING.set(false);
    match result {
        Ok(decoded) => decoded.map_err(|error| error.to_string()),
        Err(_) => Err("a message whose length does not fit its content".to_owned()),
    }
}

/// What came from the client.
pub(super) enum Incoming {
    Message(PgWireFrontendMessage),
    Closed,
    /// Nothing, for as long as was asked.
    Idle,
    /// Not the protocol.
    Garbage(String),
}

pub(super) struct Wire {
    stream: TcpStream,
    input: BytesMut,
    pub(super) out: BytesMut,
    pub(super) context: DecodeContext,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            input: BytesMut::with_capacity(8 * 1024),
            out: BytesMut::with_capacity(8 * 1024),
            context: DecodeContext::new(ProtocolVersion::PROTOCOL3_0),
            read_timeout: None,
            write_timeout: None,
        })
    }

    /// The next message; waits at most `idle` for it, or for ever.
    pub(super) fn receive(&mut self, idle: Option<Duration>) -> io::Result<Incoming> {
        let deadline = idle.map(|idle| Instant::now() + idle);
        loop {
            match decode(&mut self.input, &self.context) {
                Ok(Some(message)) => return Ok(Incoming::Message(message)),
                Ok(None) => {}
                Err(error) => return Ok(Incoming::Garbage(error)),
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(Incoming::Idle);
            }
            // The whole limit each time, to save the call that sets it; the deadline decides.
            if self.read_timeout != idle {
                self.stream.set_read_timeout(idle)?;
                self.read_timeout = idle;
            }
            self.input.reserve(8 * 1024);
            let start = self.input.len();
            self.input.resize(self.input.capacity(), 0);
            let read = self.stream.read(&mut self.input[start..]);
            self.input.truncate(start + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => return Ok(Incoming::Closed),
                Ok(_) => {}
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted
                    | io::ErrorKind::WouldBlock
                    | io::ErrorKind::TimedOut => {}
                    _ => return Err(error),
                },
            }
        }
    }

    pub(super) fn put(&mut self, message: &impl Message) {
        let start = self.out.len();
        if message.encode(&mut self.out).is_err() {
            self.out.truncate(start);
        }
    }

    pub(super) fn put_error(&mut self, error: &SqlError) {
        let fields = vec![
            (b'S', "ERROR".to_owned()),
            (b'V', "ERROR".to_owned()),
            (b'C', error.state.clone()),
            (b'M', error.message.replace('\0', " ")),
        ];
        self.put(&ErrorResponse::new(fields));
    }

    pub(super) fn put_notice(&mut self, state: &str, text: &str) {
        let fields = vec![
            (b'S', "NOTICE".to_owned()),
            (b'V', "NOTICE".to_owned()),
            (b'C', state.to_owned()),
            (b'M', text.to_owned()),
        ];
        self.put(&NoticeResponse::new(fields));
    }

    /// A row: `fields` writes each of the `count` fields. What was begun is taken back if it fails.
    pub(super) fn put_row(
        &mut self,
        count: usize,
        fields: impl FnOnce(&mut BytesMut) -> Result<(), SqlError>,
    ) -> Result<(), SqlError> {
        let start = self.out.len();
        self.out.put_u8(b'D');
        self.out.put_i32(0);
        self.out.put_i16(count as i16);
        if let Err(error) = fields(&mut self.out) {
            self.out.truncate(start);
            return Err(error);
        }
        let length = (self.out.len() - start - 1) as i32;
        self.out[start + 1..start + 5].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    /// Hands what was put to the socket. A client that does not read its answer must not hold up whatever it has
    /// locked: then `at_most` says how long it may take to read a buffer.
    pub(super) fn flush(&mut self, at_most: Option<Duration>) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        if self.write_timeout != at_most {
            self.stream.set_write_timeout(at_most)?;
            self.write_timeout = at_most;
        }
        let deadline = at_most.map(|at_most| Instant::now() + at_most);
        let mut rest = &self.out[..];
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if !rest.is_empty() && deadline.is_some_and(|deadline| Instant::now() > deadline) {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        self.out.clear();
        Ok(())
    }
}
