//! Flags that decide rows: of `plan`, `run` and `inspect`.

use clap::Args;

use crate::cli::values::{MAX_LINE, SourceSplit, column, seed, share_of_documents, size, split, weight, window};
use crate::denoise::{Ratio, Weight};
use crate::input::limits::Limits;
use crate::output::encoding::{Compression, TokenEncoding};
use crate::output::schema::Column;
use crate::recipe::RowLayout;
use crate::tokenize::TokenizerPath;

/// What is read and how it is masked.
#[derive(Debug, Clone, Args)]
pub struct MaskingArgs {
    /// Files, folders (searched recursively), quoted globs or URLs of `.jsonl`, `.json` or `.ndjson`, plain or compressed with a further `.zst` or
    /// `.gz`.
    #[arg(required = true, value_name = "SOURCE")]
    pub(crate) sources: Vec<String>,

    /// A Hugging Face `tokenizer.json`, a SentencePiece `spiece.model`, a folder that holds one, a URL of these, or `bytes` (`ByT5`'s vocabulary,
    /// built in) [default: bytes].
    #[arg(long, value_name = "FILE|bytes", help_heading = "Text to tokens")]
    pub(crate) tokenizer: Option<String>,
    /// Which code makes the ids of a `tokenizer.json`: the fast path where the file's shape allows it, or always the `tokenizers` crate. Both make
    /// the same.
    #[arg(long, value_enum, default_value_t, help_heading = "Text to tokens")]
    pub(crate) tokenizer_path: TokenizerPath,
    /// Settings the recipe leaves open, or that override it.
    #[command(flatten)]
    pub(crate) spec: SpecArgs,
    /// A built-in recipe or a TOML file (see `ul2-prep recipes`).
    #[arg(long, value_name = "NAME|FILE.toml", default_value = crate::recipe::DEFAULT, help_heading = "Masking")]
    pub(crate) recipe: String,
    /// Refuse a recipe that needs more sentinels than the vocabulary has, instead of shortening its segments.
    #[arg(long, help_heading = "Masking")]
    pub(crate) strict_sentinels: bool,

    /// The columns of the shards, separated by commas [default: ids, then where they come from].
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = column, help_heading = "Rows")]
    pub(crate) columns: Option<Vec<Column>>,
    /// How `input_ids` and `labels` are encoded. It never changes a row.
    #[arg(long, value_enum, default_value_t, help_heading = "Rows")]
    pub(crate) encoding: TokenEncoding,
    /// How the shards are compressed: `zstd`, `zstd:LEVEL` with a level from 1 to 22, `snappy` or `none`. It never changes a row.
    #[arg(long, value_name = "CODEC", default_value_t, help_heading = "Rows")]
    pub(crate) compression: Compression,

    /// Threads [default: one a core]. They never change a byte of the output.
    #[arg(long, value_name = "N", help_heading = "Running")]
    pub(crate) workers: Option<usize>,
    /// Size at which a Parquet file is closed: the next row group would make it larger.
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = size, help_heading = "Running")]
    pub(crate) shard_size: u64,
    /// Size on disk above which a source is divided into units of about that size, 16 at most, or `none` [default: none; 4GiB with `plan --write`].
    /// It never changes a row.
    #[arg(long, value_name = "SIZE|none", value_parser = split, help_heading = "Many machines")]
    pub(crate) split: Option<SourceSplit>,
    /// What a source may ask for.
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// What a source may ask for.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct LimitArgs {
    /// Largest Zstandard window that a source may ask for, up to 2 GiB: each reading thread holds one (Pushshift's dumps need `2GiB`).
    #[arg(long, value_name = "SIZE", default_value = "128MiB", value_parser = window, help_heading = "Running")]
    pub(crate) max_window: u64,
    /// How many times its file's size a source may decompress to, beyond its first GiB.
    #[arg(long, value_name = "N", default_value_t = Limits::default().expansion, help_heading = "Running")]
    pub(crate) max_expansion: u64,
}

impl Default for LimitArgs {
    /// The limits when no flag is given.
    fn default() -> Self {
        let Limits { window, expansion } = Limits::default();
        Self { max_window: window, max_expansion: expansion }
    }
}

impl LimitArgs {
    /// The limits.
    #[must_use]
    pub(crate) fn limits(self) -> Limits {
        Limits { window: self.max_window, expansion: self.max_expansion }
    }
}

