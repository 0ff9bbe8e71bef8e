//! A document's ids, checked against the vocabulary (`docs/reference/masking.md`, section 7).

use crate::denoise::vocabulary::Vocabulary;

/// The tokens of one document: every id is in the vocabulary and none is reserved.
#[derive(Debug, Clone, Copy)]
pub struct TokenSequence<'a>(&'a [u32]);

/// Why ids are not a [`TokenSequence`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the message says it")]
pub enum TokenError {
    /// A reserved id (EOS, pad, a sentinel or a mode token) from ordinary text.
    #[error("token {position} is the reserved id {id}")]
    Reserved {
        /// 0-based position in the document.
        position: usize,
        id: u32,
    },
    /// An id at or above the vocabulary's size.
    #[error("token {position} has id {id}, but the vocabulary has {size} ids")]
    OutOfVocabulary {
        /// 0-based position in the document.
        position: usize,
        id: u32,
        size: u32,
    },
}

impl<'a> TokenSequence<'a> {
    /// Checks `ids`.
    ///
    /// # Errors
    ///
    /// [`TokenError`] for the first id that is reserved or out of the vocabulary.
    pub fn new(ids: &'a [u32], vocabulary: &Vocabulary) -> Result<Self, TokenError> {
        match ids.iter().position(|&id| !vocabulary.is_ordinary(id)) {
            None => Ok(Self(ids)),
            Some(position) => {
                let id = ids[position];
                let size = vocabulary.size();
                Err(if id < size {
                    TokenError::Reserved { position, id }
                } else {
                    TokenError::OutOfVocabulary { position, id, size }
                })
            }
        }
    }

    /// The ids.
    #[must_use]
    pub fn ids(self) -> &'a [u32] {
        self.0
    }
}
