//! The work of a run: the spec, the sources and the units, fixed before the first byte is written.

pub mod chain;
pub(crate) mod error;
pub(crate) mod inputs;
pub(crate) mod state;

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::denoise::Spec;
use crate::input::batch::BLOCK_BYTES;
use crate::input::source::Source;
use crate::json::difference::{Difference, differences};
use crate::json::to_json;
use crate::output::counts::is_zero;
use crate::output::encoding::{Compression, PageFormat, TokenEncoding};
use crate::output::schema::RowFormat;
use crate::output::unit::PlanParts;
pub(crate) use crate::output::unit::{Part, Unit};

/// The version of the plan's own format.
pub(crate) const PLAN_VERSION: u32 = 1;

/// How sources are cut into units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cutting {
    /// Bytes on disk at which a unit ends: small neighbouring sources share one.
    pub(crate) unit_bytes: u64,
    /// Bytes on disk above which a source is divided into parts of about this size; `None` divides no source.
    pub(crate) split: Option<u64>,
}

impl Default for Cutting {
    fn default() -> Self {
        Self { unit_bytes: 64 << 20, split: None }
    }
}

/// Most parts of a source: each part reads what comes before it.
const MOST_PARTS: u64 = 16;

/// Differences between plans that a message lists: with thousands of sources, the first few are enough.
const DIFFERENCES_SHOWN: usize = 20;

/// A plan: everything that decides the bytes of a data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`PLAN_VERSION`].
    #[expect(clippy::struct_field_names, reason = "a key of the file")]
    pub(crate) plan_version: u32,
    /// The tool's version.
    pub(crate) tool_version: String,
    /// Everything that decides rows.
    #[serde(deserialize_with = "crate::files::bounded::value")]
    pub spec: Value,
    /// The columns of the shards.
    #[serde(deserialize_with = "crate::files::bounded::texts")]
    pub(crate) columns: Vec<String>,
    /// `--shard-size`.
    pub(crate) shard_bytes: u64,
    /// [`BLOCK_BYTES`].
    pub(crate) batch_bytes: u64,
    /// `--encoding`.
    #[serde(default = "TokenEncoding::before", skip_serializing_if = "TokenEncoding::is_before")]
    pub(crate) encoding: TokenEncoding,
    /// `--compression`.
    #[serde(default = "Compression::before", skip_serializing_if = "Compression::is_before")]
    pub(crate) compression: Compression,
    /// The sources in the order of names; sources of an extension come after them.
    pub(crate) sources: Vec<PlannedSource>,
    /// The units, epoch by epoch; units of an extension come after them.
    pub(crate) units: Vec<Unit>,
    /// Files next to the sources that look like sources and are not. This number does not make a plan different.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) passed_over: u64,
    /// Sources of weight 0, which are not among the plan's. This number does not make a plan different either.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) left_out: u64,
}

/// A source in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlannedSource {
    /// Its name.
    pub(crate) name: String,
    /// Its size on disk.
    pub(crate) bytes: u64,
    /// A tag that changes with its content, if a store gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tag: Option<String>,
    /// In how many epochs it is read; of a stored plan, whose units say it, 0.
    #[serde(skip)]
    pub(crate) epochs: u32,
}

impl PlannedSource {
    fn new(source: &Source, spec: &Spec) -> Self {
        let Source { name, bytes, tag, .. } = source;
        #[expect(clippy::cast_possible_truncation, reason = "a spec has at most 2^16 epochs")]
        let epochs = spec.maskings(name).epochs() as u32;
        Self { name: name.clone(), bytes: *bytes, tag: tag.clone(), epochs }
    }

    /// Whether a source is the planned one, as far as the tool can tell without reading it. It may have been copied
    /// from a store to a disk, or back.
    #[must_use]
    pub(crate) fn is(&self, other: &Self) -> bool {
        let tags = self.tag.as_ref().zip(other.tag.as_ref());
        self.name == other.name && self.bytes == other.bytes && tags.is_none_or(|(tag, other)| tag == other)
    }
}

impl Plan {
    /// The plan for these sources, sorted by name.
    #[must_use]
    pub(crate) fn new(
        spec: &Spec,
        format: &RowFormat,
        pages: PageFormat,
        sources: &[Source],
        shard_bytes: u64,
        cutting: Cutting,
    ) -> Self {
        let sources: Vec<PlannedSource> = sources.iter().map(|source| PlannedSource::new(source, spec)).collect();
        Self {
            plan_version: PLAN_VERSION,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            spec: spec.to_json(),
            columns: format.columns.iter().map(ToString::to_string).collect(),
            shard_bytes,
            batch_bytes: BLOCK_BYTES as u64,
            encoding: pages.encoding,
            compression: pages.compression,
            units: units(&sources, 0, cutting),
            sources,
            passed_over: 0,
            left_out: 0,
        }
    }

