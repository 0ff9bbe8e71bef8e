//! The manifest of a data set, and what its spec and its columns mean.

use serde::Deserialize;
use serde_json::Value;

use crate::denoise::{DataSplit, MASKING_VERSION, Spec, SpecError};
use crate::json::difference::with_causes;
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
    /// Counts of documents for validation where the spec has none, or the other way round.
    #[error("`validation` must be there if and only if `spec` has a key `validation`")]
    Validation,
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
    if manifest.validation.is_some() != spec.fields().validation.is_some() {
        return Err(ManifestError::Validation);
    }
    for shard in &manifest.shards {
        let is_of_spec = shard.split() == Some(DataSplit::Train) || spec.fields().validation.is_some();
        if shard.unit().is_none_or(|unit| unit >= manifest.plan.units.len()) || !is_of_spec {
            return Err(ManifestError::Path(shard.path.clone()));
        }
    }
    for files in &manifest.rejects {
        for (path, ending) in [(&files.index, ".jsonl"), (&files.lines, ".lines")] {
            names::of_rejects(path, ending).ok_or_else(|| ManifestError::Path(path.clone()))?;
        }
    }
    let name = |(place, source): (usize, &SourceEntry)| (source.name.clone(), place);
    let places = manifest.sources.iter().enumerate().map(name).collect();
    Ok(Described { manifest, spec, format, places })
}

/// Checks that every epoch has its own units, which cover all sources once.
fn check_units(manifest: &Manifest, spec: &Spec) -> Result<(), ManifestError> {
    let sources = manifest.sources.len();
    let of_sources: Vec<u64> = manifest.sources.iter().map(|source| spec.maskings(&source.name).epochs()).collect();
    // The next source from a place on that is read in an epoch.
    let from = |epoch: usize, place: usize| {
        (place..sources).find(|source| of_sources[*source] > epoch as u64).unwrap_or(sources)
    };
    let epochs = of_sources.iter().copied().max().unwrap_or_else(|| spec.fields().epochs.into());
    let epochs = usize::try_from(epochs).unwrap_or_default();
    let mut next: Vec<usize> = (0..epochs).map(|epoch| from(epoch, 0)).collect();
    let mut part_from = vec![0; next.len()];
    for (index, unit) in manifest.plan.units.iter().enumerate() {
        let Unit { epoch, first_source, sources: count, part } = unit;
        let wrong = ManifestError::Units { unit: index };
        let in_epoch = *epoch as usize;
        let Some((next, part_from)) = next.get_mut(*epoch as usize).zip(part_from.get_mut(*epoch as usize)) else {
            return Err(wrong);
        };
        let (from_bytes, to) = unit.bounds();
        let is_part_of_many = part.is_some() && *count != 1;
        if *first_source != *next
            || *count == 0
            || *count > sources - *next
            || from_bytes != *part_from
            || is_part_of_many
        {
            return Err(wrong);
        }
        if (*next..*next + count).any(|source| of_sources[source] <= u64::from(*epoch)) {
            return Err(wrong);
        }
        match to {
            // The next unit reads the rest of the source.
            Some(to) if to > from_bytes => *part_from = to,
            Some(_) => return Err(wrong),
            None => (*next, *part_from) = (from(in_epoch, *next + count), 0),
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
        let place = |path| names::of_shard_file(path);
        assert_eq!(place("data/train-00007-00001.parquet"), Some((DataSplit::Train, 7, 1)));
        assert_eq!(place("data/validation-00007-00001.parquet"), Some((DataSplit::Validation, 7, 1)));
        assert_eq!(place("data/train-7-00000.parquet"), None);
    }
}
