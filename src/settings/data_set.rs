//! Existing data sets: opens and describes them, and finds the tokenizer that they were made with.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::denoise::{Spec, TokenizerId};
use crate::files::bounded::{self, MOST};
use crate::output::data_set::{DataSet, MANIFEST, PRIVATE};
use crate::output::manifest::{Manifest, SourceEntry};
use crate::output::unit::PlanParts;
use crate::plan::inputs::Inputs;
use crate::plan::{PLAN_VERSION, Plan, PlannedSource};
use crate::reading::Described;
use crate::reading::manifest::read;
use crate::settings::environment::faults;
use crate::settings::error::SettingsError;
use crate::settings::tokenizer::tokenizer_file;
use crate::store::Location;
use crate::tokenize::file::{BYTES, TokenizerFile};
use crate::tokenize::{Tokenizer, TokenizerPath};

/// The plan that a manifest describes.
pub(crate) fn planned(manifest: &Manifest, spec: &Spec) -> Plan {
    let PlanParts { columns, shard_bytes, batch_bytes, encoding, compression, units, passed_over, left_out } =
        manifest.plan.clone();
    let planned =
        |source: &SourceEntry| PlannedSource { name: source.name.clone(), bytes: source.bytes, tag: None, epochs: 0 };
    Plan {
        plan_version: PLAN_VERSION,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        spec: spec.to_json(),
        columns,
        shard_bytes,
        batch_bytes,
        encoding,
        compression,
        sources: manifest.sources.iter().map(planned).collect(),
        units,
        passed_over,
        left_out,
    }
}

/// A finished data set and what its manifest says.
///
/// # Errors
///
/// If the folder holds none, or its manifest cannot be used.
pub(crate) fn described(dir: &Location) -> Result<(DataSet, Described)> {
    let data_set = existing(dir)?;
    if !is_there(&data_set, MANIFEST)? {
        let dir = dir.to_string();
        let unfinished = data_set.has_folder(PRIVATE)?;
        return Err(if unfinished { SettingsError::Unfinished(dir) } else { SettingsError::NoDataSet(dir) }.into());
    }
    let (path, bytes) = manifest_of(&data_set)?;
    let described = read(&bytes).with_context(|| format!("`{}`", path.display()))?;
    Ok((data_set, described))
}

/// The data set in an existing folder; a store has no folders.
pub(crate) fn existing(dir: &Location) -> Result<DataSet> {
    if let Some(path) = dir.local() {
        fs_err::read_dir(path)?;
    }
    Ok(DataSet::open(dir)?)
}

/// Whether a data set has a file of this name, of any kind.
pub(crate) fn is_there(data_set: &DataSet, name: &str) -> Result<bool> {
    match data_set.size(name) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) if data_set.place().local().is_none() => Err(error.into()),
        Ok(_) | Err(_) => Ok(true),
    }
}

/// The tokenizer named, or else the one at the path the run used. A data set from elsewhere must not make this command
/// fetch anything, so only a path on this machine counts.
///
/// # Errors
///
/// If the recorded path cannot be read.
pub(crate) fn noted(data_set: &DataSet, named: Option<&str>) -> Result<Option<Inputs>> {
    if named.is_some() {
        return Ok(None);
    }
    let is_local = |inputs: &Inputs| Location::parse(&inputs.tokenizer).is_ok_and(|place| place.local().is_some());
    Ok(Inputs::read(data_set)?.filter(is_local))
}

/// Another version of the library that reads a tokenizer, so that ids may differ.
pub(crate) struct OtherLibrary {
    /// The version that made the data set or its plan.
    pub(crate) recorded: String,
    /// The version of this tool.
    pub(crate) given: String,
}

/// The tokenizer that a spec names, and the versions of the library if another one reads it now.
pub(crate) fn given_tokenizer(
    spec: &Spec,
    name: Option<&str>,
    inputs: Option<&Inputs>,
) -> Result<(Box<dyn Tokenizer>, Option<OtherLibrary>)> {
    let file = given_file(spec, name, inputs)?;
    let (given, recorded) = (file.names().identity(), &spec.fields().tokenizer);
    let other = OtherLibrary { recorded: recorded.library.clone(), given: given.library };
    let other = (other.recorded != other.given).then_some(other);
    Ok((file.tokenizer(spec.vocabulary().clone(), TokenizerPath::Auto), other))
}

/// The file of the tokenizer that a spec names: the one given, or the one at the path the run used.
///
/// # Errors
///
/// If it is another tokenizer, cannot be read, or its location is not known.
pub(crate) fn given_file(spec: &Spec, name: Option<&str>, inputs: Option<&Inputs>) -> Result<TokenizerFile> {
    let recorded = &spec.fields().tokenizer;
    let place = match (name, inputs) {
        (Some(name), _) => name,
        (None, _) if recorded.kind == BYTES => BYTES,
        (None, Some(inputs)) => &inputs.tokenizer,
        (None, None) => return Err(SettingsError::NoTokenizer(shown(recorded)).into()),
    };
    let file = match tokenizer_file(place) {
        Err(error) if name.is_none() => {
            let (recorded, place) = (shown(recorded), place.to_owned());
            return Err(SettingsError::TokenizerGone { recorded, place, source: error.into_boxed_dyn_error() }.into());
        }
        file => file?,
    };
    let given = file.names().identity();
    if (&given.kind, &given.sha256) != (&recorded.kind, &recorded.sha256) {
        return Err(SettingsError::OtherTokenizer { recorded: shown(recorded), given: shown(&given) }.into());
    }
    Ok(file)
}

fn shown(tokenizer: &TokenizerId) -> String {
    match tokenizer.sha256.as_str() {
        "" => format!("`{}`", tokenizer.kind),
        sha256 => format!("`{}` of SHA-256 {sha256}", tokenizer.kind),
    }
}

/// The manifest of a data set, given as a file or by the folder: its path, and its bytes.
pub(crate) fn manifest_file(given: &Location) -> Result<(PathBuf, Vec<u8>)> {
    match given {
        Location::Local(path) if !path.is_dir() => Ok((path.clone(), bounded::read(path, MOST)?)),
        Location::Remote(remote) if remote.file_name() == MANIFEST => {
            manifest_of(&DataSet::open(&Location::Remote(remote.parent()))?)
        }
        Location::Local(_) | Location::Remote(_) => manifest_of(&DataSet::open(given)?),
    }
}

fn manifest_of(data_set: &DataSet) -> Result<(PathBuf, Vec<u8>)> {
    let path = data_set.path(MANIFEST);
    let missing = || std::io::Error::new(ErrorKind::NotFound, format!("`{}` is not there", path.display()));
    let bytes = data_set.read(MANIFEST)?.ok_or_else(missing)?;
    Ok((path, bytes))
}

/// The folder's canonical path, if the folder exists. The parent of a bare name is an empty path, which means the
/// current folder.
pub(crate) fn canonical(folder: &Path) -> Option<PathBuf> {
    fs_err::canonicalize(if folder.as_os_str().is_empty() { Path::new(".") } else { folder }).ok()
}

/// The data set in a location, which may not exist yet.
///
/// # Errors
///
/// If the location holds something else.
pub(crate) fn data_set(place: &Location) -> Result<DataSet> {
    let data_set = DataSet::open(place)?.with_faults(faults()?);
    data_set.check_folders()?;
    if data_set.is_foreign()? {
        return Err(SettingsError::ForeignFolder(place.to_string()).into());
    }
    Ok(data_set)
}
