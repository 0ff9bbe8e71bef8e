//! How commands end: the exit code of each class of errors.

use crate::commands::known_errors::class;
use crate::guidance::Class;
use crate::pipeline::error::RunError;
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

/// Data or output, such as a full disk; or findings.
pub(crate) const EXIT_DATA: u8 = 1;

/// Units: another attempt would fail as well.
const EXIT_PERMANENT: u8 = 64;

/// Units: another attempt may succeed.
const EXIT_TRANSIENT: u8 = 75;

/// Add the signal's number to get the exit code.
pub(crate) const EXIT_SIGNAL: u8 = 128;

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let exit_code = match class(&error) {
            Class::Usage => EXIT_USAGE,
            Class::Data | Class::NotDone => EXIT_DATA,
            Class::Interrupted(signal) => of_signal(signal),
        };
        Self { error, exit_code }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        anyhow::Error::from(error).into()
    }
}

/// The same failure with the exit code that tells an engine which starts units whether to try again: a full disk or a store
/// that does not answer is transient (`store::is_transient`), a wrong recipe is permanent.
pub(crate) fn of_a_plan(failure: Failure) -> Failure {
    let Failure { error, .. } = failure;
    let exit_code = match class(&error) {
        Class::Interrupted(signal) => of_signal(signal),
        Class::NotDone => EXIT_TRANSIENT,
        Class::Usage | Class::Data if is_transient(error.as_ref()) => EXIT_TRANSIENT,
        Class::Usage | Class::Data => EXIT_PERMANENT,
    };
    Failure { error, exit_code }
}

fn of_signal(signal: usize) -> u8 {
    EXIT_SIGNAL + u8::try_from(signal).unwrap_or_default()
}
