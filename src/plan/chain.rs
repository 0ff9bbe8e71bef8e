//! The plans of a data set: the one it was begun with, and one more for each extension.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::input::source::Source;
use crate::output::OutputError;
use crate::output::commit::CommitRecord;
use crate::output::data_set::{CARD_FIELDS, COMMITS, Created, DataSet, INPUTS, MANIFEST, PLAN, PRIVATE};
use crate::output::names::{self, extension};
use crate::plan::error::PlanError;
use crate::plan::state::{UnitState, states};
use crate::plan::{Cutting, Plan, PlannedSource};

/// A chain of plans; each begins with everything in the previous one. It has at least one plan.
pub struct Plans {
    chain: Vec<Plan>,
    fingerprints: Vec<String>,
    replaced: Option<Replaced>,
    /// Whether a commit of this process found the plans in place: no other run replaces them any more.
    are_settled: AtomicBool,
}

/// Plans without any commit, which others replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Replaced {
    /// How many plans before them stay.
    kept: usize,
    /// How many plans are stored, these included.
    stored: usize,
}

/// A data set that has all the sources asked for, and more from extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Covered {
    /// How many more sources it has.
    pub(crate) more: usize,
    /// Units of these sources that are not finished.
    pub(crate) unfinished: usize,
}

/// How to extend a data set by new sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extend {
    /// How the new sources are cut into units.
    pub(crate) cutting: Cutting,
    /// What happens to an earlier extension by other sources.
    pub(crate) earlier: Earlier,
}

/// What happens to an extension without any commit, if the command does not name its sources again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Earlier {
    /// It is replaced: it was a mistake, as its sources are not given to be read.
    GivesWay,
    /// It stays: the plan records where its sources are.
    Stays,
}

impl Plans {
    /// Combines the plans in the folder with the plan asked for. A plan without any commit is replaced if another one
    /// is asked for.
    ///
    /// With `extend`, new sources become units after the others, cut as it says, and sources that are not given are
    /// taken from the data set. Without it, there must be neither.
    ///
    /// # Errors
    ///
    /// [`PlanError::OtherPlan`] with all differences; [`PlanError::NothingToExtend`]; [`OutputError`] if a plan cannot
    /// be read.
    pub(crate) fn resolve(data_set: &DataSet, asked: Plan, extend: Option<Extend>) -> Result<Self, PlanError> {
        let mut plans = read(data_set)?;
        let stored = plans.len();
        if extend.is_some() && plans.is_empty() {
            return Err(PlanError::NothingToExtend { dir: dir(data_set) });
        }
        if extend.is_some_and(|extend| extend.earlier == Earlier::GivesWay) {
            while lacks_of_extension(&plans, &asked) && gives_way(data_set, &plans, &asked)? {
                plans.pop();
            }
        }
        let mut refusal = None;
        while let Some(last) = plans.last() {
            let (known, new) = last.split(asked.clone(), extend.is_some());
            let differences = known.differences_from(last);
            let kept = plans.len();
            if differences.is_empty() {
                if let Some(Extend { cutting, .. }) = extend.filter(|_| !new.is_empty()) {
                    plans.push(last.extended(new, &asked, cutting));
                }
                return Ok(Self::new(plans).replacing(kept, stored));
            }
            let (others, added) = last.split(asked.clone(), true);
            let only_new_sources = !added.is_empty() && others.differences_from(last).is_empty();
            // The message lists the differences from the data set as it is.
            let refused =
                refusal.unwrap_or_else(|| PlanError::OtherPlan { dir: dir(data_set), differences, only_new_sources });
            // A plan that is to be extended stays.
            if (kept == 1 && extend.is_some()) || !gives_way(data_set, &plans, &asked)? {
                return Err(refused);
            }
            refusal = Some(refused);
            plans.pop();
        }
        Ok(Self::new(vec![asked]).replacing(0, stored))
    }

