//! Runs the units of a plan and finishes the data set.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rayon::ThreadPool;

use crate::input::buffers::Buffers;
use crate::input::reader::Limits;
use crate::input::source::Source;
use crate::numbers::exact;
use crate::output::OutputError;
use crate::output::card::card;
use crate::output::commit::{CommitRecord, check_records};
use crate::output::data_set::{CARD, DATA, DataSet, MANIFEST, REJECTS, SUCCESS, SUMS};
use crate::output::manifest::Manifest;
use crate::output::ours::{check_top, is_shard_or_rejects};
use crate::output::sums::Sums;
use crate::output::unit_writer::ShardOptions;
use crate::pipeline::crew::Crew;
use crate::pipeline::masker::Shared;
use crate::pipeline::progress::Progress;
use crate::pipeline::reject_limit::{First, MaxRejects};
use crate::pipeline::unit::{UnitBatch, mask_batch, run_unit};
use crate::pipeline::{LinesRead, UnitError};
use crate::plan::Plan;
use crate::plan::chain::Plans;
use crate::plan::inputs::Inputs;
use crate::plan::state::{UnitState, committed, ranges, records, states};

/// All that the units of a run share.
pub struct Job {
    /// What to do.
    pub plans: Plans,
    /// The plan's sources in its order, and where they are.
    pub sources: Vec<Source>,
    /// Where to.
    pub data_set: DataSet,
    /// Where the tokenizer is, to be noted in the data set.
    pub inputs: Option<Inputs>,
    /// What shards have in common.
    pub shard_options: ShardOptions,
    /// What workers share.
    pub shared: Shared,
    /// What sources may ask for.
    pub limits: Limits,
    /// How many bad lines a source may have.
    pub max_rejects: MaxRejects,
    /// The workers: all threads of the run.
    pub pool: ThreadPool,
    /// What batches on their way weigh together, at most ([`Batch::weight`](crate::input::batch::Batch::weight)).
    pub permits: usize,
    /// Workers that also read and commit.
    pub lanes: usize,
    /// Memory that batches hand on.
    pub buffers: Arc<Buffers>,
    /// How far it is.
    pub progress: Arc<Progress>,
    /// Set by a signal.
    pub interrupted: Arc<AtomicUsize>,
    /// Set by the first unit that fails.
    pub failed: AtomicBool,
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The data set in the folder is another one.
    #[error("the data set in `{dir}` was begun with other settings: {}", differences.join("; "))]
    OtherPlan {
        /// The folder.
        dir: String,
        /// What differs.
        differences: Vec<String>,
        /// Whether nothing differs but that sources are new.
        only_new_sources: bool,
    },
    /// A source that was not given has to be read.
    #[error("{source_name}: the source is not finished in this data set, and is not among the SOURCEs")]
    NotGiven {
        /// The source.
        source_name: String,
    },
    /// Units are not done.
    #[error("{} of {} not done: {}", missing.len(), exact(*units as u64, "unit"), ranges(missing))]
    Missing {
        /// Number of units.
        units: usize,
        /// Those that are not done.
        missing: Vec<usize>,
    },
    /// The only unit failed, or all units of a source together: no number says more.
    #[error(transparent)]
    OnlyUnit(UnitError),
    /// A unit failed.
    #[error("unit {unit} of {units} failed")]
    Unit {
        /// 0-based.
        unit: usize,
        /// Number of units.
        units: usize,
        /// Why.
        source: UnitError,
    },
    /// The data set cannot be begun or finished.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// An extension of what is not there.
    #[error("`{dir}` holds no data set that could be extended")]
    NothingToExtend {
        /// The folder.
        dir: String,
    },
    /// A signal asked to stop.
    #[error("interrupted: {}", kept(*shards))]
    Interrupted {
        /// The signal's number.
        signal: usize,
        /// Committed shards of the units that were to be made; `None` if the store was not asked any more.
        shards: Option<usize>,
    },
}

/// What of a run is not lost.
fn kept(shards: Option<usize>) -> String {
    match shards {
        None => "what is committed stays, the same command goes on from there".to_owned(),
        Some(0) => "nothing is committed yet, the same command begins again".to_owned(),
        Some(1) => "1 finished shard is kept, the same command goes on after it".to_owned(),
        Some(shards) => format!("{shards} finished shards are kept, the same command goes on after them"),
    }
}

