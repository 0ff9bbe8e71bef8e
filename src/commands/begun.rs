//! What a command finds of earlier ones in the folder of its data set.

use anyhow::Result;

use crate::pipeline::error::RunError;
use crate::plan::chain::{Covered, Plans};
use crate::report;
use crate::settings::{self, Settings};
use crate::store::Location;

/// What is said of a plan that gives way.
pub(crate) const REPLACED: &str =
    "note: nothing is committed of an earlier plan with other settings: this one takes its place";

/// Whether a data set was extended after the command that is given again, and has all that this asks for: then it says so.
pub(crate) fn is_covered(settings: &Settings, out: &Location) -> Result<bool> {
    let covered = Plans::covering(&settings::data_set::data_set(out)?, &settings.plan).map_err(RunError::from)?;
    if let Some(Covered { more, unfinished }) = covered {
        report::message(&report::units::covered(&out.to_string(), more, unfinished));
    }
    Ok(covered.is_some())
}