    /// Whether an extended data set has all the sources asked for, finished and with these settings, so that there is
    /// nothing to do. `None` if there is something to do.
    ///
    /// # Errors
    ///
    /// [`OutputError`] if a plan or a record cannot be read.
    pub(crate) fn covering(data_set: &DataSet, asked: &Plan) -> Result<Option<Covered>, OutputError> {
        let plans = read(data_set)?;
        let Some(last) = plans.last().filter(|_| plans.len() > 1) else { return Ok(None) };
        let (known, new) = last.split(asked.clone(), true);
        let more = last.sources.len().saturating_sub(asked.sources.len());
        if more == 0 || !new.is_empty() || !known.differences_from(last).is_empty() {
            return Ok(None);
        }
        let names: BTreeSet<&str> = asked.sources.iter().map(|source| source.name.as_str()).collect();
        let states = states(data_set, last.units.len())?;
        let unfinished = last.units.iter().zip(&states).filter(|(_, state)| **state != UnitState::Done);
        let (asked_for, others): (Vec<_>, Vec<_>) = unfinished.partition(|(unit, _)| {
            last.sources[unit.range()].iter().any(|source| names.contains(source.name.as_str()))
        });
        Ok(asked_for.is_empty().then_some(Covered { more, unfinished: others.len() }))
    }

    /// The plans in a folder; `None` if there is no data set.
    ///
    /// # Errors
    ///
    /// [`OutputError`] if one cannot be read.
    pub fn read(data_set: &DataSet) -> Result<Option<Self>, OutputError> {
        let plans = read(data_set)?;
        Ok((!plans.is_empty()).then(|| Self::new(plans)))
    }

    fn new(plans: Vec<Plan>) -> Self {
        let fingerprints = plans.iter().map(Plan::fingerprint).collect();
        Self { chain: plans, fingerprints, replaced: None, are_settled: AtomicBool::new(false) }
    }

    fn replacing(self, kept: usize, stored: usize) -> Self {
        Self { replaced: (kept < stored).then_some(Replaced { kept, stored }), ..self }
    }

    /// Whether these plans replace another plan, which has no commit.
    #[must_use]
    pub(crate) fn replace_others(&self) -> bool {
        self.replaced.is_some()
    }

    /// Whether none of the stored plans stays.
    #[must_use]
    pub(crate) fn replace_all(&self) -> bool {
        self.replaced.is_some_and(|replaced| replaced.kept == 0)
    }

    /// The number of plans.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.chain.len()
    }

    /// The last plan, which has all sources and units.
    #[must_use]
    pub(crate) fn whole(&self) -> &Plan {
        &self.chain[self.chain.len() - 1]
    }

    /// The fingerprint of the plan that added a unit.
    #[must_use]
    pub(crate) fn fingerprint(&self, unit: usize) -> &str {
        let plan = self.chain.iter().position(|plan| unit < plan.units.len());
        &self.fingerprints[plan.unwrap_or(self.chain.len() - 1)]
    }

    /// The file of each plan, relative to the data set, and its bytes.
    pub(crate) fn files(&self) -> impl Iterator<Item = (String, Vec<u8>)> {
        self.chain.iter().enumerate().map(|(number, plan)| (name(number), plan.to_json()))
    }

    /// Writes the plans that are not written yet, and replaces those that give way; another run may have been faster, with the same ones.
    ///
    /// # Errors
    ///
    /// [`PlanError::OtherPlan`] if another run wrote another one.
    pub(crate) fn write(&self, data_set: &DataSet) -> Result<(), PlanError> {
        if let Some(replaced) = self.replaced {
            self.replace(data_set, replaced)?;
        }
        for (number, plan) in self.chain.iter().enumerate() {
            let created = data_set.create_only(&name(number), &plan.to_json()).map_err(OutputError::from)?;
            if let Created::Existing(bytes) = created
                && bytes != plan.to_json()
            {
                let existing = parse(data_set, number, &bytes)?;
                let (dir, differences) = (dir(data_set), plan.differences_from(&existing));
                return Err(PlanError::OtherPlan { dir, differences, only_new_sources: false });
            }
        }
        Ok(())
    }

    /// Starts with the last plan, so that a kill leaves a valid chain: each plan begins with the previous one.
    fn replace(&self, data_set: &DataSet, Replaced { kept, stored }: Replaced) -> Result<(), PlanError> {
        for number in (kept..stored).rev() {
            let there = read(data_set)?;
            // Another run may have replaced the plans too, or committed meanwhile: writing the plans finds that out.
            if there.len() != number + 1 || !gives_way(data_set, &there, self.whole())? {
                return Ok(());
            }
            match self.chain.get(number).filter(|_| number == kept) {
                Some(plan) => data_set.replace(&name(number), &plan.to_json()).map_err(OutputError::from)?,
                None => data_set.remove(&name(number)).map_err(OutputError::from)?,
            }
        }
        if self.replace_all() {
            // The inputs belonged to the replaced sources, and so did what a person said of them.
            data_set.remove(INPUTS).map_err(OutputError::from)?;
            data_set.remove(CARD_FIELDS).map_err(OutputError::from)?;
        }
        Ok(data_set.sync_folder(PRIVATE).map_err(OutputError::from)?)
    }

    /// Before the first commit of this process: checks that the stored plans are the ones it works by. A run with other
    /// settings may have replaced them before anything was committed.
    ///
    /// # Errors
    ///
    /// [`OutputError::PlanReplaced`].
    pub fn check_in_place(&self, data_set: &DataSet) -> Result<(), OutputError> {
        if self.are_settled.load(Ordering::Relaxed) {
            return Ok(());
        }
        for (name, bytes) in self.files() {
            if data_set.read(&name)?.is_none_or(|there| there != bytes) {
                return Err(OutputError::PlanReplaced(data_set.path(&name)));
            }
        }
        self.are_settled.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The sources of the plan in its order, from those that are given. One that is not given has no more to be read.
    ///
    /// # Errors
    ///
    /// [`PlanError::NotGiven`] if one that is not given has.
    pub(crate) fn sources(&self, given: Vec<Source>, data_set: &DataSet) -> Result<Vec<Source>, PlanError> {
        let plan = self.whole();
        let mut given: BTreeMap<String, Source> =
            given.into_iter().map(|source| (source.name.clone(), source)).collect();
        let mut sources = Vec::with_capacity(plan.sources.len());
        let mut absent = BTreeSet::new();
        for (index, PlannedSource { name, bytes, tag: _, epochs: _ }) in plan.sources.iter().enumerate() {
            sources.push(given.remove(name).unwrap_or_else(|| {
                absent.insert(index);
                Source::absent(name, *bytes)
            }));
        }
        for (unit, planned) in plan.units.iter().enumerate() {
            if let Some(source) = absent.range(planned.range()).next()
                && !CommitRecord::is_finished(data_set, unit)?
            {
                return Err(PlanError::NotGiven { source_name: plan.sources[*source].name.clone() });
            }
        }
        Ok(sources)
    }
}

