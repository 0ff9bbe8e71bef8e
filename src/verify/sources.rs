//! Checks rows against the sources that they were made from: their tokens, and the rows themselves, made again.
//!
//! It reads sources and shards in step, batch by batch, as a run reads and writes them; only a batch and its row groups
//! are in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::ThreadPool;

use crate::denoise::PerSplit;
use crate::input::batch::Batch;
use crate::input::batch_reader::BatchReader;
use crate::input::source::{Source, named};
use crate::json::difference::with_causes;
use crate::numbers::exact;
use crate::output::commit::RejectFiles;
use crate::output::counts::SourceCounts;
use crate::output::data_set::{DATA, DataSet};
use crate::output::manifest::Manifest;
use crate::output::unit::Unit;
use crate::output::{OutputError, names};
use crate::pipeline::crew::Crew;
use crate::pipeline::error::UnitError;
use crate::reading::Described;
use crate::reading::decode::Reach;
use crate::verify::batches::{BatchLaws, Outcome, Task};
use crate::verify::findings::{Findings, Report};
use crate::verify::recomputation::{Again, RowGroupPlace, RowsAgain};
use crate::verify::rejects::Kept;
use crate::verify::row_groups::{Queue, Rebuilt};

/// Compares all units that can be compared.
pub(crate) fn check(
    data_set: &DataSet,
    described: &Described,
    reach: &Reach,
    again: &Again<'_>,
    pool: &ThreadPool,
    damaged: &BTreeSet<String>,
    report: &mut Report,
) {
    let sources = match_sources(described, &again.sources, report);
    if described.spec.is_of_labels() && again.rows == RowsAgain::None {
        report.not_checked.push("tokens of records of two fields: `--reproduce` compares their rows".to_owned());
    }
    let same_version = described.manifest.tool_version == env!("CARGO_PKG_VERSION");
    if again.rows != RowsAgain::None && !same_version {
        let version = &described.manifest.tool_version;
        report
            .not_checked
            .push(format!("bytes of the rows made again, since version {version} of the tool wrote them"));
    }
    let compares_tokens = reach.decodes && reach.addresses;
    if !compares_tokens && !described.spec.is_of_labels() {
        report.not_checked.push("tokens of the rows, since they do not say whose they are".to_owned());
    }
    let rows = match again.rows {
        RowsAgain::Sample(_) if !reach.addresses => {
            report.not_checked.push("a sample, since rows do not say whose they are: all are made again".to_owned());
            RowsAgain::All
        }
        rows => rows,
    };
    let (shards, row_groups_before) = by_unit(&described.manifest);
    let checker = Checker {
        units: described.manifest.plan.units.len(),
        shards,
        row_groups_before,
        rejects: rejects_by_unit(&described.manifest),
        laws: BatchLaws { data_set, described, reach, again, rows, same_version },
        sources,
        damaged,
        counts: Mutex::default(),
    };
    checker.check_units(pool, report);
}

/// The manifest's sources, in its order, where the found source is the expected one.
fn match_sources(described: &Described, found: &[Source], report: &mut Report) -> Vec<Option<Source>> {
    for source in found.iter().filter(|source| !described.places.contains_key(&source.name)) {
        report.not_checked.push(format!("`{}`, which the manifest does not name", source.name));
    }
    let mut matched = Vec::new();
    for entry in &described.manifest.sources {
        let mut findings = Findings::new(&entry.name);
        let source = named(found, &entry.name);
        match source {
            None => findings.add("is not among the sources"),
            Some(source) if source.bytes != entry.bytes => {
                findings.add(&format!("has {}, the manifest says {}", exact(source.bytes, "byte"), entry.bytes));
            }
            Some(_) => {}
        }
        matched.push(source.filter(|_| findings.count() == 0).cloned());
        report.push(findings);
    }
    matched
}

/// The shards of each unit and split; and the number of row groups before each shard, and after the last.
fn by_unit(manifest: &Manifest) -> (Vec<PerSplit<Vec<usize>>>, Vec<u64>) {
    let mut shards = vec![PerSplit::<Vec<usize>>::default(); manifest.plan.units.len()];
    let mut before = vec![0_u64];
    for (index, shard) in manifest.shards.iter().enumerate() {
        if let Some((split, unit)) = shard.split().zip(shard.unit().and_then(|unit| shards.get_mut(unit))) {
            unit.of_mut(split).push(index);
        }
        before.push(before[index].saturating_add(shard.row_groups));
    }
    (shards, before)
}

/// The files of rejects of each unit, in the order of its shards.
fn rejects_by_unit(manifest: &Manifest) -> Vec<Vec<&RejectFiles>> {
    let mut rejects = vec![Vec::new(); manifest.plan.units.len()];
    for files in &manifest.rejects {
        if let Some((unit, shard)) = names::of_rejects(&files.index, ".jsonl")
            && let Some(of_unit) = rejects.get_mut(unit)
        {
            of_unit.push((shard, files));
        }
    }
    let in_order = |mut of_unit: Vec<(usize, _)>| {
        of_unit.sort_by_key(|(shard, _)| *shard);
        of_unit.into_iter().map(|(_, files)| files).collect()
    };
    rejects.into_iter().map(in_order).collect()
}

