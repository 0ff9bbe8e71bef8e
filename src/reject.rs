//! Lines that make no rows, and why.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::files::aside::AsideBytes;

/// Why a line makes no rows. A closed set: the manifest and each reject use these words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reason {
    /// The line is longer than `--max-line`.
    LineTooLong,
    /// The line is not UTF-8.
    InvalidUtf8,
    /// The line is not one JSON value.
    InvalidJson,
    /// The line is JSON, but not an object.
    NotAnObject,
    /// The object has no field of that name.
    MissingText,
    /// The field is not a string.
    TextNotAString,
    /// The text is empty, or has no tokens.
    EmptyText,
    /// The object has no field of the label's name.
    MissingLabel,
    /// The label is not a string.
    LabelNotAString,
    /// The label is empty, or has no tokens.
    EmptyLabel,
    /// The label alone is too long for a row.
    LabelTooLong,
    /// The text gives a reserved id.
    ReservedToken,
    /// The tokenizer failed on the text.
    TokenizerFailed,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::LineTooLong => "line-too-long",
            Self::InvalidUtf8 => "invalid-utf8",
            Self::InvalidJson => "invalid-json",
            Self::NotAnObject => "not-an-object",
            Self::MissingText => "missing-text",
            Self::TextNotAString => "text-not-a-string",
            Self::EmptyText => "empty-text",
            Self::MissingLabel => "missing-label",
            Self::LabelNotAString => "label-not-a-string",
            Self::EmptyLabel => "empty-label",
            Self::LabelTooLong => "label-too-long",
            Self::ReservedToken => "reserved-token",
            Self::TokenizerFailed => "tokenizer-failed",
        })
    }
}

/// A reason with its details.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rejected {
    /// Why.
    pub(crate) reason: Reason,
    /// Details for a person.
    pub detail: String,
}

impl Rejected {
    /// A rejection.
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

/// A line that makes no rows, as [`Rejects`] keep it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reject<'a> {
    /// Name of the source.
    pub(crate) source: &'a str,
    /// 1-based line.
    pub(crate) line: u64,
    /// Why.
    pub(crate) rejected: &'a Rejected,
    /// The line, byte for byte.
    pub(crate) bytes: KeptBytes<'a>,
}

