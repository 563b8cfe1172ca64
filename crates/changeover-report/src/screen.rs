//! The lower end of a terminal, on which a picture is drawn again and again in the same place.
//!
//! Each picture is one write, between marks that tell a terminal to show it at once, and goes over the one before: what
//! is not different does not flicker. No line is as wide as the terminal, so none wraps. When the terminal gets narrower,
//! it wraps the lines that are on it by itself; how many rows they take then is reckoned with the width of that moment.

use console::{Term, measure_text_width, truncate_str};
use std::fmt;

/// What a terminal that knows it shows at once; others ignore it.
const BEGIN: &str = "\x1b[?2026h";

/// The end of that.
const END: &str = "\x1b[?2026l";

/// Whatever can be drawn on.
pub(crate) trait Terminal: Send {
    /// Rows and columns at this moment; `None` if nothing can be drawn there.
    fn size(&self) -> Option<(usize, usize)>;

    /// Writes, at once. A terminal that has gone is no error: nobody is there to see it.
    fn write(&mut self, text: &str);
}

impl Terminal for Term {
    fn size(&self) -> Option<(usize, usize)> {
        let (rows, columns) = Term::size(self);
        self.is_term().then_some((rows.into(), columns.into()))
    }

    fn write(&mut self, text: &str) {
        let _ = self.write_str(text);
    }
}

/// A picture on a terminal, with lines above it that stay.
pub(crate) struct Screen {
    terminal: Box<dyn Terminal>,
    picture: Vec<String>,
    /// The columns of each line that is on the terminal; the cursor stands at the beginning of the last.
    shown: Vec<usize>,
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screen")
            .field("shown", &self.shown)
            .finish_non_exhaustive()
    }
}

impl Screen {
    /// Standard error. Where that is no terminal, nothing is drawn.
    pub(crate) fn of_stderr() -> Self {
        Screen::on(Box::new(Term::stderr()))
    }

    pub(crate) fn on(terminal: Box<dyn Terminal>) -> Self {
        Screen {
            terminal,
            picture: Vec::new(),
            shown: Vec::new(),
        }
    }

    /// Replaces the picture.
    pub(crate) fn draw(&mut self, picture: Vec<String>) {
        self.picture = picture;
        self.show(None);
    }

    /// Puts a line above the picture, where it stays.
    pub(crate) fn above(&mut self, line: &str) {
        self.show(Some(line));
    }

    /// Removes the picture. What is written after it starts on a clean line.
    pub(crate) fn clear(&mut self) {
        self.picture.clear();
        self.show(None);
    }

    fn show(&mut self, above: Option<&str>) {
        let Some((rows, columns)) = self.terminal.size() else {
            return;
        };
        let (rows, columns) = (rows.max(1), columns.max(2));
        let mut out = BEGIN.to_owned();
        let up = self.rows_above(columns);
        if up > 0 {
            out.push_str(&format!("\x1b[{up}A"));
        }
        out.push('\r');
        if let Some(line) = above {
            // It may be longer than the terminal is wide, and goes over more than one line.
            out.push_str(&format!("\x1b[J{line}\n"));
        }
        let lines = self.picture.iter().take(rows);
        let lines: Vec<_> = lines
            .map(|line| truncate_str(line, columns - 1, "…"))
            .collect();
        self.shown = lines.iter().map(|line| measure_text_width(line)).collect();
        for (index, line) in lines.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            out.push_str(&format!("{newline}{line}\x1b[K"));
        }
        // What was below; and what is echoed of keys goes over the last line, and is gone with the next picture.
        out.push_str("\x1b[J\r");
        out.push_str(END);
        self.terminal.write(&out);
    }

    /// The rows between the beginning of the picture and the cursor on a terminal of so many columns.
    fn rows_above(&self, columns: usize) -> usize {
        let before_the_last = self
            .shown
            .split_last()
            .map_or(&[][..], |(_, before)| before);
        before_the_last
            .iter()
            .map(|width| width.div_ceil(columns).max(1))
            .sum()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// What was written, and the size.
    #[derive(Clone, Default)]
    pub(crate) struct Paper(Arc<Mutex<Sheet>>);

    #[derive(Default)]
    struct Sheet {
        size: Option<(usize, usize)>,
        written: Vec<String>,
    }

    impl Paper {
        pub(crate) fn resize(&self, size: Option<(usize, usize)>) {
            self.0.lock().unwrap().size = size;
        }

        pub(crate) fn written(&self) -> Vec<String> {
            std::mem::take(&mut self.0.lock().unwrap().written)
        }
    }

    impl Terminal for Paper {
        fn size(&self) -> Option<(usize, usize)> {
            self.0.lock().unwrap().size
        }

        fn write(&mut self, text: &str) {
            self.0.lock().unwrap().written.push(text.to_owned());
        }
    }

    fn lines(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|&line| line.to_owned()).collect()
    }

    #[test]
    fn a_picture_goes_over_the_one_before_in_one_write() {
        let paper = Paper::default();
        let mut screen = Screen::on(Box::new(paper.clone()));
        screen.draw(lines(&["one", "two"]));
        assert_eq!(paper.written(), [""; 0]);

        paper.resize(Some((24, 80)));
        screen.draw(lines(&["one", "two", "three"]));
        screen.draw(lines(&["uno"]));
        screen.above("news");
        screen.clear();
        assert_eq!(
            paper.written(),
            [
                "\x1b[?2026h\rone\x1b[K\ntwo\x1b[K\nthree\x1b[K\x1b[J\r\x1b[?2026l",
                "\x1b[?2026h\x1b[2A\runo\x1b[K\x1b[J\r\x1b[?2026l",
                "\x1b[?2026h\r\x1b[Jnews\nuno\x1b[K\x1b[J\r\x1b[?2026l",
                "\x1b[?2026h\r\x1b[J\r\x1b[?2026l",
            ]
        );
    }

    #[test]
    fn no_line_is_as_wide_as_the_terminal_and_no_picture_higher() {
        let paper = Paper::default();
        paper.resize(Some((2, 6)));
        let mut screen = Screen::on(Box::new(paper.clone()));
        screen.draw(lines(&["123456789", "日本語日本語", "three"]));
        assert_eq!(
            paper.written(),
            ["\x1b[?2026h\r1234…\x1b[K\n日本…\x1b[K\x1b[J\r\x1b[?2026l"]
        );
        paper.resize(Some((0, 0)));
        screen.draw(lines(&["1", "2"]));
        assert!(paper.written()[0].contains('1'));
    }

    #[test]
    fn lines_that_a_narrower_terminal_has_wrapped_are_all_gone_over() {
        let paper = Paper::default();
        paper.resize(Some((24, 80)));
        let mut screen = Screen::on(Box::new(paper.clone()));
        screen.draw(lines(&[
            &"a".repeat(60),
            &"b".repeat(20),
            "",
            &"c".repeat(70),
        ]));
        paper.resize(Some((24, 25)));
        screen.draw(lines(&["short"]));
        // 3 rows, 1, and an empty one.
        assert!(paper.written()[1].starts_with("\x1b[?2026h\x1b[5A\rshort"));
        paper.resize(Some((24, 80)));
        screen.draw(lines(&["short"]));
        assert!(paper.written()[0].starts_with("\x1b[?2026h\rshort"));
    }
}