/// Settings a recipe leaves open, or that override it.
#[derive(Debug, Clone, Args)]
pub struct SpecArgs {
    /// The field of a record that holds the text; `a.b` for a nested one [default: the recipe's, else `text`].
    #[arg(long, value_name = "FIELD", help_heading = "Text to tokens")]
    pub(crate) text_field: Option<String>,
    /// The field that holds the label, in records of two fields [default: the recipe's].
    #[arg(long, value_name = "FIELD", help_heading = "Text to tokens")]
    pub(crate) label_field: Option<String>,
    /// The BOS token at the front of every example: its name, `auto` for the one that the tokenizer's files name, or `none`
    /// [default: the recipe's, else none].
    #[arg(long, value_name = "TOKEN|auto", help_heading = "Text to tokens")]
    pub(crate) bos_token: Option<String>,
    /// The EOS token: its name, which overrides the tokenizer's files; `auto` for the one that they name; or `none` [default: the
    /// recipe's, else auto].
    #[arg(long, value_name = "TOKEN|auto", help_heading = "Text to tokens")]
    pub(crate) eos_token: Option<String>,
    /// The pad token: its name, which overrides the tokenizer's files; `auto` for the one that they name; or `none` [default: the
    /// recipe's, else auto].
    #[arg(long, value_name = "TOKEN|auto", help_heading = "Text to tokens")]
    pub(crate) pad_token: Option<String>,
    /// Sentinels in their order of use: a token's name, or with a range: `<unused{0..127}>`, or `<unused{0..}>` for as many as the
    /// recipe needs; or ids, as `ids 151669..151796`. Repeatable [default: the recipe's].
    #[arg(long, value_name = "PATTERN", help_heading = "Text to tokens")]
    pub(crate) sentinels: Vec<String>,
    /// Longest line; a longer one is rejected.
    #[arg(long, value_name = "SIZE", default_value = MAX_LINE, value_parser = size, help_heading = "Text to tokens")]
    pub(crate) max_line: u64,

    /// The seed that all masks follow from.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = seed, help_heading = "Masking")]
    pub(crate) seed: u64,
    /// Independent maskings of every document.
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Masking")]
    pub(crate) epochs: u32,
    /// How many times as often as others the documents of some sources are masked, as `'wiki/**=2.5'`: 2.5 means twice, and half of them once more; 0
    /// leaves the sources out. The first pattern that matches counts. Repeatable.
    #[arg(long, value_name = "GLOB=N", value_parser = weight, help_heading = "Masking")]
    pub(crate) weight: Vec<Weight>,
    /// Most ids of the inputs, EOS and sentinels included [default: the recipe's, else 512].
    #[arg(long, value_name = "N", help_heading = "Masking")]
    pub(crate) inputs_length: Option<u32>,
    /// Most ids of the labels, EOS and sentinels included [default: the recipe's, else 512].
    #[arg(long, value_name = "N", help_heading = "Masking")]
    pub(crate) labels_length: Option<u32>,

    /// The share of the documents that is kept for validation, as `0.5%` or `0.005`: whole documents, drawn by their places in the sources.
    #[arg(long, value_name = "SHARE", value_parser = share_of_documents, conflicts_with = "validation_source", help_heading = "Validation")]
    pub(crate) validation: Option<Ratio>,
    /// Sources whose documents are kept for validation: a pattern of names as the data set has them, with `*`, `**` and `?`. Repeatable.
    #[arg(long, value_name = "GLOB", help_heading = "Validation")]
    pub(crate) validation_source: Vec<String>,

    /// Two sequences for an encoder and a decoder, or one for a decoder alone [default: the recipe's, else encoder-decoder].
    #[arg(long, value_enum, help_heading = "Rows")]
    pub(crate) layout: Option<RowLayout>,
    /// Most ids of a causal row [default: the recipe's, else both lengths together]. The inputs and the labels alone may then be as long,
    /// unless their lengths are given as well.
    #[arg(long, value_name = "N", help_heading = "Rows")]
    pub(crate) sequence_length: Option<u32>,
    /// Put several examples into a row, up to its lengths [default: the recipe's].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Rows")]
    pub(crate) pack: Option<bool>,
    /// Shuffle the rows of each row group [default: the recipe's].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Rows")]
    pub(crate) shuffle: Option<bool>,
    /// Fill rows up to their lengths [default: the recipe's].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Rows")]
    pub(crate) pad: Option<bool>,
}

impl Default for SpecArgs {
    /// The settings when no flag is given.
    fn default() -> Self {
        Self {
            text_field: None,
            label_field: None,
            bos_token: None,
            eos_token: None,
            pad_token: None,
            sentinels: Vec::new(),
            max_line: 64 << 20,
            seed: 0,
            epochs: 1,
            weight: Vec::new(),
            inputs_length: None,
            labels_length: None,
            validation: None,
            validation_source: Vec::new(),
            layout: None,
            sequence_length: None,
            pack: None,
            shuffle: None,
            pad: None,
        }
    }
}
