//! `batch-log`, of v0.4.0: all effects of a transaction in one part, with one checksum.

use super::super::Effect;
use super::bytes::{put_varint, seal, unseal};
use super::checked_rows::{effect, put_effect};

/// Tells a batch from a record of `checked-rows`, which never starts with this byte.
const BATCH: u8 = 0xb4;

pub(super) fn encode(effects: &[Effect]) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 * effects.len());
    out.push(BATCH);
    put_varint(&mut out, effects.len() as u64);
    for effect in effects {
        put_effect(&mut out, effect);
    }
    seal(out)
}

pub(super) fn decode(bytes: &[u8]) -> Result<Vec<Effect>, String> {
    let mut reader = unseal(bytes)?;
    reader.start(BATCH)?;
    let count = reader.varint()?;
    let mut effects = Vec::new();
    for _ in 0..count {
        effects.push(effect(&mut reader)?);
    }
    reader.end()?;
    Ok(effects)
}
