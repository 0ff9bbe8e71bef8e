//! Reads the rows of a shard one after the other and decodes them.

use std::ops::ControlFlow;
use std::path::PathBuf;

use crate::denoise::Spec;
use crate::guidance::{Class, Guidance};
use crate::output::data_set::DataSet;
use crate::output::fetched::Fetched;
use crate::output::read::Shard;
use crate::output::read_error::ReadError;
use crate::output::schema::RowFormat;
use crate::reading::decode::{Reach, Row, take_apart};

/// Why rows cannot be read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message says it")]
pub(crate) enum RowsError {
    /// A shard that cannot be read.
    #[error("`{}` cannot be read", path.display())]
    Shard { path: PathBuf, source: ReadError },
    /// A shard with other columns than the manifest's.
    #[error("`{}` has other columns than the manifest says", .0.display())]
    OtherColumns(PathBuf),
    /// A row that cannot be decoded.
    #[error("`{}`: row {row}: {reason}", path.display())]
    Row {
        path: PathBuf,
        /// 0-based row of the data set.
        row: u64,
        reason: String,
    },
}

impl Guidance for RowsError {
    fn class(&self) -> Option<Class> {
        Some(Class::Data)
    }
}

/// A shard of a data set, on this machine.
///
/// # Errors
///
/// [`RowsError`] if it cannot be fetched.
pub(crate) fn fetch(data_set: &DataSet, name: &str) -> Result<Fetched, RowsError> {
    data_set.fetch(name).map_err(|source| RowsError::Shard { path: data_set.path(name), source: source.into() })
}

/// Ids in memory at once.
const IDS_AT_ONCE: u32 = 1 << 20;

/// Rows of a spec that are in memory at once.
#[must_use]
pub(crate) fn rows_at_once(spec: &Spec) -> usize {
    let (inputs, labels) = spec.row_lengths();
    (IDS_AT_ONCE / (inputs + labels)).max(1) as usize
}

/// An open shard.
pub(crate) struct RowReader<'a> {
    path: PathBuf,
    shard: Shard,
    spec: &'a Spec,
    format: &'a RowFormat,
    reach: &'a Reach,
}

impl<'a> RowReader<'a> {
    /// Opens a shard of a spec's rows in this format.
    ///
    /// # Errors
    ///
    /// [`RowsError`] if it cannot be read, or has other columns.
    pub(crate) fn open(
        file: &Fetched,
        spec: &'a Spec,
        format: &'a RowFormat,
        reach: &'a Reach,
    ) -> Result<Self, RowsError> {
        let path = file.shown().to_owned();
        let opened = Shard::open(file.path(), format.clone());
        let checked = opened.and_then(|shard| shard.other_columns().map(|other| (shard, other)));
        match checked {
            Err(source) => Err(RowsError::Shard { path, source }),
            Ok((_, Some(_))) => Err(RowsError::OtherColumns(path)),
            Ok((shard, None)) => Ok(Self { path, shard, spec, format, reach }),
        }
    }

    /// Number of rows of each row group.
    #[must_use]
    pub(crate) fn row_groups(&self) -> Vec<u64> {
        self.shard.row_groups()
    }

    /// Calls `visit` with the number and the parts of each row of a row group, until it breaks off. `first` is the
    /// number of its first row.
    ///
    /// # Errors
    ///
    /// [`RowsError`] if a row cannot be read, or the error that `visit` returns.
    pub(crate) fn visit<E: From<RowsError>>(
        &self,
        row_group: usize,
        first: u64,
        visit: &mut impl FnMut(u64, &Row<'_>) -> Result<ControlFlow<()>, E>,
    ) -> Result<ControlFlow<()>, E> {
        let broken = |source| RowsError::Shard { path: self.path.clone(), source };
        let mut row = first;
        for part in self.shard.read(row_group, rows_at_once(self.spec)).map_err(broken)? {
            let part = part.map_err(broken)?;
            for place in 0..part.len() {
                let apart = take_apart(&part, place, self.spec, self.format, self.reach)
                    .map_err(|reason| RowsError::Row { path: self.path.clone(), row, reason })?;
                if visit(row, &apart)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                row += 1;
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}
