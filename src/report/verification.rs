//! The results of `verify` and `reproduce`.

use std::fmt::Write as _;

use crate::numbers::{counted, grouped};
use crate::output::manifest::Manifest;
use crate::report::MOST_DIFFERENCES;
use crate::verify::findings::Report;

/// The text that `verify` prints.
#[must_use]
pub(crate) fn verification(found: &Report) -> String {
    let mut text = String::new();
    for line in found.lines() {
        let _ = writeln!(text, "{line}");
    }
    for what in &found.not_checked {
        let _ = writeln!(text, "not checked: {what}");
    }
    let _ = match found.count() {
        0 => write!(text, "no finding"),
        count => write!(text, "{}", counted(count, "finding")),
    };
    let _ = write!(text, " in {} and {}", counted(found.files, "file"), counted(found.rows, "row"));
    if found.lines > 0 {
        let _ = write!(text, ", {} of sources", counted(found.lines, "line"));
    }
    if found.batches > 0 {
        let _ = write!(text, ", {} made again", counted(found.batches, "batch"));
    }
    text.push('\n');
    text
}

/// The text that `reproduce` prints: the differences, or that there are none.
#[must_use]
pub(crate) fn differences(found: &[String], equal: &str) -> String {
    if found.is_empty() {
        return format!("equal: {equal}\n");
    }
    let mut text = String::new();
    for line in found.iter().take(MOST_DIFFERENCES) {
        let _ = writeln!(text, "differs: {line}");
    }
    if found.len() > MOST_DIFFERENCES {
        let _ = writeln!(text, "and {} more", grouped((found.len() - MOST_DIFFERENCES) as u64));
    }
    let _ = writeln!(text, "{}", counted(found.len() as u64, "difference"));
    text
}

/// The message that a data set made again equals the one that `version` of the tool made.
#[must_use]
pub(crate) fn equal(made: &Manifest, version: &str) -> String {
    let rows = counted(made.totals.sources.rows, "row");
    if version == made.tool_version {
        format!("{rows} in {}, byte for byte", counted(made.shards.len() as u64, "shard"))
    } else {
        format!("{rows}; their bytes are not compared, since version {version} of the tool wrote them")
    }
}
