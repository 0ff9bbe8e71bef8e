//! Why a tokenizer's file cannot be used.

use std::path::{Path, PathBuf};

use crate::guidance::Guidance;
use crate::tokenize::mistaken::MistakenFile;

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
    Mistaken { path: PathBuf, kind: MistakenFile },
    /// A folder without a tokenizer's file.
    #[error("no `tokenizer.json` in `{}`, nor a SentencePiece model", .0.display())]
    NoFile(PathBuf),
    /// A SentencePiece model where only a `tokenizer.json` can be used.
    #[error("`{}` is a SentencePiece model: tokens can only be added to a `tokenizer.json`", .0.display())]
    SentencePiece(PathBuf),
    /// A token to be added that is an ordinary piece.
    #[error("`{}`: `{name}` is an ordinary piece of text, and cannot become a special token", path.display())]
    Piece { path: PathBuf, name: String },
    /// An invalid file.
    #[error("`{}` is not a usable tokenizer: {reason}", path.display())]
    Invalid { path: PathBuf, reason: String },
    /// The configuration next to the file is not JSON.
    #[error("`{}` cannot be read as JSON", path.display())]
    Config { path: PathBuf, source: serde_json::Error },
}

impl Guidance for TokenizerFileError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoFile(_) | Self::Invalid { .. } => Some(
                "`--tokenizer` takes a Hugging Face `tokenizer.json` or a SentencePiece model, whose name ends in \
                 `.model`"
                    .to_owned(),
            ),
            Self::Mistaken { kind, .. } => Some(kind.hint().to_owned()),
            Self::NoSuchFile(path) if is_hub_name(path) => Some(format!(
                "`--tokenizer` takes a file, a folder, or `bytes`; if `{0}` is a name of the Hugging Face Hub, \
                 `hf download {0} --include \"tokenizer*\" \"*.model\" --local-dir FOLDER` fetches its files",
                path.display()
            )),
            Self::NoSuchFile(_) | Self::Read(_) => Some("`--tokenizer` takes a file, a folder, or `bytes`".to_owned()),
            Self::SentencePiece(_) => Some(
                "`transformers.AutoTokenizer.from_pretrained(FOLDER).save_pretrained(NEW)` writes a `tokenizer.json`"
                    .to_owned(),
            ),
            Self::Piece { name, .. } => Some(format!("choose a name that no text has, such as `<{name}>`")),
            Self::Config { .. } => None,
        }
    }
}

/// Whether a path could be a name on the Hub: `OWNER/MODEL`, or `MODEL`, without an ending.
fn is_hub_name(path: &Path) -> bool {
    let of_name = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let is_part =
        |part: &str| part.starts_with(|letter: char| letter.is_ascii_alphanumeric()) && part.chars().all(of_name);
    let is_file = path.extension().is_some_and(|ending| ["json", "model", "txt"].iter().any(|file| ending == *file));
    path.to_str().is_some_and(|name| !is_file && name.split('/').count() <= 2 && name.split('/').all(is_part))
}
