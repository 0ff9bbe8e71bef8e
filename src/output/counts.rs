//! Counts. They add up: batch by batch, shard by shard, unit by unit.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::reject::Reason;

/// The counts of a source's lines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceCounts {
    /// Lines, blank ones included.
    pub(crate) lines: u64,
    /// Lines of white space only, which are not records.
    pub(crate) blank_lines: u64,
    /// Records that became tokens.
    pub(crate) documents: u64,
    /// Tokens of all documents.
    pub(crate) tokens: u64,
    /// Documents of fewer than `min_segment` tokens, which make no row.
    pub(crate) short_documents: u64,
    /// Their tokens.
    pub(crate) short_tokens: u64,
    /// Tokens outside the window of their document, or without room in the row of their record.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) left_out_tokens: u64,
    /// EOS ids put between documents.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) eos_between: u64,
    /// Examples: masked segments.
    pub(crate) examples: u64,
    /// Rows: one for each example, or fewer where examples are packed.
    pub(crate) rows: u64,
    /// Rejected lines by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) rejects: BTreeMap<Reason, u64>,
}

/// The counts of a denoiser.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DenoiserCounts {
    /// Examples.
    pub(crate) examples: u64,
    /// Tokens of the segments: noise and kept.
    pub(crate) tokens: u64,
    /// Tokens that are noise.
    pub(crate) noise_tokens: u64,
    /// Noise spans.
    pub(crate) spans: u64,
    /// Ids in `input_ids`.
    pub(crate) input_ids: u64,
    /// Ids in `labels`.
    pub(crate) labels: u64,
}

impl SourceCounts {
    /// Rejected lines, for all reasons.
    #[must_use]
    pub(crate) fn rejected(&self) -> u64 {
        self.rejects.values().fold(0, |sum: u64, count| sum.saturating_add(*count))
    }
}

impl AddAssign<&Self> for SourceCounts {
    fn add_assign(&mut self, other: &Self) {
        let Self {
            lines,
            blank_lines,
            documents,
            tokens,
            short_documents,
            short_tokens,
            left_out_tokens,
            eos_between,
            examples,
            rows,
            rejects,
        } = other;
        add(&mut self.lines, *lines);
        add(&mut self.blank_lines, *blank_lines);
        add(&mut self.documents, *documents);
        add(&mut self.tokens, *tokens);
        add(&mut self.short_documents, *short_documents);
        add(&mut self.short_tokens, *short_tokens);
        add(&mut self.left_out_tokens, *left_out_tokens);
        add(&mut self.eos_between, *eos_between);
        add(&mut self.examples, *examples);
        add(&mut self.rows, *rows);
        for (reason, count) in rejects {
            add(self.rejects.entry(*reason).or_default(), *count);
        }
    }
}

impl AddAssign<&Self> for DenoiserCounts {
    fn add_assign(&mut self, other: &Self) {
        let Self { examples, tokens, noise_tokens, spans, input_ids, labels } = other;
        add(&mut self.examples, *examples);
        add(&mut self.tokens, *tokens);
        add(&mut self.noise_tokens, *noise_tokens);
        add(&mut self.spans, *spans);
        add(&mut self.input_ids, *input_ids);
        add(&mut self.labels, *labels);
    }
}

/// Counts of sources and denoisers, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Counts {
    /// By source name.
    pub(crate) sources: BTreeMap<String, SourceCounts>,
    /// By denoiser name.
    pub(crate) denoisers: BTreeMap<String, DenoiserCounts>,
}

impl Counts {
    /// The counts of a source, added if missing.
    pub(crate) fn source(&mut self, name: &str) -> &mut SourceCounts {
        entry(&mut self.sources, name)
    }

    /// The counts of a denoiser, added if missing.
    pub(crate) fn denoiser(&mut self, name: &str) -> &mut DenoiserCounts {
        entry(&mut self.denoisers, name)
    }
}

impl AddAssign<&Self> for Counts {
    fn add_assign(&mut self, other: &Self) {
        for (name, counts) in &other.sources {
            *self.source(name) += counts;
        }
        for (name, counts) in &other.denoisers {
            *self.denoiser(name) += counts;
        }
    }
}

/// No run counts to the end of `u64`, but a foreign commit record may.
fn add(sum: &mut u64, count: u64) {
    *sum = sum.saturating_add(count);
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
pub(crate) fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn entry<'a, T: Default>(map: &'a mut BTreeMap<String, T>, name: &str) -> &'a mut T {
    if !map.contains_key(name) {
        map.insert(name.to_owned(), T::default());
    }
    #[expect(clippy::expect_used, reason = "inserted above")]
    map.get_mut(name).expect("the entry is there")
}
