//! Types: their names and numbers in PostgreSQL, and values as text and as bytes on the wire.

use crate::hex::unhex;
use bytes::BufMut;
use rusqlite::types::{Value as Sql, ValueRef};
use sqlparser::ast::DataType;

use super::SqlError;

/// The types that clients see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PgType {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Text,
    Varchar,
    Bytea,
}

impl PgType {
    pub(crate) fn oid(self) -> u32 {
        match self {
            Self::Bool => 16,
            Self::Bytea => 17,
            Self::Int8 => 20,
            Self::Int2 => 21,
            Self::Int4 => 23,
            Self::Text => 25,
            Self::Float4 => 700,
            Self::Float8 => 701,
            Self::Varchar => 1043,
        }
    }

    /// The width in bytes, -1 if it varies.
    pub(crate) fn size(self) -> i16 {
        match self {
            Self::Bool => 1,
            Self::Int2 => 2,
            Self::Int4 | Self::Float4 => 4,
            Self::Int8 | Self::Float8 => 8,
            Self::Text | Self::Varchar | Self::Bytea => -1,
        }
    }

    pub(crate) fn from_oid(oid: u32) -> Option<Self> {
        [
            Self::Bool,
            Self::Bytea,
            Self::Int8,
            Self::Int2,
            Self::Int4,
            Self::Text,
            Self::Float4,
            Self::Float8,
            Self::Varchar,
        ]
        .into_iter()
        .find(|one| one.oid() == oid)
    }

    /// How we spell it in a table's definition. The spelling also gives SQLite the right affinity.
    pub(crate) fn declared(self) -> &'static str {
        match self {
            Self::Bool => "BOOLEAN",
            Self::Int2 => "SMALLINT",
            Self::Int4 => "INT",
            Self::Int8 => "BIGINT",
            Self::Float4 => "REAL",
            Self::Float8 => "DOUBLE",
            Self::Text => "TEXT",
            Self::Varchar => "VARCHAR",
            Self::Bytea => "BLOB",
        }
    }

    /// The type of a column so declared. `INTEGER` is the rowid that a SERIAL column became.
    pub(crate) fn from_declared(declared: &str) -> Option<Self> {
        Some(match declared.to_ascii_uppercase().as_str() {
            "BOOLEAN" => Self::Bool,
            "SMALLINT" => Self::Int2,
            "INT" => Self::Int4,
            "INTEGER" | "BIGINT" => Self::Int8,
            "REAL" => Self::Float4,
            "DOUBLE" => Self::Float8,
            "TEXT" => Self::Text,
            "VARCHAR" => Self::Varchar,
            "BLOB" => Self::Bytea,
            _ => return None,
        })
    }

    /// Our type for PostgreSQL's. Types without one of their own (times, UUIDs, JSON) are kept as text.
    pub(crate) fn from_sql(data_type: &DataType) -> Result<Self, SqlError> {
        let name = data_type.to_string().to_ascii_lowercase();
        let word = name.split(['(', ' ', '[']).next().unwrap_or_default();
        if name.contains('[') {
            return Err(SqlError::unsupported("an array type"));
        }
        Ok(match word {
            "bool" | "boolean" => Self::Bool,
            "smallint" | "int2" | "smallserial" | "serial2" => Self::Int2,
            "int" | "integer" | "int4" | "serial" | "serial4" | "oid" => Self::Int4,
            "bigint" | "int8" | "bigserial" | "serial8" => Self::Int8,
            "real" | "float4" => Self::Float4,
            "double" | "float" | "float8" | "numeric" | "decimal" | "dec" => Self::Float8,
            "varchar" | "character" | "char" | "bpchar" => Self::Varchar,
            "bytea" => Self::Bytea,
            "text" | "name" | "timestamp" | "timestamptz" | "date" | "time" | "timetz"
            | "interval" | "uuid" | "json" | "jsonb" | "regclass" | "regtype" | "citext" => {
                Self::Text
            }
            _ => {
                return Err(SqlError::new(
                    "42704",
                    format!("type \"{name}\" does not exist"),
                ));
            }
        })
    }

    pub(crate) fn is_integer(self) -> bool {
        matches!(self, Self::Int2 | Self::Int4 | Self::Int8)
    }

    pub(crate) fn is_number(self) -> bool {
        self.is_integer() || matches!(self, Self::Float4 | Self::Float8)
    }
}

pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "t" | "true" | "y" | "yes" | "on" | "1" => Some(true),
        "f" | "false" | "n" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// `\x` and hexadecimal digits, or the text's own bytes.
pub(crate) fn parse_bytea(text: &str) -> Option<Vec<u8>> {
    let Some(hex) = text.strip_prefix("\\x") else {
        return Some(text.as_bytes().to_vec());
    };
    unhex(hex)
}

