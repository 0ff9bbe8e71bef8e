//! The fast paths, whose ids are identical to the `tokenizers` crate's by construction.
//!
//! The crate carries every character through `NormalizedString` and every piece through `String`. These paths read the
//! raw text once, split it into chunks, and ask a cache (chunk bytes to ids) or their own model. They assume nothing
//! about a file without asking its own normalizer and pre-tokenizer, and pass to these whatever they cannot prove local
//! (docs/internals/tokenization.md).

mod added;
mod bpe;
pub(in crate::tokenize) mod cache;
mod characters;
pub(crate) mod conditions;
mod forms;
pub(in crate::tokenize) mod junctions;
pub(in crate::tokenize) mod letters;
mod merge_list;
pub(in crate::tokenize) mod merges;
mod scanner;
mod shape;
mod splits;
mod symbols;
mod syntax;
pub(in crate::tokenize) mod trie;
mod unigram;
mod whole;
mod word_piece;

use std::sync::Arc;

use tokenizers::{ModelWrapper, Tokenizer};

use crate::tokenize::fast::bpe::{BpeState, FastBpe};
use crate::tokenize::fast::conditions::NotFast;
use crate::tokenize::fast::unigram::{FastUnigram, UnigramState};
use crate::tokenize::fast::word_piece::{FastWordPiece, WordPieceState};

/// The fast path of one tokenizer file. Shared by all workers, each with its own [`State`].
pub(crate) enum Fast {
    /// Unigram of T5's shape.
    Unigram(Box<FastUnigram>),
    /// BPE, byte-level or not.
    Bpe(Box<FastBpe>),
    /// WordPiece.
    WordPiece(FastWordPiece),
}

/// A worker's state between documents.
pub(crate) enum State {
    /// For a Unigram file.
    Unigram(UnigramState),
    /// For a BPE file.
    Bpe(BpeState),
    /// For a WordPiece file.
    WordPiece(WordPieceState),
}

impl Fast {
    /// The fast path for a file, whose bytes are `json`, if there is one for its shape. A Unigram file's text never
    /// gives `reserved` ids; `unknown_id` is its id of unknown text.
    ///
    /// # Errors
    ///
    /// [`NotFast`] with the reason.
    pub(crate) fn new(
        tokenizer: &Arc<Tokenizer>,
        json: &[u8],
        unknown_id: Option<u32>,
        reserved: impl Fn(u32) -> bool,
    ) -> Result<Self, NotFast> {
        match tokenizer.get_model() {
            ModelWrapper::Unigram(_) => {
                FastUnigram::new(tokenizer, unknown_id, reserved).map(Box::new).map(Self::Unigram)
            }
            ModelWrapper::BPE(_) => FastBpe::new(tokenizer, json).map(Box::new).map(Self::Bpe),
            ModelWrapper::WordPiece(_) => FastWordPiece::new(tokenizer).map(Self::WordPiece),
            ModelWrapper::WordLevel(_) => Err(NotFast("the model looks whole words up".to_owned())),
        }
    }

    /// The name of the path.
    #[must_use]
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Unigram(_) => "fast Unigram".to_owned(),
            Self::Bpe(fast) => fast.name(),
            Self::WordPiece(_) => "fast WordPiece".to_owned(),
        }
    }

    /// A worker's state.
    #[must_use]
    pub(crate) fn state(&self) -> State {
        match self {
            Self::Unigram(fast) => State::Unigram(fast.state()),
            Self::Bpe(fast) => State::Bpe(fast.state()),
            Self::WordPiece(_) => State::WordPiece(WordPieceState::new()),
        }
    }

    /// Appends the ids of `text` to `ids`. This path must have made `state`.
    ///
    /// # Errors
    ///
    /// The crate's error for a part of the text that is passed to it.
    pub(crate) fn encode(&self, text: &str, state: &mut State, ids: &mut Vec<u32>) -> Result<(), tokenizers::Error> {
        match (self, state) {
            (Self::Unigram(fast), State::Unigram(state)) => fast.encode(text, state, ids),
            (Self::Bpe(fast), State::Bpe(state)) => fast.encode(text, state, ids),
            (Self::WordPiece(fast), State::WordPiece(state)) => fast.encode(text, state, ids),
            _ => Err("the state of another tokenizer".into()),
        }
    }
}
