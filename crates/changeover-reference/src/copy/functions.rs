//! SQL functions that SQLite lacks: the one behind the triggers, checked casts, and some of PostgreSQL's own.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Value as Sql, ValueRef};
use rusqlite::{Connection, Error, Result};

use super::Recorder;
use crate::session::settings::SERVER_VERSION;
use crate::store::{Effect, Value};

/// An error from a function starts with its SQLSTATE and this.
pub(crate) const STATE_SEPARATOR: &str = "|";

thread_local! {
    /// Whether the statement of this thread's session was cancelled.
    pub(crate) static CANCELLED: RefCell<Arc<AtomicBool>> = RefCell::default();
}

fn fail<T>(state: &str, message: String) -> Result<T> {
    Err(Error::UserFunctionError(
        format!("{state}{STATE_SEPARATOR}{message}").into(),
    ))
}

pub(super) fn register(
    connection: &Connection,
    recorder: &Arc<Mutex<Recorder>>,
    version: &'static str,
) -> Result<()> {
    let pure = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    let impure = FunctionFlags::SQLITE_UTF8;
    let recorder = Arc::clone(recorder);
    connection.create_scalar_function("__changeover_effect", -1, impure, move |context| {
        let mut recorder = recorder.lock().unwrap_or_else(PoisonError::into_inner);
        if recorder.on {
            let effect = effect(context)?;
            recorder.effects.push(effect);
        }
        Ok(Sql::Null)
    })?;
    connection.create_scalar_function("__changeover_int2", 1, pure, |context| {
        int(context, i16::MIN.into(), i16::MAX.into(), "smallint")
    })?;
    connection.create_scalar_function("__changeover_int4", 1, pure, |context| {
        int(context, i32::MIN.into(), i32::MAX.into(), "integer")
    })?;
    connection.create_scalar_function("__changeover_int8", 1, pure, |context| {
        int(context, i64::MIN, i64::MAX, "bigint")
    })?;
    connection.create_scalar_function("__changeover_float8", 1, pure, float)?;
    connection.create_scalar_function("__changeover_bool", 1, pure, boolean)?;
    connection.create_scalar_function("__changeover_bytea", 1, pure, bytea)?;
    connection.create_scalar_function("changeover_version", 0, pure, move |_| Ok(version))?;
    connection.create_scalar_function("version", 0, pure, move |_| {
        Ok(format!(
            "PostgreSQL {SERVER_VERSION} (Changeover reference database {version})"
        ))
    })?;
    connection.create_scalar_function("current_database", 0, pure, |_| Ok("changeover"))?;
    connection.create_scalar_function("current_schema", 0, pure, |_| Ok("public"))?;
    connection.create_scalar_function("__changeover_random", 0, impure, |_| {
        // 53 bits of the time's low digits mixed; nothing secret hangs on it.
        let nanos = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_nanos() as u64;
        let mut x = nanos.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x ^= x >> 31;
        x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        Ok((x >> 11) as f64 / (1u64 << 53) as f64)
    })?;
    connection.create_scalar_function("__changeover_now", 0, impure, |_| {
        let mut out = String::new();
        crate::log::push_utc(&mut out, SystemTime::now());
        Ok(out.replace('T', " ").replace('Z', "+00"))
    })?;
    connection.create_scalar_function("__changeover_sleep", 1, impure, |context| {
        let seconds = match context.get_raw(0) {
            ValueRef::Integer(seconds) => seconds as f64,
            ValueRef::Real(seconds) => seconds,
            _ => 0.0,
        };
        sleep(Duration::from_secs_f64(seconds.clamp(0.0, 3600.0)))
    })
}

/// Sleeps in short slices, as SQLite cannot interrupt a function.
fn sleep(time: Duration) -> Result<String> {
    let end = Instant::now() + time;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(String::new());
        }
        if CANCELLED.with_borrow(|cancelled| cancelled.load(Ordering::Relaxed)) {
            return fail(
                "57014",
                "canceling statement due to user request".to_owned(),
            );
        }
        std::thread::sleep(left.min(Duration::from_millis(10)));
    }
}

