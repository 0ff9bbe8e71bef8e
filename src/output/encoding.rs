//! How the pages of a shard are encoded and compressed. This decides bytes, never a row.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use parquet::basic::{Compression as Codec, Encoding as PageEncoding, ZstdLevel};
use serde::{Deserialize, Serialize};

/// How `input_ids` and `labels` are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TokenEncoding {
    /// Four bytes an id: every reader of Parquet reads it.
    #[default]
    Plain,
    /// A dictionary of a row group's ids: every reader reads it; smaller for vocabularies of a few hundred ids.
    Dictionary,
    /// The four bytes of ids apart: smaller and faster, but only new readers read it.
    ByteStreamSplit,
}

impl TokenEncoding {
    /// The encoding of shards whose plan and manifest do not record it.
    const BEFORE: Self = Self::ByteStreamSplit;

    pub(crate) fn before() -> Self {
        Self::BEFORE
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
    pub(crate) fn is_before(&self) -> bool {
        *self == Self::BEFORE
    }

    /// Whether the writer tries a dictionary first.
    pub(super) fn has_dictionary(self) -> bool {
        self == Self::Dictionary
    }

    /// The encoding of values without a dictionary.
    pub(super) fn of_pages(self) -> PageEncoding {
        match self {
            Self::Plain | Self::Dictionary => PageEncoding::PLAIN,
            Self::ByteStreamSplit => PageEncoding::BYTE_STREAM_SPLIT,
        }
    }
}

impl fmt::Display for TokenEncoding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Plain => "plain",
            Self::Dictionary => "dictionary",
            Self::ByteStreamSplit => "byte-stream-split",
        })
    }
}

/// How all pages are compressed: `zstd:3`, `snappy`, `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Compression {
    /// Zstandard at a level of [`Compression::LEVELS`].
    Zstd(u8),
    /// Snappy.
    Snappy,
    /// Not at all.
    None,
}

/// A text that does not name a compression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the message says it")]
pub enum CompressionError {
    /// Neither a codec nor a codec with a level.
    #[error("expected `zstd`, `zstd:LEVEL`, `snappy` or `none`, found `{0}`")]
    Unknown(String),
    /// A level that Zstandard does not have.
    #[error("expected a level from {} to {}, found `{found}`", Compression::LEVELS.start(), Compression::LEVELS.end())]
    Level { found: String },
}

impl Compression {
    /// The levels of Zstandard, without those below 1, which hardly compress ids.
    pub(crate) const LEVELS: RangeInclusive<u8> = 1..=22;

    /// The default level; `docs/internals/performance.md` explains the choice.
    pub const LEVEL: u8 = 1;

    /// The compression of shards whose plan and manifest do not record it.
    const BEFORE: Self = Self::Zstd(1);

    pub(crate) fn before() -> Self {
        Self::BEFORE
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
    pub(crate) fn is_before(&self) -> bool {
        *self == Self::BEFORE
    }

    /// The Parquet crate's name for it.
    ///
    /// # Errors
    ///
    /// If Parquet refuses the level.
    pub(super) fn codec(self) -> Result<Codec, parquet::errors::ParquetError> {
        Ok(match self {
            Self::Zstd(level) => Codec::ZSTD(ZstdLevel::try_new(level.into())?),
            Self::Snappy => Codec::SNAPPY,
            Self::None => Codec::UNCOMPRESSED,
        })
    }
}

impl Default for Compression {
    fn default() -> Self {
        Self::Zstd(Self::LEVEL)
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zstd(level) => write!(formatter, "zstd:{level}"),
            Self::Snappy => formatter.write_str("snappy"),
            Self::None => formatter.write_str("none"),
        }
    }
}

impl FromStr for Compression {
    type Err = CompressionError;

    fn from_str(text: &str) -> Result<Self, CompressionError> {
        match text {
            "zstd" => Ok(Self::Zstd(Self::LEVEL)),
            "snappy" => Ok(Self::Snappy),
            "none" => Ok(Self::None),
            _ => {
                let level = text.strip_prefix("zstd:").ok_or_else(|| CompressionError::Unknown(text.to_owned()))?;
                let known = level.parse().ok().filter(|level| Self::LEVELS.contains(level));
                known.map(Self::Zstd).ok_or_else(|| CompressionError::Level { found: level.to_owned() })
            }
        }
    }
}

impl TryFrom<String> for Compression {
    type Error = CompressionError;

    fn try_from(text: String) -> Result<Self, CompressionError> {
        text.parse()
    }
}

impl From<Compression> for String {
    fn from(compression: Compression) -> Self {
        compression.to_string()
    }
}

/// Everything that decides how the pages of a data set are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PageFormat {
    /// `--encoding`.
    pub(crate) encoding: TokenEncoding,
    /// `--compression`.
    pub(crate) compression: Compression,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compression_is_read_as_it_is_written() {
        for text in ["zstd:1", "zstd:22", "snappy", "none"] {
            assert_eq!(text.parse::<Compression>().map(|found| found.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("zstd".parse(), Ok(Compression::default()));
        for bad in ["", "zstd:", "zstd:0", "zstd:23", "zstd:-1", "zstd:1.5", "zstd:300", "gzip", "ZSTD", "snappy:1"] {
            assert!(bad.parse::<Compression>().is_err(), "{bad}");
        }
    }
}
