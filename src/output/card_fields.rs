//! What only a person knows of a data set, for its card: in `.ul2-prep/card.json` until the manifest has it. It decides
//! no row and no shard.

use serde::{Deserialize, Serialize};

use crate::json::to_json;
use crate::output::OutputError;
use crate::output::data_set::{CARD_FIELDS, DataSet};

/// Title, license and languages of a data set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CardFields {
    /// `--title`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
    /// `--license`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) license: Option<String>,
    /// `--language`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) languages: Vec<String>,
}

impl CardFields {
    /// The recorded fields of a data set.
    ///
    /// # Errors
    ///
    /// [`OutputError`] if the file cannot be read.
    pub(crate) fn read(data_set: &DataSet) -> Result<Self, OutputError> {
        let Some(bytes) = data_set.read(CARD_FIELDS)? else { return Ok(Self::default()) };
        let damaged = |source| OutputError::Damaged { path: data_set.path(CARD_FIELDS), source };
        serde_json::from_slice(&bytes).map_err(damaged)
    }

    /// Whether none is given.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Records the fields that are given, for a data set whose folders exist; the others stay as they are.
    ///
    /// # Errors
    ///
    /// [`OutputError`] if the file cannot be read or written.
    pub(crate) fn note(&self, data_set: &DataSet) -> Result<(), OutputError> {
        if self.is_empty() {
            return Ok(());
        }
        let there = Self::read(data_set)?;
        let Self { title, license, languages } = self.clone();
        let noted = Self {
            title: title.or_else(|| there.title.clone()),
            license: license.or_else(|| there.license.clone()),
            languages: if languages.is_empty() { there.languages.clone() } else { languages },
        };
        if noted == there { Ok(()) } else { Ok(data_set.replace(CARD_FIELDS, &to_json(&noted))?) }
    }
}
