//! Turns text into ids.
//!
//! There are three tokenizers: [`bytes`], which is embedded, [`hf`] for a Hugging Face `tokenizer.json`, and
//! [`sentencepiece`] for a SentencePiece model. The pipeline uses them through [`Tokenizer`]: its ids are in the
//! vocabulary and none is reserved, whatever the text spells.

pub mod bytes;
pub(crate) mod config;
pub(crate) mod contents;
mod direct;
pub(crate) mod error;
mod expression;
pub(crate) mod fast;
pub mod file;
pub(crate) mod guard;
pub mod hf;
mod limits;
pub(crate) mod mistaken;
pub(crate) mod more_tokens;
pub(crate) mod names;
pub(crate) mod sentencepiece;

use crate::denoise::{TokenError, TokenSequence, TokenizerId};

/// Turns text into ids. Shared by all workers; each brings its own [`Scratch`].
pub trait Tokenizer: Send + Sync {
    /// A worker's memory between documents.
    fn scratch(&self) -> Scratch;

    /// The ids of `text`, held in `scratch`.
    ///
    /// # Errors
    ///
    /// [`TokenizeError`] if the tokenizer fails, or the text gives a reserved id that cannot be avoided.
    fn tokenize<'a>(&self, text: &str, scratch: &'a mut Scratch) -> Result<TokenSequence<'a>, TokenizeError>;

    /// Which code makes the ids, and why, for a person. It never changes an id.
    fn path(&self) -> String;
}

/// A worker's memory: the ids of the current document, and the cache of the tokenizer.
#[derive(Default)]
pub struct Scratch {
    ids: Vec<u32>,
    fast: Option<Box<fast::State>>,
    sentencepiece: Option<Box<sentencepiece::State>>,
}

/// Which code makes the ids of a `tokenizer.json`. Both make the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum TokenizerPath {
    /// The fast path where the file's shape allows it.
    #[default]
    Auto,
    /// The `tokenizers` crate.
    Oracle,
}

/// The names and ids of a tokenizer, before reserved ids are known.
pub trait TokenizerNames {
    /// Number of ids.
    fn size(&self) -> u32;
    /// The id of a token by its exact name.
    fn id(&self, token: &str) -> Option<u32>;
    /// The name of the token of an id.
    fn token(&self, id: u32) -> Option<String>;
    /// Whether the file adds the token to its model's vocabulary; otherwise it is a piece of text.
    fn is_added(&self, token: &str) -> bool;
    /// Whether the id belongs to such a token.
    fn added(&self, id: u32) -> bool;
    /// The ids of ordinary text, reserved or not: for a mode token that is not an added token.
    ///
    /// # Errors
    ///
    /// The tokenizer's error.
    fn pieces(&self, text: &str) -> Result<Vec<u32>, TokenizeError>;
    /// The text of ids for a person.
    fn shown(&self, ids: &[u32]) -> String;
    /// Identifies everything that decides the ids.
    fn identity(&self) -> TokenizerId;
    /// The token that the configuration next to the file names for a role. The file may not have it.
    fn configured(&self, role: Role) -> Option<&str>;
    /// The token that the file itself names for a role. The file may not have it.
    fn own(&self, role: Role) -> Option<&str>;
    /// Whether the token is a special one of the file, such as EOS, rather than an added word.
    fn is_special(&self, token: &str) -> bool;
    /// Whether the file has any special token.
    fn has_special(&self) -> bool;
    /// Settings of the file that are switched off, each described for a person.
    fn switched_off(&self) -> &[String] {
        &[]
    }
}

/// The role of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It begins a sequence.
    Bos,
    /// It ends a sequence.
    Eos,
    /// It fills a row up.
    Pad,
}

/// Why a document has no ids.
#[derive(Debug, thiserror::Error)]
pub enum TokenizeError {
    /// The library failed on the text.
    #[error("the tokenizer failed: {0}")]
    Library(String),
    /// The ids are not a valid token sequence.
    #[error(transparent)]
    Tokens(#[from] TokenError),
}
