//! Counts over the rows of a data set (`docs/reference/inspect.md`).

pub(crate) mod expected_lengths;
pub(crate) mod histogram;

use std::ops::ControlFlow;

use rayon::ThreadPool;
use rayon::prelude::*;
use serde::Serialize;

use crate::denoise::{Decoded, Layout, RowForm, SSentinel, Span, Spec};
use crate::output::counts::DocumentCounts;
use crate::output::data_set::DataSet;
use crate::output::schema::{Column, RowFormat};
use crate::reading::Described;
use crate::reading::decode::{self, Reach, Row};
use crate::reading::shard::{RowReader, RowsError, fetch};
use crate::stats::expected_lengths::{Expected, expected};
use crate::stats::histogram::Histogram;

/// The number of parts of a segment in which noise is counted.
pub(crate) const PARTS: usize = 50;

/// The counts of a data set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stats {
    /// Rows.
    pub(crate) rows: u64,
    /// Examples.
    pub(crate) examples: u64,
    /// Examples that break a law, so that tokens and mask are not known. `verify` names the law.
    pub(crate) undecoded: u64,
    /// Ids of `input_ids` by row, without padding.
    pub(crate) inputs: Histogram,
    /// Ids of `labels` by row, without padding.
    pub(crate) labels: Histogram,
    /// By denoiser, in the order of the spec.
    pub(crate) denoisers: Vec<DenoiserStats>,
}

/// The counts of a denoiser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DenoiserStats {
    /// Lengths of segments in tokens.
    pub(crate) segments: Histogram,
    /// Lengths of noise spans in tokens.
    pub(crate) spans: Histogram,
    /// Noise tokens by example.
    pub(crate) noise: Histogram,
    /// Sentinels by example.
    pub(crate) sentinels: Histogram,
    /// Tokens of each fiftieth of a segment: noise, and all.
    pub(crate) positions: [(u64, u64); PARTS],
}

impl Default for DenoiserStats {
    fn default() -> Self {
        Self {
            segments: Histogram::default(),
            spans: Histogram::default(),
            noise: Histogram::default(),
            sentinels: Histogram::default(),
            positions: [(0, 0); PARTS],
        }
    }
}

impl Stats {
    /// Counts all rows of a data set.
    ///
    /// # Errors
    ///
    /// [`RowsError`] if they cannot be read or decoded.
    pub(crate) fn count(data_set: &DataSet, described: &Described, pool: &ThreadPool) -> Result<Self, RowsError> {
        let Described { manifest, spec, format, .. } = described;
        let reach = Reach::new(spec, format);
        let none = || Self { denoisers: vec![DenoiserStats::default(); spec.denoisers().len()], ..Self::default() };
        let of_shard = |path: &str| {
            let file = fetch(data_set, path)?;
            let open = || RowReader::open(&file, spec, format, &reach);
            let row_groups = 0..open()?.row_groups().len();
            let of_row_group = |row_group| {
                // Each thread has its own reader: an open file has only one offset.
                let (reader, mut stats) = (open()?, none());
                let mut add = |_, row: &Row<'_>| {
                    stats.add(row, spec, &reach);
                    Ok::<_, RowsError>(ControlFlow::Continue(()))
                };
                let _ = reader.visit(row_group, 0, &mut add)?; // it never breaks off
                Ok(stats)
            };
            row_groups.into_par_iter().map(of_row_group).try_reduce(none, |a, b| Ok(a.merge(b)))
        };
        let shards = manifest.shards.par_iter().map(|shard| of_shard(&shard.path));
        pool.install(|| shards.try_reduce(none, |a, b| Ok(a.merge(b))))
    }

    fn add(&mut self, row: &Row<'_>, spec: &Spec, reach: &Reach) {
        self.rows += 1;
        let length = |ids: usize| u32::try_from(ids).unwrap_or(u32::MAX);
        self.inputs.add(length(row.lengths.0));
        self.labels.add(length(row.lengths.1));
        self.examples += row.examples.len() as u64;
        for example in row.examples.iter().filter(|_| reach.decodes) {
            match (example.denoiser, decode::tokens(example, spec)) {
                (Some(denoiser), Ok(decoded)) => self.denoisers[denoiser].add(&decoded, spec.form(denoiser)),
                _ => self.undecoded += 1,
            }
        }
    }

    fn merge(mut self, other: Self) -> Self {
        let Self { rows, examples, undecoded, inputs, labels, denoisers } = other;
        self.rows += rows;
        self.examples += examples;
        self.undecoded += undecoded;
        self.inputs.merge(&inputs);
        self.labels.merge(&labels);
        for (denoiser, other) in self.denoisers.iter_mut().zip(&denoisers) {
            denoiser.merge(other);
        }
        self
    }
}

