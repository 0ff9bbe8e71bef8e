//! Reads shards back: their rows, and the encoded bytes of rows.

use std::cell::Cell;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::marker::PhantomData;
use std::path::Path;

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::arrow::{ArrowSchemaConverter, ProjectionMask};

use crate::files::bounded;
use crate::output::read_error::{PlainFile, ReadError};
use crate::output::schema::{Column, KEY_FINGERPRINT, KEY_SPEC, KEY_VERSION, RowFormat};
use crate::output::shape;

/// A shard opened for reading.
pub(crate) struct Shard {
    file: PlainFile,
    /// Clones of a file share its offset, so only one thread may use it at a time.
    _not_shared: PhantomData<Cell<()>>,
    metadata: ArrowReaderMetadata,
    format: RowFormat,
}

/// What a shard's footer records of its making.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Footer {
    /// The tool's version.
    pub(crate) version: Option<String>,
    /// The spec as JSON.
    pub(crate) spec: Option<String>,
    /// Its fingerprint.
    pub(crate) fingerprint: Option<String>,
}

impl Shard {
    /// Opens a shard that should have this format.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if it is not a Parquet file.
    pub(crate) fn open(path: &Path, format: RowFormat) -> Result<Self, ReadError> {
        let file = bounded::open(path)?.into_file();
        shape::check_footer(&file)?;
        let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new().with_skip_arrow_metadata(true))?;
        shape::check_row_groups(&file, metadata.metadata().row_groups(), &format)?;
        Ok(Self { file, _not_shared: PhantomData, metadata, format })
    }

    /// Number of rows, according to the footer.
    #[must_use]
    pub(crate) fn rows(&self) -> u64 {
        self.metadata.metadata().file_metadata().num_rows().try_into().unwrap_or_default()
    }

    /// Number of rows of each row group, according to the footer.
    #[must_use]
    pub(crate) fn row_groups(&self) -> Vec<u64> {
        let row_groups = self.metadata.metadata().row_groups().iter();
        row_groups.map(|row_group| row_group.num_rows().try_into().unwrap_or_default()).collect()
    }

    /// The contents of the footer.
    #[must_use]
    pub(crate) fn footer(&self) -> Footer {
        let values = self.metadata.metadata().file_metadata().key_value_metadata();
        let value = |key: &str| {
            let found = values.into_iter().flatten().find(|value| value.key == key);
            found.and_then(|found| found.value.clone())
        };
        Footer { version: value(KEY_VERSION), spec: value(KEY_SPEC), fingerprint: value(KEY_FINGERPRINT) }
    }

    /// The names of the columns if they, or their types, differ from the format's. Rows can be read only if they do
    /// not.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if the format has no schema.
    pub(crate) fn other_columns(&self) -> Result<Option<Vec<String>>, ReadError> {
        let expected = ArrowSchemaConverter::new().convert(&self.format.schema())?;
        let found = self.metadata.metadata().file_metadata().schema_descr();
        let names = || found.root_schema().get_fields().iter().map(|field| field.name().to_owned()).collect();
        Ok((expected.root_schema().get_fields() != found.root_schema().get_fields()).then(names))
    }

    /// The rows of a row group, `at_once` in memory at a time, or fewer if their texts are long.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if it cannot be read, or has what no row has; the same for each part.
    pub(crate) fn read(&self, row_group: usize, at_once: usize) -> Result<RowParts, ReadError> {
        let at_once = self.check_pages(row_group, at_once)?;
        let reader = self.builder()?.with_row_groups(vec![row_group]).with_batch_size(at_once).build()?;
        Ok(RowParts { reader, format: self.format.clone() })
    }

    /// Source and line of the first example of a row group; the format must have these columns.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if it cannot be read.
    pub(crate) fn first_line(&self, row_group: usize) -> Result<Option<(String, i64)>, ReadError> {
        self.check_pages(row_group, 1)?;
        let names = [Column::Source.name(), Column::Line.name()];
        let mask = ProjectionMask::columns(self.metadata.parquet_schema(), names);
        let builder = self.builder()?.with_row_groups(vec![row_group]).with_projection(mask).with_limit(1);
        let mut format = self.format.clone();
        format.columns.retain(|column| matches!(column, Column::Source | Column::Line));
        let Some(batch) = builder.build()?.next().transpose()? else { return Ok(None) };
        let rows = Rows { batch, format };
        let line = rows.int64(Column::Line, 0).and_then(<[i64]>::first).copied();
        Ok(rows.text(Column::Source, 0, 0).map(str::to_owned).zip(line))
    }

    fn check_pages(&self, row_group: usize, at_once: usize) -> Result<usize, ReadError> {
        shape::check_pages(&self.file, self.metadata.metadata().row_group(row_group), &self.format, at_once)
    }

    /// The bytes of a row group, at most `most` and one more: its column chunks, one after the other.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if they cannot be read.
    pub(crate) fn encoded(&self, row_group: usize, most: usize) -> Result<Vec<u8>, ReadError> {
        let chunks = self.metadata.metadata().row_group(row_group).columns().iter();
        let ranges: Vec<(u64, u64)> = chunks.map(parquet::file::metadata::ColumnChunkMetaData::byte_range).collect();
        let start = ranges.iter().map(|range| range.0).min().unwrap_or_default();
        let end = ranges.iter().map(|range| range.0 + range.1).max().unwrap_or_default();
        let mut file = &self.file;
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take((end - start).min(most as u64 + 1)).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn builder(&self) -> Result<ParquetRecordBatchReaderBuilder<PlainFile>, ReadError> {
        Ok(ParquetRecordBatchReaderBuilder::new_with_metadata(self.file.try_clone()?, self.metadata.clone()))
    }
}

