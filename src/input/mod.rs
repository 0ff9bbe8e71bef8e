//! Turns files into records.
//!
//! [`source`] finds the files, [`reader`] opens and decompresses one, [`batch`] cuts the lines of a unit into batches,
//! and [`jsonl`] turns one line into a text or the reason for its rejection.

pub mod batch;
pub mod batch_reader;
pub(crate) mod buffers;
pub(crate) mod compression;
pub(crate) mod error;
pub(crate) mod frames;
pub mod jsonl;
mod leading_text;
pub(crate) mod limits;
pub(crate) mod reader;
pub mod source;

pub(crate) use crate::input::error::DiscoverError;
pub use crate::input::error::InputError;