impl DenoiserStats {
    fn add(&mut self, decoded: &Decoded, form: &RowForm) {
        let (length, spans) = (decoded.mask.length(), decoded.mask.spans());
        self.segments.add(length);
        self.noise.add(decoded.mask.noise());
        for span in spans {
            self.spans.add(span.len());
        }
        #[expect(clippy::cast_possible_truncation, reason = "no more spans than tokens")]
        let in_labels = spans.len() as u32 + u32::from(form.closing_sentinel);
        self.sentinels.add(match (form.layout, form.s_sentinel) {
            (Layout::Sentinels, _) => in_labels,
            (Layout::Split, SSentinel::None) => 0,
            (Layout::Split, _) => 1,
        });
        add_positions(&mut self.positions, length, spans);
    }

    fn merge(&mut self, other: &Self) {
        let Self { segments, spans, noise, sentinels, positions } = other;
        self.segments.merge(segments);
        self.spans.merge(spans);
        self.noise.merge(noise);
        self.sentinels.merge(sentinels);
        for (sum, other) in self.positions.iter_mut().zip(positions) {
            sum.0 += other.0;
            sum.1 += other.1;
        }
    }
}

/// Counts the tokens of each part of a segment: token `i` of `n` is in part `PARTS · i / n`.
fn add_positions(positions: &mut [(u64, u64); PARTS], length: u32, spans: &[Span]) {
    let mut spans = spans.iter().copied().peekable();
    let parts = PARTS as u64;
    let first_of = |part: u64| (part * u64::from(length)).div_ceil(parts);
    for (part, (noise, all)) in (0..).zip(positions) {
        let (start, end) = (first_of(part), first_of(part + 1));
        *all += end - start;
        while let Some(span) = spans.peek() {
            let (from, to) = (u64::from(span.start).max(start), u64::from(span.end).min(end));
            *noise += to.saturating_sub(from);
            if u64::from(span.end) > end {
                break;
            }
            spans.next();
        }
    }
}

/// The statistics of a data set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Summary {
    /// The recipe's name.
    pub(crate) recipe: String,
    /// Rows.
    pub(crate) rows: u64,
    /// Examples.
    pub(crate) examples: u64,
    /// Tokens of the segments, noise and kept.
    pub(crate) tokens: u64,
    /// Lines of the sources, as the manifest counted them.
    pub(crate) lines: u64,
    /// Documents of the sources.
    pub(crate) documents: u64,
    /// Tokens of the documents, of one epoch.
    pub(crate) document_tokens: u64,
    /// The part of these rows and documents that is for validation, if the spec has such documents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) validation: Option<ValidationSummary>,
    /// Examples that break a law.
    pub(crate) undecoded: u64,
    /// What is not counted, because a column is missing.
    pub(crate) not_counted: Vec<String>,
    /// By denoiser, in the order of the spec; empty if tokens and masks are not known.
    pub(crate) denoisers: Vec<DenoiserSummary>,
    /// Ids of `input_ids` by row.
    pub(crate) inputs: Lengths,
    /// Ids of `labels` by row.
    pub(crate) labels: Lengths,
    /// Lines by reason of their rejection.
    pub(crate) rejects: Vec<(String, u64)>,
    /// Documents by source, in the order of the manifest.
    pub(crate) sources: Vec<(String, u64)>,
}

