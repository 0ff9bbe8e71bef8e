//! Collects the rows of a batch and encodes them as a row group.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int32Array, Int64Array, ListArray, StringArray};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::SerializedFileWriter;
use sha2::{Digest as _, Sha256};

use crate::denoise::IGNORED;
use crate::output::OutputError;
use crate::output::digest::{Provenance, RowsDigest, hash_example};
use crate::output::schema::{self, Column, Padding, RowFormat};

/// Ids in memory before they are passed to Parquet: few enough to stay in a core's own cache.
const IDS_AT_ONCE: usize = 1 << 17;

/// The size of an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExampleSize {
    /// Ids in `input_ids`.
    pub(crate) input_ids: u64,
    /// Ids in `labels`.
    pub(crate) labels: u64,
}

/// Values end to end; `ends` are the ends of lists or texts.
#[derive(Debug)]
struct Ends(Vec<i32>);

impl Default for Ends {
    fn default() -> Self {
        Self(vec![0])
    }
}

impl Ends {
    fn push(&mut self, end: usize) {
        #[expect(clippy::expect_used, reason = "what is in memory before it is handed to Parquet is far below 2^31")]
        self.0.push(i32::try_from(end).expect("rows in memory fit 32 bits"));
    }

    fn last(&self) -> usize {
        self.0.last().map_or(0, |&end| end.cast_unsigned() as usize)
    }

    fn into_buffer(self) -> OffsetBuffer<i32> {
        OffsetBuffer::new(ScalarBuffer::from(self.0))
    }
}

/// The values of a column, however they are grouped.
#[derive(Debug)]
enum Values {
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Text { bytes: Vec<u8>, ends: Ends },
}

/// A column in memory.
#[derive(Debug)]
struct ColumnBuffer {
    values: Values,
    /// Ends of the rows' lists, if a row's value is a list.
    lists: Option<Ends>,
}

impl ColumnBuffer {
    fn new(column: Column, format: &RowFormat) -> Self {
        let values = match column {
            Column::Denoiser | Column::Source => Values::Text { bytes: Vec::new(), ends: Ends::default() },
            Column::Line => Values::Int64(Vec::new()),
            _ => Values::Int32(Vec::new()),
        };
        Self { values, lists: format.is_list(column).then(Ends::default) }
    }

    fn push_text(&mut self, text: &str) {
        if let Values::Text { bytes, ends } = &mut self.values {
            bytes.extend_from_slice(text.as_bytes());
            ends.push(bytes.len());
        }
    }

    fn push_int64(&mut self, number: i64) {
        if let Values::Int64(numbers) = &mut self.values {
            numbers.push(number);
        }
    }

    fn extend(&mut self, new: impl Iterator<Item = i32>) {
        if let Values::Int32(numbers) = &mut self.values {
            numbers.extend(new);
        }
    }

    fn len(&self) -> usize {
        match &self.values {
            Values::Int32(numbers) => numbers.len(),
            Values::Int64(numbers) => numbers.len(),
            Values::Text { ends, .. } => ends.0.len() - 1,
        }
    }

    fn end_row(&mut self) {
        let end = self.len();
        if let Some(lists) = &mut self.lists {
            lists.push(end);
        }
    }

    fn into_array(self, column: Column) -> Result<ArrayRef, OutputError> {
        let values: ArrayRef = match self.values {
            Values::Int32(numbers) => Arc::new(Int32Array::from(numbers)),
            Values::Int64(numbers) => Arc::new(Int64Array::from(numbers)),
            Values::Text { bytes, ends } => Arc::new(StringArray::try_new(ends.into_buffer(), bytes.into(), None)?),
        };
        match self.lists {
            None => Ok(values),
            Some(lists) => {
                Ok(Arc::new(ListArray::try_new(schema::item_field(column), lists.into_buffer(), values, None)?))
            }
        }
    }
}

/// Rows in memory, column by column: ids always, other columns only if the format has them.
#[derive(Debug)]
struct RowBuffer {
    input_ids: Vec<i32>,
    labels: Vec<i32>,
    input_ends: Ends,
    label_ends: Ends,
    /// In the order of the format's columns; empty for the two columns of ids.
    columns: Vec<ColumnBuffer>,
}

impl RowBuffer {
    fn new(format: &RowFormat) -> Self {
        Self {
            // The ids passed on at once, and room for the row that goes beyond them.
            input_ids: Vec::with_capacity(IDS_AT_ONCE + IDS_AT_ONCE / 8),
            labels: Vec::with_capacity(IDS_AT_ONCE / 2),
            input_ends: Ends::default(),
            label_ends: Ends::default(),
            columns: format.columns.iter().map(|&column| ColumnBuffer::new(column, format)).collect(),
        }
    }

