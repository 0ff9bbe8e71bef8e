//! How many bad lines a source may have.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::UnitError;
use crate::output::shard::BatchOutput;
use crate::reject::{Reject, Rejected};

/// `--max-rejects`: a share of a source's lines, or a number of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxRejects {
    /// Millionths of the source's lines, but at least [`LEAST`].
    Share(u64),
    /// Lines of each source.
    Lines(u64),
}

/// Bad lines that a share always allows: a small source is not stopped by its first.
pub const LEAST: u64 = 10;

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

/// Watches the sources of a unit.
pub struct Allowance {
    max: MaxRejects,
    /// Bytes of the file before the part of a source that is read.
    from: u64,
    sources: BTreeMap<String, Watched>,
}

#[derive(Default)]
struct Watched {
    lines: u64,
    rejected: u64,
    first: Option<(u64, Rejected)>,
}

impl Allowance {
    /// Nothing seen yet, of whole sources or of the part of one that begins after `from` bytes of its file.
    #[must_use]
    pub fn new(max: MaxRejects, from: u64) -> Self {
        Self { max, from, sources: BTreeMap::new() }
    }

    /// Counts lines of shards that are committed already.
    pub fn count(&mut self, source: &str, lines: u64, rejected: u64) {
        let watched = self.sources.entry(source.to_owned()).or_default();
        watched.lines = watched.lines.saturating_add(lines);
        watched.rejected = watched.rejected.saturating_add(rejected);
    }

    /// Counts a batch and checks the sources that it touches; `file_bytes` says where in its file a source ends, or the part of it.
    ///
    /// A source that is not read to its end has an unknown number of lines: it is estimated from the share of the file that has been
    /// read, so that a source of nothing but bad lines is stopped early, and one bad stretch at its beginning is not.
    ///
    /// # Errors
    ///
    /// [`UnitError::TooManyRejects`] if a source has too many.
    pub fn check(&mut self, batch: &BatchOutput, file_bytes: impl Fn(&str) -> u64) -> Result<(), UnitError> {
        for Reject { source, line, rejected, .. } in &batch.rejects {
            let watched = self.sources.entry(source.clone()).or_default();
            watched.first.get_or_insert_with(|| (*line, rejected.clone()));
        }
        for (name, counts) in &batch.counts.sources {
            self.count(name, counts.lines, counts.rejected());
            let Some(watched) = self.sources.get(name) else { continue };
            let lines = match &batch.position {
                Some(position) if position.source == *name && position.file_bytes > self.from => {
                    let whole = u128::from(watched.lines) * u128::from(file_bytes(name).saturating_sub(self.from));
                    let read = u128::from(position.file_bytes - self.from);
                    u64::try_from(whole / read).unwrap_or(u64::MAX).max(watched.lines)
                }
                _ => watched.lines,
            };
            let allowed = self.max.of(lines);
            if watched.rejected > allowed {
                let first = watched
                    .first
                    .as_ref()
                    .map(|(line, rejected)| format!("{name}:{line}: {}: {}", rejected.reason, rejected.detail));
                return Err(UnitError::TooManyRejects {
                    source_name: name.clone(),
                    rejected: watched.rejected,
                    lines: watched.lines,
                    allowed,
                    first: first.unwrap_or_else(|| "in an earlier shard: see the index under `rejects/`".to_owned()),
                });
            }
        }
        Ok(())
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
