//! What `verify` makes again, and the places of what it compares.

use std::path::PathBuf;

use crate::input::reader::Limits;
use crate::input::source::Source;
use crate::output::unit_writer::ShardOptions;
use crate::pipeline::documents::Shared;

/// What is to be compared with the sources.
pub struct Again<'a> {
    /// What masks, with the spec of the manifest.
    pub shared: &'a Shared,
    /// How shards are encoded.
    pub options: &'a ShardOptions,
    /// The sources that were found.
    pub sources: Vec<Source>,
    /// Which rows are made again.
    pub rows: RowsAgain,
    /// A folder for lines that are too long.
    pub spool: PathBuf,
    /// What batches on their way weigh together, at most.
    pub permits: usize,
    /// Limits on what a source may ask for.
    pub limits: Limits,
}

/// Which rows are made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowsAgain {
    /// None: their tokens are compared.
    None,
    /// Those of so many batches, spread evenly.
    Sample(u64),
    /// All, and the bytes of every shard.
    All,
}

/// A row group, by the index of its shard in the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowGroupPlace {
    /// Index of the shard.
    pub shard: usize,
    /// Its place in the shard.
    pub row_group: usize,
}
