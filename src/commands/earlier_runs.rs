//! What a command finds in its data set's folder from earlier commands.

use anyhow::Result;

use crate::pipeline::error::RunError;
use crate::plan::chain::{Covered, Plans};
use crate::report;
use crate::settings::{self, Settings};
use crate::store::Location;

/// Said when a stored plan is replaced.
pub(crate) const REPLACED: &str =
    "note: nothing is committed of an earlier plan with other settings: this one takes its place";

/// Whether the data set already covers everything this command asks for, because it was extended after an earlier run
/// of the same command. If it does, prints a message.
pub(crate) fn is_covered(settings: &Settings, out: &Location) -> Result<bool> {
    let covered = Plans::covering(&settings::data_set::data_set(out)?, &settings.plan).map_err(RunError::from)?;
    if let Some(Covered { more, unfinished }) = covered {
        report::message(&report::units::covered(&out.to_string(), more, unfinished));
    }
    Ok(covered.is_some())
}
