//! Runs the units of a plan and finishes the data set.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rayon::ThreadPool;

use super::UnitError;
use super::allowance::MaxRejects;
use super::ordered::Crew;
use super::plan::Plan;
use super::progress::Progress;
use super::unit::{mask_batch, run_unit};
use super::worker::Shared;
use crate::input::reader::Limits;
use crate::input::source::Source;
use crate::output::OutputError;
use crate::output::card::card;
use crate::output::commit::CommitRecord;
use crate::output::data_set::{CARD, Created, DataSet, MANIFEST, PLAN};
use crate::output::manifest::Manifest;
use crate::output::shard::ShardOptions;

/// All that the units of a run share.
pub struct Job {
    /// What to do.
    pub plan: Plan,
    /// The plan's sources and where they are.
    pub sources: Vec<Source>,
    /// Where to.
    pub data_set: DataSet,
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
    /// Batches in memory at once.
    pub permits: usize,
    /// Workers that also read and commit.
    pub lanes: usize,
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
    },
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
    /// A signal asked to stop.
    #[error("interrupted: what is committed stays, the same command goes on from there")]
    Interrupted {
        /// The signal's number.
        signal: usize,
    },
}

impl Job {
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

/// Makes the data set, or what is missing of it.
///
/// # Errors
///
/// [`RunError`]; finished shards stay, and the same run goes on after them.
pub fn run(job: &Job) -> Result<Manifest, RunError> {
    begin(job)?;
    run_units(job)?;
    finish(job)
}

/// Writes the plan, or checks that it is the one the data set was begun with.
fn begin(job: &Job) -> Result<(), RunError> {
    job.data_set.create_folders().map_err(OutputError::from)?;
    let Created::Existing(existing) = job.data_set.create_only(PLAN, &job.plan.to_json()).map_err(OutputError::from)?
    else {
        return Ok(());
    };
    let path = job.data_set.path(PLAN);
    let existing =
        serde_json::from_slice(&existing).map_err(|source| OutputError::Damaged { path: path.clone(), source })?;
    let differences = job.plan.differences(&existing);
    if differences.is_empty() {
        return Ok(());
    }
    Err(RunError::OtherPlan { dir: job.data_set.path("").display().to_string(), differences })
}

/// Each lane takes the next unit until there is none. The error of the lowest unit is the run's.
fn run_units(job: &Job) -> Result<(), RunError> {
    let next = AtomicUsize::new(0);
    let units = job.plan.units.len();
    let lanes = job.lanes.min(units);
    let crew = Crew::new(lanes, job.permits, |batch| mask_batch(job, batch));
    let lane = || {
        loop {
            let unit = next.fetch_add(1, Ordering::Relaxed);
            if unit >= units || job.failed.load(Ordering::Relaxed) {
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
        Some((unit, source)) => Err(RunError::Unit { unit, units, source }),
        None if signal != 0 => Err(RunError::Interrupted { signal }),
        None => Ok(()),
    }
}

/// Writes manifest and card from the commit records.
fn finish(job: &Job) -> Result<Manifest, RunError> {
    let mut units = Vec::with_capacity(job.plan.units.len());
    for (index, unit) in job.plan.units.iter().enumerate() {
        units.push((unit.epoch, CommitRecord::read_unit(&job.data_set, index)?));
    }
    let manifest = Manifest::new(&job.shared.spec, job.shared.tokenizer.path(), &units)?;
    job.data_set.replace(CARD, card(&manifest).as_bytes()).map_err(OutputError::from)?;
    job.data_set.replace(MANIFEST, &manifest.to_json()).map_err(OutputError::from)?;
    job.data_set.remove_temporaries().map_err(OutputError::from)?;
    Ok(manifest)
}
