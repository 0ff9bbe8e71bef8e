//! `status` and `finalize`: the state of a plan's units, and the last step.

use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::cli::{FinalizeArgs, StatusArgs};
use crate::commands::exit::Failure;
use crate::commands::signals::interruption;
use crate::commands::stored_plan;
use crate::report;

pub(crate) fn execute_status(args: &StatusArgs) -> Result<()> {
    let states = stored_plan::status(&args.dir)?;
    let text = match (args.missing, args.array) {
        (false, _) => report::units::status(&states),
        (true, None) => report::units::missing(&states),
        (true, Some(size)) => report::units::arrays(&states, size),
    };
    Ok(report::data(&text)?)
}

pub(crate) fn execute_finalize(args: &FinalizeArgs) -> Result<(), Failure> {
    let begin = Instant::now();
    let _signals = interruption().context("cannot listen for signals")?;
    let manifest = stored_plan::finalize(args)?;
    report::message(report::run::summary(&manifest, &[], &args.dir.to_string(), begin.elapsed()).trim_end());
    Ok(())
}
