//! Markers: moments that scripts name, by appending lines to a file.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

/// So many characters of a line are its name.
const NAME: usize = 200;

/// So many bytes are read at once; the rest is for the next time.
const MOST: u64 = 64 * 1024;

/// A file that grows.
#[derive(Debug)]
pub struct MarkerFile {
    path: PathBuf,
    /// What was read before.
    read: u64,
    /// The beginning of a line that is not complete.
    begun: Vec<u8>,
}

impl MarkerFile {
    /// What is in it now belongs to an earlier time. It need not be there yet.
    pub fn new(path: PathBuf) -> Self {
        let read = std::fs::metadata(&path).map_or(0, |file| file.len());
        MarkerFile {
            path,
            read,
            begun: Vec::new(),
        }
    }

    /// The lines that were added since. A file that cannot be read has none: it may come back.
    pub(super) fn lines(&mut self) -> Vec<String> {
        self.added().unwrap_or_default()
    }

    fn added(&mut self) -> io::Result<Vec<String>> {
        let length = std::fs::metadata(&self.path)?.len();
        if length < self.read {
            // It was written anew.
            (self.read, self.begun) = (0, Vec::new());
        }
        if length == self.read {
            return Ok(Vec::new());
        }
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.read))?;
        let mut bytes = Vec::new();
        file.take(MOST).read_to_end(&mut bytes)?;
        self.read += bytes.len() as u64;
        self.begun.append(&mut bytes);
        let mut lines = Vec::new();
        while let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.begun.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let name: String = line.trim().chars().take(NAME).collect();
            if !name.is_empty() {
                lines.push(name);
            }
        }
        // A line without an end would grow for ever.
        self.begun.truncate(MOST as usize);
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn complete_lines_that_are_added_are_markers() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("markers");
        let write = |text: &str| {
            let mut file = File::options()
                .append(true)
                .create(true)
                .open(&path)
                .unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        write("from before\n");
        let mut file = MarkerFile::new(path.clone());
        assert_eq!(file.lines(), [""; 0]);
        write("promoted\n\n  drained \nhalf");
        assert_eq!(file.lines(), ["promoted", "drained"]);
        assert_eq!(file.lines(), [""; 0]);
        write(" a line\n");
        assert_eq!(file.lines(), ["half a line"]);
        std::fs::write(&path, "anew\n").unwrap();
        assert_eq!(file.lines(), ["anew"]);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(file.lines(), [""; 0]);
        let mut absent = MarkerFile::new(place.path().join("later"));
        assert_eq!(absent.lines(), [""; 0]);
        std::fs::write(place.path().join("later"), "come\n").unwrap();
        assert_eq!(absent.lines(), ["come"]);
    }
}
