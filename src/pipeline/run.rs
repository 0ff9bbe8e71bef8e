//! Runs the units of a plan and finishes the data set.

use std::ops::Range;
use std::sync::atomic::Ordering;

use crate::output::OutputError;
use crate::output::data_set::SUMS;
use crate::output::manifest::Manifest;
use crate::output::top_files::check_top;
use crate::pipeline::crew::Crew;
use crate::pipeline::error::{RunError, UnitError};
use crate::pipeline::finish::finish;
use crate::pipeline::job::Job;
use crate::pipeline::unit::{UnitBatch, mask_batch, run_unit};
use crate::plan::state::committed;

/// Makes the data set, or the missing part of it: writes the plan, makes its units, finishes.
///
/// # Errors
///
/// [`RunError`]; finished shards stay, and the same run resumes after them.
pub(crate) fn run(job: &Job) -> Result<Manifest, RunError> {
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
    finish(&job.ending())
}

/// Makes one unit of a stored plan; other processes make the others.
///
/// # Errors
///
/// [`RunError`]; finished shards stay.
pub(crate) fn run_alone(job: &Job, unit: usize) -> Result<(), RunError> {
    job.data_set.create_folders().map_err(OutputError::from)?;
    job.data_set.settle().map_err(OutputError::from)?;
    run_units(job, unit..unit + 1)
}

/// Makes units until one fails. The run returns the error of the lowest one.
fn run_units(job: &Job, wanted: Range<usize>) -> Result<(), RunError> {
    let units = job.plan().units.len();
    let crew = Crew::new(job.lanes.min(wanted.len()), job.permits, UnitBatch::weight, |batch| mask_batch(job, batch));
    let failed = |unit, error| {
        job.failed.store(true, Ordering::Relaxed);
        Some((unit, error))
    };
    let unit = |unit| {
        if job.failed.load(Ordering::Relaxed) {
            return None;
        }
        run_unit(job, &crew, unit).err().and_then(|error| failed(unit, error))
    };
    let failures = crew.do_units(&job.pool, wanted.clone(), unit, |unit| failed(unit, UnitError::WorkerPanicked));
    let signal = job.interrupted.load(Ordering::Relaxed);
    let stopped = |failure: &(usize, UnitError)| matches!(failure.1, UnitError::Stopped);
    match failures.into_iter().flatten().filter(|failure| !stopped(failure)).min_by_key(|failure| failure.0) {
        // A unit that waits for a store when a signal comes reports a failure of the store.
        _ if signal != 0 => Err(RunError::Interrupted {
            signal,
            shards: committed(&job.data_set, units).ok().map(|shards| shards[wanted].iter().sum()),
        }),
        Some((_, error)) if units == 1 => Err(RunError::OnlyUnit(error)),
        Some((unit, source)) => Err(RunError::Unit { unit, units, source }),
        None => Ok(()),
    }
}
