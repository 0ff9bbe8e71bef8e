//! `manifest.json`: what was made, and from what. Equal runs write equal bytes: it holds no clock, host, path or worker
//! count.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::denoise::{DataSplit, MASKING_VERSION, Shortening, Spec};
use crate::json::to_json;
use crate::output::card_fields::CardFields;
use crate::output::commit::{CommitRecord, FinishedFile, ReaderPosition, RejectFiles, ShardFile, is_finished};
use crate::output::counts::{DenoiserCounts, DocumentCounts, SourceCounts, ValidationCounts};
use crate::output::digest::RowsDigest;
use crate::output::unit::{PlanParts, Unit};
use crate::output::{OutputError, names};

/// The version of the manifest's own format.
pub(crate) const MANIFEST_VERSION: u32 = 1;

/// The manifest of a finished data set (`docs/reference/manifest.md`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_VERSION`].
    #[expect(clippy::struct_field_names, reason = "a key of the file")]
    pub(crate) manifest_version: u32,
    /// The tool's version.
    pub(crate) tool_version: String,
    /// [`MASKING_VERSION`].
    pub(crate) masking_version: u32,
    /// Which code made the ids, and why. It does not affect the ids.
    pub(crate) tokenizer_path: String,
    /// Everything that decides rows.
    #[serde(deserialize_with = "crate::files::bounded::value")]
    pub spec: Value,
    /// SHA-256 of the spec.
    pub(crate) spec_fingerprint: String,
    /// Denoisers that the vocabulary has too few sentinels for.
    pub(crate) shortened: Vec<Shortening>,
    /// The parts of the plan that decide files but no row.
    pub(crate) plan: PlanParts,
    /// The sources, in the order of the plan.
    pub(crate) sources: Vec<SourceEntry>,
    /// The shards, in the order of names: those for validation last.
    pub(crate) shards: Vec<ShardFile>,
    /// The files of rejects.
    pub(crate) rejects: Vec<RejectFiles>,
    /// The counts of each denoiser.
    pub(crate) denoisers: BTreeMap<String, DenoiserCounts>,
    /// Sums.
    pub totals: Totals,
    /// What only a person knows of it.
    #[serde(default, skip_serializing_if = "CardFields::is_empty")]
    pub(crate) card: CardFields,
    /// The part of the counts that is for validation, if the spec has such documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) validation: Option<ValidationEntry>,
}

/// The documents that are for validation, and their rows: a part of the other counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ValidationEntry {
    /// By source and by denoiser, counted as those of the whole data set.
    #[serde(flatten)]
    pub(crate) counts: ValidationCounts,
    /// Sums.
    pub(crate) totals: ValidationTotals,
}

/// Sums over the rows for validation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ValidationTotals {
    /// Sums over the sources.
    #[serde(flatten)]
    pub(crate) documents: DocumentCounts,
    /// Ids in `input_ids`.
    pub(crate) input_ids: u64,
    /// Ids in `labels`.
    pub(crate) labels: u64,
    /// Bytes of their shards.
    pub(crate) shard_bytes: u64,
    /// Digest of their rows.
    pub(crate) rows_digest: String,
}

impl ValidationEntry {
    /// The counts and their sums; `shards` are all shards of the data set.
    pub(crate) fn new(counts: ValidationCounts, shards: &[ShardFile]) -> Self {
        let mut documents = DocumentCounts::default();
        counts.sources.values().for_each(|source| documents += source);
        let mut ids = DenoiserCounts::default();
        counts.denoisers.values().for_each(|denoiser| ids += denoiser);
        let mut digest = RowsDigest::default();
        let mut shard_bytes = 0_u64;
        for shard in shards.iter().filter(|shard| shard.split() == Some(DataSplit::Validation)) {
            shard_bytes = shard_bytes.saturating_add(shard.bytes);
            if let Some(rows) = RowsDigest::from_hex(&shard.rows_digest) {
                digest.add(&rows);
            }
        }
        let DenoiserCounts { input_ids, labels, .. } = ids;
        Self {
            counts,
            totals: ValidationTotals { documents, input_ids, labels, shard_bytes, rows_digest: digest.hex() },
        }
    }
}

/// A source in the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SourceEntry {
    /// Its name.
    pub(crate) name: String,
    /// Its size on disk.
    pub(crate) bytes: u64,
    /// SHA-256 of its bytes on disk.
    pub(crate) sha256: String,
    /// The counts of its lines. Lines, documents, tokens and rejects count one epoch; left-out tokens, examples and
    /// rows count all epochs.
    #[serde(flatten)]
    pub(crate) counts: SourceCounts,
}

/// Sums over a data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Sums over the sources.
    #[serde(flatten)]
    pub(crate) sources: SourceCounts,
    /// Ids in `input_ids`.
    pub(crate) input_ids: u64,
    /// Ids in `labels`.
    pub(crate) labels: u64,
    /// Bytes of all shards.
    pub(crate) shard_bytes: u64,
    /// For packed rows, the share of their lengths that holds ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fill_rate: Option<f64>,
    /// Digest of all rows, independent of their order and the shards.
    pub(crate) rows_digest: String,
}

