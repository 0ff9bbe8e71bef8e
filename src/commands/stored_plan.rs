//! A stored plan, and its units on any machine: for `plan --write`, `run --plan`, `status` and `finalize`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use anyhow::{Context as _, Result};

use crate::cli::{FinalizeArgs, RunArgs};
use crate::denoise::Spec;
use crate::input::InputError;
use crate::input::source::{Source, discover, named};
use crate::output::OutputError;
use crate::output::card_fields::CardFields;
use crate::output::commit::{CommitRecord, check_records, is_finished};
use crate::output::data_set::DataSet;
use crate::output::manifest::Manifest;
use crate::output::schema::{Column, RowFormat};
use crate::pipeline::finish::{Ending, finish};
use crate::pipeline::job::Job;
use crate::pipeline::reject_limit::MaxRejects;
use crate::plan::chain::{Earlier, Extend, Plans};
use crate::plan::inputs::{Inputs, source_place, tokenizer_place};
use crate::plan::state::{UnitState, many_at_once, states};
use crate::plan::{Plan, PlannedSource};
use crate::settings::data_set::{OtherLibrary, given_tokenizer};
use crate::settings::error::SettingsError;
use crate::settings::masking::Masking;
use crate::settings::{self, Settings};
use crate::store::Location;
use crate::tokenize::Tokenizer;

/// Writes the plan of some settings, for units on any machine. Returns the number of units.
///
/// # Errors
///
/// If another plan is there, or the plan cannot be written.
pub(crate) fn write(
    settings: Settings,
    out: &Location,
    tokenizer: &str,
    extend: bool,
    card: &CardFields,
) -> Result<usize> {
    let data_set = settings::data_set::data_set(out)?;
    let extend = extend.then_some(Extend { cutting: settings.cutting, earlier: Earlier::Stays });
    let plans = Plans::resolve(&data_set, settings.plan, extend)?;
    let mut inputs = if plans.replace_all() { Inputs::default() } else { Inputs::read(&data_set)?.unwrap_or_default() };
    inputs.tokenizer = tokenizer_place(tokenizer)?;
    inputs.tokenizer_path = Some(settings.masking.tokenizer.path());
    for source in &settings.sources {
        inputs.sources.insert(source.name.clone(), source_place(&source.place)?);
    }
    data_set.create_folders().map_err(OutputError::from)?;
    // A unit that finds the plan must find its inputs too, so they are written first. `Plans::write` removes the inputs
    // of replaced plans before it writes the new plan.
    if !plans.replace_all() {
        inputs.write(&data_set)?;
    }
    plans.write(&data_set)?;
    if plans.replace_all() {
        inputs.write(&data_set)?;
    }
    card.note(&data_set)?;
    Ok(plans.whole().units.len())
}

/// What is left to do for a plan.
pub(crate) enum Ready {
    /// Nothing: the unit is done.
    Done {
        /// The unit.
        unit: usize,
        /// Units of the plan.
        units: usize,
    },
    /// A unit, or all units that are not done.
    Job(Box<Job>, Option<usize>),
}

/// Prepares to make one unit of a plan, or all of them.
///
/// # Errors
///
/// If there is no plan or no such unit, or something the unit needs has changed.
pub(crate) fn job(args: &RunArgs, dir: &Location, interrupted: Arc<AtomicUsize>) -> Result<Ready> {
    let masking = &args.masking;
    let unit = settings::environment::unit(args.unit, args.index_offset)?;
    let opened = PlannedDataSet::at(dir)?;
    let units = opened.plans.whole().units.len();
    if let Some(unit) = unit {
        if unit >= units {
            return Err(SettingsError::NoUnit { unit, units }.into());
        }
        // A finished unit needs neither its sources nor its tokenizer.
        if opened.is_done(unit)? {
            return Ok(Ready::Done { unit, units });
        }
    }
    let given = if masking.sources.is_empty() { None } else { Some(discover(&masking.sources)?.sources) };
    let is_told = given.is_some() && masking.tokenizer.is_some();
    let inputs = if is_told { None } else { Inputs::read(&opened.data_set)? };
    let sources = opened.sources(unit, given.as_deref(), inputs.as_ref())?;
    let tokenizer = opened.tokenizer(masking.tokenizer.as_deref(), inputs.as_ref())?;
    let (workers, limits) = (settings::workers(masking.workers)?, masking.limits.limits());
    let PlannedDataSet { data_set, plans, spec, format } = opened;
    let how = Masking { spec, format, tokenizer, tokenizer_place: None, workers, limits };
    let job = how.job(data_set, plans, sources, args.max_rejects, interrupted)?;
    Ok(Ready::Job(Box::new(job), unit))
}

