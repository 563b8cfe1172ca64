//! The lines of a file of any size, in bounded memory.

use std::fmt;
use std::io::{BufRead, Error, Read};

/// The longest line that is read, in bytes: as much memory as a reader takes, whatever it is given.
pub const LONGEST_LINE: u64 = 64 << 20;

/// Reads lines one after the other, into the same memory.
#[derive(Debug)]
pub struct Lines<R> {
    source: R,
    bytes: Vec<u8>,
    number: u64,
}

/// A line that cannot be read.
#[derive(Debug)]
pub enum LinesError {
    /// The file.
    Io(Error),
    /// Longer than [`LONGEST_LINE`].
    TooLong,
    /// Not text.
    NotUtf8,
}

impl fmt::Display for LinesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinesError::Io(error) => write!(f, "cannot read on: {error}"),
            LinesError::TooLong => write!(
                f,
                "the line is longer than {} MiB: give each operation a line of its own",
                LONGEST_LINE >> 20
            ),
            LinesError::NotUtf8 => write!(f, "the line is not UTF-8 text: is this the right file?"),
        }
    }
}

impl std::error::Error for LinesError {}

impl<R: BufRead> Lines<R> {
    /// Reads from a source.
    pub fn new(source: R) -> Self {
        Lines {
            source,
            bytes: Vec::new(),
            number: 0,
        }
    }

    /// The next line that is not blank, without its end, and its number, 1 for the first; `None` after the last.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is too long, or is no text; with its number.
    pub fn next_numbered(&mut self) -> Result<Option<(u64, &str)>, (u64, LinesError)> {
        let read = self.read();
        let number = self.number;
        match read {
            Ok(false) => Ok(None),
            Ok(true) => match std::str::from_utf8(&self.bytes) {
                Ok(text) => Ok(Some((number, text.trim_ascii()))),
                Err(_) => Err((number, LinesError::NotUtf8)),
            },
            Err(error) => Err((number, error)),
        }
    }

    fn read(&mut self) -> Result<bool, LinesError> {
        loop {
            self.bytes.clear();
            self.number += 1;
            let read = (&mut self.source)
                .take(LONGEST_LINE + 1)
                .read_until(b'\n', &mut self.bytes)
                .map_err(LinesError::Io)?;
            if read == 0 {
                return Ok(false);
            }
            if read as u64 > LONGEST_LINE {
                return Err(LinesError::TooLong);
            }
            if !self.bytes.iter().all(u8::is_ascii_whitespace) {
                return Ok(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufReader, repeat};

    #[test]
    fn lines_are_numbered_and_blank_ones_left_out() {
        let mut lines = Lines::new("a\n\n  \nb\r\nc".as_bytes());
        let mut found = Vec::new();
        while let Some((number, line)) = lines.next_numbered().unwrap() {
            found.push((number, line.to_owned()));
        }
        let expected = [(1, "a"), (4, "b"), (5, "c")];
        assert_eq!(found, expected.map(|(n, line)| (n, line.to_owned())));
    }

    #[test]
    fn a_line_without_end_takes_bounded_memory() {
        let mut lines = Lines::new(BufReader::new(repeat(b'x')));
        assert!(matches!(
            lines.next_numbered(),
            Err((1, LinesError::TooLong))
        ));
        assert!(lines.bytes.capacity() as u64 <= 4 * LONGEST_LINE);
        let mut lines = Lines::new(&b"\xff\n"[..]);
        assert!(matches!(
            lines.next_numbered(),
            Err((1, LinesError::NotUtf8))
        ));
    }
}
