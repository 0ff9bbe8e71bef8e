//! Findings as lines.

use std::collections::BTreeMap;
use std::fmt::Display;

/// Findings of one file or source that are listed one by one.
const MOST: usize = 20;

/// The findings of one file or source, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Findings {
    place: String,
    lines: Vec<String>,
    more: u64,
}

/// The result of a verification.
#[derive(Debug, Default)]
pub struct Report {
    /// By file, then by source.
    findings: Vec<Findings>,
    /// The index of each place in `findings`.
    places: BTreeMap<String, usize>,
    /// What could not be checked, and why.
    pub(crate) not_checked: Vec<String>,
    /// Files whose digest was computed.
    pub(crate) files: u64,
    /// Rows that were checked.
    pub(crate) rows: u64,
    /// Lines of sources that were tokenized again.
    pub(crate) lines: u64,
    /// Batches that were masked again.
    pub(crate) batches: u64,
}

impl Findings {
    /// No findings yet, for the file or source `place`.
    #[must_use]
    pub(crate) fn new(place: &str) -> Self {
        Self { place: place.to_owned(), lines: Vec::new(), more: 0 }
    }

    /// Adds a finding about the whole file or source.
    pub(crate) fn add(&mut self, what: &str) {
        self.push(format!("{}: {what}", self.place));
    }

    /// Adds a finding whose text already says where it is.
    pub(crate) fn verbatim(&mut self, line: String) {
        self.push(line);
    }

    /// Adds a finding about row `row` of a shard, counted from 0.
    pub(crate) fn at_row(&mut self, row: u64, what: &str) {
        self.push(format!("{}:row {row}: {what}", self.place));
    }

    /// Adds a finding about a line of a source.
    pub(crate) fn at_line(&mut self, line: u64, what: &str) {
        self.push(format!("{}:{line}: {what}", self.place));
    }

    /// Adds a finding if the recorded value and the actual one differ.
    pub(crate) fn differ<T: PartialEq + Display>(&mut self, what: &str, said: &T, who: &str, found: &T) {
        if said != found {
            self.add(&format!("{what} is {said}, {who} {found}"));
        }
    }

    /// Appends the other findings about the same place.
    pub(crate) fn append(&mut self, other: Self) {
        self.more += other.more;
        other.lines.into_iter().for_each(|line| self.push(line));
    }

    /// Whether there are no findings.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The number of findings.
    #[must_use]
    pub(crate) fn count(&self) -> u64 {
        self.lines.len() as u64 + self.more
    }

    fn push(&mut self, line: String) {
        if self.lines.len() < MOST {
            self.lines.push(line);
        } else {
            self.more += 1;
        }
    }
}

impl Report {
    /// Adds the findings of a file or source.
    pub(crate) fn push(&mut self, findings: Findings) {
        if findings.is_empty() {
            return;
        }
        if let Some(same) = self.places.get(&findings.place) {
            self.findings[*same].append(findings);
        } else {
            self.places.insert(findings.place.clone(), self.findings.len());
            self.findings.push(findings);
        }
    }

    /// Adds the findings of several files or sources.
    pub(crate) fn extend(&mut self, findings: impl IntoIterator<Item = Findings>) {
        findings.into_iter().for_each(|findings| self.push(findings));
    }

    /// Number of findings.
    #[must_use]
    pub(crate) fn count(&self) -> u64 {
        self.findings.iter().map(Findings::count).sum()
    }

    /// A line for each finding, and one line where more are left out.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for Findings { place, lines: some, more } in &self.findings {
            lines.extend(some.iter().cloned());
            if *more > 0 {
                lines.push(format!("{place}: and {more} more"));
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_joins_those_of_a_place_and_keeps_nothing_of_a_place_without() {
        let of = |place: &str, lines: &[&str]| {
            let mut findings = Findings::new(place);
            for line in lines {
                findings.add(line);
            }
            findings
        };
        let mut report = Report::default();
        report.extend([of("a", &[]), of("b", &["1"]), of("a", &["2"]), of("b", &["3"]), of("c", &[])]);
        assert_eq!(report.lines(), ["b: 1", "b: 3", "a: 2"]);
        assert_eq!((report.findings.len(), report.places.len()), (2, 2));
    }
}
