//! Finds what the errors of a chain say about themselves.

use std::error::Error;
use std::io;

use crate::cli::recipes::FlagOfNoUse;
use crate::denoise::SpecError;
use crate::guidance::{Class, Guidance};
use crate::input::{DiscoverError, InputError};
use crate::inspect::InspectError;
use crate::inspect::line::LineError;
use crate::output::error::{NoNewNames, OutputError};
use crate::output::schema::ColumnError;
use crate::pipeline::error::{RunError, UnitError};
use crate::plan::error::{InputsError, PlanError};
use crate::reading::shard::RowsError;
use crate::recipe::RecipeError;
use crate::report::OutputClosed;
use crate::settings::error::SettingsError;
use crate::store::StoreError;
use crate::tokenize::error::TokenizerFileError;

/// What the first error of the chain that knows its class is about; the usage, if none does.
#[must_use]
pub(crate) fn class(error: &anyhow::Error) -> Class {
    known(error).find_map(Guidance::class).unwrap_or(Class::Usage)
}

/// The next step, by the first error of the chain that knows one.
#[must_use]
pub fn hint(error: &anyhow::Error) -> Option<String> {
    known(error).find_map(Guidance::hint)
}

fn known(error: &anyhow::Error) -> impl Iterator<Item = &dyn Guidance> {
    error.chain().flat_map(|link| {
        // An error of the system does not name the error inside it as its cause.
        let inside = link.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        inside.and_then(|inside| guidance(inside)).into_iter().chain(guidance(link))
    })
}

fn guidance<'a>(link: &'a (dyn Error + 'static)) -> Option<&'a dyn Guidance> {
    macro_rules! first_of {
        ($($known:ty),+ $(,)?) => {
            None$(.or_else(|| link.downcast_ref::<$known>().map(|error| error as &dyn Guidance)))+
        };
    }
    first_of!(
        SettingsError,
        RecipeError,
        SpecError,
        ColumnError,
        FlagOfNoUse,
        TokenizerFileError,
        DiscoverError,
        RunError,
        PlanError,
        InputsError,
        UnitError,
        InputError,
        OutputError,
        InspectError,
        LineError,
        RowsError,
        OutputClosed,
        NoNewNames,
        StoreError,
        io::Error,
    )
}
