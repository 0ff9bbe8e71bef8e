//! How many lines of a source may be rejected.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use crate::denoise::Spec;
use crate::input::batch::Batch;
use crate::input::source::Source;
use crate::output::counts::SourceCounts;
use crate::output::unit_writer::BatchOutput;
use crate::pipeline::error::UnitError;
use crate::pipeline::first_reject::{Document, First, LinesRead};
use crate::plan::Unit;

/// `--max-rejects`: a share of a source's lines, or a number of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxRejects {
    /// Millionths of the source's lines, but at least [`LEAST`].
    Share(u64),
    /// Lines of each source.
    Lines(u64),
}

/// Rejected lines that a share always allows, so that the first bad line does not stop a small source.
pub(crate) const LEAST: u64 = 10;

impl Default for MaxRejects {
    fn default() -> Self {
        Self::Share(1_000)
    }
}

impl MaxRejects {
    fn of(self, lines: u64) -> u64 {
        match self {
            Self::Lines(allowed) => allowed,
            Self::Share(millionths) => {
                let share = u128::from(lines) * u128::from(millionths) / 1_000_000;
                u64::try_from(share).unwrap_or(u64::MAX).max(LEAST)
            }
        }
    }
}

impl FromStr for MaxRejects {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("expected a number of lines or a share like `0.1%`, found `{text}`");
        let Some(percent) = text.strip_suffix('%') else {
            return text.parse().map(Self::Lines).map_err(|_| expected());
        };
        let percent: f64 = percent.trim().parse().map_err(|_| expected())?;
        if !(0.0..=100.0).contains(&percent) {
            return Err(expected());
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100 percent in millionths")]
        Ok(Self::Share((percent * 1e4).round() as u64))
    }
}

/// The number of lines of a source that gave `lines` in the first `read` of its `whole` bytes: an estimate.
fn estimated(lines: u64, whole: u64, read: u64) -> u64 {
    let estimate = u128::from(lines) * u128::from(whole) / u128::from(read.max(1));
    u64::try_from(estimate).unwrap_or(u64::MAX).max(lines)
}

/// How many rejects of each source of a batch to keep: the most that can be allowed when the batch is checked, and one
/// more. With more the run stops, so a batch of only bad lines takes little memory.
pub(crate) fn room(max: MaxRejects, batch: &Batch, sources: &[Source], unit: Unit) -> impl Fn(usize) -> u64 + use<> {
    let (from, to) = unit.bounds();
    let mut lines: BTreeMap<usize, u64> = BTreeMap::new();
    let pieces = batch.pieces.iter().map(|piece| (piece.source, piece.first_line + piece.lines - 1));
    for (source, line) in pieces.chain(batch.long_lines.iter().map(|long| (long.source, long.line))) {
        let last = lines.entry(source).or_default();
        *last = line.max(*last);
    }
    let open = &batch.end;
    if let Some(lines) = lines.get_mut(&open.source).filter(|_| open.file.bytes > from) {
        let end = to.unwrap_or_else(|| sources[open.source].bytes);
        *lines = estimated(*lines, end.saturating_sub(from), open.file.bytes - from);
    }
    move |source| max.of(lines.get(&source).copied().unwrap_or_default()).saturating_add(1)
}

impl MaxRejects {
    /// Whether a source may give no document at all: only if all lines of every source may be rejected.
    #[must_use]
    pub(crate) fn allows_all(self) -> bool {
        self == Self::ALL
    }

    /// `100%`.
    pub(crate) const ALL: Self = Self::Share(1_000_000);
}

/// Why a source that was read to its end cannot be used: none of its records is a document, or it is one JSON document.
#[must_use]
pub(crate) fn without_documents(
    source: &Source,
    counts: &SourceCounts,
    first: &First,
    document: Option<Document>,
) -> Option<UnitError> {
    if counts.rejected() == 0 || (counts.documents > 0 && document.is_none()) {
        return None;
    }
    let (source_name, first) = (source.name.clone(), Box::new(first.clone()));
    Some(match document {
        Some(document) => UnitError::OneDocument { source_name, place: source.place.to_string(), document, first },
        None => UnitError::NoDocument { source_name, lines: LinesRead::All(counts.lines), first },
    })
}

/// Watches the rejects of a unit's sources.
pub(crate) struct Allowance<'a> {
    max: MaxRejects,
    unit: Unit,
    spec: &'a Spec,
    sources: BTreeMap<String, Watched>,
}

