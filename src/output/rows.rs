//! The rows of a batch, and the row group they are encoded as.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, ListArray, StringArray};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::SerializedFileWriter;
use sha2::{Digest as _, Sha256};

use super::OutputError;
use super::schema;
use crate::denoise::Address;

/// Ids in memory before they are handed to Parquet: few enough to stay in a core's own cache.
const IDS_AT_ONCE: usize = 1 << 17;

/// Rows in memory, column by column.
#[derive(Debug, Default)]
struct Rows {
    input_ids: IdLists,
    labels: IdLists,
    denoiser: Vec<String>,
    source: Vec<String>,
    line: Vec<i64>,
    segment: Vec<i32>,
    epoch: Vec<i32>,
}

/// Lists of ids, end to end.
#[derive(Debug)]
struct IdLists {
    ids: Vec<i32>,
    offsets: Vec<i32>,
}

impl Default for IdLists {
    fn default() -> Self {
        Self { ids: Vec::new(), offsets: vec![0] }
    }
}

impl IdLists {
    /// Ends the list that holds the ids since the last end.
    fn end(&mut self) {
        #[expect(clippy::expect_used, reason = "a batch has at most 2^30 bytes, so fewer ids than i32 can count")]
        self.offsets.push(i32::try_from(self.ids.len()).expect("ids of a batch fit 32 bits"));
    }

    fn last(&self) -> &[i32] {
        let [.., start, end] = self.offsets.as_slice() else { return &[] };
        &self.ids[start.cast_unsigned() as usize..end.cast_unsigned() as usize]
    }

    fn into_array(self) -> Result<ArrayRef, OutputError> {
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets));
        let ids = Arc::new(Int32Array::from(self.ids));
        Ok(Arc::new(ListArray::try_new(schema::item_field(), offsets, ids, None)?))
    }
}

/// Where a row comes from.
#[derive(Debug, Clone, Copy)]
pub struct Provenance<'a> {
    /// Name of the denoiser.
    pub denoiser: &'a str,
    /// Name of the source.
    pub source: &'a str,
    /// Line, epoch and segment.
    pub address: Address,
}

/// The size of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowSize {
    /// Ids in `input_ids`.
    pub input_ids: u64,
    /// Ids in `labels`.
    pub labels: u64,
}

impl Rows {
    fn into_columns(self) -> Result<[ArrayRef; 7], OutputError> {
        let Self { input_ids, labels, denoiser, source, line, segment, epoch } = self;
        Ok([
            input_ids.into_array()?,
            labels.into_array()?,
            Arc::new(StringArray::from(denoiser)),
            Arc::new(StringArray::from(source)),
            Arc::new(Int64Array::from(line)),
            Arc::new(Int32Array::from(segment)),
            Arc::new(Int32Array::from(epoch)),
        ])
    }
}

/// Makes row groups for shards of one kind, away from any file.
pub struct RowGroupEncoder {
    schema: SchemaRef,
    columns: ArrowRowGroupWriterFactory,
}

/// A row group, compressed, ready to be appended to any shard of the same properties.
pub struct RowGroup {
    pub(super) chunks: Vec<ArrowColumnChunk>,
    /// Number of rows, at least 1.
    pub rows: u64,
    /// Encoded bytes.
    pub bytes: u64,
    /// The digest of the rows.
    pub digest: RowsDigest,
}

impl RowGroupEncoder {
    /// An encoder for shards with these properties.
    ///
    /// # Errors
    ///
    /// [`OutputError`] if Parquet refuses them.
    pub fn new(properties: WriterPropertiesPtr) -> Result<Self, OutputError> {
        let schema = schema::schema();
        // Column writers belong to a file; any file of these properties will do, the chunks do not know where they go.
        let parquet_schema = ArrowSchemaConverter::new().convert(&schema)?;
        let nowhere = SerializedFileWriter::new(std::io::sink(), parquet_schema.root_schema_ptr(), properties)?;
        let columns = ArrowRowGroupWriterFactory::new(&nowhere, schema.clone());
        Ok(Self { schema, columns })
    }

    /// A row group without rows.
    ///
    /// # Errors
    ///
    /// [`OutputError`] if Parquet refuses.
    pub fn start(&self) -> Result<RowGroupBuilder<'_>, OutputError> {
        Ok(RowGroupBuilder {
            schema: &self.schema,
            columns: self.columns.create_column_writers(0)?,
            pending: Rows::default(),
            rows: 0,
            digest: RowsDigest::default(),
        })
    }
}

/// A row group that rows are added to.
pub struct RowGroupBuilder<'a> {
    schema: &'a SchemaRef,
    columns: Vec<ArrowColumnWriter>,
    pending: Rows,
    rows: u64,
    digest: RowsDigest,
}