/// Writes a value as a field of a row: its length, then its bytes in text or binary form.
pub(crate) fn put_field(
    out: &mut impl BufMut,
    value: ValueRef<'_>,
    pg_type: PgType,
    binary: bool,
) -> Result<(), SqlError> {
    if binary {
        put_binary(out, value, pg_type)
    } else {
        put_text(out, value, pg_type)
    }
}

fn put_sized(out: &mut impl BufMut, bytes: &[u8]) {
    out.put_i32(bytes.len() as i32);
    out.put_slice(bytes);
}

fn put_text(out: &mut impl BufMut, value: ValueRef<'_>, pg_type: PgType) -> Result<(), SqlError> {
    match (value, pg_type) {
        (ValueRef::Null, _) => out.put_i32(-1),
        (ValueRef::Integer(value), PgType::Bool) => {
            put_sized(out, if value != 0 { b"t" } else { b"f" })
        }
        (ValueRef::Integer(value), _) => {
            checked(value, pg_type)?;
            put_sized(out, value.to_string().as_bytes());
        }
        (ValueRef::Real(value), PgType::Float4) => put_sized(
            out,
            float_text(value as f32, value.is_infinite(), value).as_bytes(),
        ),
        (ValueRef::Real(value), _) => put_sized(
            out,
            float_text(value, value.is_infinite(), value).as_bytes(),
        ),
        (ValueRef::Text(text), _) => put_sized(out, text),
        (ValueRef::Blob(bytes), _) => {
            let mut hex = String::with_capacity(2 + bytes.len() * 2);
            hex.push_str("\\x");
            for byte in bytes {
                hex.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
                hex.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
            }
            put_sized(out, hex.as_bytes());
        }
    }
    Ok(())
}

fn float_text(shown: impl std::fmt::Display, infinite: bool, value: f64) -> String {
    if infinite {
        if value > 0.0 {
            "Infinity".to_owned()
        } else {
            "-Infinity".to_owned()
        }
    } else {
        shown.to_string()
    }
}

fn checked(value: i64, pg_type: PgType) -> Result<i64, SqlError> {
    let fits = match pg_type {
        PgType::Int2 => i16::try_from(value).is_ok(),
        PgType::Int4 => i32::try_from(value).is_ok(),
        _ => true,
    };
    if fits {
        Ok(value)
    } else {
        Err(SqlError::new(
            "22003",
            format!("{value} is out of range for its type"),
        ))
    }
}

fn put_binary(out: &mut impl BufMut, value: ValueRef<'_>, pg_type: PgType) -> Result<(), SqlError> {
    let misfit = || {
        SqlError::new(
            "42804",
            format!("a value does not fit the type {pg_type:?} that was announced for it"),
        )
    };
    if matches!(value, ValueRef::Null) {
        out.put_i32(-1);
        return Ok(());
    }
    let integer = || match value {
        ValueRef::Integer(value) => checked(value, pg_type),
        ValueRef::Real(value) if value.fract() == 0.0 && value.abs() < 9e15 => {
            checked(value as i64, pg_type)
        }
        ValueRef::Text(text) => std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .ok_or_else(misfit)
            .and_then(|value| checked(value, pg_type)),
        _ => Err(misfit()),
    };
    let float = || match value {
        ValueRef::Integer(value) => Ok(value as f64),
        ValueRef::Real(value) => Ok(value),
        ValueRef::Text(text) => std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .ok_or_else(misfit),
        _ => Err(misfit()),
    };
    match pg_type {
        PgType::Bool => put_sized(out, &[u8::from(integer()? != 0)]),
        PgType::Int2 => put_sized(out, &(integer()? as i16).to_be_bytes()),
        PgType::Int4 => put_sized(out, &(integer()? as i32).to_be_bytes()),
        PgType::Int8 => put_sized(out, &integer()?.to_be_bytes()),
        PgType::Float4 => put_sized(out, &(float()? as f32).to_be_bytes()),
        PgType::Float8 => put_sized(out, &float()?.to_be_bytes()),
        PgType::Bytea => match value {
            ValueRef::Blob(bytes) | ValueRef::Text(bytes) => put_sized(out, bytes),
            _ => return Err(misfit()),
        },
        // Text in binary form is the same text.
        PgType::Text | PgType::Varchar => put_text(out, value, pg_type)?,
    }
    Ok(())
}