impl Manifest {
    /// The manifest from the records of all units of a plan whose sources are `names`. `tokenizer_path` says which code
    /// made the ids.
    ///
    /// # Errors
    ///
    /// [`OutputError`] if a unit is not finished or two epochs saw different sources.
    pub(crate) fn new(
        spec: &Spec,
        tokenizer_path: String,
        plan: PlanParts,
        names: &[&str],
        records: &[Vec<CommitRecord>],
    ) -> Result<Self, OutputError> {
        let Gathered { mut files, mut counts, denoisers, validation, digest, mut shards, rejects } =
            Gathered::new(&plan.units, names, records)?;
        // The records of a unit name the files of both splits.
        shards.sort_by_key(|shard| names::of_shard_file(&shard.path));
        let mut sums = SourceCounts::default();
        let sources: Vec<SourceEntry> = names
            .iter()
            .filter_map(|name| files.remove(name))
            .map(|file| {
                let counts = counts.remove(file.name.as_str()).unwrap_or_default();
                sums += &counts;
                SourceEntry { name: file.name.clone(), bytes: file.bytes, sha256: file.sha256.clone(), counts }
            })
            .collect();
        let input_ids = denoisers.values().map(|denoiser| denoiser.input_ids).sum();
        let labels = denoisers.values().map(|denoiser| denoiser.labels).sum();
        let totals = Totals {
            fill_rate: fill_rate(spec, sums.rows, input_ids + labels),
            sources: sums,
            input_ids,
            labels,
            shard_bytes: shards.iter().map(|shard| shard.bytes).sum(),
            rows_digest: digest.hex(),
        };
        Ok(Self {
            manifest_version: MANIFEST_VERSION,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            masking_version: MASKING_VERSION,
            tokenizer_path,
            spec: spec.to_json(),
            validation: spec.fields().validation.is_some().then(|| ValidationEntry::new(validation, &shards)),
            spec_fingerprint: crate::digest::fingerprint(&spec.to_json()),
            shortened: spec.shortenings().cloned().collect(),
            plan,
            card: CardFields::default(),
            sources,
            shards,
            rejects,
            denoisers,
            totals,
        })
    }

    /// The paths of shards and reject files.
    pub(crate) fn files(&self) -> impl Iterator<Item = &str> {
        let rejects = self.rejects.iter().flat_map(|files| [files.index.as_str(), files.lines.as_str()]);
        self.shards.iter().map(|shard| shard.path.as_str()).chain(rejects)
    }

    /// The manifest as JSON, as it is stored.
    #[must_use]
    pub(crate) fn to_json(&self) -> Vec<u8> {
        to_json(self)
    }
}

/// What the records of all units say together.
#[derive(Default)]
struct Gathered<'a> {
    files: BTreeMap<&'a str, &'a FinishedFile>,
    counts: BTreeMap<&'a str, SourceCounts>,
    denoisers: BTreeMap<String, DenoiserCounts>,
    validation: ValidationCounts,
    digest: RowsDigest,
    shards: Vec<ShardFile>,
    rejects: Vec<RejectFiles>,
}

impl<'a> Gathered<'a> {
    fn new(units: &[Unit], names: &[&str], records: &'a [Vec<CommitRecord>]) -> Result<Self, OutputError> {
        let mut gathered = Self::default();
        let mut before: Option<&ReaderPosition> = None;
        for (index, (unit, records)) in units.iter().zip(records).enumerate() {
            if !is_finished(records) {
                return Err(OutputError::Unfinished(index));
            }
            // A part begins where the previous one ended, or both read to the end of the source.
            let begin = records.first().and_then(|record| record.begin.as_ref());
            if unit.part.is_some_and(|part| part.from > 0) && begin != before {
                let name = names.get(unit.first_source).copied().unwrap_or_default();
                return Err(OutputError::SourceChanged(name.to_owned()));
            }
            before = records.last().and_then(|record| record.position.as_ref());
            for record in records {
                gathered.add(unit.epoch, record)?;
            }
        }
        Ok(gathered)
    }

    fn add(&mut self, epoch: u32, record: &'a CommitRecord) -> Result<(), OutputError> {
        self.shards.extend(record.files().cloned());
        self.rejects.extend(record.rejects.clone());
        for rows in record.files().filter_map(|file| RowsDigest::from_hex(&file.rows_digest)) {
            self.digest.add(&rows);
        }
        for (name, source) in &record.counts.sources {
            let sum = self.counts.entry(name).or_default();
            if epoch == 0 {
                *sum += source;
            } else {
                // The tokens that a window leaves out depend on the denoiser that its epoch chooses.
                sum.left_out_tokens += source.left_out_tokens;
                sum.examples += source.examples;
                sum.rows += source.rows;
            }
        }
        for (name, denoiser) in &record.counts.denoisers {
            *self.denoisers.entry(name.clone()).or_default() += denoiser;
        }
        for (name, source) in &record.counts.validation.sources {
            let sum = self.validation.sources.entry(name.clone()).or_default();
            if epoch == 0 {
                *sum += source;
            } else {
                sum.add_epoch(source);
            }
        }
        for (name, denoiser) in &record.counts.validation.denoisers {
            *self.validation.denoisers.entry(name.clone()).or_default() += denoiser;
        }
        for file in &record.finished {
            if self.files.insert(&file.name, file).is_some_and(|other| other != file) {
                return Err(OutputError::SourceChanged(file.name.clone()));
            }
        }
        Ok(())
    }
}

/// The share of its rows' lengths that a packed data set fills with ids, to nine decimals; `None` for others.
///
/// `serde_json` may read a number with all its digits back with another last bit; it reads one this short exactly.
#[expect(clippy::cast_precision_loss, reason = "a share: a few digits of it matter")]
fn fill_rate(spec: &Spec, rows: u64, ids: u64) -> Option<f64> {
    let (inputs_length, labels_length) = spec.row_lengths();
    let room = rows * (u64::from(inputs_length) + u64::from(labels_length));
    (spec.fields().pack && room > 0).then(|| (ids as f64 / room as f64 * 1e9).round() / 1e9)
}