/// What is for validation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ValidationSummary {
    /// Rows.
    pub(crate) rows: u64,
    /// Examples.
    pub(crate) examples: u64,
    /// Documents.
    pub(crate) documents: u64,
    /// Tokens of the documents, of one epoch.
    pub(crate) document_tokens: u64,
}

/// The statistics of a denoiser.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct DenoiserSummary {
    /// Its name.
    pub(crate) name: String,
    /// Its pattern, as `recipes` shows it.
    pub(crate) pattern: String,
    /// The share of segments that the recipe asks for.
    pub(crate) asked: f64,
    /// Examples.
    pub(crate) examples: u64,
    /// Its share of all examples.
    pub(crate) share_of_examples: f64,
    /// Its share of all tokens.
    pub(crate) share_of_tokens: f64,
    /// The density that its parameters give; `None` if they give none.
    pub(crate) asked_density: Option<f64>,
    /// Share of noise in its tokens.
    pub(crate) density: Option<f64>,
    /// Mean number of spans.
    pub(crate) spans_per_example: Option<f64>,
    /// Mean length of spans.
    pub(crate) mean_span: Option<f64>,
    /// The longest span.
    pub(crate) longest_span: Option<u32>,
    /// Mean number of sentinels.
    pub(crate) mean_sentinels: Option<f64>,
    /// Most sentinels of an example.
    pub(crate) most_sentinels: Option<u32>,
    /// Lengths of segments.
    pub(crate) segments: Histogram,
    /// Lengths of spans.
    pub(crate) spans: Histogram,
    /// How many spans of each length are expected; `None` for patterns of labels.
    pub(crate) expected: Option<ExpectedSpans>,
    /// Share of noise in each fiftieth of its segments; `None` where no segment has a token.
    pub(crate) positions: Vec<Option<f64>>,
}

/// Expected spans by length, from 1 on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ExpectedSpans {
    /// How they were computed.
    pub(crate) origin: expected_lengths::Origin,
    /// By length, from 1 on.
    pub(crate) spans: Vec<f64>,
}

/// Lengths of a sequence.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Lengths {
    /// The most that the spec allows.
    pub(crate) allowed: u32,
    /// All ids.
    pub(crate) ids: u64,
    /// The shortest.
    pub(crate) least: Option<u32>,
    /// The median.
    pub(crate) median: Option<u32>,
    /// The mean.
    pub(crate) mean: Option<f64>,
    /// The length that 95 % do not exceed.
    pub(crate) p95: Option<u32>,
    /// The longest.
    pub(crate) most: Option<u32>,
    /// The share of the allowed room that ids fill.
    pub(crate) fill: Option<f64>,
    /// All lengths.
    pub(crate) histogram: Histogram,
}

impl Lengths {
    fn new(allowed: u32, histogram: &Histogram) -> Self {
        Self {
            allowed,
            ids: histogram.sum(),
            least: histogram.quantile(0),
            median: histogram.quantile(50),
            mean: histogram.mean(),
            p95: histogram.quantile(95),
            most: histogram.quantile(100),
            fill: histogram.mean().map(|mean| mean / f64::from(allowed)),
            histogram: histogram.clone(),
        }
    }
}

