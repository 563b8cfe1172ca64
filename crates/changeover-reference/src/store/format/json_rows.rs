//! `json-rows`, of v0.1.0: one JSON text for every effect.

use crate::hex::unhex;
use serde_json::{Value as Json, json};

use super::super::{Effect, Value};

pub(super) fn encode(effect: &Effect) -> String {
    let row = |row: &[Value]| row.iter().map(to_json).collect::<Vec<_>>();
    match effect {
        Effect::Insert {
            table,
            rowid,
            row: values,
        } => json!({"op": "insert", "table": table, "rowid": rowid, "row": row(values)}),
        Effect::Update {
            table,
            old,
            rowid,
            row: values,
        } => {
            json!({"op": "update", "table": table, "old": old, "rowid": rowid, "row": row(values)})
        }
        Effect::Delete { table, rowid } => json!({"op": "delete", "table": table, "rowid": rowid}),
        Effect::Ddl { statement } => json!({"op": "ddl", "statement": statement}),
    }
    .to_string()
}

pub(super) fn decode(bytes: &[u8]) -> Result<Effect, String> {
    let json: Json =
        serde_json::from_slice(bytes).map_err(|e| format!("a record is not JSON ({e})"))?;
    let text = |key: &str| {
        json[key]
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| format!("a record lacks `{key}`"))
    };
    let int = |key: &str| {
        json[key]
            .as_i64()
            .ok_or_else(|| format!("a record lacks `{key}`"))
    };
    let row = || -> Result<Vec<Value>, String> {
        json["row"]
            .as_array()
            .ok_or("a record lacks `row`")?
            .iter()
            .map(from_json)
            .collect()
    };
    match json["op"].as_str() {
        Some("insert") => Ok(Effect::Insert {
            table: text("table")?,
            rowid: int("rowid")?,
            row: row()?,
        }),
        Some("update") => Ok(Effect::Update {
            table: text("table")?,
            old: int("old")?,
            rowid: int("rowid")?,
            row: row()?,
        }),
        Some("delete") => Ok(Effect::Delete {
            table: text("table")?,
            rowid: int("rowid")?,
        }),
        Some("ddl") => Ok(Effect::Ddl {
            statement: text("statement")?,
        }),
        _ => Err("a record with an unknown `op`".to_owned()),
    }
}

/// Reals go by their bits: JSON has no infinities, and a decimal text must not decide what is read back.
fn to_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Int(value) => json!(value),
        Value::Real(value) => json!({"real": format!("{:016x}", value.to_bits())}),
        Value::Text(value) => json!(value),
        Value::Blob(value) => {
            json!({"blob": value.iter().map(|byte| format!("{byte:02x}")).collect::<String>()})
        }
    }
}

fn from_json(json: &Json) -> Result<Value, String> {
    match json {
        Json::Null => Ok(Value::Null),
        Json::Number(number) => number
            .as_i64()
            .map(Value::Int)
            .ok_or_else(|| format!("the number {number} is no 64-bit integer")),
        Json::String(text) => Ok(Value::Text(text.clone())),
        Json::Object(object) => match (
            object.get("real").and_then(Json::as_str),
            object.get("blob").and_then(Json::as_str),
        ) {
            (Some(bits), None) => u64::from_str_radix(bits, 16)
                .map(|bits| Value::Real(f64::from_bits(bits)))
                .map_err(|_| format!("`{bits}` is no real")),
            (None, Some(hex)) => unhex(hex)
                .map(Value::Blob)
                .ok_or_else(|| "a blob that is not hexadecimal".to_owned()),
            _ => Err("an object that is no value".to_owned()),
        },
        _ => Err(format!("{json} is no value")),
    }
}
