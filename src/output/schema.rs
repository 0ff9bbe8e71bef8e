//! The columns of a shard: the only list of their names.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::schema::types::ColumnPath;

use crate::denoise::Spec;
use crate::guidance::Guidance;
use crate::output::encoding::PageFormat;

/// A column of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Column {
    /// Ids that the encoder reads; in the causal layout the whole sequence.
    InputIds,
    /// Ids that the decoder is to produce; −100 where no loss is taken.
    Labels,
    /// 1 for an id of `input_ids`, 0 for padding.
    AttentionMask,
    /// The number of given ids in a causal row.
    PrefixLength,
    /// Which example of a packed row an id of `input_ids` belongs to, from 1; 0 for padding.
    InputSegmentIds,
    /// Position of an id of `input_ids` in its example, from 0.
    InputPositions,
    /// [`Column::InputPositions`] of a causal row, by the name that models take it by.
    PositionIds,
    /// [`Column::InputSegmentIds`] of `labels`.
    LabelSegmentIds,
    /// [`Column::InputPositions`] of `labels`.
    LabelPositions,
    /// Name of the denoiser that made the example.
    Denoiser,
    /// Name of the source.
    Source,
    /// 1-based line of the document in the source.
    Line,
    /// 0-based segment of the line.
    Segment,
    /// 0-based masking of the data set.
    Epoch,
}

/// The unit that a column has one item for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Per {
    /// An item for each id of a row.
    Id,
    /// An item for each example: in a packed row there are several.
    Example,
    /// A value for a row.
    Row,
}

impl Column {
    /// All columns, in their default order.
    pub(crate) const ALL: [Self; 14] = [
        Self::InputIds,
        Self::Labels,
        Self::AttentionMask,
        Self::PrefixLength,
        Self::InputSegmentIds,
        Self::InputPositions,
        Self::PositionIds,
        Self::LabelSegmentIds,
        Self::LabelPositions,
        Self::Denoiser,
        Self::Source,
        Self::Line,
        Self::Segment,
        Self::Epoch,
    ];

    /// Its name.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::InputIds => "input_ids",
            Self::Labels => "labels",
            Self::AttentionMask => "attention_mask",
            Self::PrefixLength => "prefix_length",
            Self::InputSegmentIds => "input_segment_ids",
            Self::InputPositions => "input_positions",
            Self::PositionIds => "position_ids",
            Self::LabelSegmentIds => "label_segment_ids",
            Self::LabelPositions => "label_positions",
            Self::Denoiser => "denoiser",
            Self::Source => "source",
            Self::Line => "line",
            Self::Segment => "segment",
            Self::Epoch => "epoch",
        }
    }

    /// One line on its contents, for a data set card.
    #[must_use]
    pub(crate) fn about(self) -> &'static str {
        match self {
            Self::InputIds => "ids that the encoder reads; of decoder-only rows the whole sequence",
            Self::Labels => "ids that are to be produced; -100 where no loss is taken",
            Self::AttentionMask => "1 for an id, 0 for padding",
            Self::PrefixLength => "ids that are given",
            Self::InputSegmentIds => "which example of the row an id of `input_ids` belongs to, from 1; 0 for padding",
            Self::InputPositions | Self::PositionIds => "the place of an id of `input_ids` in its example, from 0",
            Self::LabelSegmentIds => "which example of the row an id of `labels` belongs to, from 1; 0 for padding",
            Self::LabelPositions => "the place of an id of `labels` in its example, from 0",
            Self::Denoiser => "name of the denoiser",
            Self::Source => "name of the source",
            Self::Line => "line of the document in the source, from 1",
            Self::Segment => "segment of the document, from 0",
            Self::Epoch => "which masking of the data set, from 0",
        }
    }

    /// The column of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|column| column.name() == name)
    }

    /// The columns of these names.
    ///
    /// # Errors
    ///
    /// The first name that is not a column's.
    pub(crate) fn all_named(names: &[String]) -> Result<Vec<Self>, &str> {
        names.iter().map(|name| Self::named(name).ok_or(name.as_str())).collect()
    }

    fn per(self) -> Per {
        match self {
            Self::InputIds
            | Self::Labels
            | Self::AttentionMask
            | Self::InputSegmentIds
            | Self::InputPositions
            | Self::PositionIds
            | Self::LabelSegmentIds
            | Self::LabelPositions => Per::Id,
            Self::PrefixLength | Self::Denoiser | Self::Line | Self::Segment => Per::Example,
            Self::Source | Self::Epoch => Per::Row,
        }
    }

    /// Whether it holds texts.
    pub(super) fn is_text(self) -> bool {
        self.item() == DataType::Utf8
    }

    /// The type of its items, as Hugging Face `datasets` names it.
    pub(super) fn type_name(self) -> &'static str {
        match self.item() {
            DataType::Utf8 => "string",
            DataType::Int64 => "int64",
            _ => "int32",
        }
    }

    fn item(self) -> DataType {
        match self {
            Self::Denoiser | Self::Source => DataType::Utf8,
            Self::Line => DataType::Int64,
            _ => DataType::Int32,
        }
    }
}