/// The rows of a row group, part by part.
pub(crate) struct RowParts {
    reader: ParquetRecordBatchReader,
    format: RowFormat,
}

impl Iterator for RowParts {
    type Item = Result<Rows, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.reader.next()?;
        Some(batch.map(|batch| Rows { batch, format: self.format.clone() }).map_err(ReadError::from))
    }
}

/// Some rows in memory.
pub(crate) struct Rows {
    batch: RecordBatch,
    format: RowFormat,
}

impl Rows {
    /// The number of rows.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.batch.num_rows()
    }

    /// A row's items in a column of 32-bit numbers: one, or a list. `None` if the format lacks the column.
    #[must_use]
    pub(crate) fn int32(&self, column: Column, row: usize) -> Option<&[i32]> {
        let (array, items) = self.items(column, row)?;
        Some(&array.as_primitive_opt::<Int32Type>()?.values()[items])
    }

    /// Like [`Rows::int32`], for a column of 64-bit numbers.
    #[must_use]
    pub(crate) fn int64(&self, column: Column, row: usize) -> Option<&[i64]> {
        let (array, items) = self.items(column, row)?;
        Some(&array.as_primitive_opt::<Int64Type>()?.values()[items])
    }

    /// Number of items that a row has in a column.
    #[must_use]
    pub(crate) fn count(&self, column: Column, row: usize) -> Option<usize> {
        self.items(column, row).map(|(_, items)| items.len())
    }

    /// An item of a row in a column of texts.
    #[must_use]
    pub(crate) fn text(&self, column: Column, row: usize, item: usize) -> Option<&str> {
        let (array, items) = self.items(column, row)?;
        let place = items.start + item;
        (place < items.end).then(|| array.as_string_opt::<i32>().map(|texts| texts.value(place))).flatten()
    }

    fn items(&self, column: Column, row: usize) -> Option<(&dyn arrow::array::Array, std::ops::Range<usize>)> {
        let place = self.format.columns.iter().position(|other| *other == column)?;
        let array = self.batch.columns().get(place)?;
        if !self.format.is_list(column) {
            return Some((array.as_ref(), row..row + 1));
        }
        let lists = array.as_list_opt::<i32>()?;
        let offset = |place: usize| lists.value_offsets()[place].cast_unsigned() as usize;
        Some((lists.values().as_ref(), offset(row)..offset(row + 1)))
    }
}
