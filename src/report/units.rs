//! Messages about the units of a plan.

use std::fmt::Write as _;

use crate::plan::state::{UnitState, ranges};
use crate::report::{counted, grouped};

/// The message after `plan --write`: the place of the plan, and its number of units.
#[must_use]
pub(crate) fn written(place: &str, units: usize) -> String {
    let last = units.saturating_sub(1);
    format!(
        "\nwritten: {}; each is made by\n  ul2-prep run --plan {place} --unit K    (K from 0 to {last})\nand then\n  ul2-prep finalize {place}\n",
        counted(units as u64, "unit")
    )
}

/// The message of a resumed run, from the committed shards and the state of each unit. Empty for a new run.
#[must_use]
pub(crate) fn goes_on(committed: &[usize], states: &[UnitState]) -> Option<String> {
    let units = counted(states.len() as u64, "unit");
    let done = states.iter().filter(|state| **state == UnitState::Done).count();
    let begun: Vec<usize> = committed
        .iter()
        .zip(states)
        .filter(|(shards, state)| **shards > 0 && **state != UnitState::Done)
        .map(|(shards, _)| *shards)
        .collect();
    let shards = counted(begun.iter().sum::<usize>() as u64, "finished shard");
    match (done, begun.len()) {
        (0, 0) => None,
        (1, _) if states.len() == 1 => Some("note: the unit is finished, it is not made again".to_owned()),
        (done, _) if done == states.len() => Some(format!("note: all {units} are finished, none is made again")),
        (0, 1) if states.len() == 1 => Some(format!("note: the run resumes after {shards}")),
        (done, begun) => Some(format!(
            "note: the run resumes: {} of {units} done, {shards} in {}",
            grouped(done as u64),
            counted(begun as u64, "other unit")
        )),
    }
}

/// The same for a single unit.
#[must_use]
pub(crate) fn goes_on_in_unit(committed: usize) -> Option<String> {
    (committed > 0).then(|| format!("note: the unit resumes after {}", counted(committed as u64, "finished shard")))
}

/// The message of a repeated command whose data set has been extended since.
#[must_use]
pub(crate) fn covered(out: &str, more: usize, unfinished: usize) -> String {
    let more = counted(more as u64, "source");
    let mut text =
        format!("note: the data set in `{out}` has these sources, finished, and {more} by `--extend`: nothing to do");
    if unfinished > 0 {
        let units = counted(unfinished as u64, "unit");
        let _ = write!(text, "; {units} of the others not finished, the command with `--extend` resumes them");
    }
    text
}

/// How many units are done, and which are not.
#[must_use]
pub(crate) fn status(states: &[UnitState]) -> String {
    let begun = states.iter().filter(|state| matches!(state, UnitState::Begun(_))).count();
    let missing = missing_units(states);
    let done = states.len() - missing.len();
    let mut text = format!(
        "{} of {} done, {} begun, {} not begun\n",
        grouped(done as u64),
        counted(states.len() as u64, "unit"),
        grouped(begun as u64),
        grouped((missing.len() - begun) as u64),
    );
    if !missing.is_empty() {
        let _ = writeln!(text, "not done: {}", ranges(&missing));
    }
    text
}

/// The units that are not done, one a line.
#[must_use]
pub(crate) fn missing(states: &[UnitState]) -> String {
    missing_units(states).iter().fold(String::new(), |mut text, unit| {
        let _ = writeln!(text, "{unit}");
        text
    })
}

/// The units that are not done as job arrays with indices below `size`: one line for each offset, with the indices to
/// add to it.
#[must_use]
pub(crate) fn arrays(states: &[UnitState], size: u64) -> String {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let missing = missing_units(states);
    let arrays = missing.chunk_by(|a, b| a / size == b / size).map(|units| {
        let offset = units[0] / size * size;
        let indices: Vec<usize> = units.iter().map(|unit| unit - offset).collect();
        format!("{offset} {}\n", ranges(&indices))
    });
    arrays.collect()
}

fn missing_units(states: &[UnitState]) -> Vec<usize> {
    states.iter().enumerate().filter(|(_, state)| **state != UnitState::Done).map(|(unit, _)| unit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_have_small_indices() {
        let mut states = vec![UnitState::Missing; 25];
        for done in [0, 3, 4, 10] {
            states[done] = UnitState::Done;
        }
        assert_eq!(arrays(&states, 10), "0 1-2,5-9\n10 1-9\n20 0-4\n");
        assert_eq!(missing(&states).lines().count(), 21);
        assert!(status(&states).starts_with("4 of 25 units done, 0 begun, 21 not begun\nnot done: 1-2,5-9,11-24\n"));
        assert_eq!(arrays(&[UnitState::Done], 10), "");
    }
}
