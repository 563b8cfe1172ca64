//! The end of a log, for people.

use changeover_model::text::harmless_cut;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// How much of the file's end is read, in bytes. A log may be huge; its end is what matters.
const BYTES: u64 = 64 * 1024;
/// How much of a line is kept, in characters.
const LINE_CHARS: usize = 500;

/// The last `lines` lines of the file, harmless for a terminal; none if it cannot be read.
pub(crate) fn tail(path: &Path, lines: usize) -> Vec<String> {
    let Ok((bytes, cut)) = read_end(path) else {
        return Vec::new();
    };
    let text = String::from_utf8_lossy(&bytes);
    let mut all: Vec<&str> = text.lines().collect();
    if cut && all.len() > 1 {
        // The first one lost its beginning.
        all.remove(0);
    }
    all[all.len().saturating_sub(lines)..]
        .iter()
        .map(|line| harmless_cut(line, LINE_CHARS))
        .collect()
}

/// The last bytes, and whether there was something before them.
fn read_end(path: &Path) -> io::Result<(Vec<u8>, bool)> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(BYTES).read_to_end(&mut bytes)?;
    Ok((bytes, from > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_is_read_and_it_is_harmless() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let mut text = "x".repeat(200_000);
        text.push_str("\nlast but one\n\x1b[31mred\x07\n");
        std::fs::write(&path, text).unwrap();
        assert_eq!(tail(&path, 2), ["last but one", "\\u{1b}[31mred\\u{7}"]);
        // The line of 200,000 has lost its beginning and is left out.
        assert_eq!(tail(&path, 10).len(), 2);
        assert_eq!(tail(&dir.path().join("none"), 3), Vec::<String>::new());
    }
}