/// Whether the last plan is an extension by a source that is not asked for.
fn lacks_of_extension(plans: &[Plan], asked: &Plan) -> bool {
    let [.., before, last] = plans else { return false };
    let asked: BTreeSet<&str> = asked.sources.iter().map(|source| source.name.as_str()).collect();
    last.sources[before.sources.len()..].iter().any(|source| !asked.contains(source.name.as_str()))
}

/// The folder, for messages.
fn dir(data_set: &DataSet) -> String {
    data_set.path("").display().to_string()
}

/// Whether the plan asked for may replace the last one: nothing of the last plan's units is committed; or all commits
/// belong to the plan asked for, which another run replaced at the moment of its first commit.
fn gives_way(data_set: &DataSet, plans: &[Plan], asked: &Plan) -> Result<bool, OutputError> {
    let before = plans.len().checked_sub(2).map_or(0, |before| plans[before].units.len());
    let is_first = plans.len() == 1;
    if is_first && data_set.size(MANIFEST).is_ok() {
        return Ok(false);
    }
    let asked = asked.fingerprint();
    for file in data_set.files(COMMITS, false)? {
        let Some((unit, shard)) = names::of_commit(&file) else { continue };
        if unit < before {
            continue;
        }
        let record = CommitRecord::read(data_set, unit, shard)?;
        if !is_first || record.is_none_or(|record| record.plan != asked) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The plans in the folder; empty if there is no data set.
fn read(data_set: &DataSet) -> Result<Vec<Plan>, OutputError> {
    let mut plans = Vec::new();
    while let Some(bytes) = data_set.read(&name(plans.len()))? {
        plans.push(parse(data_set, plans.len(), &bytes)?);
    }
    Ok(plans)
}

fn parse(data_set: &DataSet, number: usize, bytes: &[u8]) -> Result<Plan, OutputError> {
    let path = data_set.path(&name(number));
    let plan: Result<Plan, _> = serde_json::from_slice(bytes);
    let checked = plan.and_then(|plan| plan.check().map(|()| plan).map_err(serde::de::Error::custom));
    checked.map_err(|source| OutputError::Damaged { path, source })
}

/// The file of a plan, relative to the data set.
fn name(number: usize) -> String {
    if number == 0 { PLAN.to_owned() } else { extension(number) }
}
