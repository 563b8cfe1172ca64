//! How output may look.

use anstream::{AutoStream, ColorChoice};
use owo_colors::{AnsiColors, OwoColorize};
use std::io::IsTerminal;

/// How output may look: decided once, at the edge, and handed to whoever writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Whether colour codes may be written.
    pub colour: bool,
    /// Whether tables get borders.
    pub borders: bool,
}

impl Look {
    /// For pipes and files: no colours, no borders.
    pub const PLAIN: Look = Look {
        colour: false,
        borders: false,
    };

    /// What standard output allows: nothing but plain text when it is no terminal, and no colours under `NO_COLOR`
    /// or on a dumb terminal.
    pub fn of_stdout() -> Self {
        let stdout = std::io::stdout();
        if !stdout.is_terminal() {
            return Look::PLAIN;
        }
        Look {
            colour: !matches!(AutoStream::choice(&stdout), ColorChoice::Never),
            borders: true,
        }
    }

    /// `text` in a colour, if colours are allowed.
    pub(crate) fn paint(self, text: &str, colour: AnsiColors) -> String {
        if self.colour {
            text.color(colour).bold().to_string()
        } else {
            text.to_owned()
        }
    }
}