impl Summary {
    /// The statistics of a data set, from its counts and its manifest.
    #[must_use]
    pub(crate) fn new(described: &Described, stats: &Stats) -> Self {
        let Described { manifest, spec, format, .. } = described;
        let totals = &manifest.totals.sources;
        let reach = Reach::new(spec, format);
        let tokens: u64 = stats.denoisers.iter().map(|denoiser| denoiser.segments.sum()).sum();
        let examples: u64 = stats.denoisers.iter().map(|denoiser| denoiser.segments.count()).sum();
        let denoiser = |index: usize| DenoiserSummary::new(spec, index, &stats.denoisers[index], (examples, tokens));
        let (inputs, labels) = spec.row_lengths();
        let none = Histogram::default();
        let counted = |column, histogram| if format.columns.contains(&column) { histogram } else { &none };
        // A causal row is one sequence, whose labels are at the positions of its ids.
        let labels = if format.causal { inputs } else { labels };
        Self {
            recipe: spec.fields().recipe.clone(),
            rows: stats.rows,
            examples: totals.examples,
            tokens,
            lines: totals.lines,
            documents: totals.documents,
            document_tokens: totals.tokens,
            validation: manifest.validation.as_ref().map(|validation| {
                let DocumentCounts { rows, examples, documents, tokens, .. } = validation.totals.documents;
                ValidationSummary { rows, examples, documents, document_tokens: tokens }
            }),
            undecoded: stats.undecoded,
            not_counted: not_counted(format, &reach),
            denoisers: if reach.decodes { (0..spec.denoisers().len()).map(denoiser).collect() } else { Vec::new() },
            inputs: Lengths::new(inputs, counted(Column::InputIds, &stats.inputs)),
            labels: Lengths::new(labels, counted(Column::Labels, &stats.labels)),
            rejects: totals.rejects.iter().map(|(reason, count)| (reason.to_string(), *count)).collect(),
            sources: manifest.sources.iter().map(|source| (source.name.clone(), source.counts.documents)).collect(),
        }
    }
}

fn not_counted(format: &RowFormat, reach: &Reach) -> Vec<String> {
    let mut lines = Vec::new();
    let names: Vec<String> = reach.lacks_to_decode().map(|column| format!("`{column}`")).collect();
    if !names.is_empty() {
        lines.push(format!("denoisers, since there is no column {}", names.join(", ")));
    }
    for column in [Column::InputIds, Column::Labels] {
        if !format.columns.contains(&column) {
            lines.push(format!("lengths of `{column}`, since there is no such column"));
        }
    }
    lines
}

impl DenoiserSummary {
    fn new(spec: &Spec, index: usize, stats: &DenoiserStats, (all_examples, all_tokens): (u64, u64)) -> Self {
        let denoiser = &spec.denoisers()[index];
        let DenoiserStats { segments, spans, noise, sentinels, positions } = stats;
        let from_one = |Expected { origin, spans }: Expected| ExpectedSpans {
            origin,
            spans: spans.get(1..).unwrap_or_default().to_vec(),
        };
        Self {
            name: denoiser.name.clone(),
            pattern: denoiser.pattern.to_string(),
            asked: f64::from(denoiser.weight.get()) / f64::from(spec.total_weight()),
            examples: segments.count(),
            share_of_examples: share(segments.count(), all_examples).unwrap_or_default(),
            share_of_tokens: share(segments.sum(), all_tokens).unwrap_or_default(),
            asked_density: denoiser.pattern.nominal_density(),
            density: share(noise.sum(), segments.sum()),
            spans_per_example: share(spans.count(), segments.count()),
            mean_span: spans.mean(),
            longest_span: spans.quantile(100),
            mean_sentinels: sentinels.mean(),
            most_sentinels: sentinels.quantile(100),
            segments: segments.clone(),
            spans: spans.clone(),
            expected: expected(&denoiser.pattern, segments).map(from_one),
            positions: positions.iter().map(|(noise, all)| share(*noise, *all)).collect(),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with a few digits")]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_in_one_part() {
        for length in [2, 7, 49, 50, 51, 512, 1000] {
            let spans: Vec<Span> = (0..length / 5)
                .map(|k| Span { start: 5 * k + 1, end: 5 * k + 1 + k % 4 + 1 })
                .filter(|s| s.end <= length)
                .collect();
            let mut positions = [(0, 0); PARTS];
            add_positions(&mut positions, length, &spans);
            let mut expected = [(0, 0); PARTS];
            for token in 0..length {
                let (noise, all) = &mut expected[PARTS * token as usize / length as usize];
                *all += 1;
                *noise += u64::from(spans.iter().any(|span| (span.start..span.end).contains(&token)));
            }
            assert_eq!(positions, expected, "{length}");
        }
    }
}
