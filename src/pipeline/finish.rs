//! The end of a run: card, digests, manifest and the mark of success.

use crate::denoise::Spec;
use crate::output::card::card;
use crate::output::card_fields::CardFields;
use crate::output::commit::{CommitRecord, check_records, is_finished};
use crate::output::data_set::{CARD, DATA, DataSet, MANIFEST, REJECTS, SUCCESS, SUMS};
use crate::output::manifest::Manifest;
use crate::output::ours::is_shard_or_rejects;
use crate::output::sums::Sums;
use crate::output::top_files::check_top;
use crate::output::{OutputError, names};
use crate::pipeline::error::{RunError, UnitError};
use crate::pipeline::first_reject::{First, LinesRead};
use crate::pipeline::reject_limit::MaxRejects;
use crate::plan::chain::Plans;
use crate::plan::state::{UnitState, records, states};

/// What the end of a run needs, whichever processes made its units.
pub(crate) struct Ending<'a> {
    /// The plans that it completes.
    pub(crate) plans: &'a Plans,
    /// The data set.
    pub(crate) data_set: &'a DataSet,
    /// Everything that decides rows.
    pub(crate) spec: &'a Spec,
    /// Which code made the ids, for the manifest.
    pub(crate) tokenizer_path: String,
    /// How many lines of a source may be rejected.
    pub(crate) max_rejects: MaxRejects,
    /// What the command says for the card.
    pub(crate) card: CardFields,
}

/// Writes the card, the digests, the manifest and the mark of success, in this order, from the commit records of all
/// units.
///
/// If another run extends the data set meanwhile, these files describe the extended data set, or are left to that run.
///
/// # Errors
///
/// [`RunError::Missing`] if a unit is not done; nothing is written then.
pub(crate) fn finish(ending: &Ending<'_>) -> Result<Manifest, RunError> {
    loop {
        let extension = finished_extension(ending)?;
        let plans = extension.as_ref().unwrap_or(ending.plans);
        let manifest = write_manifest(ending, plans)?;
        // An extension that finished just now wrote its manifest before this one.
        if finished_extension(ending)?.is_none_or(|now| now.len() == plans.len()) {
            ending.data_set.remove_temporaries().map_err(OutputError::from)?;
            return Ok(manifest);
        }
    }
}

/// The plans of a run that extended the data set during this run, if all its units are finished.
fn finished_extension(ending: &Ending<'_>) -> Result<Option<Plans>, OutputError> {
    let Some(plans) = Plans::read(ending.data_set)?.filter(|plans| plans.len() > ending.plans.len()) else {
        return Ok(None);
    };
    let states = states(ending.data_set, plans.whole().units.len())?;
    Ok(states.iter().all(|state| *state == UnitState::Done).then_some(plans))
}

/// Checks that the files of shards and rejects exist, and that shards have the recorded sizes. `verify` checks their
/// bytes.
fn check_files(data_set: &DataSet, records: &[Vec<CommitRecord>]) -> Result<(), OutputError> {
    let mut sizes = data_set.sizes(DATA)?;
    sizes.extend(data_set.sizes(REJECTS)?);
    for (unit, records) in records.iter().enumerate() {
        for (shard, record) in records.iter().enumerate() {
            let shards = record.files().map(|file| (&file.path, Some(file.bytes)));
            let rejects = record.rejects.iter().flat_map(|files| [(&files.index, None), (&files.lines, None)]);
            for (name, bytes) in shards.chain(rejects) {
                let found = sizes.get(name).copied();
                if found.is_none() || bytes.is_some() && found != bytes {
                    let record = data_set.path(&names::commit(unit, shard));
                    return Err(OutputError::Gone {
                        path: data_set.path(name),
                        record,
                        found,
                        expected: bytes.unwrap_or(1),
                    });
                }
            }
        }
    }
    Ok(())
}

/// Removes files that killed runs wrote but did not commit, and that no later run replaced.
fn remove_leftovers(data_set: &DataSet, units: usize, manifest: &Manifest) -> Result<(), OutputError> {
    let leftovers = data_set.unnamed(units, &manifest.files().collect())?;
    for name in &leftovers {
        if !is_shard_or_rejects(data_set, name)? {
            return Err(OutputError::InTheWay(data_set.path(name)));
        }
    }
    Ok(leftovers.iter().try_for_each(|name| data_set.remove(name))?)
}

/// Whether the files that follow from the records are there. A person may have edited the card.
fn is_written(data_set: &DataSet, manifest: &Manifest, sums: &Sums) -> Result<bool, OutputError> {
    let has = |name: &str, bytes: &[u8]| Ok::<_, OutputError>(data_set.read(name)?.as_deref() == Some(bytes));
    Ok(data_set.has_name(CARD)?
        && has(SUCCESS, &[])?
        && has(MANIFEST, &manifest.to_json())?
        && has(SUMS, &sums.to_bytes())?)
}

/// Checks that each source that was read in parts has a document in one of them, as units check for all other sources.
fn check_parts(max: MaxRejects, manifest: &Manifest) -> Result<(), RunError> {
    let parts = manifest.plan.units.iter().filter(|unit| unit.part.is_some());
    let mut sources = parts.filter_map(|unit| manifest.sources.get(unit.first_source)).filter(|_| !max.allows_all());
    match sources.find(|source| source.counts.documents == 0 && source.counts.rejected() > 0) {
        Some(source) => {
            let (source_name, lines) = (source.name.clone(), LinesRead::All(source.counts.lines));
            Err(RunError::OnlyUnit(UnitError::NoDocument { source_name, lines, first: Box::new(First::Earlier) }))
        }
        None => Ok(()),
    }
}

fn write_manifest(ending: &Ending<'_>, plans: &Plans) -> Result<Manifest, RunError> {
    let plan = plans.whole();
    let records = records(ending.data_set, plan.units.len())?;
    for (unit, records) in records.iter().enumerate() {
        check_records(ending.data_set, plans.fingerprint(unit), unit, records)?;
    }
    let is_missing = |unit: &usize| !is_finished(&records[*unit]);
    let missing: Vec<usize> = (0..records.len()).filter(is_missing).collect();
    if !missing.is_empty() {
        return Err(RunError::Missing { units: plan.units.len(), missing });
    }
    ending.card.note(ending.data_set)?;
    let names: Vec<&str> = plan.sources.iter().map(|source| source.name.as_str()).collect();
    let manifest = Manifest::new(ending.spec, ending.tokenizer_path.clone(), plan.parts(), &names, &records)?;
    let manifest = Manifest { card: CardFields::read(ending.data_set)?, ..manifest };
    check_parts(ending.max_rejects, &manifest)?;
    check_files(ending.data_set, &records)?;
    remove_leftovers(ending.data_set, plan.units.len(), &manifest)?;
    // The records may have been found rather than written by this run.
    ending.data_set.settle().map_err(OutputError::from)?;
    let card = card(&manifest, ending.spec);
    let sums = Sums::new(&manifest, &card, plans.files(), records.iter().flatten());
    if is_written(ending.data_set, &manifest, &sums)? {
        return Ok(manifest);
    }
    check_top(ending.data_set)?;
    ending.data_set.replace(CARD, card.as_bytes()).map_err(OutputError::from)?;
    ending.data_set.replace(SUMS, &sums.to_bytes()).map_err(OutputError::from)?;
    ending.data_set.replace(MANIFEST, &manifest.to_json()).map_err(OutputError::from)?;
    ending.data_set.replace(SUCCESS, &[]).map_err(OutputError::from)?;
    Ok(manifest)
}