impl fmt::Display for Column {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The form of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowFormat {
    /// The columns, in order.
    pub(crate) columns: Vec<Column>,
    /// Whether a row holds several examples.
    pub(crate) packed: bool,
    /// Whether a row is one sequence.
    pub(crate) causal: bool,
    /// How rows are padded, if they are.
    pub(crate) padding: Option<Padding>,
    /// Most ids of a row under the spec: in `input_ids` and in `labels`.
    longest: (u32, u32),
}

/// Rows of fixed lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Padding {
    /// The pad id.
    pub(crate) pad: i32,
    /// Number of ids in `input_ids`.
    pub(crate) input_ids: usize,
    /// Number of ids in `labels`.
    pub(crate) labels: usize,
}

/// A column that the rows cannot have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ColumnError {
    /// A column that only packed rows have.
    #[error("only packed rows have a column `{0}`")]
    NotPacked(Column),
    /// A column that only causal rows have.
    #[error("only rows of the causal layout have a column `{0}`")]
    NotCausal(Column),
    /// A column of label positions: in causal rows these are the positions of the ids.
    #[error("rows of the causal layout have no column `{0}`: labels stand at the places of their ids")]
    Causal(Column),
    /// A mask of ones that lets examples of a packed causal row see those before them.
    #[error("packed rows of the causal layout have no column `{0}`: its ones would let an example see those before it")]
    Crossing(Column),
    /// Two names of one column.
    #[error("`{0}` and `{1}` are the same column")]
    Same(Column, Column),
    /// A column that is named twice.
    #[error("the column `{0}` is asked for twice")]
    Twice(Column),
}

impl Guidance for ColumnError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NotPacked(_) => Some("`--pack` puts several examples into a row".into()),
            Self::NotCausal(_) => Some("`--layout causal` makes rows for decoder-only models".into()),
            Self::Causal(_) => Some("use `input_segment_ids` and `position_ids` for the labels as well".into()),
            Self::Crossing(_) => {
                Some("a mask follows from `position_ids`, which begin anew with each example: the data set card has the code".into())
            }
            Self::Same(..) => Some("leave one of them out".into()),
            Self::Twice(_) => None,
        }
    }
}

impl RowFormat {
    /// The format of a spec's rows, with these columns or, by default, those that apply to them.
    ///
    /// # Errors
    ///
    /// [`ColumnError`] for a column that the rows cannot have.
    pub fn new(spec: &Spec, columns: Option<&[Column]>) -> Result<Self, ColumnError> {
        let fields = spec.fields();
        let (packed, causal) = (fields.pack, fields.causal.is_some());
        let (input_ids, labels) = spec.row_lengths();
        let pad = spec.vocabulary().pad().filter(|_| fields.pad);
        let padding =
            pad.map(|pad| Padding { pad: pad.cast_signed(), input_ids: input_ids as usize, labels: labels as usize });
        let format = Self { columns: Vec::new(), packed, causal, padding, longest: (input_ids, labels) };
        let says_something = |column: &Column| {
            let is_usual = match column {
                Column::AttentionMask => fields.pad && !(packed && causal),
                Column::InputPositions => !causal,
                _ => true,
            };
            is_usual && format.check(*column).is_ok()
        };
        let columns = match columns {
            None => Column::ALL.into_iter().filter(says_something).collect(),
            Some(columns) => columns.to_vec(),
        };
        let both = [Column::InputPositions, Column::PositionIds];
        if both.iter().all(|column| columns.contains(column)) {
            return Err(ColumnError::Same(both[0], both[1]));
        }
        for (place, column) in columns.iter().enumerate() {
            format.check(*column)?;
            if columns[..place].contains(column) {
                return Err(ColumnError::Twice(*column));
            }
        }
        Ok(Self { columns, ..format })
    }