    /// Checks that the plan has this format, and that its units fit its sources.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.plan_version != PLAN_VERSION {
            return Err(format!("`plan_version` is {}, expected {PLAN_VERSION}", self.plan_version));
        }
        let count = self.sources.len();
        let is_of_sources = |unit: &Unit| {
            let end = unit.first_source.checked_add(unit.sources);
            unit.sources > 0 && end.is_some_and(|end| end <= count) && (unit.part.is_none() || unit.sources == 1)
        };
        match self.units.iter().position(|unit| !is_of_sources(unit)) {
            Some(unit) => Err(format!("`units[{unit}]` is of no sources of the plan")),
            None => Ok(()),
        }
    }

    /// The plan's part of the manifest, besides spec and sources.
    #[must_use]
    pub(crate) fn parts(&self) -> PlanParts {
        let Self { columns, shard_bytes, batch_bytes, encoding, compression, units, passed_over, left_out, .. } = self;
        PlanParts {
            passed_over: *passed_over,
            left_out: *left_out,
            columns: columns.clone(),
            shard_bytes: *shard_bytes,
            batch_bytes: *batch_bytes,
            encoding: *encoding,
            compression: *compression,
            units: units.clone(),
        }
    }

    /// How the pages of its shards are encoded.
    #[must_use]
    pub(crate) fn pages(&self) -> PageFormat {
        PageFormat { encoding: self.encoding, compression: self.compression }
    }

    /// The plan as JSON, as it is stored.
    #[must_use]
    pub(crate) fn to_json(&self) -> Vec<u8> {
        to_json(self)
    }

    /// Names the plan in commit records. It leaves out the files passed over: a folder and a glob that find the same
    /// sources give the same records.
    #[must_use]
    pub(crate) fn fingerprint(&self) -> String {
        let json: Value =
            serde_json::to_value(Self { passed_over: 0, left_out: 0, ..self.clone() }).unwrap_or_default();
        crate::digest::fingerprint(&json)
    }

    /// The differences between the plan in a data set and this one, one a line: the existing value, then the one asked
    /// for.
    #[must_use]
    pub(crate) fn differences_from(&self, existing: &Self) -> Vec<String> {
        let [existing, asked] = [existing, self].map(|plan| {
            let mut json = serde_json::to_value(plan).unwrap_or_default();
            // Set even where an older plan leaves them out.
            json["encoding"] = serde_json::to_value(plan.encoding).unwrap_or_default();
            json["compression"] = plan.compression.to_string().into();
            json
        });
        let found = differences(&existing, &asked);
        // The units follow from the rest; listing them too would only hide the cause.
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

    /// Puts what is asked for in the order of this stored plan; returns also the new sources, to `extend` it.
    pub(super) fn split(&self, asked: Self, extend: bool) -> (Self, Vec<PlannedSource>) {
        let mut given: BTreeMap<String, PlannedSource> =
            asked.sources.into_iter().map(|source| (source.name.clone(), source)).collect();
        let kept = |known: &PlannedSource| extend.then(|| known.clone());
        let given_for =
            |known: &PlannedSource, given: PlannedSource| if known.is(&given) { known.clone() } else { given };
        let mut sources: Vec<PlannedSource> = self
            .sources
            .iter()
            .filter_map(|known| given.remove(&known.name).map(|given| given_for(known, given)).or_else(|| kept(known)))
            .collect();
        let mut new: Vec<PlannedSource> = given.into_values().collect();
        if !extend {
            sources.append(&mut new);
        }
        // A unit ends where an extension begins: if the sources are the data set's, so are the units.
        let units = if sources == self.sources { self.units.clone() } else { asked.units };
        (Self { sources, units, passed_over: self.passed_over, left_out: self.left_out, ..asked }, new)
    }

    /// This plan with further sources, whose units come after its own.
    pub(super) fn extended(&self, new: Vec<PlannedSource>, asked: &Self, cutting: Cutting) -> Self {
        let mut extended = Self { passed_over: asked.passed_over, left_out: asked.left_out, ..self.clone() };
        extended.units.extend(units(&new, self.sources.len(), cutting));
        extended.sources.extend(new);
        extended
    }

    /// Bytes on disk that all units read.
    #[must_use]
    pub(crate) fn bytes(&self) -> u64 {
        self.units.iter().map(|unit| self.unit_bytes(*unit)).sum()
    }

    /// Bytes on disk that a unit covers.
    #[must_use]
    pub(crate) fn unit_bytes(&self, unit: Unit) -> u64 {
        let whole = self.sources[unit.range()].iter().map(|source| source.bytes).sum::<u64>();
        let (from, to) = unit.bounds();
        to.unwrap_or(whole).min(whole).saturating_sub(from)
    }
}

