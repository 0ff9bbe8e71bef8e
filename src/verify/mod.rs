//! Checks that a data set keeps its laws (`docs/reference/verify.md`).
//!
//! ```text
//! SHA256SUMS ──▶ files ─┐
//! manifest ────▶ itself, plan and commit records ─┼──▶ findings, in the order of files, then of sources
//! shards ──────▶ rows ─┤
//! sources ─────▶ tokens, rows made again ─┘
//! ```
//!
//! It writes and repairs nothing. What a run does with lines it does by the same code: [`pipeline::lines`] turns them
//! into tokens and rejects, [`pipeline::masker`] into rows, and [`pipeline::crew`] shares them out. The checks of rows
//! are independent of it: [`decode`](crate::denoise::decode()) gets the tokens back from the rows alone, and
//! [`batches`] compares these with the tokens of the source, so that what masking, arranging and encoding lose or
//! change is found.
//!
//! [`pipeline::lines`]: crate::pipeline::lines
//! [`pipeline::masker`]: crate::pipeline::masker
//! [`pipeline::crew`]: crate::pipeline::crew

pub(crate) mod batches;
pub(crate) mod files;
pub(crate) mod findings;
pub(crate) mod manifest;
pub(crate) mod recomputation;
pub(crate) mod rejects;
pub(crate) mod row_groups;
pub(crate) mod rows;
pub(crate) mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use rayon::ThreadPool;
use rayon::prelude::*;

use crate::denoise::DataSplit;
use crate::output::commit::ShardFile;
use crate::output::counts::{DenoiserCounts, SourceCounts};
use crate::output::data_set::{DataSet, MANIFEST};
use crate::output::digest::RowsDigest;
use crate::output::manifest::{Manifest, ValidationEntry};
use crate::output::schema::Column;
use crate::reading::decode::Reach;
use crate::reading::{self, Described};
use crate::verify::files::Files;
use crate::verify::findings::{Findings, Report};
use crate::verify::recomputation::Again;
use crate::verify::rows::{CheckedShard, ShardLaws};

/// A data set whose manifest has been read.
pub struct Opened {
    data_set: DataSet,
    described: Option<Described>,
    findings: Findings,
}

impl Opened {
    /// Reads the manifest of a data set.
    #[must_use]
    pub fn new(data_set: DataSet) -> Self {
        let mut findings = Findings::new(MANIFEST);
        let described = match files::read(&data_set, MANIFEST) {
            Ok(Some(bytes)) => reading::manifest::read(&bytes).map_err(|error| findings.add(&error.to_string())).ok(),
            Ok(None) => {
                findings.add("is missing: the data set is not finished");
                None
            }
            Err(error) => {
                findings.add(&format!("cannot be read: {error}"));
                None
            }
        };
        Self { data_set, described, findings }
    }

    /// What the manifest says, if it can be read.
    #[must_use]
    pub fn described(&self) -> Option<&Described> {
        self.described.as_ref()
    }

    /// The data set.
    #[must_use]
    pub(crate) fn data_set(&self) -> &DataSet {
        &self.data_set
    }
}

/// Checks everything. `again` has the sources, if they are to be read again.
#[must_use]
pub fn verify(opened: Opened, again: Option<&Again<'_>>, pool: &ThreadPool) -> Report {
    let Opened { data_set, described, findings } = opened;
    let mut report = Report::default();
    let files = pool.install(|| Files::check(&data_set, described.as_ref().map(|described| &described.manifest)));
    let damaged = files.damaged;
    report.files = files.count;
    report.not_checked.extend(files.not_checked);
    report.extend(files.findings);
    let Some(described) = &described else {
        report.push(findings);
        report.not_checked.push("rows, since the manifest cannot be read".to_owned());
        return report;
    };
    if let Some(path) = &files.unreadable {
        let what =
            format!("the manifest against plan and commit records, since `{path}` is not a plain file, or too large");
        report.not_checked.push(what);
    }
    report.push(manifest::check(&data_set, described, files.unreadable.is_none()));
    report.extend(rejects::check(&data_set, &described.manifest, &damaged));
    let reach = Reach::new(&described.spec, &described.format);
    report.not_checked.extend(reach.not_checked());
    check_rows(&data_set, described, &reach, &damaged, pool, &mut report);
    if let Some(again) = again {
        sources::check(&data_set, described, &reach, again, pool, &damaged, &mut report);
    }
    report
}