/// The bytes of a rejected line.
#[derive(Debug, Clone, Copy)]
pub(crate) enum KeptBytes<'a> {
    /// In memory.
    Inline(&'a [u8]),
    /// In a file, because the line is long.
    File(&'a AsideBytes),
}

/// A line of an index of rejects. `offset` and `length` find its bytes in the file of lines.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IndexEntry<'a, Reason> {
    pub(crate) source: Cow<'a, str>,
    pub(crate) line: u64,
    pub(crate) reason: Reason,
    pub(crate) detail: Cow<'a, str>,
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// The rejects of a batch. A batch of only bad lines has millions: each takes 12 bytes besides its line's, and shared
/// data (names, reasons, texts) is stored once.
#[derive(Debug, Default)]
pub(crate) struct Rejects {
    /// By index of the source in the unit.
    sources: BTreeMap<usize, OfSource>,
    /// The number of each reason with its text, in the order in which they came.
    reasons: BTreeMap<Rejected, u32>,
    /// The lines in memory, one after the other, source after source.
    lines: Vec<u8>,
    /// The lines in files, source after source.
    aside: Vec<AsideBytes>,
}

/// The rejects of a source.
#[derive(Debug)]
struct OfSource {
    name: String,
    /// The line that all others are counted from.
    first_line: u64,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The line's distance from the source's first.
    line: u32,
    reason: u32,
    /// The number of the line's bytes in memory, or [`ASIDE`].
    length: u32,
}

/// Marks a line in a file. No line in memory is as long.
const ASIDE: u32 = u32::MAX;

impl Rejects {
    /// Adds a line in memory. Sources come in the order of the unit, and lines in the order of the source.
    pub(crate) fn push(&mut self, source: usize, name: &str, line: u64, rejected: Rejected, bytes: &[u8]) {
        self.lines.extend_from_slice(bytes);
        let length = u32::try_from(bytes.len()).unwrap_or(ASIDE - 1);
        self.add(source, name, line, rejected, length);
    }

    /// Adds a line in a file. These come in the same order, but after all lines in memory.
    pub(crate) fn push_aside(&mut self, source: usize, name: &str, line: u64, rejected: Rejected, bytes: AsideBytes) {
        self.aside.push(bytes);
        self.add(source, name, line, rejected, ASIDE);
    }

    fn add(&mut self, source: usize, name: &str, line: u64, rejected: Rejected, length: u32) {
        #[expect(clippy::cast_possible_truncation, reason = "a batch has fewer than 2^32 lines")]
        let next = self.reasons.len() as u32;
        let reason = *self.reasons.entry(rejected).or_insert(next);
        let of_source = self.sources.entry(source).or_insert_with(|| OfSource {
            name: name.to_owned(),
            first_line: line,
            entries: Vec::new(),
        });
        if let Some(before) = of_source.first_line.checked_sub(line).and_then(|before| u32::try_from(before).ok()) {
            of_source.entries.iter_mut().for_each(|entry| entry.line += before);
            of_source.first_line = line;
        }
        let line = u32::try_from(line - of_source.first_line).unwrap_or(u32::MAX);
        let entry = Entry { line, reason, length };
        // Only lines in files may come before other lines.
        let place = if length == ASIDE {
            of_source.entries.partition_point(|other| other.line < line)
        } else {
            of_source.entries.len()
        };
        of_source.entries.insert(place, entry);
    }

    /// In the order of sources and lines.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Reject<'_>> {
        let mut reasons: Vec<(&Rejected, u32)> =
            self.reasons.iter().map(|(rejected, number)| (rejected, *number)).collect();
        reasons.sort_unstable_by_key(|(_, number)| *number);
        let (mut lines, mut aside) = (self.lines.as_slice(), self.aside.iter());
        let entries = self.sources.values().flat_map(|source| source.entries.iter().map(move |entry| (source, *entry)));
        entries.filter_map(move |(source, Entry { line, reason, length })| {
            let bytes = if length == ASIDE {
                KeptBytes::File(aside.next()?)
            } else {
                let (bytes, rest) = lines.split_at_checked(length as usize)?;
                lines = rest;
                KeptBytes::Inline(bytes)
            };
            let line = source.first_line + u64::from(line);
            Some(Reject { source: &source.name, line, rejected: reasons.get(reason as usize)?.0, bytes })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::sync::Arc;

    use super::*;
    use crate::files::aside::AsideFile;

    #[test]
    fn rejects_come_back_in_the_order_of_sources_and_lines() {
        let folder = tempfile::tempdir().unwrap();
        let file = Arc::new(AsideFile::create(folder.path()).unwrap());
        file.append(b"onetwo").unwrap();
        let aside = |offset| AsideBytes { file: Arc::clone(&file), offset, length: 3 };
        let why = |reason| Rejected::new(reason, format!("{reason}"));
        let mut rejects = Rejects::default();
        rejects.push(0, "a", 7, why(Reason::EmptyText), b"x");
        rejects.push(0, "a", 9, why(Reason::InvalidJson), b"");
        rejects.push(2, "c", 1, why(Reason::EmptyText), b"yz");
        for (source, name, line, offset) in [(0, "a", 5, 0), (1, "b", 1 << 40, 3), (2, "c", 2, 0)] {
            rejects.push_aside(source, name, line, why(Reason::LineTooLong), aside(offset));
        }
        let shown = |reject: Reject<'_>| {
            let mut bytes = Vec::new();
            match reject.bytes {
                KeptBytes::Inline(inline) => bytes.extend_from_slice(inline),
                KeptBytes::File(file) => drop(file.contents().unwrap().read_to_end(&mut bytes).unwrap()),
            }
            format!(
                "{}:{} {} {}",
                reject.source,
                reject.line,
                reject.rejected.detail,
                String::from_utf8(bytes).unwrap()
            )
        };
        assert_eq!(
            rejects.iter().map(shown).collect::<Vec<_>>(),
            [
                "a:5 line-too-long one",
                "a:7 empty-text x",
                "a:9 invalid-json ",
                "b:1099511627776 line-too-long two",
                "c:1 empty-text yz",
                "c:2 line-too-long one",
            ]
        );
    }
}