/// Reads a parameter as a client sent it, of the type it or we announced.
pub(crate) fn read_parameter(raw: Option<&[u8]>, oid: u32, binary: bool) -> Result<Sql, SqlError> {
    let Some(raw) = raw else { return Ok(Sql::Null) };
    let pg_type = PgType::from_oid(oid);
    if !binary {
        let text = std::str::from_utf8(raw)
            .map_err(|_| SqlError::new("22021", "a parameter is not valid UTF-8"))?;
        return read_text(text, pg_type, oid);
    }
    let wrong = || SqlError::new("22P03", "incorrect binary data format in bind parameter");
    fn array<const N: usize>(raw: &[u8]) -> Option<[u8; N]> {
        raw.try_into().ok()
    }
    Ok(match pg_type {
        Some(PgType::Bool) => Sql::Integer((array::<1>(raw).ok_or_else(wrong)?[0] != 0).into()),
        Some(PgType::Int2) => {
            Sql::Integer(i16::from_be_bytes(array(raw).ok_or_else(wrong)?).into())
        }
        Some(PgType::Int4) => {
            Sql::Integer(i32::from_be_bytes(array(raw).ok_or_else(wrong)?).into())
        }
        Some(PgType::Int8) => Sql::Integer(i64::from_be_bytes(array(raw).ok_or_else(wrong)?)),
        Some(PgType::Float4) => real(f32::from_be_bytes(array(raw).ok_or_else(wrong)?).into())?,
        Some(PgType::Float8) => real(f64::from_be_bytes(array(raw).ok_or_else(wrong)?))?,
        Some(PgType::Bytea) => Sql::Blob(raw.to_vec()),
        Some(PgType::Text | PgType::Varchar) => Sql::Text(
            String::from_utf8(raw.to_vec())
                .map_err(|_| SqlError::new("22021", "a parameter is not valid UTF-8"))?,
        ),
        None => {
            return Err(SqlError::unsupported(format_args!(
                "a binary parameter of the type with oid {oid}"
            )));
        }
    })
}

/// SQLite stores NaN as NULL: taking it would lose it silently.
fn real(value: f64) -> Result<Sql, SqlError> {
    if value.is_nan() {
        Err(SqlError::unsupported("NaN"))
    } else {
        Ok(Sql::Real(value))
    }
}

fn read_text(text: &str, pg_type: Option<PgType>, oid: u32) -> Result<Sql, SqlError> {
    let wrong = |name: &str| {
        SqlError::new(
            "22P02",
            format!("invalid input syntax for type {name}: \"{text}\""),
        )
    };
    if text.contains('\0') {
        return Err(SqlError::new(
            "22021",
            "a text must not contain a zero byte",
        ));
    }
    Ok(match pg_type {
        Some(PgType::Bool) => {
            Sql::Integer(parse_bool(text).ok_or_else(|| wrong("boolean"))?.into())
        }
        Some(pg_type @ (PgType::Int2 | PgType::Int4 | PgType::Int8)) => {
            let value: i64 = text.trim().parse().map_err(|_| wrong("integer"))?;
            Sql::Integer(checked(value, pg_type)?)
        }
        Some(PgType::Float4 | PgType::Float8) => {
            real(text.trim().parse().map_err(|_| wrong("double precision"))?)?
        }
        Some(PgType::Bytea) => Sql::Blob(parse_bytea(text).ok_or_else(|| wrong("bytea"))?),
        Some(PgType::Text | PgType::Varchar) => Sql::Text(text.to_owned()),
        // numeric: exact as long as it is an integer.
        None if oid == 1700 => match text.trim().parse() {
            Ok(value) => Sql::Integer(value),
            Err(_) => real(text.trim().parse().map_err(|_| wrong("numeric"))?)?,
        },
        None => Sql::Text(text.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_in_both_forms() {
        assert_eq!(
            read_parameter(Some(b"42"), 20, false).unwrap(),
            Sql::Integer(42)
        );
        assert_eq!(
            read_parameter(Some(&42i64.to_be_bytes()), 20, true).unwrap(),
            Sql::Integer(42)
        );
        assert_eq!(
            read_parameter(Some(b"x"), 23, false).unwrap_err().state,
            "22P02"
        );
        assert_eq!(
            read_parameter(Some(b"1"), 23, true).unwrap_err().state,
            "22P03"
        );
        assert_eq!(
            read_parameter(Some(b"\\x00ff"), 17, false).unwrap(),
            Sql::Blob(vec![0, 255])
        );
        assert_eq!(
            read_parameter(Some(b"NaN"), 701, false).unwrap_err().state,
            "0A000"
        );
        assert_eq!(read_parameter(None, 20, true).unwrap(), Sql::Null);
    }

    #[test]
    fn values_are_written_in_both_forms() {
        let field = |value, pg_type, binary| {
            let mut out = Vec::new();
            put_field(&mut out, value, pg_type, binary).map(|()| out.split_off(4.min(out.len())))
        };
        assert_eq!(
            field(ValueRef::Integer(1), PgType::Bool, false).unwrap(),
            b"t"
        );
        assert_eq!(
            field(ValueRef::Integer(7), PgType::Int4, true).unwrap(),
            7i32.to_be_bytes()
        );
        assert_eq!(
            field(ValueRef::Real(f64::NEG_INFINITY), PgType::Float8, false).unwrap(),
            b"-Infinity"
        );
        assert_eq!(
            field(ValueRef::Blob(&[1, 171]), PgType::Bytea, false).unwrap(),
            b"\\x01ab"
        );
        assert_eq!(
            field(ValueRef::Integer(1 << 40), PgType::Int4, true)
                .unwrap_err()
                .state,
            "22003"
        );
    }
}