/// Arguments: operation (0 insert, 1 update, 2 delete), table, old rowid, new rowid, the row's values.
fn effect(context: &Context<'_>) -> Result<Effect> {
    let operation: i64 = context.get(0)?;
    let table: String = context.get(1)?;
    let (old, rowid): (i64, i64) = (context.get(2)?, context.get(3)?);
    let row = || {
        (4..context.len())
            .map(|n| value(context.get_raw(n)))
            .collect::<Result<Vec<_>>>()
    };
    Ok(match operation {
        0 => Effect::Insert {
            table,
            rowid,
            row: row()?,
        },
        1 => Effect::Update {
            table,
            old,
            rowid,
            row: row()?,
        },
        _ => Effect::Delete { table, rowid: old },
    })
}

fn value(raw: ValueRef<'_>) -> Result<Value> {
    Ok(match raw {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Int(value),
        ValueRef::Real(value) => Value::Real(value),
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => return fail("22021", "a text value is not valid UTF-8".to_owned()),
        },
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    })
}

fn text(raw: ValueRef<'_>) -> String {
    match raw {
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        _ => String::new(),
    }
}

fn int(context: &Context<'_>, low: i64, high: i64, name: &str) -> Result<Sql> {
    let value = match context.get_raw(0) {
        ValueRef::Null => return Ok(Sql::Null),
        ValueRef::Integer(value) => value,
        // Half goes to the even neighbour, as in PostgreSQL; the upper bound itself is no i64.
        ValueRef::Real(value) if value >= i64::MIN as f64 && value < i64::MAX as f64 => {
            value.round_ties_even() as i64
        }
        ValueRef::Real(_) => return fail("22003", format!("{name} out of range")),
        ValueRef::Text(raw) => {
            let raw = String::from_utf8_lossy(raw);
            match raw.trim().parse::<i128>() {
                Ok(value) => match i64::try_from(value) {
                    Ok(value) => value,
                    Err(_) => {
                        return fail(
                            "22003",
                            format!("value \"{raw}\" is out of range for type {name}"),
                        );
                    }
                },
                Err(_) => {
                    return fail(
                        "22P02",
                        format!("invalid input syntax for type {name}: \"{raw}\""),
                    );
                }
            }
        }
        ValueRef::Blob(_) => return fail("42846", format!("cannot cast type bytea to {name}")),
    };
    if (low..=high).contains(&value) {
        Ok(Sql::Integer(value))
    } else {
        fail("22003", format!("{name} out of range"))
    }
}

fn float(context: &Context<'_>) -> Result<Sql> {
    match context.get_raw(0) {
        ValueRef::Null => Ok(Sql::Null),
        ValueRef::Integer(value) => Ok(Sql::Real(value as f64)),
        ValueRef::Real(value) => Ok(Sql::Real(value)),
        raw => {
            let raw = text(raw);
            match raw.trim().parse::<f64>() {
                Ok(value) if value.is_nan() => fail("0A000", "NaN is not supported".to_owned()),
                Ok(value) => Ok(Sql::Real(value)),
                Err(_) => fail(
                    "22P02",
                    format!("invalid input syntax for type double precision: \"{raw}\""),
                ),
            }
        }
    }
}

fn boolean(context: &Context<'_>) -> Result<Sql> {
    match context.get_raw(0) {
        ValueRef::Null => Ok(Sql::Null),
        ValueRef::Integer(value) => Ok(Sql::Integer((value != 0).into())),
        raw => {
            let raw = text(raw);
            match crate::sql::types::parse_bool(&raw) {
                Some(value) => Ok(Sql::Integer(value.into())),
                None => fail(
                    "22P02",
                    format!("invalid input syntax for type boolean: \"{raw}\""),
                ),
            }
        }
    }
}

fn bytea(context: &Context<'_>) -> Result<Sql> {
    match context.get_raw(0) {
        ValueRef::Null => Ok(Sql::Null),
        ValueRef::Blob(bytes) => Ok(Sql::Blob(bytes.to_vec())),
        raw => {
            let raw = text(raw);
            match crate::sql::types::parse_bytea(&raw) {
                Some(bytes) => Ok(Sql::Blob(bytes)),
                None => fail(
                    "22P02",
                    "invalid hexadecimal data for type bytea".to_owned(),
                ),
            }
        }
    }
}
