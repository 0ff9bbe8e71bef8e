//! The WordPiece fast path (`docs/internals/tokenization.md`): what stands between white space is looked up, and the
//! crate encodes it where it is not known.

use std::sync::Arc;

use tokenizers::{ModelWrapper, NormalizerWrapper, PreTokenizerWrapper, Tokenizer};

use crate::tokenize::fast::added::AddedTokens;
use crate::tokenize::fast::cache::{Ahead, Cache, Key, Size};
use crate::tokenize::fast::conditions::{self, NotFast};

/// The fast path of one tokenizer file. Shared by all workers, each with its own [`WordPieceState`].
pub(crate) struct FastWordPiece {
    tokenizer: Arc<Tokenizer>,
}

/// A worker's state between documents.
pub(crate) struct WordPieceState {
    cache: Cache,
    /// Chunks, as byte ranges.
    ahead: Ahead<(usize, usize)>,
}

impl WordPieceState {
    pub(crate) fn new() -> Self {
        Self { cache: Cache::new(Size::CHUNKS), ahead: Ahead::new() }
    }
}

impl FastWordPiece {
    /// The fast path for a file, if white space of ASCII separates what is on both sides of it.
    ///
    /// # Errors
    ///
    /// [`NotFast`] with the reason.
    pub(crate) fn new(tokenizer: &Arc<Tokenizer>) -> Result<Self, NotFast> {
        if !matches!(tokenizer.get_model(), ModelWrapper::WordPiece(_)) {
            return Err(NotFast("the model is not WordPiece".to_owned()));
        }
        for in_normal in [false, true] {
            if AddedTokens::new(tokenizer, in_normal).map_err(NotFast)?.is_some() {
                return Err(NotFast("an added token of the WordPiece file is not special".to_owned()));
            }
        }
        if let Some(normalizer) = tokenizer.get_normalizer() {
            check_normalizer(normalizer)?;
        }
        let splits = match tokenizer.get_pre_tokenizer() {
            Some(
                PreTokenizerWrapper::BertPreTokenizer(_)
                | PreTokenizerWrapper::Whitespace(_)
                | PreTokenizerWrapper::WhitespaceSplit(_),
            ) => true,
            Some(PreTokenizerWrapper::Sequence(sequence)) => matches!(
                sequence.as_ref(),
                [
                    PreTokenizerWrapper::Whitespace(_) | PreTokenizerWrapper::WhitespaceSplit(_),
                    PreTokenizerWrapper::Punctuation(_) | PreTokenizerWrapper::Digits(_)
                ]
            ),
            _ => false,
        };
        if !splits {
            return Err(NotFast("the pre-tokenizer does not split at white space first".to_owned()));
        }
        let fast = Self { tokenizer: Arc::clone(tokenizer) };
        let mut state = WordPieceState::new();
        conditions::check_itself(tokenizer, |text, ids| fast.encode(text, &mut state, ids))?;
        Ok(fast)
    }

    /// Appends the ids of `text` to `ids`.
    ///
    /// # Errors
    ///
    /// The crate's error for a chunk.
    pub(crate) fn encode(
        &self,
        text: &str,
        state: &mut WordPieceState,
        ids: &mut Vec<u32>,
    ) -> Result<(), tokenizers::Error> {
        let WordPieceState { cache, ahead } = state;
        let mut start = 0;
        let ends = memchr::memchr3_iter(b' ', b'\n', b'\t', text.as_bytes()).chain([text.len()]);
        for end in ends {
            let chunk = (start, end);
            start = end + 1;
            if chunk.0 == chunk.1 {
                continue;
            }
            match Key::new(text.as_bytes(), chunk.0, chunk.1) {
                Some(key) if !ahead.add(key, chunk) => {}
                Some(_) => cache.look_up(ahead, ids, |chunk, ids| self.chunk(text, chunk, ids))?,
                None => {
                    cache.look_up(ahead, ids, |chunk, ids| self.chunk(text, chunk, ids))?;
                    self.chunk(text, chunk, ids)?;
                }
            }
        }
        cache.look_up(ahead, ids, |chunk, ids| self.chunk(text, chunk, ids))
    }

    /// Appends the ids of a chunk by the crate.
    fn chunk(&self, text: &str, (start, end): (usize, usize), ids: &mut Vec<u32>) -> Result<(), tokenizers::Error> {
        ids.extend_from_slice(self.tokenizer.encode_fast(&text[start..end], false)?.get_ids());
        Ok(())
    }
}

/// Accepts only normalizers that look at one character at a time, or at one with the marks after it.
fn check_normalizer(normalizer: &NormalizerWrapper) -> Result<(), NotFast> {
    match normalizer {
        NormalizerWrapper::Sequence(sequence) => sequence.as_ref().iter().try_for_each(check_normalizer),
        NormalizerWrapper::BertNormalizer(_)
        | NormalizerWrapper::StripAccents(_)
        | NormalizerWrapper::Lowercase(_)
        | NormalizerWrapper::NFC(_)
        | NormalizerWrapper::NFD(_)
        | NormalizerWrapper::NFKC(_)
        | NormalizerWrapper::NFKD(_) => Ok(()),
        _ => Err(NotFast("a normalizer of the WordPiece file may look over white space".to_owned())),
    }
}
