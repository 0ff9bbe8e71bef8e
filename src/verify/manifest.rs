//! The manifest: whether its parts go together, and whether it is what plan and commit records make.

use serde_json::Value;

use super::Described;
use super::findings::{Findings, with_causes};
use crate::denoise::{MASKING_VERSION, Spec, SpecError};
use crate::difference::differences;
use crate::output::commit::{CommitRecord, ShardFile};
use crate::output::counts::{DenoiserCounts, SourceCounts};
use crate::output::data_set::{DATA, DataSet, MANIFEST, PLAN, PRIVATE, REJECTS};
use crate::output::manifest::{MANIFEST_VERSION, Manifest, SourceEntry, Unit};
use crate::output::rows::RowsDigest;
use crate::output::schema::{Column, ColumnError, RowFormat};
use crate::pipeline::plans::Plans;

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is no JSON, or lacks something.
    #[error("cannot be read: {0}")]
    Json(serde_json::Error),
    /// It is of another format.
    #[error("`manifest_version` is {found}, this tool reads {MANIFEST_VERSION}")]
    Version {
        /// The version found.
        found: Value,
    },
    /// Its rows are those of another masking version.
    #[error("`masking_version` is {found}, this tool makes rows of version {MASKING_VERSION}")]
    MaskingVersion {
        /// The version found.
        found: Value,
    },
    /// Its spec is none.
    #[error("`spec`: {}", with_causes(.0))]
    Spec(SpecError),
    /// A column that nobody knows.
    #[error("`plan.columns` names `{0}`, which is no column")]
    Column(String),
    /// Columns that its rows cannot have.
    #[error("`plan.columns`: {0}")]
    Columns(ColumnError),
    /// Units that are not those of its sources.
    #[error("`plan.units[{unit}]` is not the next group of sources of its epoch")]
    Units {
        /// 0-based.
        unit: usize,
    },
    /// A file where it cannot be.
    #[error("`{0}` is no path of a shard or of rejects")]
    Path(String),
}

/// Reads a manifest and what its spec and its columns mean.
///
/// # Errors
///
/// [`ManifestError`] if a data set cannot be held to it.
pub fn read(bytes: &[u8]) -> Result<Described, ManifestError> {
    let json: Value = serde_json::from_slice(bytes).map_err(ManifestError::Json)?;
    if json["manifest_version"] != MANIFEST_VERSION {
        return Err(ManifestError::Version { found: json["manifest_version"].clone() });
    }
    if json["masking_version"] != MASKING_VERSION {
        return Err(ManifestError::MaskingVersion { found: json["masking_version"].clone() });
    }
    let manifest: Manifest = serde_json::from_value(json).map_err(ManifestError::Json)?;
    let spec = Spec::from_json(manifest.spec.clone()).map_err(ManifestError::Spec)?;
    let column = |name: &String| Column::named(name).ok_or_else(|| ManifestError::Column(name.clone()));
    let columns = manifest.plan.columns.iter().map(column).collect::<Result<Vec<_>, _>>()?;
    let format = RowFormat::new(&spec, Some(&columns)).map_err(ManifestError::Columns)?;
    check_units(&manifest, &spec)?;
    for shard in &manifest.shards {
        let unit = place_of(&shard.path, DATA, ".parquet").map(|place| place.0);
        if unit.is_none_or(|unit| unit >= manifest.plan.units.len()) {
            return Err(ManifestError::Path(shard.path.clone()));
        }
    }
    for files in &manifest.rejects {
        for (path, ending) in [(&files.index, ".jsonl"), (&files.lines, ".lines")] {
            place_of(path, REJECTS, ending).ok_or_else(|| ManifestError::Path(path.clone()))?;
        }
    }
    let name = |(place, source): (usize, &SourceEntry)| (source.name.clone(), place);
    let places = manifest.sources.iter().enumerate().map(name).collect();
    Ok(Described { manifest, spec, format, places })
}

/// Unit and number of a shard, by the path of one of its files.
#[must_use]
pub fn place_of(path: &str, folder: &str, ending: &str) -> Option<(usize, usize)> {
    let stem = path.strip_prefix(folder)?.strip_prefix("/train-")?.strip_suffix(ending)?;
    let (unit, shard) = stem.split_once('-')?;
    let (unit, shard): (usize, usize) = (unit.parse().ok()?, shard.parse().ok()?);
    (stem == format!("{unit:05}-{shard:05}")).then_some((unit, shard))
}

/// Every epoch has units of its own, which hold all sources once.
fn check_units(manifest: &Manifest, spec: &Spec) -> Result<(), ManifestError> {
    let sources = manifest.sources.len();
    let mut next = vec![0; spec.fields().epochs as usize];
    for (unit, Unit { epoch, first_source, sources: count }) in manifest.plan.units.iter().enumerate() {
        let wrong = ManifestError::Units { unit };
        let Some(next) = next.get_mut(*epoch as usize) else { return Err(wrong) };
        if *first_source != *next || *count == 0 || *count > sources - *next {
            return Err(wrong);
        }
        *next += count;
    }
    if next.iter().any(|next| *next != sources) {
        return Err(ManifestError::Units { unit: manifest.plan.units.len() });
    }
    Ok(())
}

