//! The manifest of a data set, and what its spec and its columns mean.

use serde::Deserialize;
use serde_json::Value;

use crate::denoise::{MASKING_VERSION, Spec, SpecError};
use crate::json::difference::with_causes;
use crate::output::data_set::{DATA, REJECTS};
use crate::output::manifest::{MANIFEST_VERSION, Manifest, SourceEntry};
use crate::output::names;
use crate::output::schema::{Column, ColumnError, RowFormat};
use crate::output::unit::Unit;
use crate::reading::Described;

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message says it")]
pub(crate) enum ManifestError {
    /// It is not JSON, or lacks something.
    #[error("cannot be read: {0}")]
    Json(serde_json::Error),
    /// It has another format version.
    #[error("`manifest_version` is {found}, this tool reads {MANIFEST_VERSION}")]
    Version { found: Value },
    /// Its rows have another masking version.
    #[error("`masking_version` is {found}, this tool makes rows of version {MASKING_VERSION}")]
    MaskingVersion { found: Value },
    /// Its spec is invalid.
    #[error("`spec`: {}", with_causes(.0))]
    Spec(SpecError),
    /// An unknown column.
    #[error("`plan.columns` names `{0}`, which is not a column")]
    Column(String),
    /// Columns that its rows cannot have.
    #[error("`plan.columns`: {0}")]
    Columns(ColumnError),
    /// Units that do not match its sources.
    #[error("`plan.units[{unit}]` is not the next group of sources of its epoch")]
    Units {
        /// 0-based.
        unit: usize,
    },
    /// A file in a place where it cannot be.
    #[error("`{0}` is not a path of a shard or of rejects")]
    Path(String),
}

/// Read before anything else.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Versions {
    #[serde(deserialize_with = "crate::files::bounded::value")]
    manifest_version: Value,
    #[serde(deserialize_with = "crate::files::bounded::value")]
    masking_version: Value,
}

/// Reads a manifest and interprets its spec and its columns.
///
/// # Errors
///
/// [`ManifestError`] if the manifest cannot be used.
pub(crate) fn read(bytes: &[u8]) -> Result<Described, ManifestError> {
    let Versions { manifest_version, masking_version } = serde_json::from_slice(bytes).map_err(ManifestError::Json)?;
    if manifest_version != MANIFEST_VERSION {
        return Err(ManifestError::Version { found: manifest_version });
    }
    if masking_version != MASKING_VERSION {
        return Err(ManifestError::MaskingVersion { found: masking_version });
    }
    let manifest: Manifest = serde_json::from_slice(bytes).map_err(ManifestError::Json)?;
    let spec = Spec::from_json(manifest.spec.clone()).map_err(ManifestError::Spec)?;
    let columns = Column::all_named(&manifest.plan.columns).map_err(|name| ManifestError::Column(name.to_owned()))?;
    let format = RowFormat::new(&spec, Some(&columns)).map_err(ManifestError::Columns)?;
    check_units(&manifest, &spec)?;
    for shard in &manifest.shards {
        let unit = names::of_file(&shard.path, DATA, ".parquet").map(|place| place.0);
        if unit.is_none_or(|unit| unit >= manifest.plan.units.len()) {
            return Err(ManifestError::Path(shard.path.clone()));
        }
    }
    for files in &manifest.rejects {
        for (path, ending) in [(&files.index, ".jsonl"), (&files.lines, ".lines")] {
            names::of_file(path, REJECTS, ending).ok_or_else(|| ManifestError::Path(path.clone()))?;
        }
    }
    let name = |(place, source): (usize, &SourceEntry)| (source.name.clone(), place);
    let places = manifest.sources.iter().enumerate().map(name).collect();
    Ok(Described { manifest, spec, format, places })
}

/// Checks that every epoch has its own units, which cover all sources once.
fn check_units(manifest: &Manifest, spec: &Spec) -> Result<(), ManifestError> {
    let sources = manifest.sources.len();
    let mut next = vec![0; spec.fields().epochs as usize];
    let mut part_from = vec![0; next.len()];
    for (index, unit) in manifest.plan.units.iter().enumerate() {
        let Unit { epoch, first_source, sources: count, part } = unit;
        let wrong = ManifestError::Units { unit: index };
        let Some((next, part_from)) = next.get_mut(*epoch as usize).zip(part_from.get_mut(*epoch as usize)) else {
            return Err(wrong);
        };
        let (from, to) = unit.bounds();
        let is_part_of_many = part.is_some() && *count != 1;
        if *first_source != *next || *count == 0 || *count > sources - *next || from != *part_from || is_part_of_many {
            return Err(wrong);
        }
        match to {
            // The next unit reads the rest of the source.
            Some(to) if to > from => *part_from = to,
            Some(_) => return Err(wrong),
            None => (*next, *part_from) = (*next + count, 0),
        }
    }
    if next.iter().any(|next| *next != sources) {
        return Err(ManifestError::Units { unit: manifest.plan.units.len() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_only_where_it_is_written_so() {
        assert_eq!(names::of_file("data/train-00007-00001.parquet", DATA, ".parquet"), Some((7, 1)));
        assert_eq!(names::of_file("data/train-7-00000.parquet", DATA, ".parquet"), None);
    }
}
