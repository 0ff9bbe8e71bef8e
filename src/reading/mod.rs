//! Reads a data set back: its manifest, and its rows, decoded into examples, tokens and masks.
//!
//! ```text
//! manifest.json ──▶ Described: spec, format
//! row of a shard ──take_apart──▶ examples ──tokens──▶ segment and mask
//! ```
//!
//! [`verify`](crate::verify) uses it to check the laws of rows.

pub(crate) mod decode;
pub(crate) mod manifest;
pub(crate) mod parts;
pub(crate) mod shard;

use std::collections::BTreeMap;

use crate::denoise::Spec;
use crate::output::manifest::Manifest;
use crate::output::schema::RowFormat;

/// A consistent manifest: what a data set is checked against.
pub struct Described {
    /// The manifest.
    pub(crate) manifest: Manifest,
    /// Its spec.
    pub(crate) spec: Spec,
    /// The format of its rows.
    pub(crate) format: RowFormat,
    /// The index of each source in the manifest, by name.
    pub(crate) places: BTreeMap<String, usize>,
}
