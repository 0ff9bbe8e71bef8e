//! From rows to files.
//!
//! ```text
//! rows ──RowGroupBuilder─▶  encoded row group ──ShardWriter──▶ temporary file ──commit──▶ DIR/data/….parquet
//!      (on a worker)                          (in order)                                + its commit record
//! ```
//!
//! Only this module names Arrow or Parquet. A file with its final name is complete and described by a commit record
//! (`docs/reference/format.md`).

pub mod card;
pub mod commit;
pub mod counts;
pub mod data_set;
pub mod digest;
pub mod encode;
pub mod encoding;
pub mod error;
pub mod faults;
pub mod fetched;
pub mod manifest;
pub mod names;
pub mod ours;
pub mod publish;
pub mod read;
pub mod read_error;
pub mod rebuild;
pub mod rejects;
pub mod schema;
mod shape;
pub mod sums;
pub mod temporary;
mod thrift;
pub mod top_files;
pub mod unit;
pub mod unit_writer;

pub use crate::output::error::OutputError;
