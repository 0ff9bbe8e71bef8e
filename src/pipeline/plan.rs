//! What will be done: the spec, the sources and the units, fixed before the first byte is written.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::denoise::Spec;
use crate::difference::{Difference, differences};
use crate::input::batch::BLOCK_BYTES;
use crate::input::source::Source;
use crate::output::commit::to_json;
use crate::output::manifest::PlanParts;
pub use crate::output::manifest::Unit;
use crate::output::schema::RowFormat;

/// The version of the plan's own format.
pub const PLAN_VERSION: u32 = 1;

/// Bytes on disk at which a unit is closed: small sources that are neighbours share one.
pub const UNIT_BYTES: u64 = 64 << 20;

/// Differences between plans that are named: of thousands of sources, the first few tell.
const DIFFERENCES_SHOWN: usize = 20;

/// A plan: all that decides the bytes of a data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`PLAN_VERSION`].
    pub plan_version: u32,
    /// The tool's version.
    pub tool_version: String,
    /// Everything that decides rows.
    pub spec: Value,
    /// The columns of the shards.
    pub columns: Vec<String>,
    /// `--shard-size`.
    pub shard_bytes: u64,
    /// [`BLOCK_BYTES`].
    pub batch_bytes: u64,
    /// The sources, in the order of names; those of an extension behind them.
    pub sources: Vec<PlannedSource>,
    /// The units, epoch by epoch; those of an extension behind them.
    pub units: Vec<Unit>,
}

/// A source in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedSource {
    /// Its name.
    pub name: String,
    /// Its size on disk.
    pub bytes: u64,
}

impl Plan {
    /// The plan for these sources, sorted by name.
    #[must_use]
    pub fn new(spec: &Spec, format: &RowFormat, sources: &[Source], shard_bytes: u64) -> Self {
        let sources: Vec<PlannedSource> =
            sources.iter().map(|source| PlannedSource { name: source.name.clone(), bytes: source.bytes }).collect();
        Self {
            plan_version: PLAN_VERSION,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            spec: spec.to_json(),
            columns: format.columns.iter().map(ToString::to_string).collect(),
            shard_bytes,
            batch_bytes: BLOCK_BYTES as u64,
            units: units(&sources, 0, spec.fields().epochs),
            sources,
        }
    }

    /// What the manifest says of it beside spec and sources.
    #[must_use]
    pub fn parts(&self) -> PlanParts {
        let Self { columns, shard_bytes, batch_bytes, units, .. } = self;
        PlanParts {
            columns: columns.clone(),
            shard_bytes: *shard_bytes,
            batch_bytes: *batch_bytes,
            units: units.clone(),
        }
    }

    /// The plan as it is written.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        to_json(self)
    }

    /// Names the plan in commit records.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let json: Value = serde_json::to_value(self).unwrap_or_default();
        crate::digest::fingerprint(&json)
    }

    /// What differs between the plan in a data set and this one, a line each: what there is, what is asked for.
    #[must_use]
    pub fn differences_from(&self, existing: &Self) -> Vec<String> {
        let [existing, asked] = [existing, self].map(|plan| serde_json::to_value(plan).unwrap_or_default());
        let found = differences(&existing, &asked);
        // The units follow from the rest; naming them as well would only hide it.
        let of_units = |one: &Difference| one.path.starts_with("units");
        let only_units = found.iter().all(of_units);
        let named = found.iter().filter(|one| only_units || !of_units(one));
        let mut lines: Vec<String> = named.map(|one| one.shown("in the data set", "asked for")).collect();
        if lines.len() > DIFFERENCES_SHOWN {
            let more = lines.len() - DIFFERENCES_SHOWN;
            lines.truncate(DIFFERENCES_SHOWN);
            lines.push(format!("and {more} more differences"));
        }
        lines
    }

    /// What is asked for, in the order of this plan, which is in a data set; and, to `extend` it, the sources that are new.
    pub(super) fn split(&self, asked: Self, extend: bool) -> (Self, Vec<PlannedSource>) {
        let mut given: BTreeMap<String, PlannedSource> =
            asked.sources.into_iter().map(|source| (source.name.clone(), source)).collect();
        let kept = |known: &PlannedSource| extend.then(|| known.clone());
        let mut sources: Vec<PlannedSource> =
            self.sources.iter().filter_map(|known| given.remove(&known.name).or_else(|| kept(known))).collect();
        let mut new: Vec<PlannedSource> = given.into_values().collect();
        if !extend {
            sources.append(&mut new);
        }
        // Where an extension came, a unit ends: the units are those of the data set if the sources are.
        let units = if sources == self.sources { self.units.clone() } else { asked.units };
        (Self { sources, units, ..asked }, new)
    }

    /// This plan, and behind its units those of further sources.
    pub(super) fn extended(&self, new: Vec<PlannedSource>) -> Self {
        let epochs = self.units.iter().map(|unit| unit.epoch + 1).max().unwrap_or_default();
        let mut extended = self.clone();
        extended.units.extend(units(&new, self.sources.len(), epochs));
        extended.sources.extend(new);
        extended
    }

    /// Bytes on disk that all units read.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let of_unit = |unit: &Unit| self.sources[unit.range()].iter().map(|source| source.bytes).sum::<u64>();
        self.units.iter().map(of_unit).sum()
    }
}

/// The units of sources that stand from `first` on in a plan, epoch by epoch.
fn units(sources: &[PlannedSource], first: usize, epochs: u32) -> Vec<Unit> {
    let bytes: Vec<u64> = sources.iter().map(|source| source.bytes).collect();
    let groups = group(&bytes);
    let unit = |epoch, group: &Range<usize>| Unit { epoch, first_source: first + group.start, sources: group.len() };
    (0..epochs).flat_map(|epoch| groups.iter().map(move |group| unit(epoch, group))).collect()
}

/// Groups neighbours: a group ends with the source that brings it to [`UNIT_BYTES`] or more.
fn group(bytes: &[u64]) -> Vec<Range<usize>> {
    let mut groups = Vec::new();
    let (mut first, mut sum) = (0, 0);
    for (index, bytes) in bytes.iter().enumerate() {
        sum += bytes;
        if sum >= UNIT_BYTES {
            groups.push(first..index + 1);
            (first, sum) = (index + 1, 0);
        }
    }
    if first < bytes.len() {
        groups.push(first..bytes.len());
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_neighbours_share_a_unit() {
        let large = UNIT_BYTES;
        assert_eq!(group(&[1; 1000]), vec![0..1000; 1]);
        assert_eq!(group(&[large, large + 1, 5]), [0..1, 1..2, 2..3]);
        assert_eq!(group(&[5, large, 5, large / 2, large / 2]), [0..2, 2..5]);
        assert_eq!(group(&[]), Vec::<Range<usize>>::new());
    }
}