    fn into_columns(self, format: &RowFormat) -> Result<Vec<ArrayRef>, OutputError> {
        let Self { input_ids, labels, input_ends, label_ends, columns } = self;
        let ids = |ids, ends| Some(ColumnBuffer { values: Values::Int32(ids), lists: Some(ends) });
        let (mut inputs, mut labels) = (ids(input_ids, input_ends), ids(labels, label_ends));
        let array = |(buffer, &column): (ColumnBuffer, &Column)| match column {
            Column::InputIds => inputs.take().unwrap_or(buffer).into_array(column),
            Column::Labels => labels.take().unwrap_or(buffer).into_array(column),
            _ => buffer.into_array(column),
        };
        columns.into_iter().zip(&format.columns).map(array).collect()
    }
}

/// Makes row groups for shards of one kind, independent of any file.
pub struct RowGroupEncoder {
    format: RowFormat,
    schema: SchemaRef,
    columns: ArrowRowGroupWriterFactory,
}

/// A compressed row group, ready to be appended to any shard with the same properties.
pub struct RowGroup {
    pub(super) chunks: Vec<ArrowColumnChunk>,
    /// Number of rows, at least 1.
    pub(crate) rows: u64,
    /// Encoded bytes.
    pub(crate) bytes: u64,
    /// The digest of the rows.
    pub(crate) digest: RowsDigest,
}

impl RowGroup {
    /// Appends it to a file.
    ///
    /// # Errors
    ///
    /// [`OutputError`] if Parquet refuses it.
    pub(super) fn append_to(self, parquet: &mut SerializedFileWriter<impl Write + Send>) -> Result<(), OutputError> {
        let mut writer = parquet.next_row_group()?;
        for chunk in self.chunks {
            chunk.append_to_row_group(&mut writer)?;
        }
        writer.close()?;
        Ok(())
    }
}

impl RowGroupEncoder {
    /// An encoder for shards of this format with these properties.
    ///
    /// # Errors
    ///
    /// [`OutputError`] if Parquet refuses them.
    pub(crate) fn new(format: RowFormat, properties: WriterPropertiesPtr) -> Result<Self, OutputError> {
        let schema = format.schema();
        // Column writers belong to a file; any file with these properties will do, since chunks do not depend on their
        // offset.
        let parquet_schema = ArrowSchemaConverter::new().convert(&schema)?;
        let nowhere = SerializedFileWriter::new(std::io::sink(), parquet_schema.root_schema_ptr(), properties)?;
        let columns = ArrowRowGroupWriterFactory::new(&nowhere, schema.clone());
        Ok(Self { format, schema, columns })
    }

    /// A row group without rows.
    ///
    /// # Errors
    ///
    /// [`OutputError`] if Parquet refuses.
    pub fn start(&self) -> Result<RowGroupBuilder<'_>, OutputError> {
        Ok(RowGroupBuilder {
            encoder: self,
            writers: self.columns.create_column_writers(0)?,
            pending: RowBuffer::new(&self.format),
            row: OpenRow::default(),
            rows: 0,
            digest: RowsDigest::default(),
        })
    }
}

/// A row group that takes rows.
pub struct RowGroupBuilder<'a> {
    encoder: &'a RowGroupEncoder,
    writers: Vec<ArrowColumnWriter>,
    pending: RowBuffer,
    row: OpenRow,
    rows: u64,
    digest: RowsDigest,
}

/// The row that takes examples.
#[derive(Default)]
struct OpenRow {
    examples: i32,
    hash: Sha256,
}