/// What is wrong with a manifest that can be used. Plan and commit records are read if they may be.
#[must_use]
pub fn check(data_set: &DataSet, described: &Described, may_read: bool) -> Findings {
    let mut findings = Findings::new(MANIFEST);
    let Manifest { spec, spec_fingerprint, shards, .. } = &described.manifest;
    findings.differ("`spec_fingerprint`", spec_fingerprint, "the spec has", &crate::digest::fingerprint(spec));
    if !is_in_order(shards) {
        findings.add("`shards` are not in the order of units and numbers, each once");
    }
    if described.places.len() != described.manifest.sources.len() {
        findings.add("`sources` names one twice");
    }
    check_totals(&described.manifest, &mut findings);
    if may_read && data_set.path(PRIVATE).exists() {
        match rebuilt(data_set, described) {
            Ok(lines) => lines.iter().for_each(|line| findings.add(line)),
            Err(error) => findings.add(&error),
        }
    }
    findings
}

/// Whether shards are in the order of a run. Their paths are not, once a number has more digits than others.
fn is_in_order(shards: &[ShardFile]) -> bool {
    let place = |shard: &ShardFile| place_of(&shard.path, DATA, ".parquet");
    shards.is_sorted_by(|a, b| place(a) < place(b))
}

fn check_totals(manifest: &Manifest, findings: &mut Findings) {
    let Manifest { sources, denoisers, shards, totals, .. } = manifest;
    let mut lines = SourceCounts::default();
    for source in sources {
        lines += &source.counts;
    }
    if lines != totals.sources {
        findings.add("`totals` are not the sums over `sources`");
    }
    let mut ids = DenoiserCounts::default();
    for counts in denoisers.values() {
        ids += counts;
    }
    findings.differ("`totals.input_ids`", &totals.input_ids, "`denoisers` add up to", &ids.input_ids);
    findings.differ("`totals.labels`", &totals.labels, "`denoisers` add up to", &ids.labels);
    findings.differ("`totals.examples`", &totals.sources.examples, "`denoisers` add up to", &ids.examples);
    let bytes = shards.iter().map(|shard| shard.bytes).sum();
    findings.differ("`totals.shard_bytes`", &totals.shard_bytes, "`shards` add up to", &bytes);
    let rows = shards.iter().map(|shard| shard.rows).sum();
    findings.differ("`totals.rows`", &totals.sources.rows, "`shards` add up to", &rows);
    let mut digest = RowsDigest::default();
    shards.iter().filter_map(|shard| RowsDigest::from_hex(&shard.rows_digest)).for_each(|rows| digest.add(&rows));
    findings.differ("`totals.rows_digest`", &totals.rows_digest, "`shards` add up to", &digest.hex());
}

/// Where the manifest is not what plan and commit records make.
fn rebuilt(data_set: &DataSet, described: &Described) -> Result<Vec<String>, String> {
    let Described { manifest, spec, .. } = described;
    let plans = Plans::read(data_set).map_err(|error| with_causes(&error))?;
    let plans = plans.ok_or_else(|| format!("`{PLAN}`, which it was made by, is missing"))?;
    let plan = plans.whole();
    let mut lines = Vec::new();
    if plan.spec != manifest.spec {
        let differ = differences(&plan.spec, &manifest.spec);
        lines.extend(differ.iter().map(|one| format!("`spec`: {}", one.shown("in the plan", "in the manifest"))));
    }
    let names: Vec<&str> = plan.sources.iter().map(|source| source.name.as_str()).collect();
    let mut records = Vec::new();
    for unit in 0..plan.units.len() {
        let of_unit = CommitRecord::read_unit(data_set, unit).map_err(|error| with_causes(&error))?;
        for (shard, record) in of_unit.iter().enumerate() {
            let name = DataSet::commit_name(unit, shard);
            if (record.unit, record.shard) != (unit, shard) {
                lines.push(format!("`{name}` is the record of unit {}, shard {}", record.unit, record.shard));
            }
            if record.plan != plans.fingerprint(unit) {
                lines.push(format!("`{name}` is the record of another plan"));
            }
        }
        records.push(of_unit);
    }
    let rebuilt = Manifest::new(spec, manifest.tokenizer_path.clone(), plan.parts(), &names, &records)
        .map_err(|error| with_causes(&error))?;
    let rebuilt = Manifest { tool_version: plan.tool_version.clone(), ..rebuilt };
    let json = |manifest: &Manifest| serde_json::to_value(manifest).unwrap_or_default();
    let differ = differences(&json(manifest), &json(&rebuilt));
    lines.extend(differ.iter().map(|one| one.shown("in the manifest", "by plan and commit records")));
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_ordered_by_numbers_and_not_by_digits() {
        let shard = |place: &str| ShardFile {
            path: format!("data/train-{place}.parquet"),
            bytes: 0,
            sha256: String::new(),
            rows: 0,
            row_groups: 0,
            rows_digest: String::new(),
        };
        let is_in_order = |places: &[&str]| is_in_order(&places.iter().map(|place| shard(place)).collect::<Vec<_>>());
        assert!(is_in_order(&["00007-00000", "00007-00001", "99999-00000", "100000-00000", "100000-100000"]));
        assert!(!is_in_order(&["100000-00000", "99999-00000"]));
        assert!(!is_in_order(&["00007-00000", "00007-00000"]));
        assert_eq!(place_of("data/train-7-00000.parquet", DATA, ".parquet"), None);
    }
}