/// Checks the laws of rows, shard by shard, and the totals of all shards.
fn check_rows(
    data_set: &DataSet,
    described: &Described,
    reach: &Reach,
    damaged: &BTreeSet<String>,
    pool: &ThreadPool,
    report: &mut Report,
) {
    let laws = ShardLaws { data_set, described, reach };
    let check = |shard: &ShardFile| {
        if damaged.contains(&shard.path) {
            return CheckedShard::not_read(&shard.path);
        }
        // A file with the right digest and invalid contents may make a library panic.
        catch_unwind(AssertUnwindSafe(|| laws.check(shard))).unwrap_or_else(|_| {
            let mut rows = CheckedShard::not_read(&shard.path);
            rows.findings.add("cannot be read: Parquet's reader panicked");
            rows
        })
    };
    let mut shards: Vec<CheckedShard> =
        pool.install(|| described.manifest.shards.par_iter().map(check).collect::<Vec<_>>());
    rows::check_seams(&mut shards);
    let is_whole = shards.iter().all(|shard| shard.is_whole);
    let (mut sums, mut of_validation) = (ShardTotals::default(), ShardTotals::default());
    for shard in shards {
        sums.add(&shard);
        if shard.split == DataSplit::Validation {
            of_validation.add(&shard);
        }
        report.rows += shard.rows;
        report.push(shard.findings);
    }
    if is_whole {
        report.push(sums.compare(described, reach));
        report.push(of_validation.compare_validation(described, reach));
    } else {
        report.not_checked.push("counts of rows, since not every shard can be read".to_owned());
    }
}

/// The totals of all shards.
#[derive(Default)]
struct ShardTotals {
    denoisers: BTreeMap<String, DenoiserCounts>,
    sources: BTreeMap<String, SourceCounts>,
    rows: u64,
    digest: RowsDigest,
}

impl ShardTotals {
    fn add(&mut self, shard: &CheckedShard) {
        for (name, counts) in &shard.denoisers {
            *self.denoisers.entry(name.clone()).or_default() += counts;
        }
        for (name, counts) in &shard.sources {
            *self.sources.entry(name.clone()).or_default() += counts;
        }
        self.rows += shard.rows;
        self.digest.add(&shard.digest);
    }

    fn compare(&self, described: &Described, reach: &Reach) -> Findings {
        let Manifest { denoisers, sources, totals, .. } = &described.manifest;
        let mut findings = Findings::new(MANIFEST);
        findings.differ("`totals.rows`", &totals.sources.rows, "the shards have", &self.rows);
        if reach.digests {
            findings.differ("`totals.rows_digest`", &totals.rows_digest, "the rows give", &self.digest.hex());
        }
        if reach.decodes {
            self.compare_denoisers(denoisers, "denoisers", &mut findings);
        }
        let has_sources = described.format.columns.contains(&Column::Source);
        for source in sources.iter().filter(|_| has_sources) {
            let found = self.sources.get(&source.name).cloned().unwrap_or_default();
            let place = |key: &str| format!("`sources[{}].{key}`", source.name);
            findings.differ(&place("rows"), &source.counts.rows, "the shards have", &found.rows);
            if reach.decodes {
                findings.differ(&place("examples"), &source.counts.examples, "the shards have", &found.examples);
            }
        }
        findings
    }

    fn compare_denoisers(&self, denoisers: &BTreeMap<String, DenoiserCounts>, key: &str, findings: &mut Findings) {
        let names: BTreeSet<&String> = denoisers.keys().chain(self.denoisers.keys()).collect();
        for name in names {
            let of = |counts: &BTreeMap<String, DenoiserCounts>| counts.get(name).copied().unwrap_or_default();
            let (said, found) = (of(denoisers), of(&self.denoisers));
            let pairs = [
                ("examples", said.examples, found.examples),
                ("tokens", said.tokens, found.tokens),
                ("noise_tokens", said.noise_tokens, found.noise_tokens),
                ("spans", said.spans, found.spans),
                (Column::InputIds.name(), said.input_ids, found.input_ids),
                (Column::Labels.name(), said.labels, found.labels),
            ];
            for (count, said, found) in pairs {
                findings.differ(&format!("`{key}.{name}.{count}`"), &said, "the rows give", &found);
            }
        }
    }

    /// Compares the totals of the shards for validation with their part of the manifest.
    fn compare_validation(&self, described: &Described, reach: &Reach) -> Findings {
        let mut findings = Findings::new(MANIFEST);
        let Some(ValidationEntry { counts, totals }) = &described.manifest.validation else { return findings };
        findings.differ("`validation.totals.rows`", &totals.documents.rows, "the shards have", &self.rows);
        if reach.digests {
            let digest = self.digest.hex();
            findings.differ("`validation.totals.rows_digest`", &totals.rows_digest, "the rows give", &digest);
        }
        if reach.decodes {
            self.compare_denoisers(&counts.denoisers, "validation.denoisers", &mut findings);
        }
        if described.format.columns.contains(&Column::Source) {
            let names: BTreeSet<&String> = counts.sources.keys().chain(self.sources.keys()).collect();
            for name in names {
                let said = counts.sources.get(name).map_or(0, |source| source.rows);
                let found = self.sources.get(name).map_or(0, |source| source.rows);
                findings.differ(&format!("`validation.sources.{name}.rows`"), &said, "the shards have", &found);
            }
        }
        findings
    }
}
