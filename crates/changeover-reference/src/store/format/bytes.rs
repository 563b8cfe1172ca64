//! Reading and writing the binary formats: fixed and variable-length integers, strings, checksums.

/// Reads from the front of a slice; every read says what was missing.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        match self.0.split_at_checked(length) {
            Some((head, tail)) => {
                self.0 = tail;
                Ok(head)
            }
            None => Err(format!(
                "a record ends {} bytes early",
                length - self.0.len()
            )),
        }
    }

    pub(super) fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn u32(&mut self) -> Result<u32, String> {
        let mut raw = [0; 4];
        raw.copy_from_slice(self.take(4)?);
        Ok(u32::from_be_bytes(raw))
    }

    pub(super) fn i64(&mut self) -> Result<i64, String> {
        let mut raw = [0; 8];
        raw.copy_from_slice(self.take(8)?);
        Ok(i64::from_be_bytes(raw))
    }

    pub(super) fn text(&mut self, length: usize) -> Result<String, String> {
        String::from_utf8(self.take(length)?.to_vec())
            .map_err(|_| "a text that is not UTF-8".to_owned())
    }

    /// An unsigned integer, seven bits a byte, lowest first.
    pub(super) fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("an integer of more than 64 bits".to_owned())
    }

    pub(super) fn length(&mut self) -> Result<usize, String> {
        usize::try_from(self.varint()?).map_err(|_| "a length beyond memory".to_owned())
    }

    /// A text after its length.
    pub(super) fn string(&mut self) -> Result<String, String> {
        let length = self.length()?;
        self.text(length)
    }

    /// A signed integer whose small magnitudes are short.
    pub(super) fn zigzag(&mut self) -> Result<i64, String> {
        self.varint().map(unfold)
    }

    /// The byte that records of a format start with.
    pub(super) fn start(&mut self, wanted: u8) -> Result<(), String> {
        match self.byte()? {
            found if found == wanted => Ok(()),
            found => Err(format!(
                "a record that starts with {found:#04x} instead of {wanted:#04x}"
            )),
        }
    }

    pub(super) fn end(&self) -> Result<(), String> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(format!("{} bytes after the end of a record", self.0.len()))
        }
    }
}

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Folds a signed integer so that small magnitudes, whatever their sign, are small numbers.
pub(super) fn fold(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

pub(super) fn unfold(folded: u64) -> i64 {
    (folded >> 1) as i64 ^ -((folded & 1) as i64)
}

pub(super) fn put_zigzag(out: &mut Vec<u8>, value: i64) {
    put_varint(out, fold(value));
}

pub(super) fn put_text(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Puts the checksum of everything in `out` at its end.
pub(super) fn seal(mut out: Vec<u8>) -> Vec<u8> {
    let sum = crc32fast::hash(&out);
    out.extend_from_slice(&sum.to_be_bytes());
    out
}

/// What [`seal`] sealed, if the checksum fits.
pub(super) fn unseal(bytes: &[u8]) -> Result<Reader<'_>, String> {
    let Some((body, sum)) = bytes.split_last_chunk::<4>() else {
        return Err("a record is shorter than its checksum".to_owned());
    };
    if crc32fast::hash(body) != u32::from_be_bytes(*sum) {
        return Err("the checksum of a record does not fit".to_owned());
    }
    Ok(Reader(body))
}
