//! What `--tokenizer` names: a file of any kind, or the embedded tokenizer.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::denoise::Vocabulary;
use crate::tokenize::bytes::{ByteNames, ByteTokenizer};
use crate::tokenize::error::TokenizerFileError;
use crate::tokenize::hf::JsonFile;
use crate::tokenize::sentencepiece::{self, SentencePieceFile};
use crate::tokenize::{Tokenizer, TokenizerNames, TokenizerPath};

/// The name of the embedded tokenizer, which has no file.
pub(crate) const BYTES: &str = "bytes";

/// The name of a tokenizer's file in a folder.
pub const JSON_NAME: &str = "tokenizer.json";

/// A tokenizer's file, read.
pub enum TokenizerFile {
    /// The embedded tokenizer, which needs no file.
    Bytes,
    /// A Hugging Face `tokenizer.json`.
    Json(JsonFile),
    /// A SentencePiece model.
    SentencePiece(Box<SentencePieceFile>),
}

impl TokenizerFile {
    /// Reads a tokenizer's file, or the one in a folder, and `tokenizer_config.json` next to it. A name that ends in
    /// `.model`, or in `.model` and a version, is a SentencePiece model, any other a `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// [`TokenizerFileError`] if there is none or it cannot be used.
    pub fn read(path: &Path) -> Result<Self, TokenizerFileError> {
        let is_folder = match fs_err::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(TokenizerFileError::NoSuchFile(path.to_owned()));
            }
            metadata => metadata?.is_dir(),
        };
        let file = if is_folder { in_folder(path)? } else { path.to_owned() };
        if sentencepiece::is_model(&file) {
            SentencePieceFile::read(&file).map(Box::new).map(Self::SentencePiece)
        } else {
            JsonFile::read(&file).map(Self::Json)
        }
    }

    /// The names and ids of the tokenizer's tokens.
    #[must_use]
    pub fn names(&self) -> &dyn TokenizerNames {
        match self {
            Self::Bytes => &ByteNames,
            Self::Json(file) => file,
            Self::SentencePiece(file) => file.as_ref(),
        }
    }

    /// Whether there is another implementation to compare its ids with. The embedded tokenizer is its own oracle.
    #[must_use]
    pub(crate) fn has_oracle(&self) -> bool {
        !matches!(self, Self::SentencePiece(_))
    }

    /// The tokenizer with the reserved ids of `vocabulary`. Only a `tokenizer.json` has more than one path.
    #[must_use]
    pub fn tokenizer(&self, vocabulary: Vocabulary, path: TokenizerPath) -> Box<dyn Tokenizer> {
        match self {
            Self::Bytes => Box::new(ByteTokenizer::new(vocabulary)),
            Self::Json(file) => Box::new(file.tokenizer(vocabulary, path)),
            Self::SentencePiece(file) => Box::new(file.tokenizer(vocabulary)),
        }
    }
}

/// The `tokenizer.json` at a path, which is that file or the folder with it.
///
/// # Errors
///
/// [`TokenizerFileError`] if there is none, or another kind of tokenizer.
pub fn json_file(path: &Path) -> Result<PathBuf, TokenizerFileError> {
    let file = if path.is_dir() { path.join(JSON_NAME) } else { path.to_owned() };
    match fs_err::metadata(&file) {
        Err(error) if error.kind() == ErrorKind::NotFound && path.is_dir() => {
            Err(TokenizerFileError::NoFile(path.to_owned()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Err(TokenizerFileError::NoSuchFile(path.to_owned())),
        Err(error) => Err(error.into()),
        Ok(_) if sentencepiece::is_model(&file) => Err(TokenizerFileError::SentencePiece(file)),
        Ok(_) => Ok(file),
    }
}

/// The file in a folder. `tokenizer.json` comes first: it may hold more tokens than the model that it was made from.
fn in_folder(folder: &Path) -> Result<PathBuf, TokenizerFileError> {
    let found = names_in_folder().map(|name| folder.join(name)).find(|file| file.exists());
    found.ok_or_else(|| TokenizerFileError::NoFile(folder.to_owned()))
}

/// The names of a tokenizer's file in a folder, in the order of the search.
pub(crate) fn names_in_folder() -> impl Iterator<Item = &'static str> {
    std::iter::once(JSON_NAME).chain(sentencepiece::FILE_NAMES)
}
