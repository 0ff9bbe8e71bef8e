//! The state of a plan's units, from its commit records.

use rayon::prelude::*;

use crate::output::commit::{CommitRecord, is_finished};
use crate::output::data_set::{COMMITS, DataSet};
use crate::output::{OutputError, names};

/// The state of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnitState {
    /// No shard is committed.
    Missing,
    /// This many shards are committed, but not the last.
    Begun(usize),
    /// All shards are committed.
    Done,
}

/// Records that are requested from a store at once: each request waits for an answer.
const AT_ONCE: usize = 32;

/// The state of each of `units` units.
///
/// # Errors
///
/// [`OutputError`] if a record cannot be read.
pub(crate) fn states(data_set: &DataSet, units: usize) -> Result<Vec<UnitState>, OutputError> {
    states_of(data_set, &committed(data_set, units)?)
}

/// The state of units with these numbers of committed shards ([`committed`]), from the last record of each.
///
/// # Errors
///
/// [`OutputError`] if a record cannot be read.
pub(crate) fn states_of(data_set: &DataSet, shards: &[usize]) -> Result<Vec<UnitState>, OutputError> {
    each(data_set, shards, |(unit, shards)| {
        let Some(last) = shards.checked_sub(1) else { return Ok(UnitState::Missing) };
        let record = CommitRecord::read(data_set, unit, last)?;
        Ok(if is_finished(record.as_slice()) { UnitState::Done } else { UnitState::Begun(*shards) })
    })
}

/// The number of committed shards of each of `units` units, from the names of the records.
///
/// # Errors
///
/// [`OutputError`] if they cannot be listed.
pub(crate) fn committed(data_set: &DataSet, units: usize) -> Result<Vec<usize>, OutputError> {
    let mut shards = vec![0_usize; units];
    for name in data_set.files(COMMITS, false)? {
        if let Some(shards) = names::of_commit(&name).and_then(|(unit, _)| shards.get_mut(unit)) {
            *shards += 1;
        }
    }
    Ok(shards)
}

/// The records of each of `units` units.
///
/// # Errors
///
/// [`OutputError`] if one cannot be read.
pub(crate) fn records(data_set: &DataSet, units: usize) -> Result<Vec<Vec<CommitRecord>>, OutputError> {
    each(data_set, &vec![(); units], |(unit, ())| CommitRecord::read_unit(data_set, unit))
}

fn each<T: Sync, R: Send>(
    data_set: &DataSet,
    of: &[T],
    job: impl Fn((usize, &T)) -> Result<R, OutputError> + Sync + Send,
) -> Result<Vec<R>, OutputError> {
    if data_set.place().local().is_some() {
        return of.iter().enumerate().map(job).collect();
    }
    many_at_once(of, job)
}

/// Calls a function for each of many items, many at once. Returns the first error.
///
/// # Errors
///
/// See above.
pub(crate) fn many_at_once<T: Sync, R: Send, E: From<std::io::Error> + Send>(
    of: &[T],
    job: impl Fn((usize, &T)) -> Result<R, E> + Sync + Send,
) -> Result<Vec<R>, E> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(AT_ONCE.min(of.len().max(1))).build();
    let pool = pool.map_err(std::io::Error::other)?;
    pool.install(|| of.par_iter().enumerate().map(job).collect())
}

/// Sorted numbers as `0-3,7`, which Slurm accepts and people can read.
#[must_use]
pub(crate) fn ranges(numbers: &[usize]) -> String {
    let runs = numbers.chunk_by(|a, b| a + 1 == *b);
    let shown = runs.map(|run| match run {
        [first, .., last] => format!("{first}-{last}"),
        run => run.iter().map(ToString::to_string).collect(),
    });
    shown.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_joined() {
        assert_eq!(ranges(&[0, 1, 2, 3, 7, 9, 10]), "0-3,7,9-10");
        assert_eq!(ranges(&[]), "");
    }
}
