//! Checks the manifest: whether its sums are right, and whether plan and commit records give the same manifest.

use crate::denoise::DataSplit;
use crate::json::difference::{differences, with_causes};
use crate::output::commit::{CommitRecord, ShardFile};
use crate::output::counts::{DenoiserCounts, SourceCounts};
use crate::output::data_set::{DataSet, MANIFEST, PLAN, PRIVATE};
use crate::output::digest::RowsDigest;
use crate::output::manifest::{Manifest, ValidationEntry};
use crate::output::names;
use crate::plan::chain::Plans;
use crate::reading::Described;
use crate::verify::findings::Findings;

/// The findings about a readable manifest. Reads plan and commit records if `may_read` allows it.
#[must_use]
pub(crate) fn check(data_set: &DataSet, described: &Described, may_read: bool) -> Findings {
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
    if may_read && data_set.has_folder(PRIVATE).unwrap_or(true) {
        match rebuilt(data_set, described) {
            Ok(lines) => lines.iter().for_each(|line| findings.add(line)),
            Err(error) => findings.add(&error),
        }
    }
    findings
}

/// Whether shards are in a run's order. Their paths do not sort that way once a number has more digits than others.
fn is_in_order(shards: &[ShardFile]) -> bool {
    let place = |shard: &ShardFile| names::of_shard_file(&shard.path);
    shards.is_sorted_by(|a, b| place(a) < place(b))
}

fn check_totals(manifest: &Manifest, findings: &mut Findings) {
    let Manifest { sources, denoisers, shards, totals, validation, .. } = manifest;
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
    if let Some(validation) = validation {
        check_validation(validation, shards, findings);
    }
}

fn check_validation(validation: &ValidationEntry, shards: &[ShardFile], findings: &mut Findings) {
    let summed = ValidationEntry::new(validation.counts.clone(), shards);
    let (said, found) = (&validation.totals, &summed.totals);
    if said != found {
        findings.add("`validation.totals` are not the sums over its sources, its denoisers and its shards");
    }
    let shards = shards.iter().filter(|shard| shard.split() == Some(DataSplit::Validation));
    let rows = shards.map(|shard| shard.rows).sum();
    findings.differ("`validation.totals.rows`", &said.documents.rows, "its shards add up to", &rows);
}

/// Where the manifest differs from the one that plan and commit records give.
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
            let name = names::commit(unit, shard);
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
    // Neither plan nor records have what only a person knows.
    let rebuilt = Manifest { tool_version: plan.tool_version.clone(), card: manifest.card.clone(), ..rebuilt };
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
    }
}
