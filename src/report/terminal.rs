//! What the terminal can do, and what may be written to it.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _};

use crate::cli::inspect::When;

/// Whether standard output is a terminal.
#[must_use]
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// The text with escapes for everything a terminal might obey: names of files and contents of records come from other
/// people. Line feeds stay.
#[must_use]
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    // Characters that change the direction of text can make a line read differently.
    let obeyed = |letter: char| {
        (letter.is_control() && letter != '\n')
            || matches!(letter, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(obeyed) {
        return Cow::Borrowed(text);
    }
    let escaped = |mut text: String, letter: char| {
        if obeyed(letter) {
            text.extend(letter.escape_default());
        } else {
            text.push(letter);
        }
        text
    };
    Cow::Owned(text.chars().fold(String::new(), escaped))
}

pub(crate) fn one_line(text: &str) -> String {
    text.replace('\n', "\\n")
}

/// How rows are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    /// Whether parts have colours.
    pub(crate) colour: bool,
    /// Columns of a line.
    pub(crate) width: usize,
    /// The view of an example.
    pub(crate) view: View,
}

/// How an example is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// Inputs above labels.
    Row,
    /// The text with its noise marked.
    Inline,
}

/// Columns of a line when the output is not a terminal.
const WIDTH: usize = 120;

/// How rows are shown.
#[must_use]
pub(crate) fn style(colour: When, width: Option<usize>, inline: bool) -> Style {
    let refused = || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colour = match colour {
        When::Always => true,
        When::Never => false,
        When::Auto => is_terminal() && !refused(),
    };
    let of_terminal = || terminal_size::terminal_size().map(|(terminal_size::Width(width), _)| usize::from(width));
    let width = width.or_else(|| of_terminal().filter(|_| is_terminal())).unwrap_or(WIDTH);
    Style { colour, width, view: if inline { View::Inline } else { View::Row } }
}
