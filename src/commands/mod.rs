//! The commands.

pub(crate) mod earlier_runs;
pub(crate) mod exit;
pub(crate) mod generate;
pub(crate) mod inspect;
pub mod known_errors;
pub(crate) mod plan;
pub(crate) mod recipes;
pub(crate) mod reproduce;
pub(crate) mod run;
pub(crate) mod shown_ids;
pub(crate) mod signals;
pub(crate) mod stats;
pub(crate) mod stored_plan;
pub(crate) mod tokenizer;
pub(crate) mod units;
pub(crate) mod verify;

use anyhow::Result;

use crate::cli::{Cli, Command};
use crate::commands::exit::{EXIT_DONE, Failure, of_a_plan};
use crate::commands::generate::execute_generate;
use crate::commands::inspect::execute_inspect;
use crate::commands::plan::execute_plan;
use crate::commands::recipes::execute_recipes;
use crate::commands::reproduce::execute_reproduce;
use crate::commands::run::{execute_planned, execute_run};
use crate::commands::stats::execute_stats;
use crate::commands::tokenizer::execute_tokenizer;
use crate::commands::units::{execute_finalize, execute_status};
use crate::commands::verify::execute_verify;
use crate::report;
use crate::store::tell_with;
use crate::system::enable_escapes;
use crate::tokenize::guard;

/// Runs the command that the command line asks for, and returns the exit code.
///
/// # Errors
///
/// [`Failure`] with the exit code.
pub fn execute(cli: &Cli) -> Result<u8, Failure> {
    guard::silence_guarded_panics();
    enable_escapes();
    tell_with(report::message);
    match &cli.command {
        Command::Run(args) => match &args.plan {
            Some(plan) => execute_planned(args, plan).map_err(of_a_plan)?,
            None => execute_run(args)?,
        },
        Command::Plan(args) => execute_plan(args)?,
        Command::Status(args) => execute_status(args).map_err(|error| of_a_plan(error.into()))?,
        Command::Finalize(args) => execute_finalize(args).map_err(of_a_plan)?,
        Command::Recipes(args) => execute_recipes(args)?,
        Command::Tokenizer(args) => execute_tokenizer(args)?,
        Command::Inspect(args) => execute_inspect(args)?,
        Command::Stats(args) => execute_stats(args)?,
        Command::Generate(args) => execute_generate(args)?,
        Command::Verify(args) => return Ok(execute_verify(args)?),
        Command::Reproduce(args) => return execute_reproduce(args),
    }
    Ok(EXIT_DONE)
}
