//! Everything that the tool prints: progress, warnings, summaries, tables, rows, errors.

pub(crate) mod estimate;
pub(crate) mod examples;
pub(crate) mod numbers;
pub(crate) mod page;
pub(crate) mod plan;
mod progress;
pub(crate) mod recipes;
pub(crate) mod run;
pub(crate) mod stats;
pub(crate) mod table;
pub(crate) mod terminal;
pub(crate) mod units;
pub(crate) mod verification;

use std::io::{self, Write as _};
use std::ops::ControlFlow;

use crate::denoise::TokenizerId;
use crate::guidance::{Class, Guidance};
pub(crate) use crate::numbers::{counted, grouped};
pub(crate) use crate::report::progress::{ProgressReport, clear};
use crate::report::terminal::{one_line, visible};

/// Standard output is closed or full: an error of neither the data set nor the command line.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output: {0}")]
pub(crate) struct OutputClosed(io::Error);

impl Guidance for OutputClosed {
    fn class(&self) -> Option<Class> {
        Some(Class::Data)
    }
}

/// Prints data to standard output. A reader that has closed it is not an error.
///
/// # Errors
///
/// If it cannot be written for any other reason.
pub(crate) fn data(text: &str) -> Result<(), OutputClosed> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(OutputClosed),
    }
}

/// Prints a part of data that is written bit by bit. Returns whether to go on: closing the pager is not an error.
///
/// # Errors
///
/// If it cannot be written for any other reason.
pub(crate) fn part_of_data(text: &str) -> Result<ControlFlow<()>, OutputClosed> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        written => written.map(|()| ControlFlow::Continue(())).map_err(OutputClosed),
    }
}

/// Prints a message line to standard error.
pub(crate) fn message(text: &str) {
    progress::clear();
    // Nowhere left to report a closed stderr.
    let _ = writeln!(io::stderr().lock(), "{}", visible(text));
}

/// Prints on one line why a command failed, then what to do about it.
pub fn failure(error: &str, hint: Option<&str>) {
    message(&format!("error: {}", one_line(error)));
    if let Some(hint) = hint {
        message(&format!("\nhint: {}", one_line(hint)));
    }
}

/// Prints warnings and notes before a run.
pub(crate) fn before(warnings: &[String], notes: &[String]) {
    for line in remarks(warnings, notes) {
        message(&line);
    }
}

/// Warnings and notes, one a line.
pub(crate) fn remarks(warnings: &[String], notes: &[String]) -> impl Iterator<Item = String> {
    let warnings = warnings.iter().map(|warning| format!("warning: {warning}"));
    warnings.chain(notes.iter().map(|note| format!("note: {note}")))
}

/// Differences that are listed one by one.
pub(crate) const MOST_DIFFERENCES: usize = 40;

/// The tokenizer's name. It marks the embedded tokenizer clearly, so that its ids are not mistaken for a model's.
pub(crate) fn tokenizer(id: &TokenizerId) -> String {
    let TokenizerId { kind, sha256, library } = id;
    match sha256.get(..12) {
        Some(digest) => format!("{kind}, sha256 {digest}…, {library}"),
        None => format!("{kind}: each byte of a text is an id, as in ByT5 (`--tokenizer` names another)"),
    }
}

/// Ids of a mode token that are shown at most.
const MOST_MODE_IDS: usize = 8;

pub(crate) fn mode_ids(ids: &[u32]) -> String {
    let shown: Vec<String> = ids.iter().take(MOST_MODE_IDS).map(u32::to_string).collect();
    match ids.len() {
        0 => "none".to_owned(),
        count if count > MOST_MODE_IDS => format!("{} … ({count})", shown.join(" ")),
        _ => shown.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::numbers::bytes;
    use super::*;

    #[test]
    fn what_a_terminal_might_obey_is_shown() {
        assert_eq!(visible("naïve 日本 `a`\nb"), "naïve 日本 `a`\nb");
        assert_eq!(visible("\u{1B}[2J\r\u{7F}\u{9B}31m\t\u{202E}gpj"), "\\u{1b}[2J\\r\\u{7f}\\u{9b}31m\\t\\u{202e}gpj");
    }

    #[test]
    fn numbers_read_easily() {
        assert_eq!([12, 1_500, 2_000_000, 3_210_000_000].map(bytes), ["12 B", "1.5 kB", "2.0 MB", "3.21 GB"]);
    }
}