/// Finishes a data set whose units are done.
///
/// # Errors
///
/// If there is no plan, a unit is not done, or a named tokenizer is not the plan's.
pub(crate) fn finalize(args: &FinalizeArgs) -> Result<Manifest> {
    let FinalizeArgs { dir, tokenizer, card } = args;
    let opened = PlannedDataSet::at(dir)?;
    let inputs = if tokenizer.is_some() { None } else { Inputs::read(&opened.data_set)? };
    let tokenizer_path = match inputs.as_ref().and_then(|inputs| inputs.tokenizer_path.clone()) {
        Some(path) => path,
        None => opened.tokenizer(tokenizer.as_deref(), inputs.as_ref())?.path(),
    };
    let PlannedDataSet { data_set, plans, spec, .. } = &opened;
    // The units have already checked their rejects.
    let ending = Ending { plans, data_set, spec, tokenizer_path, max_rejects: MaxRejects::ALL, card: card.fields() };
    Ok(finish(&ending)?)
}

/// The state of each unit of a data set.
///
/// # Errors
///
/// If there is no plan, or a record cannot be read.
pub(crate) fn status(dir: &Location) -> Result<Vec<UnitState>> {
    let opened = PlannedDataSet::at(dir)?;
    Ok(states(&opened.data_set, opened.plans.whole().units.len())?)
}

/// A data set with a stored plan.
struct PlannedDataSet {
    data_set: DataSet,
    plans: Plans,
    spec: Spec,
    format: RowFormat,
}

impl PlannedDataSet {
    fn at(dir: &Location) -> Result<Self> {
        let data_set = settings::data_set::data_set(dir)?;
        let plans = Plans::read(&data_set)?.ok_or_else(|| SettingsError::NoPlan(dir.to_string()))?;
        let Plan { tool_version, spec, columns, .. } = plans.whole();
        if tool_version != env!("CARGO_PKG_VERSION") {
            return Err(SettingsError::OtherVersion(tool_version.clone()).into());
        }
        let damaged = || format!("the plan in `{dir}`");
        let spec = Spec::from_json(spec.clone()).with_context(damaged)?;
        let unknown = |name: &str| anyhow::anyhow!("there is no column `{name}`");
        let columns = Column::all_named(columns).map_err(unknown).with_context(damaged)?;
        let format = RowFormat::new(&spec, Some(&columns)).with_context(damaged)?;
        Ok(Self { data_set, plans, spec, format })
    }

    /// Whether all shards of a unit are committed under this plan.
    fn is_done(&self, unit: usize) -> Result<bool> {
        let records = CommitRecord::read_unit(&self.data_set, unit)?;
        check_records(&self.data_set, self.plans.fingerprint(unit), unit, &records)?;
        Ok(is_finished(&records))
    }

    /// The sources of the plan, with their locations if a unit still to be made needs them.
    fn sources(&self, unit: Option<usize>, given: Option<&[Source]>, inputs: Option<&Inputs>) -> Result<Vec<Source>> {
        let plan = self.plans.whole();
        let wanted: Vec<usize> = if let Some(unit) = unit {
            vec![unit]
        } else {
            let states = states(&self.data_set, plan.units.len())?;
            (0..states.len()).filter(|unit| states[*unit] != UnitState::Done).collect()
        };
        let needed: BTreeSet<usize> = wanted.into_iter().flat_map(|unit| plan.units[unit].range()).collect();
        let needed: Vec<usize> = needed.into_iter().collect();
        let found = many_at_once(&needed, |(_, source)| found(&plan.sources[*source], given, inputs))?;
        let absent = |planned: &PlannedSource| Source::absent(&planned.name, planned.bytes);
        let mut sources: Vec<Source> = plan.sources.iter().map(absent).collect();
        for (source, found) in needed.into_iter().zip(found) {
            sources[source] = found;
        }
        Ok(sources)
    }

    /// The plan's tokenizer: the one named, or the one at the path the plan recorded.
    fn tokenizer(&self, named: Option<&str>, inputs: Option<&Inputs>) -> Result<Box<dyn Tokenizer>> {
        let (tokenizer, other_library) = given_tokenizer(&self.spec, named, inputs)?;
        match other_library {
            Some(OtherLibrary { recorded, given }) => Err(SettingsError::OtherLibrary { recorded, given }.into()),
            None => Ok(tokenizer),
        }
    }
}

/// A source of the plan: the one given, or the one at its recorded location. Tags are only compared at the recorded
/// location: a copy elsewhere has another tag.
fn found(planned: &PlannedSource, given: Option<&[Source]>, inputs: Option<&Inputs>) -> Result<Source> {
    let PlannedSource { name, bytes, tag, epochs: _ } = planned;
    let nowhere = || SettingsError::NotGiven { source_name: name.clone() };
    let source = match (given, inputs.and_then(|inputs| inputs.sources.get(name))) {
        (Some(given), _) => named(given, name).ok_or_else(nowhere)?.clone(),
        (None, Some(place)) => Source::found(name, Location::parse(place)?)?,
        (None, None) => return Err(nowhere().into()),
    };
    if source.bytes != *bytes {
        let (planned, found) = (*bytes, source.bytes);
        return Err(InputError::Changed { source_name: source.name, planned, found }.into());
    }
    let is_other = tag.as_ref().zip(source.tag.as_ref()).is_some_and(|(tag, now)| tag != now);
    if given.is_none() && is_other {
        return Err(InputError::OtherTag { source_name: source.name }.into());
    }
    Ok(source)
}
