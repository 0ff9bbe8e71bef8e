//! From rows to files.
//!
//! ```text
//! rows ──RowGroupBuilder─▶  encoded row group ──ShardWriter──▶ temporary file ──commit──▶ DIR/data/….parquet
//!      (on a worker)                          (in order)                                + its commit record
//! ```
//!
//! Only this module names Arrow or Parquet. A file with its final name is complete and described by a commit record
//! (`docs/reference/format.md`).

pub(crate) mod card;
pub(crate) mod card_fields;
pub mod commit;
pub(crate) mod counts;
pub mod data_set;
mod dataset_info;
pub mod digest;
pub(crate) mod encode;
pub mod encoding;
pub(crate) mod error;
pub(crate) mod faults;
pub(crate) mod fetched;
pub mod manifest;
pub(crate) mod names;
pub(crate) mod ours;
pub(crate) mod publish;
pub(crate) mod read;
pub(crate) mod read_error;
pub(crate) mod rebuild;
pub(crate) mod rejects;
pub mod schema;
mod shape;
pub(crate) mod sums;
pub(crate) mod temporary;
mod thrift;
pub(crate) mod top_files;
pub(crate) mod unit;
pub(crate) mod unit_writer;

pub use crate::output::error::OutputError;