impl Job {
    /// All that is to be done.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        self.plans.whole()
    }

    /// [`UnitError::Stopped`] if the run is to stop.
    ///
    /// # Errors
    ///
    /// See above.
    pub fn check_stop(&self) -> Result<(), UnitError> {
        let stop = self.interrupted.load(Ordering::Relaxed) != 0 || self.failed.load(Ordering::Relaxed);
        if stop { Err(UnitError::Stopped) } else { Ok(()) }
    }
}

/// Makes the data set, or what is missing of it: writes the plan, makes its units, finishes.
///
/// # Errors
///
/// [`RunError`]; finished shards stay, and the same run goes on after them.
pub fn run(job: &Job) -> Result<Manifest, RunError> {
    job.data_set.create_folders().map_err(OutputError::from)?;
    if !job.data_set.has_name(SUMS).map_err(OutputError::from)? {
        check_top(&job.data_set)?;
    }
    job.plans.write(&job.data_set)?;
    if let Some(inputs) = &job.inputs {
        inputs.note(&job.data_set)?;
    }
    job.data_set.settle().map_err(OutputError::from)?;
    run_units(job, 0..job.plan().units.len())?;
    finish(job)
}

/// Makes one unit of a plan that is written, whoever makes the others.
///
/// # Errors
///
/// [`RunError`]; finished shards stay.
pub fn run_alone(job: &Job, unit: usize) -> Result<(), RunError> {
    job.data_set.create_folders().map_err(OutputError::from)?;
    job.data_set.settle().map_err(OutputError::from)?;
    run_units(job, unit..unit + 1)
}

/// Each lane takes the next unit until there is none. The error of the lowest unit is the run's.
fn run_units(job: &Job, wanted: Range<usize>) -> Result<(), RunError> {
    let next = AtomicUsize::new(wanted.start);
    let units = job.plan().units.len();
    let lanes = job.lanes.min(wanted.len());
    let crew = Crew::new(lanes, job.permits, UnitBatch::weight, |batch| mask_batch(job, batch));
    let lane = || {
        loop {
            let unit = next.fetch_add(1, Ordering::Relaxed);
            if unit >= wanted.end || job.failed.load(Ordering::Relaxed) {
                return None;
            }
            if let Err(error) = run_unit(job, &crew, unit) {
                job.failed.store(true, Ordering::Relaxed);
                return Some((unit, error));
            }
        }
    };
    let failures: Vec<(usize, UnitError)> = job
        .pool
        .broadcast(|worker| {
            let mut failure = None;
            if worker.index() < lanes {
                let panicked = Some((usize::MAX, UnitError::WorkerPanicked));
                failure = catch_unwind(AssertUnwindSafe(lane)).unwrap_or(panicked);
                crew.leave();
            }
            crew.help();
            failure
        })
        .into_iter()
        .flatten()
        .collect();
    let signal = job.interrupted.load(Ordering::Relaxed);
    let stopped = |failure: &(usize, UnitError)| matches!(failure.1, UnitError::Stopped);
    match failures.into_iter().filter(|failure| !stopped(failure)).min_by_key(|failure| failure.0) {
        // Whoever waits for a store when a signal comes says that it failed.
        _ if signal != 0 => Err(RunError::Interrupted {
            signal,
            shards: committed(&job.data_set, units).ok().map(|shards| shards[wanted].iter().sum()),
        }),
        Some((_, error)) if units == 1 => Err(RunError::OnlyUnit(error)),
        Some((unit, source)) => Err(RunError::Unit { unit, units, source }),
        None => Ok(()),
    }
}

/// Writes card, digests, manifest and the mark of success from the commit records of all units, in this order.
///
/// Another run may extend the data set meanwhile: then they are those of the whole, or are left to that run.
///
/// # Errors
///
/// [`RunError::Missing`] if a unit is not done; nothing is written then.
pub fn finish(job: &Job) -> Result<Manifest, RunError> {
    loop {
        let extension = finished_extension(job)?;
        let plans = extension.as_ref().unwrap_or(&job.plans);
        let manifest = write_manifest(job, plans)?;
        // One that ended just now has written its manifest before this one.
        if finished_extension(job)?.is_none_or(|now| now.len() == plans.len()) {
            job.data_set.remove_temporaries().map_err(OutputError::from)?;
            return Ok(manifest);
        }
    }
}

