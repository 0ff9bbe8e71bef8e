//! The plans of a data set: the one that it was begun with, and one more for each time that it was extended.

use std::collections::{BTreeMap, BTreeSet};

use crate::input::source::Source;
use crate::output::OutputError;
use crate::output::commit::CommitRecord;
use crate::output::data_set::{Created, DataSet, PLAN, extension};

use super::plan::{Cutting, Plan, PlannedSource};
use super::run::RunError;

/// Plans, of which each holds all sources and units of the one before it, first. There is one at least.
pub struct Plans {
    plans: Vec<Plan>,
    fingerprints: Vec<String>,
}

impl Plans {
    /// The plans that are in the folder, and the one that is asked for.
    ///
    /// With `extend` sources that are new become units behind the others, cut like this, and sources that are not given are those that the data set
    /// has. Without it there must be neither.
    ///
    /// # Errors
    ///
    /// [`RunError::OtherPlan`] with all that differs; [`OutputError`] if a plan cannot be read.
    pub fn resolve(data_set: &DataSet, asked: Plan, extend: Option<Cutting>) -> Result<Self, RunError> {
        let mut plans = read(data_set)?;
        let Some(last) = plans.last() else { return Ok(Self::new(vec![asked])) };
        let passed_over = asked.passed_over;
        let (known, new) = last.split(asked, extend.is_some());
        let differences = known.differences_from(last);
        if !differences.is_empty() {
            let dir = data_set.path("").display().to_string();
            let only_new_sources = last.split(known, true).0.differences_from(last).is_empty();
            return Err(RunError::OtherPlan { dir, differences, only_new_sources });
        }
        if !new.is_empty() {
            plans.push(last.extended(new, passed_over, extend.unwrap_or_default()));
        }
        Ok(Self::new(plans))
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
        Self { plans, fingerprints }
    }

    /// How many there are.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is one at least")]
    pub fn len(&self) -> usize {
        self.plans.len()
    }

    /// All that is to be done.
    #[must_use]
    pub fn whole(&self) -> &Plan {
        &self.plans[self.plans.len() - 1]
    }

    /// The fingerprint of the plan that a unit came with.
    #[must_use]
    pub fn fingerprint(&self, unit: usize) -> &str {
        let plan = self.plans.iter().position(|plan| unit < plan.units.len());
        &self.fingerprints[plan.unwrap_or(self.plans.len() - 1)]
    }

    /// The file of each plan, relative to the data set, and its bytes.
    pub fn files(&self) -> impl Iterator<Item = (String, Vec<u8>)> {
        self.plans.iter().enumerate().map(|(number, plan)| (name(number), plan.to_json()))
    }

    /// Writes the plans that are not written yet; another run may have been faster, with the same ones.
    ///
    /// # Errors
    ///
    /// [`RunError::OtherPlan`] if another run wrote another one.
    pub fn write(&self, data_set: &DataSet) -> Result<(), RunError> {
        for (number, plan) in self.plans.iter().enumerate() {
            let created = data_set.create_only(&name(number), &plan.to_json()).map_err(OutputError::from)?;
            if let Created::Existing(bytes) = created
                && bytes != plan.to_json()
            {
                let existing = parse(data_set, number, &bytes)?;
                let (dir, differences) = (data_set.path("").display().to_string(), plan.differences_from(&existing));
                return Err(RunError::OtherPlan { dir, differences, only_new_sources: false });
            }
        }
        Ok(())
    }

    /// The sources of the plan in its order, from those that are given. One that is not given has no more to be read.
    ///
    /// # Errors
    ///
    /// [`RunError::NotGiven`] if one that is not given has.
    pub fn sources(&self, given: Vec<Source>, data_set: &DataSet) -> Result<Vec<Source>, RunError> {
        let plan = self.whole();
        let mut given: BTreeMap<String, Source> =
            given.into_iter().map(|source| (source.name.clone(), source)).collect();
        let mut sources = Vec::with_capacity(plan.sources.len());
        let mut absent = BTreeSet::new();
        for (index, PlannedSource { name, bytes, tag: _ }) in plan.sources.iter().enumerate() {
            sources.push(given.remove(name).unwrap_or_else(|| {
                absent.insert(index);
                Source::absent(name, *bytes)
            }));
        }
        for (unit, planned) in plan.units.iter().enumerate() {
            if let Some(source) = absent.range(planned.range()).next()
                && !CommitRecord::is_finished(data_set, unit)?
            {
                return Err(RunError::NotGiven { source_name: plan.sources[*source].name.clone() });
            }
        }
        Ok(sources)
    }
}

/// The plans in the folder; none if there is no data set.
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
