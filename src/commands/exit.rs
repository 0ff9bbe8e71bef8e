//! How commands end: the class of each error, and its exit code.

use crate::inspect::InspectError;
use crate::inspect::line::LineError;
use crate::pipeline::error::{RunError, UnitError};
use crate::plan::error::PlanError;
use crate::reading::shard::RowsError;
use crate::report;
use crate::store::is_transient;

/// How a command ended badly.
pub struct Failure {
    /// What went wrong.
    pub error: anyhow::Error,
    /// The process's exit code.
    pub exit_code: u8,
}

/// Usage, recipe or environment.
const EXIT_USAGE: u8 = 2;

/// Nothing was wrong.
pub(crate) const EXIT_DONE: u8 = 0;

/// Data or output, or findings.
pub(crate) const EXIT_DATA: u8 = 1;

/// Of units: another attempt would fail as well.
const EXIT_PERMANENT: u8 = 64;

/// Of units: another attempt may go better.
const EXIT_TRANSIENT: u8 = 75;

/// A signal's exit code is this and its number.
pub(crate) const EXIT_SIGNAL: u8 = 128;

/// Settings fail for reasons of usage, recipe or environment, unless the data that is there does.
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

/// What an engine that starts units can make of a failure: whether it should try again.
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
