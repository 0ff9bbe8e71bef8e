//! Why a tokenizer's file cannot be used.

use std::path::PathBuf;

use crate::tokenize::mistaken::Kind;

/// Why a tokenizer's file cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message says it")]
pub enum TokenizerFileError {
    /// The file or folder cannot be read. The message carries the path.
    #[error("cannot read the tokenizer")]
    Read(#[from] std::io::Error),
    /// No file or folder.
    #[error("no such file: `{}` (`--tokenizer`)", .0.display())]
    NoSuchFile(PathBuf),
    /// A file of another kind.
    #[error("`{}` is {kind}", path.display())]
    Mistaken { path: PathBuf, kind: Kind },
    /// A folder without a tokenizer's file.
    #[error("no `tokenizer.json` in `{}`, nor a SentencePiece model", .0.display())]
    NoFile(PathBuf),
    /// An invalid file.
    #[error("`{}` is not a usable tokenizer: {reason}", path.display())]
    Invalid { path: PathBuf, reason: String },
    /// The configuration next to the file is not JSON.
    #[error("`{}` cannot be read as JSON", path.display())]
    Config { path: PathBuf, source: serde_json::Error },
}
