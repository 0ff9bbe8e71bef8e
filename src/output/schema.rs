//! The columns of a shard: the only list of their names.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::schema::types::ColumnPath;

use crate::denoise::Spec;

/// Ids that the encoder reads.
pub const INPUT_IDS: &str = "input_ids";
/// Ids that the decoder is to produce.
pub const LABELS: &str = "labels";
/// Name of the denoiser that made the row.
pub const DENOISER: &str = "denoiser";
/// Name of the source.
pub const SOURCE: &str = "source";
/// 1-based line of the document in the source.
pub const LINE: &str = "line";
/// 0-based segment of the document.
pub const SEGMENT: &str = "segment";
/// 0-based masking of the data set.
pub const EPOCH: &str = "epoch";

/// Footer key of the tool's version.
pub const KEY_VERSION: &str = "ul2-prep.version";
/// Footer key of the spec, as JSON.
pub const KEY_SPEC: &str = "ul2-prep.spec";
/// Footer key of the spec's fingerprint.
pub const KEY_FINGERPRINT: &str = "ul2-prep.spec-fingerprint";

/// Name of a list's items in Parquet, as its format asks.
const ITEM: &str = "element";

/// `list<int32>` of non-null items.
pub(super) fn item_field() -> Arc<Field> {
    static FIELD: LazyLock<Arc<Field>> = LazyLock::new(|| Arc::new(Field::new(ITEM, DataType::Int32, false)));
    FIELD.clone()
}

/// The columns: two token columns, then provenance.
#[must_use]
pub fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let column = |name, data_type| Field::new(name, data_type, false);
        Arc::new(Schema::new(vec![
            column(INPUT_IDS, DataType::List(item_field())),
            column(LABELS, DataType::List(item_field())),
            column(DENOISER, DataType::Utf8),
            column(SOURCE, DataType::Utf8),
            column(LINE, DataType::Int64),
            column(SEGMENT, DataType::Int32),
            column(EPOCH, DataType::Int32),
        ]))
    });
    SCHEMA.clone()
}

/// Zstandard level of all pages.
const ZSTD_LEVEL: i32 = 3;

/// How shards are encoded, and what their footers say of the spec.
///
/// # Errors
///
/// If Parquet refuses the compression level.
pub fn properties(spec: &Spec) -> Result<WriterPropertiesPtr, parquet::errors::ParquetError> {
    let json = spec.to_json();
    let footer = vec![
        KeyValue::new(KEY_VERSION.to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        KeyValue::new(KEY_FINGERPRINT.to_owned(), crate::digest::fingerprint(&json)),
        KeyValue::new(KEY_SPEC.to_owned(), json.to_string()),
    ];
    let mut properties = WriterProperties::builder()
        .set_created_by(format!("ul2-prep version {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_key_value_metadata(Some(footer));
    for tokens in [INPUT_IDS, LABELS] {
        let path = ColumnPath::new(vec![tokens.to_owned(), "list".to_owned(), ITEM.to_owned()]);
        properties = properties
            // Tens of thousands of different ids: a dictionary makes these columns larger and slower (docs/performance.md).
            .set_column_dictionary_enabled(path.clone(), false)
            // The least and greatest id of a chunk help no reader.
            .set_column_statistics_enabled(path, EnabledStatistics::None);
    }
    Ok(Arc::new(properties.build()))
}
