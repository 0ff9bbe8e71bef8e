//! Ids and denoisers by name, as `inspect` and `stats` show them.

use anyhow::Result;

use crate::denoise::Spec;
use crate::output::data_set::DataSet;
use crate::reading::parts;
use crate::recipe::nearest;
use crate::settings;
use crate::settings::error::SettingsError;
use crate::tokenize::file::TokenizerFile;

/// How ids are shown.
pub(crate) enum Names {
    /// As text, by a tokenizer's file.
    Text(TokenizerFile),
    /// As numbers.
    Ids,
}

impl Names {
    /// The names of a data set's tokenizer: the one given, or the one at the path the run used.
    pub(super) fn of(data_set: &DataSet, spec: &Spec, named: Option<&str>) -> Result<Self> {
        let inputs = settings::data_set::noted(data_set, named)?;
        Ok(Self::Text(settings::data_set::given_file(spec, named, inputs.as_ref())?))
    }

    pub(super) fn shown(&self, ids: &[u32]) -> String {
        match self {
            Self::Text(file) => file.names().shown(ids),
            Self::Ids => parts::numbers(ids),
        }
    }
}

/// The index of a denoiser in a spec.
pub(crate) fn denoiser(spec: &Spec, name: Option<&str>) -> Result<Option<usize>> {
    let Some(name) = name else { return Ok(None) };
    let place = spec.denoisers().iter().position(|denoiser| denoiser.name == name);
    let names = || spec.denoisers().iter().map(|denoiser| denoiser.name.as_str());
    let known = || match nearest(name, names()) {
        Some(near) => near.to_owned(),
        None => names().collect::<Vec<_>>().join("`, `"),
    };
    place.map(Some).ok_or_else(|| SettingsError::NoDenoiser { name: name.to_owned(), known: known() }.into())
}
