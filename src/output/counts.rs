//! Counts. They add up: batch by batch, shard by shard, unit by unit.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::denoise::{DataSplit, PerSplit};
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
    /// Documents that a weight below 1 leaves out, which make no row.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) unused_documents: u64,
    /// Their tokens.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) unused_tokens: u64,
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

/// The counts of documents of one split.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DocumentCounts {
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

impl DocumentCounts {
    /// Adds what another epoch counts anew: tokens left out, examples and rows.
    pub(crate) fn add_epoch(&mut self, other: &Self) {
        add(&mut self.left_out_tokens, other.left_out_tokens);
        add(&mut self.examples, other.examples);
        add(&mut self.rows, other.rows);
    }
}

impl From<&SourceCounts> for DocumentCounts {
    fn from(counts: &SourceCounts) -> Self {
        let SourceCounts {
            lines: _,
            blank_lines: _,
            documents,
            tokens,
            short_documents,
            short_tokens,
            unused_documents: _,
            unused_tokens: _,
            left_out_tokens,
            eos_between,
            examples,
            rows,
            rejects: _,
        } = *counts;
        Self { documents, tokens, short_documents, short_tokens, left_out_tokens, eos_between, examples, rows }
    }
}

impl AddAssign<&Self> for DocumentCounts {
    fn add_assign(&mut self, other: &Self) {
        let Self { documents, tokens, short_documents, short_tokens, left_out_tokens, eos_between, examples, rows } =
            other;
        add(&mut self.documents, *documents);
        add(&mut self.tokens, *tokens);
        add(&mut self.short_documents, *short_documents);
        add(&mut self.short_tokens, *short_tokens);
        add(&mut self.left_out_tokens, *left_out_tokens);
        add(&mut self.eos_between, *eos_between);
        add(&mut self.examples, *examples);
        add(&mut self.rows, *rows);
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
            unused_documents,
            unused_tokens,
            left_out_tokens,
            eos_between,
            examples,
            rows,
            rejects,
        } = other;
        add(&mut self.unused_documents, *unused_documents);
        add(&mut self.unused_tokens, *unused_tokens);
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
    /// The part of these counts that is for validation.
    #[serde(default, skip_serializing_if = "ValidationCounts::is_empty")]
    pub(crate) validation: ValidationCounts,
}

/// Counts of the documents that are for validation, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ValidationCounts {
    /// By source name; a source without such a document is left out.
    pub(crate) sources: BTreeMap<String, DocumentCounts>,
    /// By denoiser name.
    pub(crate) denoisers: BTreeMap<String, DenoiserCounts>,
}

impl ValidationCounts {
    fn is_empty(&self) -> bool {
        self.sources.is_empty() && self.denoisers.is_empty()
    }
}

impl Counts {
    /// The counts of a source, added if missing.
    pub(crate) fn source(&mut self, name: &str) -> &mut SourceCounts {
        entry(&mut self.sources, name)
    }

    /// Adds the counts of a block of a source. Lines that are not documents count in either split.
    pub(crate) fn add_block(&mut self, source: &str, counts: &PerSplit<SourceCounts>) {
        for counts in counts.iter() {
            *self.source(source) += counts;
        }
        let validation = DocumentCounts::from(&counts.validation);
        if validation.documents > 0 {
            *entry(&mut self.validation.sources, source) += &validation;
        }
    }

    /// Adds the counts of a denoiser in a split.
    pub(crate) fn add_denoiser(&mut self, name: &str, split: DataSplit, counts: &DenoiserCounts) {
        *entry(&mut self.denoisers, name) += counts;
        if split == DataSplit::Validation {
            *entry(&mut self.validation.denoisers, name) += counts;
        }
    }
}

impl AddAssign<&Self> for Counts {
    fn add_assign(&mut self, other: &Self) {
        for (name, counts) in &other.sources {
            *self.source(name) += counts;
        }
        for (name, counts) in &other.denoisers {
            *entry(&mut self.denoisers, name) += counts;
        }
        for (name, counts) in &other.validation.sources {
            *entry(&mut self.validation.sources, name) += counts;
        }
        for (name, counts) in &other.validation.denoisers {
            *entry(&mut self.validation.denoisers, name) += counts;
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
