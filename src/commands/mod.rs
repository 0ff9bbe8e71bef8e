//! The commands.

pub mod generate;
pub mod hints;
pub mod inspect;
pub mod reproduce;
pub mod stored_plan;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Instant;

use anyhow::{Context as _, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::cli::{
    Cli, Command, FinalizeArgs, GenerateArgs, InspectArgs, PlanArgs, RecipesArgs, ReproduceArgs, RunArgs, Split,
    StatsArgs, StatusArgs, VerifyArgs,
};
use crate::commands::stored_plan::Ready;
use crate::inspect::InspectError;
use crate::inspect::line::LineError;
use crate::output::data_set::PLAN;
use crate::pipeline::UnitError;
use crate::pipeline::run::{Job, RunError, finish, run, run_alone};
use crate::plan::chain::{Covered, Earlier, Extend, Plans};
use crate::plan::state::{committed, states};
use crate::reading::shard::RowsError;
use crate::recipe::{self, Recipe};
use crate::report;
use crate::settings::{self, Settings, preview};
use crate::store::{Location, is_transient, stop_on, tell_with};
use crate::tokenize::file::BYTES;
use crate::tokenize::{TokenizerPath, guard};

/// How a command ended badly.
pub struct Failure {
    /// What went wrong.
    pub error: anyhow::Error,
    /// The process's exit code.
    pub exit_code: u8,
}

/// What is said of a plan that gives way.
const REPLACED: &str = "note: nothing is committed of an earlier plan with other settings: this one takes its place";

/// Usage, recipe or environment.
const EXIT_USAGE: u8 = 2;
/// Nothing was wrong.
const EXIT_DONE: u8 = 0;
/// Data or output, or findings.
const EXIT_DATA: u8 = 1;
/// Of units: another attempt would fail as well.
const EXIT_PERMANENT: u8 = 64;
/// Of units: another attempt may go better.
const EXIT_TRANSIENT: u8 = 75;
/// A signal's exit code is this and its number.
const EXIT_SIGNAL: u8 = 128;

/// Settings fail for reasons of usage, recipe or environment, unless the data that is there does.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let of_rows = matches!(error.downcast_ref(), Some(InspectError::Rows(_))) || error.is::<RowsError>();
        let of_output = error.is::<report::OutputClosed>();
        let of_data = of_rows || of_output || error.is::<LineError>() || error.is::<UnitError>();
        let exit_code = match error.downcast_ref::<RunError>() {
            Some(error) => exit_code(error),
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

fn exit_code(error: &RunError) -> u8 {
    match error {
        RunError::OtherPlan { .. } | RunError::NotGiven { .. } | RunError::NothingToExtend { .. } => EXIT_USAGE,
        RunError::Interrupted { signal, .. } => EXIT_SIGNAL + u8::try_from(*signal).unwrap_or_default(),
        RunError::OnlyUnit(_) | RunError::Unit { .. } | RunError::Output(_) | RunError::Missing { .. } => EXIT_DATA,
    }
}

/// Does what the command line says. The exit code.
///
/// # Errors
///
/// [`Failure`] with the exit code.
pub fn execute(cli: &Cli) -> Result<u8, Failure> {
    guard::silence_guarded_panics();
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
        Command::Inspect(args) => execute_inspect(args)?,
        Command::Stats(args) => execute_stats(args)?,
        Command::Generate(args) => execute_generate(args)?,
        Command::Verify(args) => return Ok(execute_verify(args)?),
        Command::Reproduce(args) => return execute_reproduce(args),
    }
    Ok(EXIT_DONE)
}

fn execute_verify(args: &VerifyArgs) -> Result<u8> {
    let found = reproduce::verify(args)?;
    report::data(&report::verification(&found))?;
    Ok(if found.count() == 0 { EXIT_DONE } else { EXIT_DATA })
}

fn execute_reproduce(args: &ReproduceArgs) -> Result<u8, Failure> {
    let begun = match reproduce::begin(args)? {
        Ok(begun) => begun,
        Err(differences) => {
            report::data(&report::differences(&differences, "")).map_err(anyhow::Error::from)?;
            return Ok(EXIT_DATA);
        }
    };
    let reproduce::Begun { described, settings } = begun;
    report::before(&settings);
    let signals = interruption().context("cannot listen for signals")?;
    let job = settings.into_job(&args.out, false, reproduce::ALL_REJECTS, signals)?;
    let made = {
        let _shown = (!args.quiet).then(|| report::ProgressReport::start(job.progress.clone(), job.plan().bytes()));
        run(&job)?
    };
    let differences = reproduce::compare(&described.manifest, &made);
    let equal = report::equal(&made, &described.manifest.tool_version);
    report::data(&report::differences(&differences, &equal)).map_err(anyhow::Error::from)?;
    Ok(if differences.is_empty() { EXIT_DONE } else { EXIT_DATA })
}

fn execute_run(args: &RunArgs) -> Result<(), Failure> {
    let begin = Instant::now();
    let out = args.out.as_ref().context("`--out` is missing")?;
    let settings = Settings::new(&args.masking)?;
    report::before(&settings);
    if !args.extend && is_covered(&settings, out)? {
        return Ok(());
    }
    let signals = interruption().context("cannot listen for signals")?;
    let passed_over = settings.passed_over.clone();
    let job = settings.into_job(out, args.extend, args.max_rejects, signals)?;
    if !args.quiet {
        say_where_it_begins(&job, None)?;
    }
    let manifest = {
        let _shown = (!args.quiet).then(|| report::ProgressReport::start(job.progress.clone(), job.plan().bytes()));
        run(&job)?
    };
    report::message(report::summary(&manifest, &passed_over, &out.to_string(), begin.elapsed()).trim_end());
    Ok(())
}

/// Whether a data set was extended after the command that is given again, and has all that this asks for: then it says so.
fn is_covered(settings: &Settings, out: &Location) -> Result<bool> {
    let covered = Plans::covering(&settings::data_set(out)?, &settings.plan).map_err(RunError::from)?;
    if let Some(Covered { more, unfinished }) = covered {
        report::message(&report::units::covered(&out.to_string(), more, unfinished));
    }
    Ok(covered.is_some())
}

/// What earlier runs did, so that a run which goes on is not taken for one that begins.
fn say_where_it_begins(job: &Job, unit: Option<usize>) -> Result<(), RunError> {
    if job.plans.replace_others() {
        report::message(REPLACED);
    }
    let units = job.plan().units.len();
    let text = match unit {
        Some(unit) => report::units::goes_on_in_unit(committed(&job.data_set, units)?[unit]),
        None => report::units::goes_on(&committed(&job.data_set, units)?, &states(&job.data_set, units)?),
    };
    if let Some(text) = text {
        report::message(&text);
    }
    Ok(())
}

/// One unit of a plan; or all of them, and the end.
fn execute_planned(args: &RunArgs, plan: &Location) -> Result<(), Failure> {
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
        report::message(report::summary(&manifest, &[], &plan.to_string(), begin.elapsed()).trim_end());
    }
    Ok(())
}

