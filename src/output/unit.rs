//! Units of a plan, as manifest and plan hold them.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::output::counts::is_zero;
use crate::output::encoding::{Compression, TokenEncoding};

/// The parts of a plan that decide files but no row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlanParts {
    /// The columns of the shards.
    #[serde(deserialize_with = "crate::files::bounded::texts")]
    pub(crate) columns: Vec<String>,
    /// `--shard-size`.
    pub(crate) shard_bytes: u64,
    /// Bytes of text at which a block or a batch ends.
    pub(crate) batch_bytes: u64,
    /// `--encoding`.
    #[serde(default = "TokenEncoding::before", skip_serializing_if = "TokenEncoding::is_before")]
    pub(crate) encoding: TokenEncoding,
    /// `--compression`.
    #[serde(default = "Compression::before", skip_serializing_if = "Compression::is_before")]
    pub(crate) compression: Compression,
    /// The units; their sources are the manifest's.
    pub(crate) units: Vec<Unit>,
    /// Files next to the sources that look like sources and are not, when the sources were last listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) passed_over: u64,
    /// Sources of weight 0, when the sources were last listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) left_out: u64,
}

/// All work for one source, or for several small neighbours, in one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unit {
    /// 0-based epoch.
    pub(crate) epoch: u32,
    /// Index of the first source.
    pub(crate) first_source: usize,
    /// Number of sources.
    pub(crate) sources: usize,
    /// The part of the source that the unit covers, if other units cover the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) part: Option<Part>,
}

/// A part of a source: the blocks before which the reader has taken a certain number of bytes of the file, read-ahead
/// included (`docs/reference/scale-out.md`, "Large sources").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    /// At least this many bytes.
    pub(crate) from: u64,
    /// Fewer than this many bytes; for the last part, any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<u64>,
}

impl Unit {
    /// The indices of its sources in the plan.
    #[must_use]
    pub(crate) fn range(self) -> Range<usize> {
        self.first_source..self.first_source + self.sources
    }

    /// The bytes of a file between which its blocks begin, if it covers a part: from, and to.
    #[must_use]
    pub(crate) fn bounds(self) -> (u64, Option<u64>) {
        self.part.map_or((0, None), |Part { from, to }| (from, to))
    }
}