struct Checker<'a> {
    units: usize,
    /// The shards of each unit and split, by their index in the manifest.
    shards: Vec<PerSplit<Vec<usize>>>,
    /// The number of row groups before each shard, and after the last.
    row_groups_before: Vec<u64>,
    /// The files of rejects of each unit.
    rejects: Vec<Vec<&'a RejectFiles>>,
    laws: BatchLaws<'a>,
    sources: Vec<Option<Source>>,
    damaged: &'a BTreeSet<String>,
    /// Lines, documents and tokens of each source, counted in epoch 0.
    counts: Mutex<BTreeMap<String, SourceCounts>>,
}

/// The result of a unit.
#[derive(Default)]
struct UnitReport {
    findings: Vec<Findings>,
    not_checked: Option<String>,
    is_whole: bool,
    lines: u64,
    batches: u64,
}

impl UnitReport {
    fn panicked(unit: usize) -> Self {
        let mut findings = Findings::new(DATA);
        findings.add(&format!("unit {unit} cannot be compared with the sources: a worker panicked"));
        Self { findings: vec![findings], ..Self::default() }
    }
}

impl Checker<'_> {
    fn check_units(&self, pool: &ThreadPool, report: &mut Report) {
        let lanes = pool.current_num_threads().min(self.units).max(1);
        let crew = Crew::new(lanes, self.laws.again.permits, Task::weight, |task| self.laws.check(task));
        // A file with the right digest and invalid contents may make a library panic.
        let reports = crew.do_units(pool, 0..self.units, |unit| self.check_unit(&crew, unit), UnitReport::panicked);
        let (mut whole, mut missed) = (BTreeSet::new(), BTreeSet::new());
        for (of, unit) in self.laws.described.manifest.plan.units.iter().zip(reports) {
            if of.epoch == 0 {
                // A source in parts is whole only if all its parts are.
                if unit.is_whole { &mut whole } else { &mut missed }.extend(of.range());
            }
            report.lines += unit.lines;
            report.batches += unit.batches;
            report.not_checked.extend(unit.not_checked);
            report.extend(unit.findings);
        }
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for source in whole.difference(&missed).copied() {
            let said = &self.laws.described.manifest.sources[source];
            let found = counts.get(&said.name).cloned().unwrap_or_default();
            let mut findings = Findings::new(&said.name);
            findings.differ("`lines` in the manifest", &said.counts.lines, "the source has", &found.lines);
            findings.differ("`documents` in the manifest", &said.counts.documents, "the source has", &found.documents);
            findings.differ("`tokens` in the manifest", &said.counts.tokens, "the source has", &found.tokens);
            report.push(findings);
        }
    }

    fn check_unit(&self, crew: &Crew<'_, Task, Outcome>, index: usize) -> UnitReport {
        let mut report = UnitReport::default();
        let unit = self.laws.described.manifest.plan.units[index];
        let sources = match self.sources_of(unit, index) {
            Ok(sources) => sources,
            Err(why) => {
                report.not_checked = Some(why);
                return report;
            }
        };
        let buffers = Arc::default();
        let (max_line, again) = (self.laws.described.spec.fields().max_line, self.laws.again);
        let (from, to) = unit.bounds();
        let mut reader =
            BatchReader::new(&sources, max_line, &again.spool, &buffers).with_limits(again.limits).between(from, to);
        let shards = &self.shards[index];
        let mut queues = shards.each(|shards| Queue::new(&self.laws, shards.clone()));
        let mut rebuilt = shards.each(|shards| Rebuilt::new(&self.laws, shards.clone()));
        let mut kept = self.kept(index, &mut report);
        let result = crew.in_order(
            || {
                let Some(batch) = reader.next_batch()? else { return Ok(None) };
                let row_groups = queues.each_mut(|queue| queue.of_batch(&batch, &sources));
                Ok(Some(self.task(index, batch, row_groups)))
            },
            |outcome| self.take(unit, outcome, &mut kept, &mut rebuilt, &mut report),
        );
        match result {
            Ok(()) => {
                report.is_whole = unit.epoch == 0;
                report.findings.extend(queues.into_iter().flat_map(Queue::finish));
                report.findings.extend(kept.into_iter().flat_map(Kept::finish));
                if self.laws.rows == RowsAgain::All {
                    report.findings.extend(rebuilt.into_iter().flat_map(Rebuilt::finish));
                }
            }
            Err(error) => {
                let name = sources.first().map_or("", |source| source.name.as_str());
                let mut findings = Findings::new(name);
                findings.verbatim(with_causes(&error));
                report.findings.push(findings);
            }
        }
        report
    }

    /// The sources of a unit; or why it cannot be compared with them.
    fn sources_of(&self, unit: Unit, index: usize) -> Result<Vec<Source>, String> {
        let path = |shard: &usize| &self.laws.described.manifest.shards[*shard].path;
        if self.shards[index].iter().flatten().any(|shard| self.damaged.contains(path(shard))) {
            return Err(format!("unit {index} against the sources, since a shard of it is damaged"));
        }
        let sources: Option<Vec<Source>> = self.sources[unit.range()].iter().cloned().collect();
        sources.ok_or_else(|| format!("unit {index} against the sources, since one is not as it was"))
    }

    /// The stored rejects of a unit, if its files are whole.
    fn kept(&self, index: usize, report: &mut UnitReport) -> Option<Kept<'_>> {
        let rejects = &self.rejects[index];
        let mut paths = rejects.iter().flat_map(|files| [&files.index, &files.lines]);
        if paths.any(|path| self.damaged.contains(path)) {
            report.not_checked =
                Some(format!("rejects of unit {index} against the sources, since a file of them is damaged"));
            return None;
        }
        Some(Kept::new(self.laws.data_set, rejects.clone()))
    }

    fn task(&self, unit: usize, batch: Batch, row_groups: PerSplit<Vec<RowGroupPlace>>) -> Task {
        let is_masked = match self.laws.rows {
            RowsAgain::None => false,
            RowsAgain::All => true,
            RowsAgain::Sample(_) => row_groups.iter().flatten().any(|place| self.is_sampled(*place)),
        };
        Task { unit, batch, row_groups, is_masked }
    }

    /// Takes the result of the next batch of a unit.
    fn take(
        &self,
        unit: Unit,
        outcome: Outcome,
        kept: &mut Option<Kept<'_>>,
        rebuilt: &mut PerSplit<Rebuilt<'_, '_>>,
        report: &mut UnitReport,
    ) -> Result<(), UnitError> {
        let Outcome { findings, row_groups, counts, rejects, finished, lines, is_masked } = outcome;
        report.findings.extend(findings);
        report.batches += u64::from(is_masked);
        if unit.epoch == 0 {
            report.lines += lines;
            if let Some(kept) = kept {
                for reject in rejects.iter() {
                    kept.compare(reject).map_err(OutputError::from)?;
                }
            }
            let mut all = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            for (name, counts) in counts.sources {
                *all.entry(name).or_default() += &counts;
            }
            report.findings.extend(finished.into_iter().filter_map(|(name, sha256)| self.other_digest(&name, &sha256)));
        }
        if self.laws.rows == RowsAgain::All {
            for (rebuilt, row_groups) in rebuilt.iter_mut().zip(row_groups.into_iter()) {
                for row_group in row_groups {
                    rebuilt.append(row_group)?;
                }
            }
        }
        Ok(())
    }

    /// The finding about a source that has other bytes than the manifest says.
    fn other_digest(&self, name: &str, sha256: &str) -> Option<Findings> {
        let Described { manifest, places, .. } = self.laws.described;
        let said = &manifest.sources[*places.get(name)?].sha256;
        let mut findings = Findings::new(name);
        if said != sha256 {
            findings.add(&format!("has SHA-256 {sha256}, the manifest says {said}"));
        }
        (findings.count() > 0).then_some(findings)
    }

    /// Whether a row group is one of the sample.
    fn is_sampled(&self, place: RowGroupPlace) -> bool {
        let RowsAgain::Sample(wanted) = self.laws.rows else { return false };
        let all = self.row_groups_before[self.row_groups_before.len() - 1];
        is_sampled(self.row_groups_before[place.shard] + place.row_group as u64, all, wanted)
    }
}

/// Whether number `index` of `all` is one of `wanted` that are spread evenly.
fn is_sampled(index: u64, all: u64, wanted: u64) -> bool {
    let (index, all, wanted) = (u128::from(index), u128::from(all), u128::from(wanted));
    // The numbers ⌊(2k + 1)·all / (2·wanted)⌋: one such lies in [index, index + 1).
    let first_at = |index: u128| (2 * index * wanted).saturating_sub(all).div_ceil(2 * all);
    wanted >= all || (first_at(index) < first_at(index + 1) && first_at(index) < wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_as_many_as_are_wanted_and_is_spread() {
        for all in 1..40 {
            for wanted in 1..50 {
                let sampled: Vec<u64> = (0..all).filter(|index| is_sampled(*index, all, wanted)).collect();
                assert_eq!(sampled.len() as u64, wanted.min(all), "{wanted} of {all}");
                let expected = |number: u64| (2 * number + 1) * all / (2 * wanted);
                if wanted < all {
                    assert_eq!(sampled, (0..wanted).map(expected).collect::<Vec<_>>());
                }
            }
        }
    }
}