fn execute_status(args: &StatusArgs) -> Result<()> {
    let states = stored_plan::status(&args.dir)?;
    let text = match (args.missing, args.array) {
        (false, _) => report::units::status(&states),
        (true, None) => report::units::missing(&states),
        (true, Some(size)) => report::units::arrays(&states, size),
    };
    Ok(report::data(&text)?)
}

fn execute_finalize(args: &FinalizeArgs) -> Result<(), Failure> {
    let begin = Instant::now();
    let signals = interruption().context("cannot listen for signals")?;
    let job = stored_plan::finalizer(args, signals)?;
    let manifest = finish(&job)?;
    report::message(report::summary(&manifest, &[], &args.dir.to_string(), begin.elapsed()).trim_end());
    Ok(())
}

/// What an engine that starts units can make of a failure: whether it should try again.
fn of_a_plan(failure: Failure) -> Failure {
    let Failure { error, exit_code } = failure;
    let is_missing = matches!(error.downcast_ref(), Some(RunError::Missing { .. }));
    let exit_code = match exit_code {
        exit_code if exit_code > EXIT_SIGNAL => exit_code,
        _ if is_missing || is_transient(error.as_ref()) => EXIT_TRANSIENT,
        _ => EXIT_PERMANENT,
    };
    Failure { error, exit_code }
}

/// Holds the number of the first signal that asks to stop. The second one ends the process at once and leaves the terminal clean; the third one ends
/// it even if the terminal takes no more.
fn interruption() -> std::io::Result<Arc<AtomicUsize>> {
    let asked = Arc::new(AtomicUsize::new(0));
    let is_ending = Arc::new(AtomicBool::new(false));
    for number in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(number, i32::from(EXIT_SIGNAL) + number, is_ending.clone())?;
    }
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let signal = asked.clone();
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for number in signals.forever() {
            let first = signal.compare_exchange(0, usize::try_from(number).unwrap_or_default(), Relaxed, Relaxed);
            if first.is_err() {
                is_ending.store(true, Relaxed);
                report::clear();
                std::process::exit(i32::from(EXIT_SIGNAL) + number);
            }
        }
    })?;
    stop_on(asked.clone());
    Ok(asked)
}