impl RowGroupBuilder<'_> {
    /// Adds an example to the current row; `fill` appends its ids to `input_ids` and `labels` and returns the number of
    /// given ids.
    pub fn add(&mut self, from: Provenance<'_>, fill: impl FnOnce(&mut Vec<i32>, &mut Vec<i32>) -> u32) -> ExampleSize {
        let format = &self.encoder.format;
        let RowBuffer { input_ids, labels, input_ends, columns, .. } = &mut self.pending;
        let (inputs_from, labels_from) = (input_ids.len(), labels.len());
        let prefix_length = fill(input_ids, labels);
        let (inputs, targets) = (&input_ids[inputs_from..], &labels[labels_from..]);
        self.row.examples += 1;
        let number = self.row.examples;
        let first = inputs_from == input_ends.last() && number == 1;
        for (buffer, column) in columns.iter_mut().zip(&format.columns) {
            match column {
                // The ids are there already; their ends and the attention mask come with the end of the row.
                Column::InputIds | Column::Labels | Column::AttentionMask => {}
                Column::PrefixLength => buffer.extend([prefix_length.cast_signed()].into_iter()),
                Column::InputSegmentIds => buffer.extend(std::iter::repeat_n(number, inputs.len())),
                Column::LabelSegmentIds => buffer.extend(std::iter::repeat_n(number, targets.len())),
                Column::InputPositions | Column::PositionIds => buffer.extend((0..).take(inputs.len())),
                Column::LabelPositions => buffer.extend((0..).take(targets.len())),
                Column::Denoiser => buffer.push_text(from.denoiser),
                Column::Line => buffer.push_int64(from.address.line.cast_signed()),
                Column::Segment => buffer.extend([from.address.segment.cast_signed()].into_iter()),
                // All examples of a row have one source and one epoch.
                Column::Source | Column::Epoch if !first => {}
                Column::Source => buffer.push_text(from.source),
                Column::Epoch => buffer.extend([i32::from(from.address.epoch)].into_iter()),
            }
        }
        let prefix_length = format.causal.then_some(prefix_length);
        hash_example(&mut self.row.hash, from, prefix_length, inputs, targets);
        ExampleSize { input_ids: inputs.len() as u64, labels: targets.len() as u64 }
    }

    /// Ends the current row, which has at least one example.
    ///
    /// # Errors
    ///
    /// [`OutputError`] if Arrow or Parquet refuses.
    pub fn end_row(&mut self) -> Result<(), OutputError> {
        let format = &self.encoder.format;
        let RowBuffer { input_ids, labels, input_ends, label_ends, columns } = &mut self.pending;
        let ids = input_ids.len() - input_ends.last();
        if let Some(Padding { pad, input_ids: inputs_length, labels: labels_length }) = format.padding {
            input_ids.resize(input_ends.last() + inputs_length, pad);
            labels.resize(label_ends.last() + labels_length, IGNORED);
        }
        let (inputs_end, labels_end) = (input_ids.len(), labels.len());
        let padding = inputs_end - input_ends.last() - ids;
        for (buffer, column) in columns.iter_mut().zip(&format.columns) {
            match column {
                Column::AttentionMask => {
                    buffer.extend(std::iter::repeat_n(1, ids).chain(std::iter::repeat_n(0, padding)));
                }
                Column::InputSegmentIds | Column::InputPositions | Column::PositionIds => {
                    buffer.extend(std::iter::repeat_n(0, padding));
                }
                Column::LabelSegmentIds | Column::LabelPositions => {
                    let filled = buffer.len();
                    buffer.extend(std::iter::repeat_n(0, labels_end - filled));
                }
                _ => {}
            }
            buffer.end_row();
        }
        input_ends.push(inputs_end);
        label_ends.push(labels_end);
        let row = std::mem::take(&mut self.row);
        self.digest.add(&RowsDigest::from_bytes(row.hash.finalize().into()));
        self.rows += 1;
        if inputs_end + labels_end >= IDS_AT_ONCE {
            self.encode_pending()?;
        }
        Ok(())
    }

    /// The row group; `None` without rows: readers fail on an empty one.
    ///
    /// # Errors
    ///
    /// [`OutputError`] if Arrow or Parquet refuses.
    pub fn finish(mut self) -> Result<Option<RowGroup>, OutputError> {
        if self.rows == 0 {
            return Ok(None);
        }
        self.encode_pending()?;
        let Self { writers, rows, digest, .. } = self;
        let chunks = writers.into_iter().map(ArrowColumnWriter::close).collect::<Result<Vec<_>, _>>()?;
        let bytes = chunks.iter().map(|chunk| chunk.close().bytes_written).sum();
        Ok(Some(RowGroup { chunks, rows, bytes, digest }))
    }

    fn encode_pending(&mut self) -> Result<(), OutputError> {
        let RowGroupEncoder { format, schema, .. } = self.encoder;
        let columns = std::mem::replace(&mut self.pending, RowBuffer::new(format)).into_columns(format)?;
        for ((writer, column), field) in self.writers.iter_mut().zip(&columns).zip(schema.fields()) {
            if column.is_empty() {
                continue;
            }
            for leaf in compute_leaves(field, column)? {
                writer.write(&leaf)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_adds_with_carry_and_survives_hex() {
        let mut sum = RowsDigest([u64::MAX, u64::MAX, 3, 4]);
        sum.add(&RowsDigest([1, 0, 0, u64::MAX]));
        assert_eq!(sum, RowsDigest([0, 0, 4, 3]));
        assert_eq!(RowsDigest::from_hex(&sum.hex()), Some(sum));
        assert_eq!(RowsDigest::from_hex("00"), None);
    }
}