impl RowGroupBuilder<'_> {
    /// Adds a row; `fill` appends its ids to `input_ids` and `labels`.
    ///
    /// # Errors
    ///
    /// [`OutputError`] if Arrow or Parquet refuses.
    pub fn push(
        &mut self,
        from: Provenance<'_>,
        fill: impl FnOnce(&mut Vec<i32>, &mut Vec<i32>),
    ) -> Result<RowSize, OutputError> {
        let pending = &mut self.pending;
        fill(&mut pending.input_ids.ids, &mut pending.labels.ids);
        pending.input_ids.end();
        pending.labels.end();
        pending.denoiser.push(from.denoiser.to_owned());
        pending.source.push(from.source.to_owned());
        pending.line.push(from.address.line.cast_signed());
        pending.segment.push(from.address.segment.cast_signed());
        pending.epoch.push(from.address.epoch.into());
        let (input_ids, labels) = (pending.input_ids.last(), pending.labels.last());
        self.digest.add_row(from, input_ids, labels);
        self.rows += 1;
        let size = RowSize { input_ids: input_ids.len() as u64, labels: labels.len() as u64 };
        if pending.input_ids.ids.len() + pending.labels.ids.len() >= IDS_AT_ONCE {
            self.encode_pending()?;
        }
        Ok(size)
    }

    /// The row group. No rows give none: an empty one makes readers fail.
    ///
    /// # Errors
    ///
    /// [`OutputError`] if Arrow or Parquet refuses.
    pub fn finish(mut self) -> Result<Option<RowGroup>, OutputError> {
        if self.rows == 0 {
            return Ok(None);
        }
        self.encode_pending()?;
        let Self { columns, rows, digest, .. } = self;
        let chunks = columns.into_iter().map(ArrowColumnWriter::close).collect::<Result<Vec<_>, _>>()?;
        let bytes = chunks.iter().map(|chunk| chunk.close().bytes_written).sum();
        Ok(Some(RowGroup { chunks, rows, bytes, digest }))
    }

    fn encode_pending(&mut self) -> Result<(), OutputError> {
        let columns = std::mem::take(&mut self.pending).into_columns()?;
        for ((writer, column), field) in self.columns.iter_mut().zip(&columns).zip(self.schema.fields()) {
            for leaf in compute_leaves(field, column)? {
                writer.write(&leaf)?;
            }
        }
        Ok(())
    }
}

/// A digest of a set of rows that does not depend on their order or on shards: the sum of the rows' SHA-256, modulo 2^256.
///
/// A row is hashed in a canonical encoding (`docs/format.md`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowsDigest([u64; 4]);

impl RowsDigest {
    fn add_row(&mut self, from: Provenance<'_>, input_ids: &[i32], labels: &[i32]) {
        let mut hash = Sha256::new();
        for text in [from.source, from.denoiser] {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        hash.update(from.address.line.to_le_bytes());
        hash.update(u64::from(from.address.segment).to_le_bytes());
        hash.update(u64::from(from.address.epoch).to_le_bytes());
        let mut bytes = [0; 4 * 256];
        for ids in [input_ids, labels] {
            hash.update((ids.len() as u64).to_le_bytes());
            for ids in ids.chunks(256) {
                for (place, id) in bytes.chunks_exact_mut(4).zip(ids) {
                    place.copy_from_slice(&id.to_le_bytes());
                }
                hash.update(&bytes[..4 * ids.len()]);
            }
        }
        let row: [u8; 32] = hash.finalize().into();
        self.add(&Self::from_bytes(row));
    }

    /// Adds the rows of another digest.
    pub fn add(&mut self, other: &Self) {
        let mut carry = false;
        for (limb, other) in self.0.iter_mut().zip(other.0) {
            let (sum, first) = limb.overflowing_add(other);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            *limb = sum;
            carry = first || second;
        }
    }

    fn from_bytes(bytes: [u8; 32]) -> Self {
        let mut limbs = [0; 4];
        for (limb, bytes) in limbs.iter_mut().zip(bytes.as_chunks().0) {
            *limb = u64::from_le_bytes(*bytes);
        }
        Self(limbs)
    }

    /// The digest as 64 hex digits, least significant byte first.
    #[must_use]
    pub fn hex(&self) -> String {
        self.0.iter().map(|limb| crate::digest::hex(&limb.to_le_bytes())).collect()
    }

    /// The digest that [`RowsDigest::hex`] wrote; `None` if the text is none.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let bytes = crate::digest::from_hex(text)?;
        Some(Self::from_bytes(bytes.try_into().ok()?))
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
