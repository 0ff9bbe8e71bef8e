//! `run`: makes a data set, or units of a stored plan.

use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::cli::RunArgs;
use crate::commands::earlier_runs::{REPLACED, is_covered};
use crate::commands::exit::Failure;
use crate::commands::signals::interruption;
use crate::commands::stored_plan::{self, Ready};
use crate::pipeline::error::RunError;
use crate::pipeline::job::Job;
use crate::pipeline::run::{run, run_alone};
use crate::plan::state::{committed, states_of};
use crate::report;
use crate::settings::Settings;
use crate::store::Location;

pub(crate) fn execute_run(args: &RunArgs) -> Result<(), Failure> {
    let begin = Instant::now();
    let out = args.out.as_ref().context("`--out` is missing")?;
    let settings = Settings::new(&args.masking)?;
    report::before(&settings.warnings, &settings.notes);
    if !args.extend && args.card.fields().is_empty() && is_covered(&settings, out)? {
        return Ok(());
    }
    let signals = interruption().context("cannot listen for signals")?;
    let passed_over = settings.passed_over.clone();
    let mut job = settings.into_job(out, args.extend, args.max_rejects, signals)?;
    job.card = args.card.fields();
    if !args.quiet {
        say_where_it_begins(&job, None)?;
    }
    let manifest = {
        let _shown = (!args.quiet).then(|| report::ProgressReport::start(job.progress.clone(), job.plan().bytes()));
        run(&job)?
    };
    report::message(report::run::summary(&manifest, &passed_over, &out.to_string(), begin.elapsed()).trim_end());
    Ok(())
}

/// Prints what earlier runs did, so that a resumed run does not look like a new one.
fn say_where_it_begins(job: &Job, unit: Option<usize>) -> Result<(), RunError> {
    if job.plans.replace_others() {
        report::message(REPLACED);
    }
    let shards = committed(&job.data_set, job.plan().units.len())?;
    let text = match unit {
        Some(unit) => report::units::goes_on_in_unit(shards[unit]),
        None => report::units::goes_on(&shards, &states_of(&job.data_set, &shards)?),
    };
    if let Some(text) = text {
        report::message(&text);
    }
    Ok(())
}

/// Makes one unit of a plan; or all of them, and then finishes the data set.
pub(crate) fn execute_planned(args: &RunArgs, plan: &Location) -> Result<(), Failure> {
    let begin = Instant::now();
    let signals = interruption().context("cannot listen for signals")?;
    let (job, unit) = match stored_plan::job(args, plan, signals)? {
        Ready::Job(job, unit) => (*job, unit),
        Ready::Done { unit, units } => {
            report::message(&format!("unit {unit} of {units} is done already"));
            return Ok(());
        }
    };
    if !args.quiet {
        say_where_it_begins(&job, unit)?;
    }
    let bytes = unit.map_or_else(|| job.plan().bytes(), |unit| job.plan().unit_bytes(job.plan().units[unit]));
    let shown = (!args.quiet).then(|| report::ProgressReport::start(job.progress.clone(), bytes));
    if let Some(unit) = unit {
        run_alone(&job, unit)?;
        drop(shown);
        report::message(&format!("unit {unit} of {} is done", job.plan().units.len()));
    } else {
        let manifest = run(&job)?;
        drop(shown);
        report::message(report::run::summary(&manifest, &[], &plan.to_string(), begin.elapsed()).trim_end());
    }
    Ok(())
}
