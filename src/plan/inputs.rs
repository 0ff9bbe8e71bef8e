//! Records where the tokenizer and the sources of a data set were when it was made, in `.ul2-prep/inputs.json`. It
//! decides no byte of the data set.

use std::collections::BTreeMap;
use std::path::{Path, absolute};

use serde::{Deserialize, Serialize};

use crate::json::to_json;
use crate::output::OutputError;
use crate::output::data_set::{DataSet, INPUTS, MANIFEST};
use crate::plan::error::InputsError;
use crate::store::Location;
use crate::tokenize::file::BYTES;

/// The locations of the tokenizer and of the sources.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Inputs {
    /// The tokenizer's file or folder, or `bytes`.
    pub(crate) tokenizer: String,
    /// Which code makes its ids, for the manifest, so that the end of a plan needs no tokenizer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tokenizer_path: Option<String>,
    /// The sources by name, if the plan was stored for units on other machines.
    #[serde(default)]
    pub(crate) sources: BTreeMap<String, String>,
}

impl Inputs {
    /// Reads the recorded inputs of a data set; `None` if there are none.
    ///
    /// # Errors
    ///
    /// [`InputsError`] if the file cannot be read.
    pub(crate) fn read(data_set: &DataSet) -> Result<Option<Self>, InputsError> {
        let Some(bytes) = data_set.read(INPUTS)? else { return Ok(None) };
        let path = || data_set.path(INPUTS).display().to_string();
        let damaged = |error: serde_json::Error| InputsError::Damaged { path: path(), reason: error.to_string() };
        Ok(Some(serde_json::from_slice(&bytes).map_err(damaged)?))
    }

    /// Records where a run has its tokenizer. The locations of sources in a stored plan stay. A finished data set is
    /// left as it is.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or written.
    pub(crate) fn note(&self, data_set: &DataSet) -> Result<(), OutputError> {
        if data_set.has_name(MANIFEST)? {
            return Ok(());
        }
        let there = data_set.read(INPUTS)?.and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
        let Self { tokenizer_path, sources, .. } = there.unwrap_or_default();
        Self { tokenizer: self.tokenizer.clone(), tokenizer_path, sources }.write(data_set)
    }

    /// Writes the inputs into a data set whose folders exist.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub(crate) fn write(&self, data_set: &DataSet) -> Result<(), OutputError> {
        let bytes = to_json(self);
        if data_set.read(INPUTS)?.is_some_and(|there| there == bytes) {
            return Ok(());
        }
        Ok(data_set.replace(INPUTS, &bytes)?)
    }
}

/// The path of a run's tokenizer, to be recorded in its data set: `None` for the embedded one, and for a web address,
/// which may hold a secret.
///
/// # Errors
///
/// If its path is not UTF-8.
pub(crate) fn noted_place(name: &str) -> Result<Option<String>, InputsError> {
    let is_web = name.starts_with("http://") || name.starts_with("https://");
    (name != BYTES && !is_web).then(|| tokenizer_place(name)).transpose()
}

/// A source's location in a form that does not depend on the current folder.
///
/// # Errors
///
/// If its path is not UTF-8.
pub(crate) fn source_place(place: &Location) -> Result<String, InputsError> {
    match place {
        Location::Local(path) => local_place(path),
        Location::Remote(_) => Ok(place.to_string()),
    }
}

/// A tokenizer's location in a form that does not depend on the current folder.
///
/// # Errors
///
/// If its path is not UTF-8.
pub(crate) fn tokenizer_place(name: &str) -> Result<String, InputsError> {
    if name == BYTES { Ok(name.to_owned()) } else { source_place(&Location::parse(name)?) }
}

fn local_place(path: &Path) -> Result<String, InputsError> {
    let path = absolute(path)?;
    let text = path.to_str().ok_or_else(|| InputsError::NotUtf8(path.display().to_string()))?;
    Ok(text.to_owned())
}