fn execute_plan(args: &PlanArgs) -> Result<()> {
    let mut masking = args.masking.clone();
    if args.write {
        masking.split.get_or_insert(Split::OF_PLANS);
    }
    let mut settings = Settings::new(&masking)?;
    // A plan that is written finds its sources where they were.
    let earlier = if args.write { Earlier::Stays } else { Earlier::GivesWay };
    let extend = args.extend.then_some(Extend { cutting: settings.cutting, earlier });
    let goes_on = match &args.out {
        None => false,
        Some(out) => {
            let data_set = settings::data_set(out)?;
            if !args.extend && is_covered(&settings, out)? {
                return Ok(());
            }
            let is_begun = data_set.read(PLAN)?.is_some();
            let plans = Plans::resolve(&data_set, settings.plan.clone(), extend)?;
            if !args.write {
                plans.sources(settings.sources.clone(), &data_set)?;
            }
            let goes_on = is_begun && !plans.replace_all();
            if args.write && is_begun && !goes_on {
                report::message(REPLACED);
            }
            if goes_on {
                // Its units are what will be made, however they would be cut now.
                settings.plan.units.clone_from(&plans.whole().units);
            }
            goes_on
        }
    };
    let mut text = report::plan(&settings);
    if goes_on {
        text += "\nthe data set in the folder can go on with these settings\n";
    }
    // What can be said at once is not held back by what takes a second.
    report::data(&text)?;
    if let Some(out) = args.out.as_ref().filter(|_| args.write) {
        let tokenizer = masking.tokenizer.as_deref().unwrap_or(BYTES);
        let written = stored_plan::write(settings, out, tokenizer, args.extend)?;
        return Ok(report::data(&report::units::written(&written))?);
    }
    if args.no_estimate {
        return Ok(());
    }
    let workers = settings.workers;
    let (spec, estimate) = inspect::estimate(settings)?;
    Ok(report::data(&report::estimate::estimate(&estimate, &spec, workers))?)
}

fn execute_inspect(args: &InspectArgs) -> Result<()> {
    let looking = inspect::Looking::new(args)?;
    let style = settings::style(args.color, args.width, args.inline);
    let mut none = true;
    looking.visit(|found| {
        let gap = if none || args.json { "" } else { "\n" };
        none = false;
        Ok(report::part_of_data(&format!("{gap}{}", looking.shown(&found, args.json, style)))?)
    })?;
    if none {
        report::message("no row matches");
    }
    Ok(())
}

fn execute_stats(args: &StatsArgs) -> Result<()> {
    let counted = inspect::Counted::new(args)?;
    if let Some(file) = &args.html {
        let page = counted.page()?;
        inspect::check_page(file)?;
        fs_err::write(file, page)?;
        if let Some(note) = &counted.note {
            report::message(&format!("note: {note}"));
        }
        report::message(&format!("the page is in `{}`", file.display()));
    }
    let text = if args.json {
        format!("{}\n", serde_json::to_string_pretty(&counted.summary)?)
    } else {
        report::stats::summary(&counted.summary)
    };
    Ok(report::data(&text)?)
}

fn execute_generate(args: &GenerateArgs) -> Result<()> {
    Ok(report::data(&generate::text(args.what)?)?)
}

fn execute_recipes(args: &RecipesArgs) -> Result<()> {
    if args.schema {
        return Ok(report::data(&format!("{:#}\n", recipe::schema()))?);
    }
    let file = settings::tokenizer_file(args.tokenizer.as_deref().unwrap_or(BYTES))?;
    let names = settings::names(file.as_ref());
    let text = match (&args.name, &args.example) {
        (None, _) => report::recipes(&preview::built_in(names, &args.spec())?),
        (Some(name), None) => {
            args.refuse_for_a_file()?;
            let text = Recipe::text(name)?;
            Recipe::find(name)?;
            text
        }
        (Some(name), Some(text)) => {
            let spec = settings::resolve(&Recipe::find(name)?, names, &args.spec())?;
            let again = settings::tokenizer_file(args.tokenizer.as_deref().unwrap_or(BYTES))?;
            let tokenizer = settings::tokenizer(again, &spec, TokenizerPath::Oracle);
            report::example(&preview::example(&spec, names, tokenizer.as_ref(), text, &args.label)?)
        }
    };
    Ok(report::data(&text)?)
}