/// The plans of a run that extended the data set while this one was at work, if all its units are finished.
fn finished_extension(job: &Job) -> Result<Option<Plans>, OutputError> {
    let Some(plans) = Plans::read(&job.data_set)?.filter(|plans| plans.len() > job.plans.len()) else {
        return Ok(None);
    };
    let states = states(&job.data_set, plans.whole().units.len())?;
    Ok(states.iter().all(|state| *state == UnitState::Done).then_some(plans))
}

/// Whether the files of shards and rejects are there, and shards as long as they should be. Their bytes are `verify`'s to look at.
fn check_files(data_set: &DataSet, records: &[Vec<CommitRecord>]) -> Result<(), OutputError> {
    let mut sizes = data_set.sizes(DATA)?;
    sizes.extend(data_set.sizes(REJECTS)?);
    for (unit, records) in records.iter().enumerate() {
        for (shard, record) in records.iter().enumerate() {
            let shards = record.file.iter().map(|file| (&file.path, Some(file.bytes)));
            let rejects = record.rejects.iter().flat_map(|files| [(&files.index, None), (&files.lines, None)]);
            for (name, bytes) in shards.chain(rejects) {
                let found = sizes.get(name).copied();
                if found.is_none() || bytes.is_some() && found != bytes {
                    let record = data_set.path(&DataSet::commit_name(unit, shard));
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

/// Removes what runs left that were killed before they committed it, and that nothing has taken the place of.
fn remove_leftovers(data_set: &DataSet, units: usize, manifest: &Manifest) -> Result<(), OutputError> {
    let leftovers = data_set.unnamed(units, &manifest.files().collect())?;
    for name in &leftovers {
        if !is_shard_or_rejects(data_set, name)? {
            return Err(OutputError::InTheWay(data_set.path(name)));
        }
    }
    Ok(leftovers.iter().try_for_each(|name| data_set.remove(name))?)
}

/// Whether all that comes after the records is there. The card may be one that a person has written on in.
fn is_written(data_set: &DataSet, manifest: &Manifest, sums: &Sums) -> Result<bool, OutputError> {
    let has = |name: &str, bytes: &[u8]| Ok::<_, OutputError>(data_set.read(name)?.as_deref() == Some(bytes));
    Ok(data_set.has_name(CARD)?
        && has(SUCCESS, &[])?
        && has(MANIFEST, &manifest.to_json())?
        && has(SUMS, &sums.to_bytes())?)
}

/// Whether each source that was read in parts has a document in one of them, as the units ask of all others.
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

fn write_manifest(job: &Job, plans: &Plans) -> Result<Manifest, RunError> {
    let plan = plans.whole();
    let records = records(&job.data_set, plan.units.len())?;
    for (unit, records) in records.iter().enumerate() {
        check_records(&job.data_set, plans.fingerprint(unit), unit, records)?;
    }
    let is_missing = |unit: &usize| !records[*unit].last().is_some_and(|record| record.last);
    let missing: Vec<usize> = (0..records.len()).filter(is_missing).collect();
    if !missing.is_empty() {
        return Err(RunError::Missing { units: plan.units.len(), missing });
    }
    let names: Vec<&str> = plan.sources.iter().map(|source| source.name.as_str()).collect();
    let manifest = Manifest::new(&job.shared.spec, job.shared.tokenizer.path(), plan.parts(), &names, &records)?;
    check_parts(job.max_rejects, &manifest)?;
    check_files(&job.data_set, &records)?;
    remove_leftovers(&job.data_set, plan.units.len(), &manifest)?;
    // The records may have been found, not written.
    job.data_set.settle().map_err(OutputError::from)?;
    let card = card(&manifest);
    let sums = Sums::new(&manifest, &card, plans.files(), records.iter().flatten());
    if is_written(&job.data_set, &manifest, &sums)? {
        return Ok(manifest);
    }
    check_top(&job.data_set)?;
    job.data_set.replace(CARD, card.as_bytes()).map_err(OutputError::from)?;
    job.data_set.replace(SUMS, &sums.to_bytes()).map_err(OutputError::from)?;
    job.data_set.replace(MANIFEST, &manifest.to_json()).map_err(OutputError::from)?;
    job.data_set.replace(SUCCESS, &[]).map_err(OutputError::from)?;
    Ok(manifest)
}
