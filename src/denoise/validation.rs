//! Which split a document belongs to: training or validation (`docs/reference/masking.md`, section 11).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::denoise::ratio::Ratio;
use crate::denoise::stream::{Address, Seed, StreamKey};

/// Most patterns of [`Validation::Sources`].
pub(crate) const MOST_PATTERNS: usize = 64;

/// Most bytes of a pattern.
pub(crate) const MOST_PATTERN_BYTES: usize = 1024;

/// A split of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DataSplit {
    /// The rows to train on.
    Train,
    /// The rows to validate on.
    Validation,
}

impl DataSplit {
    /// Both, in the order of the shards.
    pub(crate) const ALL: [Self; 2] = [Self::Train, Self::Validation];

    /// Its name, which begins the names of its shards.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
        }
    }
}

impl fmt::Display for DataSplit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// One value for each split.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PerSplit<T> {
    /// Of the rows to train on: of all rows, if no document is for validation.
    pub(crate) train: T,
    /// Of the rows to validate on.
    pub(crate) validation: T,
}

impl<T> PerSplit<T> {
    /// The value of a split.
    pub(crate) fn of(&self, split: DataSplit) -> &T {
        match split {
            DataSplit::Train => &self.train,
            DataSplit::Validation => &self.validation,
        }
    }

    /// The value of a split.
    pub(crate) fn of_mut(&mut self, split: DataSplit) -> &mut T {
        match split {
            DataSplit::Train => &mut self.train,
            DataSplit::Validation => &mut self.validation,
        }
    }

    /// What `make` makes of each.
    pub(crate) fn each<U>(&self, make: impl Fn(&T) -> U) -> PerSplit<U> {
        PerSplit { train: make(&self.train), validation: make(&self.validation) }
    }

    /// What `take` takes from each.
    pub(crate) fn each_mut<U>(&mut self, mut take: impl FnMut(&mut T) -> U) -> PerSplit<U> {
        PerSplit { train: take(&mut self.train), validation: take(&mut self.validation) }
    }

    /// Both values, the one of training first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        [&self.train, &self.validation].into_iter()
    }

    /// Both values, the one of training first.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        [&mut self.train, &mut self.validation].into_iter()
    }

    /// Both values, the one of training first.
    pub(crate) fn into_iter(self) -> impl Iterator<Item = T> {
        [self.train, self.validation].into_iter()
    }
}

/// The documents that are for validation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Validation {
    /// This share of the documents, drawn by their addresses.
    Share(Ratio),
    /// All documents of the sources whose names match one of these patterns.
    Sources(Vec<String>),
}

impl Validation {
    /// Where the documents of a source belong.
    pub(super) fn of_source(&self, seed: Seed, source: &str) -> SourceSplit {
        match self {
            Self::Share(share) => SourceSplit::Drawn { key: seed.validation_key(source), share: *share },
            Self::Sources(patterns) if patterns.iter().any(|pattern| matches(pattern, source)) => {
                SourceSplit::All(DataSplit::Validation)
            }
            Self::Sources(_) => SourceSplit::All(DataSplit::Train),
        }
    }
}

/// Where the documents of one source belong.
#[derive(Clone)]
pub(crate) enum SourceSplit {
    /// All to one split.
    All(DataSplit),
    /// Each to the split that its stream draws.
    Drawn { key: StreamKey, share: Ratio },
}

impl SourceSplit {
    /// The split of the document on a line, in all epochs.
    #[must_use]
    pub(crate) fn of(&self, line: u64) -> DataSplit {
        match self {
            Self::All(split) => *split,
            Self::Drawn { key, share } => {
                let drawn = key.stream(Address { line, epoch: 0, segment: 0 }).below(1_000_000);
                if u64::from(drawn) < share.millionths() { DataSplit::Validation } else { DataSplit::Train }
            }
        }
    }
}

/// What a part of a pattern matches.
enum Wild {
    /// This character.
    Itself(char),
    /// `?`: one character but `/`.
    One,
    /// `*`: any number of characters but `/`.
    Within,
    /// `**`: any number of characters.
    Any,
    /// `**/` at the beginning or after a `/`: any number of whole folders.
    Folders,
}

/// Whether a pattern matches a whole name. It takes time in proportion to the two lengths multiplied.
#[must_use]
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    // The lengths of the beginnings of the name that the pattern matches so far.
    let mut matched = vec![false; name.len() + 1];
    matched[0] = true;
    for wild in parts(pattern) {
        let mut next = vec![false; matched.len()];
        let mut has_earlier = false;
        for place in 0..matched.len() {
            let before = place.checked_sub(1);
            next[place] = match wild {
                Wild::Itself(expected) => before.is_some_and(|at| matched[at] && name[at] == expected),
                Wild::One => before.is_some_and(|at| matched[at] && name[at] != '/'),
                Wild::Within => matched[place] || before.is_some_and(|at| next[at] && name[at] != '/'),
                Wild::Any => matched[place] || before.is_some_and(|at| next[at]),
                // From any earlier beginning to the end of a folder.
                Wild::Folders => matched[place] || before.is_some_and(|at| name[at] == '/' && has_earlier),
            };
            has_earlier |= matched[place];
        }
        if !next.contains(&true) {
            return false;
        }
        matched = next;
    }
    matched[name.len()]
}

fn parts(pattern: &str) -> Vec<Wild> {
    let letters: Vec<char> = pattern.chars().collect();
    let (mut parts, mut at) = (Vec::new(), 0);
    while at < letters.len() {
        let rest = &letters[at..];
        let begins_a_folder = at == 0 || letters[at - 1] == '/';
        let (part, length) = match rest {
            ['*', '*', '/', ..] if begins_a_folder => (Wild::Folders, 3),
            ['*', '*', ..] => (Wild::Any, 2),
            ['*', ..] => (Wild::Within, 1),
            ['?', ..] => (Wild::One, 1),
            [other, ..] => (Wild::Itself(*other), 1),
            [] => break,
        };
        parts.push(part);
        at += length;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_names_and_a_star_stays_in_its_folder() {
        for (pattern, name) in [
            ("a.jsonl", "a.jsonl"),
            ("*.jsonl", "a.jsonl"),
            ("held/*", "held/a.jsonl"),
            ("**/a.jsonl", "a.jsonl"),
            ("**/a.jsonl", "x/y/a.jsonl"),
            ("x/**/a.jsonl", "x/a.jsonl"),
            ("x/**/a.jsonl", "x/y/z/a.jsonl"),
            ("held/**", "held/x/a.jsonl"),
            ("h?ld/ü*", "hüld/üa"),
            ("a[1].jsonl", "a[1].jsonl"),
            ("**", "x/y"),
            ("*", ""),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("a.jsonl", "x/a.jsonl"),
            ("*.jsonl", "x/a.jsonl"),
            ("held/*", "held/x/a.jsonl"),
            ("**/a.jsonl", "xa.jsonl"),
            ("x/**/a.jsonl", "xy/a.jsonl"),
            ("held/**", "held"),
            ("?", "/"),
            ("", "a"),
            ("*a", "b"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_exponential_time() {
        let pattern = "*a".repeat(500);
        assert!(!matches(&pattern, &"a".repeat(499)));
    }
}
