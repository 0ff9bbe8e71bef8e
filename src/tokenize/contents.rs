//! The bytes of a tokenizer's file.

use std::path::Path;

use crate::files::bounded;
use crate::tokenize::error::TokenizerFileError;
use crate::tokenize::mistaken::MistakenFile;

/// Most bytes of a tokenizer's file. The largest in use, with 256,000 pieces, has 34 MB; the reader takes several times
/// a file's size.
pub(crate) const MAX_FILE: u64 = 256 << 20;

/// The contents of a file.
///
/// # Errors
///
/// [`TokenizerFileError`] if it cannot be read, or is recognized as another kind of file.
pub(super) fn contents(file: &Path) -> Result<Vec<u8>, TokenizerFileError> {
    let bytes = bounded::read(file, MAX_FILE)?;
    match MistakenFile::by_beginning(&bytes) {
        Some(kind) => Err(TokenizerFileError::Mistaken { path: file.to_owned(), kind }),
        None => Ok(bytes),
    }
}
