//! Makes a shard again, to compare it with the existing one.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use fs_err as fs;
use parquet::arrow::ArrowSchemaConverter;
use parquet::file::writer::SerializedFileWriter;
use sha2::{Digest as _, Sha256};

use crate::output::OutputError;
use crate::output::encode::RowGroup;
use crate::output::unit_writer::ShardOptions;

/// Writes row groups to a file outside any data set, to read them back.
///
/// # Errors
///
/// [`OutputError`] if it cannot be written.
pub(crate) fn write_aside(path: &Path, options: &ShardOptions, row_groups: Vec<RowGroup>) -> Result<(), OutputError> {
    let schema = ArrowSchemaConverter::new().convert(&options.format.schema())?;
    let file = fs::File::create(path)?;
    let mut parquet = SerializedFileWriter::new(file, schema.root_schema_ptr(), Arc::clone(&options.properties))?;
    for row_group in row_groups {
        row_group.append_to(&mut parquet)?;
    }
    parquet.into_inner()?.flush()?;
    Ok(())
}

/// A shard that is not stored: only its size and its digest are.
pub(crate) struct ShardAgain {
    parquet: SerializedFileWriter<Nowhere>,
}

/// Size and digest of the written bytes; and the bytes since the last [`Nowhere::kept`], if they are wanted.
struct Nowhere {
    bytes: u64,
    sha256: Sha256,
    kept: Option<Vec<u8>>,
}

impl ShardAgain {
    /// A shard without row groups.
    ///
    /// # Errors
    ///
    /// [`OutputError`] if Parquet refuses the format.
    pub(crate) fn new(options: &ShardOptions) -> Result<Self, OutputError> {
        let schema = ArrowSchemaConverter::new().convert(&options.format.schema())?;
        let nowhere = Nowhere { bytes: 0, sha256: Sha256::new(), kept: None };
        let parquet = SerializedFileWriter::new(nowhere, schema.root_schema_ptr(), Arc::clone(&options.properties))?;
        Ok(Self { parquet })
    }

    /// Appends a row group.
    ///
    /// # Errors
    ///
    /// [`OutputError`] if Parquet refuses it.
    pub(crate) fn append(&mut self, row_group: RowGroup) -> Result<(), OutputError> {
        row_group.append_to(&mut self.parquet)
    }

    /// Size and SHA-256 of the whole file.
    ///
    /// # Errors
    ///
    /// [`OutputError`] if the footer cannot be written.
    pub(crate) fn finish(self) -> Result<(u64, String), OutputError> {
        let Nowhere { bytes, sha256, .. } = self.parquet.into_inner()?;
        Ok((bytes, crate::digest::hex(&sha256.finalize())))
    }

    /// The bytes of one row group, as [`Shard::encoded`](crate::output::read::Shard::encoded) reads them.
    ///
    /// # Errors
    ///
    /// [`OutputError`] if Parquet refuses it.
    pub(crate) fn encode(options: &ShardOptions, row_group: RowGroup) -> Result<Vec<u8>, OutputError> {
        let mut shard = Self::new(options)?;
        shard.parquet.flush()?;
        shard.parquet.inner_mut().kept = Some(Vec::new());
        shard.append(row_group)?;
        shard.parquet.flush()?;
        Ok(shard.parquet.inner_mut().kept.take().unwrap_or_default())
    }
}

impl Write for Nowhere {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len() as u64;
        self.sha256.update(bytes);
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
