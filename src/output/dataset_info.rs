//! `dataset_info` of the card: features and sizes as Hugging Face `datasets` writes them, so that it knows them before it
//! reads a shard.

use std::fmt::Write as _;

use crate::denoise::{DataSplit, Spec};
use crate::output::counts::DenoiserCounts;
use crate::output::manifest::Manifest;
use crate::output::schema::{Column, RowFormat};

/// The YAML of `dataset_info`, for the splits that have shards; empty if the manifest's columns cannot be of its spec.
#[must_use]
pub(super) fn dataset_info(manifest: &Manifest, spec: &Spec, splits: impl Iterator<Item = DataSplit>) -> String {
    let columns: Vec<Column> = manifest.plan.columns.iter().filter_map(|name| Column::named(name)).collect();
    let Ok(format) = RowFormat::new(spec, Some(&columns)) else { return String::new() };
    let mut text = "dataset_info:\n  config_name: default\n  features:\n".to_owned();
    for column in &format.columns {
        // Newer versions write `list`, and read `sequence` as the same; older ones know a `list` as another type.
        let key = if format.is_list(*column) { "sequence" } else { "dtype" };
        let _ = writeln!(text, "  - name: {column}\n    {key}: {}", column.type_name());
    }
    let (all, validation) = (Contents::of_all(manifest), Contents::of_validation(manifest));
    let mut dataset_size = 0;
    text += "  splits:\n";
    for split in splits {
        let contents = match split {
            DataSplit::Train => all.without(&validation),
            DataSplit::Validation => validation,
        };
        let bytes = contents.bytes(&format);
        dataset_size += bytes;
        let _ = writeln!(text, "  - name: {split}\n    num_bytes: {bytes}\n    num_examples: {}", contents.rows);
    }
    let _ = writeln!(text, "  download_size: {}\n  dataset_size: {dataset_size}", manifest.totals.shard_bytes);
    text
}

/// What the columns of a split hold.
#[derive(Debug, Clone, Copy, Default)]
struct Contents {
    rows: u64,
    examples: u64,
    /// Ids of `input_ids`, without padding.
    input_ids: u64,
    /// Ids of `labels`, without padding.
    labels: u64,
    /// Bytes of the names of denoisers, one for each example.
    denoisers: u64,
    /// Bytes of the names of sources, one for each row.
    sources: u64,
}

impl Contents {
    fn of_all(manifest: &Manifest) -> Self {
        let sources = manifest.sources.iter().map(|source| (source.name.as_str(), source.counts.rows));
        Self::new(sources, manifest.denoisers.iter())
    }

    fn of_validation(manifest: &Manifest) -> Self {
        let Some(validation) = &manifest.validation else { return Self::default() };
        let sources = validation.counts.sources.iter().map(|(name, counts)| (name.as_str(), counts.rows));
        Self::new(sources, validation.counts.denoisers.iter())
    }

    fn new<'a>(
        sources: impl Iterator<Item = (&'a str, u64)>,
        denoisers: impl Iterator<Item = (&'a String, &'a DenoiserCounts)>,
    ) -> Self {
        let mut sum = Self::default();
        for (name, rows) in sources {
            sum.rows += rows;
            sum.sources += rows * name.len() as u64;
        }
        for (name, counts) in denoisers {
            sum.examples += counts.examples;
            sum.denoisers += counts.examples * name.len() as u64;
            sum.input_ids += counts.input_ids;
            sum.labels += counts.labels;
        }
        sum
    }

    fn without(&self, part: &Self) -> Self {
        Self {
            rows: self.rows.saturating_sub(part.rows),
            examples: self.examples.saturating_sub(part.examples),
            input_ids: self.input_ids.saturating_sub(part.input_ids),
            labels: self.labels.saturating_sub(part.labels),
            denoisers: self.denoisers.saturating_sub(part.denoisers),
            sources: self.sources.saturating_sub(part.sources),
        }
    }

    /// Bytes of the columns in Arrow's memory: values, and an end of four bytes for each list and each text.
    fn bytes(&self, format: &RowFormat) -> u64 {
        let padded = |length: fn(&crate::output::schema::Padding) -> usize, ids: u64| {
            format.padding.as_ref().map_or(ids, |padding| self.rows * length(padding) as u64)
        };
        let of_column = |column: &Column| {
            let items = match column {
                Column::Labels | Column::LabelSegmentIds | Column::LabelPositions => {
                    padded(|padding| padding.labels, self.labels)
                }
                Column::InputIds
                | Column::AttentionMask
                | Column::InputSegmentIds
                | Column::InputPositions
                | Column::PositionIds => padded(|padding| padding.input_ids, self.input_ids),
                Column::PrefixLength | Column::Denoiser | Column::Line | Column::Segment => self.examples,
                Column::Source | Column::Epoch => self.rows,
            };
            let values = match column {
                Column::Denoiser => self.denoisers + 4 * items,
                Column::Source => self.sources + 4 * items,
                Column::Line => 8 * items,
                _ => 4 * items,
            };
            values + if format.is_list(*column) { 4 * self.rows } else { 0 }
        };
        format.columns.iter().map(of_column).sum()
    }
}
