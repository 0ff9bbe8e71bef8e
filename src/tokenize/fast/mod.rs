//! The fast path for Unigram tokenizers of T5's shape, with ids identical to the `tokenizers` crate's by construction.
//!
//! The crate carries every character through `NormalizedString` and every piece through `String`. This path reads the raw text
//! once, splits it into chunks, and asks a cache (chunk bytes to ids) or its own Viterbi. It claims nothing about the file that it has
//! not asked the file's own normalizer and pre-tokenizer; what it cannot prove local, it gives to them (docs/tokenization.md).

mod cache;
mod characters;
mod trie;
pub mod unigram;

pub use unigram::{FastUnigram, NotFast, State};