    /// The format of rows that are to be made. Rows that an earlier version made may have more columns.
    ///
    /// # Errors
    ///
    /// [`ColumnError`] for a column that the rows cannot have, or that misleads trainers.
    pub(crate) fn asked(spec: &Spec, columns: Option<&[Column]>) -> Result<Self, ColumnError> {
        let format = Self::new(spec, columns)?;
        if format.packed && format.causal && format.columns.contains(&Column::AttentionMask) {
            return Err(ColumnError::Crossing(Column::AttentionMask));
        }
        Ok(format)
    }

    /// The column with the positions of `input_ids`: causal rows may have either name.
    #[must_use]
    pub(crate) fn positions(&self) -> Column {
        if self.columns.contains(&Column::PositionIds) { Column::PositionIds } else { Column::InputPositions }
    }

    fn check(&self, column: Column) -> Result<(), ColumnError> {
        match column {
            Column::PrefixLength | Column::PositionIds if !self.causal => Err(ColumnError::NotCausal(column)),
            Column::LabelSegmentIds | Column::LabelPositions if self.causal => Err(ColumnError::Causal(column)),
            Column::InputSegmentIds
            | Column::InputPositions
            | Column::PositionIds
            | Column::LabelSegmentIds
            | Column::LabelPositions
                if !self.packed =>
            {
                Err(ColumnError::NotPacked(column))
            }
            _ => Ok(()),
        }
    }

    /// The columns with a value for each id.
    #[must_use]
    pub(crate) fn id_columns(&self) -> usize {
        self.columns.iter().filter(|column| matches!(column.per(), Per::Id)).count()
    }

    /// Whether a value of the column is a list.
    pub(super) fn is_list(&self, column: Column) -> bool {
        match column.per() {
            Per::Id => true,
            Per::Example => self.packed,
            Per::Row => false,
        }
    }

    /// Most items of a row in the column under the spec: an example has at least one id.
    pub(super) fn most_items(&self, column: Column) -> u64 {
        let (inputs, labels) = (u64::from(self.longest.0), u64::from(self.longest.1));
        match (column.per(), column) {
            (Per::Row, _) => 1,
            (Per::Example, _) => inputs + labels,
            (Per::Id, Column::Labels | Column::LabelSegmentIds | Column::LabelPositions) => labels,
            (Per::Id, _) => inputs,
        }
    }

    /// The columns as an Arrow schema.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        let field = |&column: &Column| {
            let data_type = if self.is_list(column) { DataType::List(item_field(column)) } else { column.item() };
            Field::new(column.name(), data_type, false)
        };
        Arc::new(Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()))
    }
}

/// Footer key of the tool's version.
pub(crate) const KEY_VERSION: &str = "ul2-prep.version";
/// Footer key of the spec, as JSON.
pub(crate) const KEY_SPEC: &str = "ul2-prep.spec";
/// Footer key of the spec's fingerprint.
pub(crate) const KEY_FINGERPRINT: &str = "ul2-prep.spec-fingerprint";

/// Name of a list's items in Parquet, as its format requires.
const ITEM: &str = "element";

/// The non-null items of a list column.
pub(super) fn item_field(column: Column) -> Arc<Field> {
    Arc::new(Field::new(ITEM, column.item(), false))
}

/// How shards are encoded, and what their footers record of the spec.
///
/// # Errors
///
/// If Parquet refuses the compression level.
pub fn properties(spec: &Spec, pages: PageFormat) -> Result<WriterPropertiesPtr, parquet::errors::ParquetError> {
    let json = spec.to_json();
    let footer = vec![
        KeyValue::new(KEY_VERSION.to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        KeyValue::new(KEY_FINGERPRINT.to_owned(), crate::digest::fingerprint(&json)),
        KeyValue::new(KEY_SPEC.to_owned(), json.to_string()),
    ];
    let mut properties = WriterProperties::builder()
        .set_created_by(format!("ul2-prep version {}", env!("CARGO_PKG_VERSION")))
        .set_compression(pages.compression.codec()?)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_key_value_metadata(Some(footer));
    for column in Column::ALL.into_iter().filter(|column| column.per() == Per::Id) {
        let path = ColumnPath::new(vec![column.name().to_owned(), "list".to_owned(), ITEM.to_owned()]);
        let of_tokens = matches!(column, Column::InputIds | Column::Labels);
        if of_tokens {
            properties = properties.set_column_encoding(path.clone(), pages.encoding.of_pages());
        }
        properties = properties
            .set_column_dictionary_enabled(path.clone(), !of_tokens || pages.encoding.has_dictionary())
            // The least and greatest id of a chunk help no reader.
            .set_column_statistics_enabled(path, EnabledStatistics::None);
    }
    Ok(Arc::new(properties.build()))
}
