//! What will be done: the spec, the sources and the units, fixed before the first byte is written.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::denoise::Spec;
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
        let mut differences = Vec::new();
        differ("", &existing, &asked, &mut differences);
        // The units follow from the rest; naming them as well would only hide it.
        differences.retain(|line| !line.starts_with("`units") || differences_are_only_units(&existing, &asked));
        if differences.len() > DIFFERENCES_SHOWN {
            let more = differences.len() - DIFFERENCES_SHOWN;
            differences.truncate(DIFFERENCES_SHOWN);
            differences.push(format!("and {more} more differences"));
        }
        differences
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

fn differences_are_only_units(existing: &Value, asked: &Value) -> bool {
    let without = |value: &Value| {
        let mut value = value.clone();
        value.as_object_mut().map(|object| object.remove("units"));
        value
    };
    without(existing) == without(asked)
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

/// Lists of named things (sources, denoisers) are compared by name.
fn differ(path: &str, existing: &Value, asked: &Value, differences: &mut Vec<String>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    let missing = Value::Null;
    match (existing, asked) {
        _ if existing == asked => {}
        (Value::Object(old), Value::Object(new)) => {
            let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                differ(&below(key), old.get(key).unwrap_or(&missing), new.get(key).unwrap_or(&missing), differences);
            }
        }
        (Value::Array(old), Value::Array(new)) if named(old) && named(new) => {
            let name = |item: &'_ Value| item["name"].as_str().unwrap_or_default().to_owned();
            let by_name = |list: &'_ [Value]| -> BTreeMap<String, Value> {
                // Of two of one name the first counts.
                list.iter().rev().map(|item| (name(item), item.clone())).collect()
            };
            let (old_by_name, new_by_name) = (by_name(old), by_name(new));
            for item in old {
                let other = new_by_name.get(&name(item)).unwrap_or(&missing);
                differ(&format!("{path}[{}]", name(item)), item, other, differences);
            }
            for item in new.iter().filter(|item| !old_by_name.contains_key(&name(item))) {
                differ(&format!("{path}[{}]", name(item)), &missing, item, differences);
            }
            if differences.is_empty() {
                differences.push(format!("`{path}` has another order"));
            }
        }
        _ => differences.push(match (existing, asked) {
            (Value::Null, _) => format!("`{path}` is not in the data set, but asked for"),
            (_, Value::Null) => format!("`{path}` is in the data set, but not asked for"),
            _ => format!("`{path}` is {} in the data set, but {} is asked for", brief(existing), brief(asked)),
        }),
    }
}

fn named(list: &[Value]) -> bool {
    !list.is_empty() && list.iter().all(|item| item["name"].is_string())
}

fn brief(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
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

    #[test]
    fn a_difference_is_named_with_both_values() {
        let old =
            serde_json::json!({"spec": {"seed": 7}, "sources": [{"name": "a", "bytes": 1}, {"name": "b", "bytes": 2}]});
        let new =
            serde_json::json!({"spec": {"seed": 8}, "sources": [{"name": "b", "bytes": 3}, {"name": "c", "bytes": 2}]});
        let mut found = Vec::new();
        differ("", &old, &new, &mut found);
        assert_eq!(
            found,
            [
                "`sources[a]` is in the data set, but not asked for",
                "`sources[b].bytes` is 2 in the data set, but 3 is asked for",
                "`sources[c]` is not in the data set, but asked for",
                "`spec.seed` is 7 in the data set, but 8 is asked for",
            ]
        );
    }
}