/// The units of the sources from index `first` on, epoch by epoch.
fn units(sources: &[PlannedSource], first: usize, cutting: Cutting) -> Vec<Unit> {
    let epochs = sources.iter().map(|source| source.epochs).max().unwrap_or_default();
    let mut units = Vec::new();
    for epoch in 0..epochs {
        let mut begin = 0;
        // A unit's sources are neighbours: one that is not read in the epoch ends it.
        for run in sources.chunk_by(|a, b| (a.epochs > epoch) == (b.epochs > epoch)) {
            if run[0].epochs > epoch {
                let bytes: Vec<u64> = run.iter().map(|source| source.bytes).collect();
                let groups = group(&bytes, cutting).into_iter();
                units.extend(groups.map(|unit| Unit {
                    epoch,
                    first_source: first + begin + unit.first_source,
                    ..unit
                }));
            }
            begin += run.len();
        }
    }
    units
}

/// The units of an epoch. Neighbouring sources share one: it ends with the source that brings it to `unit_bytes` or
/// more. A divided source shares none.
fn group(bytes: &[u64], cutting: Cutting) -> Vec<Unit> {
    let unit =
        |sources: Range<usize>, part| Unit { epoch: 0, first_source: sources.start, sources: sources.len(), part };
    let mut units = Vec::new();
    let (mut first, mut sum) = (0, 0);
    for (index, &bytes) in bytes.iter().enumerate() {
        let parts = parts(bytes, cutting.split);
        if parts > 1 {
            if first < index {
                units.push(unit(first..index, None));
            }
            units.extend((0..parts).map(|part| unit(index..index + 1, Some(part_of(bytes, part, parts)))));
            (first, sum) = (index + 1, 0);
            continue;
        }
        sum += bytes;
        if sum >= cutting.unit_bytes {
            units.push(unit(first..index + 1, None));
            (first, sum) = (index + 1, 0);
        }
    }
    if first < bytes.len() {
        units.push(unit(first..bytes.len(), None));
    }
    units
}

/// The number of parts of a source.
fn parts(bytes: u64, split: Option<u64>) -> u64 {
    split.map_or(1, |split| bytes.div_ceil(split.max(1)).clamp(1, MOST_PARTS))
}

/// One part of a source: all have the same size, give or take a byte. The last one ends with the source, wherever that
/// is.
fn part_of(bytes: u64, part: u64, parts: u64) -> Part {
    let begin = |part: u64| {
        let begin = u128::from(bytes) * u128::from(part) / u128::from(parts);
        u64::try_from(begin).unwrap_or(bytes)
    };
    Part { from: begin(part), to: (part + 1 < parts).then(|| begin(part + 1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT_BYTES: u64 = 64 << 20;

    fn ranges(bytes: &[u64], split: Option<u64>) -> Vec<Range<usize>> {
        group(bytes, Cutting { split, ..Cutting::default() }).into_iter().map(Unit::range).collect()
    }

    #[test]
    fn small_neighbours_share_a_unit() {
        let large = UNIT_BYTES;
        assert_eq!(ranges(&[1; 1000], None), vec![0..1000; 1]);
        assert_eq!(ranges(&[large, large + 1, 5], None), [0..1, 1..2, 2..3]);
        assert_eq!(ranges(&[5, large, 5, large / 2, large / 2], None), [0..2, 2..5]);
        assert_eq!(ranges(&[], None), Vec::<Range<usize>>::new());
    }

    #[test]
    fn a_large_source_is_divided_and_shares_no_unit() {
        assert_eq!(ranges(&[5, 100, 5, 5, 250, 5], Some(100)), [0..4, 4..5, 4..5, 4..5, 5..6]);
        let parts: Vec<_> = group(&[250], Cutting { split: Some(100), ..Cutting::default() })
            .iter()
            .map(|unit| unit.bounds())
            .collect();
        assert_eq!(parts, [(0, Some(83)), (83, Some(166)), (166, None)]);
        assert_eq!(ranges(&[u64::MAX], Some(1)).len(), 16);
        assert_eq!(ranges(&[0], Some(1)), [0..1; 1]);
    }
}
