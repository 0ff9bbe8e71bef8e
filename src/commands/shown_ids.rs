//! Ids as `inspect` and `stats` show them, and denoisers by name.

use anyhow::Result;

use crate::denoise::Spec;
use crate::output::data_set::DataSet;
use crate::reading::parts;
use crate::recipe::nearest;
use crate::settings;
use crate::settings::error::SettingsError;
use crate::tokenize::file::TokenizerFile;

/// What ids mean.
pub(crate) enum Names {
    /// What a tokenizer's file says, or the embedded one's.
    Text(Option<TokenizerFile>),
    /// Nothing: their numbers.
    Ids,
}

impl Names {
    /// Those of a data set's tokenizer: the one named, or where the run had it.
    pub(super) fn of(data_set: &DataSet, spec: &Spec, named: Option<&str>) -> Result<Self> {
        let inputs = settings::data_set::noted(data_set, named)?;
        Ok(Self::Text(settings::data_set::given_file(spec, named, inputs.as_ref())?))
    }

    pub(super) fn shown(&self, ids: &[u32]) -> String {
        match self {
            Self::Text(file) => settings::tokenizer::names(file.as_ref()).shown(ids),
            Self::Ids => parts::numbers(ids),
        }
    }
}

/// The place of a denoiser in a spec.
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
