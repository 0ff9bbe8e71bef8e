//! Turns files into records.
//!
//! [`source`] finds the files, [`reader`] opens and decompresses one, [`batch`] cuts the lines of a unit into batches,
//! and [`jsonl`] turns one line into a text or the reason for its rejection.

pub mod batch;
pub mod buffers;
pub mod compression;
pub mod error;
pub mod frames;
pub mod jsonl;
mod leading_text;
pub mod limits;
pub mod reader;
pub mod source;

pub use crate::input::error::{DiscoverError, InputError};
