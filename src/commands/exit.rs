//! How commands end: the class of each error, and its exit code.

use crate::inspect::InspectError;
use crate::inspect::line::LineError;
use crate::pipeline::error::{RunError, UnitError};
use crate::plan::error::PlanError;
use crate::reading::shard::RowsError;
use crate::report;
use crate::store::is_transient;

/// A command that failed.
pub struct Failure {
    /// The error to print.
    pub error: anyhow::Error,
    /// The process's exit code.
    pub exit_code: u8,
}

/// Usage, recipe or environment.
const EXIT_USAGE: u8 = 2;

/// Success.
pub(crate) const EXIT_DONE: u8 = 0;

/// Data or output, or findings.
pub(crate) const EXIT_DATA: u8 = 1;

/// Units: another attempt would fail as well.
const EXIT_PERMANENT: u8 = 64;

/// Units: another attempt may succeed.
const EXIT_TRANSIENT: u8 = 75;

/// Add the signal's number to get the exit code.
pub(crate) const EXIT_SIGNAL: u8 = 128;

/// An error in the settings comes from the usage, the recipe or the environment, unless the existing data set causes
/// it.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let of_rows = matches!(error.downcast_ref(), Some(InspectError::Rows(_))) || error.is::<RowsError>();
        let of_output = error.is::<report::OutputClosed>();
        let of_data = of_rows || of_output || error.is::<LineError>() || error.is::<UnitError>();
        let exit_code = match error.downcast_ref::<RunError>() {
            Some(error) => exit_code(error),
            None if let Some(error) = error.downcast_ref() => of_plans(error),
            None if of_data => EXIT_DATA,
            None => EXIT_USAGE,
        };
        Self { error, exit_code }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        let exit_code = exit_code(&error);
        Self { error: error.into(), exit_code }
    }
}

fn of_plans(error: &PlanError) -> u8 {
    match error {
        PlanError::OtherPlan { .. } | PlanError::NotGiven { .. } | PlanError::NothingToExtend { .. } => EXIT_USAGE,
        PlanError::Output(_) => EXIT_DATA,
    }
}

fn exit_code(error: &RunError) -> u8 {
    match error {
        RunError::Plan(error) => of_plans(error),
        RunError::Interrupted { signal, .. } => EXIT_SIGNAL + u8::try_from(*signal).unwrap_or_default(),
        RunError::OnlyUnit(_) | RunError::Unit { .. } | RunError::Output(_) | RunError::Missing { .. } => EXIT_DATA,
    }
}

/// The exit code that tells an engine which starts units whether to try again.
pub(crate) fn of_a_plan(failure: Failure) -> Failure {
    let Failure { error, exit_code } = failure;
    let is_missing = matches!(error.downcast_ref(), Some(RunError::Missing { .. }));
    let exit_code = match exit_code {
        exit_code if exit_code > EXIT_SIGNAL => exit_code,
        _ if is_missing || is_transient(error.as_ref()) => EXIT_TRANSIENT,
        _ => EXIT_PERMANENT,
    };
    Failure { error, exit_code }
}