#[derive(Default)]
struct Watched {
    counts: SourceCounts,
    first: Option<First>,
    /// The kind of document that the first record begins, if it is a reject: as the only record, and as one of several.
    document: [Option<Document>; 2],
}

impl Watched {
    fn document(&self) -> Option<Document> {
        let is_only = self.counts.lines == self.counts.blank_lines + 1;
        self.document[usize::from(!is_only)]
    }
}

impl<'a> Allowance<'a> {
    /// The allowance of a unit's sources, or of the unit's part of one, before any line was read.
    #[must_use]
    pub(crate) fn new(max: MaxRejects, unit: Unit, spec: &'a Spec) -> Self {
        Self { max, unit, spec, sources: BTreeMap::new() }
    }

    /// Counts the lines of shards that are already committed.
    pub(crate) fn count(&mut self, source: &str, counts: &SourceCounts) {
        self.sources.entry(source.to_owned()).or_default().counts += counts;
    }

    /// Counts a batch and checks its sources, which are among `sources`.
    ///
    /// A source that is not read to its end has an unknown number of lines. The number is estimated from the share of
    /// the file that has been read, so that a source of only bad lines is stopped early, and a source with one bad
    /// stretch at its beginning is not.
    ///
    /// # Errors
    ///
    /// [`UnitError::TooManyRejects`] if a source has too many; [`UnitError::NoDocument`] if a source that has ended,
    /// and is not read in parts, has only rejects; [`UnitError::OneDocument`] if it is not JSON lines at all.
    pub(crate) fn check(&mut self, batch: &BatchOutput, sources: &[Source]) -> Result<(), UnitError> {
        self.watch_rejects(batch);
        for (name, counts) in &batch.counts.sources {
            self.count(name, counts);
        }
        let ended: BTreeSet<&str> = batch.finished.iter().map(|file| file.name.as_str()).collect();
        let touched = batch.counts.sources.keys().map(String::as_str);
        for name in touched.chain(ended.iter().copied()).collect::<BTreeSet<_>>() {
            let Some(watched) = self.sources.get(name).filter(|watched| watched.counts.rejected() > 0) else {
                continue;
            };
            let Some(source) = sources.iter().find(|source| source.name == name) else { continue };
            let (from, to) = self.unit.bounds();
            let lines = match &batch.position {
                Some(position) if position.source == name && position.file_bytes > from => {
                    let end = to.unwrap_or(source.bytes);
                    estimated(watched.counts.lines, end.saturating_sub(from), position.file_bytes - from)
                }
                _ => watched.counts.lines,
            };
            let (rejected, allowed) = (watched.counts.rejected(), self.max.of(lines));
            let first = watched.first.clone().unwrap_or(First::Earlier);
            let is_whole = ended.contains(name) && self.unit.part.is_none() && !self.max.allows_all();
            let is_too_many = rejected > allowed;
            let document = watched.document().filter(|_| is_whole || is_too_many);
            if (is_whole || document.is_some())
                && let Some(error) = without_documents(source, &watched.counts, &first, document)
            {
                return Err(error);
            }
            if is_too_many {
                let (source_name, lines) = (name.to_owned(), watched.counts.lines);
                let first = Box::new(first);
                return Err(UnitError::TooManyRejects { source_name, rejected, lines, allowed, first });
            }
        }
        Ok(())
    }

    /// Keeps the first reject of each source.
    fn watch_rejects(&mut self, batch: &BatchOutput) {
        for reject in batch.rejects.iter() {
            if self.sources.get(reject.source).is_some_and(|watched| watched.first.is_some()) {
                continue;
            }
            let in_batch = batch.counts.sources.get(reject.source);
            let watched = self.sources.entry(reject.source.to_owned()).or_default();
            watched.first = Some(First::new(&reject, self.spec));
            // With documents before or after it, only a reject on line 1 is known to be the first record.
            let no_documents = watched.counts.documents == 0 && in_batch.is_none_or(|counts| counts.documents == 0);
            if reject.line == 1 || no_documents {
                watched.document = [true, false].map(|is_only| Document::begun_by(&reject, is_only));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_allows_ten_at_least() {
        let max: MaxRejects = "0.1%".parse().unwrap();
        assert_eq!(max, MaxRejects::default());
        assert_eq!([0, 10_000, 20_000].map(|lines| max.of(lines)), [10, 10, 20]);
        assert_eq!("0".parse::<MaxRejects>().unwrap().of(1 << 40), 0);
        for bad in ["-1", "x", "101%", "%", "1.5"] {
            assert!(bad.parse::<MaxRejects>().is_err(), "{bad}");
        }
    }
}
