//! Settings from the environment: the unit of an array job, and hooks for tests.

use anyhow::{Context as _, Result};

use crate::cli::values::SourceSplit;
use crate::output::faults::Faults;
use crate::plan::Cutting;
use crate::settings::error::SettingsError;

/// How sources are cut into units. Tests, which have small sources, close units at `UL2_PREP_UNIT_BYTES`.
///
/// # Errors
///
/// If the variable is not a number.
#[expect(clippy::disallowed_methods, reason = "the only reader of the environment")]
pub(crate) fn cutting(split: SourceSplit) -> Result<Cutting> {
    let split = match split {
        SourceSplit::None => None,
        SourceSplit::Above(bytes) => Some(bytes),
    };
    let unit_bytes = match std::env::var("UL2_PREP_UNIT_BYTES") {
        Err(_) => Cutting::default().unit_bytes,
        Ok(bytes) => bytes.parse().context("UL2_PREP_UNIT_BYTES")?,
    };
    Ok(Cutting { unit_bytes, split })
}

/// The unit asked for, by a flag or by an engine that numbers its tasks. An engine limits its task numbers, so `offset`
/// is added to them.
///
/// # Errors
///
/// [`SettingsError`] if the engine's number is not a number, or if there is an offset and no engine.
#[expect(clippy::disallowed_methods, reason = "the only reader of the environment")]
pub(crate) fn unit(asked: Option<usize>, offset: Option<usize>) -> Result<Option<usize>, SettingsError> {
    if asked.is_some() {
        return Ok(asked);
    }
    for variable in ["SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX"] {
        if let Ok(value) = std::env::var(variable) {
            let unit = value.parse::<usize>().ok().and_then(|index| index.checked_add(offset.unwrap_or_default()));
            return unit.map(Some).ok_or(SettingsError::NoNumber { variable, value });
        }
    }
    // If a launcher's task number does not arrive, each task must not make all units.
    if offset.is_some() { Err(SettingsError::NoIndex) } else { Ok(None) }
}

/// The fault that a test asks for (`docs/internals/testing.md`); none otherwise.
#[expect(clippy::disallowed_methods, reason = "the only reader of the environment")]
pub(crate) fn faults() -> Result<Faults> {
    match std::env::var("UL2_PREP_FAULT") {
        Err(_) => Ok(Faults::default()),
        Ok(fault) => fault.parse().map_err(anyhow::Error::msg).context("UL2_PREP_FAULT"),
    }
}
