//! What `verify` makes again, and where the compared row groups are.

use std::path::PathBuf;

use crate::input::limits::Limits;
use crate::input::source::Source;
use crate::output::unit_writer::ShardOptions;
use crate::pipeline::documents::Shared;

/// The sources, and what to compare with them.
pub struct Again<'a> {
    /// Masks again, with the manifest's spec.
    pub(crate) shared: &'a Shared,
    /// How shards are encoded.
    pub(crate) options: &'a ShardOptions,
    /// The sources that were found.
    pub(crate) sources: Vec<Source>,
    /// Which rows to make again.
    pub(crate) rows: RowsAgain,
    /// A folder for long lines.
    pub(crate) spool: PathBuf,
    /// The most that batches in flight may weigh together.
    pub(crate) permits: usize,
    /// Limits on what a source may ask for.
    pub(crate) limits: Limits,
}

/// Which rows to make again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowsAgain {
    /// No rows: only their tokens are compared.
    None,
    /// The rows of this many batches, spread evenly.
    Sample(u64),
    /// All rows, and the bytes of every shard.
    All,
}

/// A row group, by the index of its shard in the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowGroupPlace {
    /// Index of the shard.
    pub(crate) shard: usize,
    /// Its index in the shard.
    pub(crate) row_group: usize,
}
