//! The fast paths, with ids identical to the `tokenizers` crate's by construction.
//!
//! The crate carries every character through `NormalizedString` and every piece through `String`. These paths read the raw text
//! once, split it into chunks, and ask a cache (chunk bytes to ids) or a model of their own. They claim nothing about the file that they
//! have not asked the file's own normalizer and pre-tokenizer; what they cannot prove local, they give to them (docs/internals/tokenization.md).

mod bpe;
pub(in crate::tokenize) mod cache;
mod characters;
mod merges;
pub(in crate::tokenize) mod trie;
mod unigram;
mod words;

use std::fmt;
use std::sync::Arc;

use tokenizers::{ModelWrapper, Tokenizer};

use crate::tokenize::fast::bpe::{BpeState, FastBpe};
use crate::tokenize::fast::unigram::{FastUnigram, UnigramState};

/// What stands for a space in front of a word.
pub(crate) const METASPACE: &str = "▁";

/// The fast path of one tokenizer file. Shared by all workers, each with its own [`State`].
pub enum Fast {
    /// Unigram of T5's shape.
    Unigram(Box<FastUnigram>),
    /// Byte-level BPE of GPT-2's shape, or BPE of Llama-2's.
    Bpe(Box<FastBpe>),
}

/// What a worker keeps between documents.
pub enum State {
    /// Of a Unigram file.
    Unigram(UnigramState),
    /// Of a BPE file.
    Bpe(BpeState),
}

impl Fast {
    /// The fast path for a file, if there is one for its shape. `reserved` ids of a Unigram file never come out; `unknown_id` is its id of
    /// unknown text.
    ///
    /// # Errors
    ///
    /// [`NotFast`] with the reason.
    pub fn new(
        tokenizer: &Arc<Tokenizer>,
        unknown_id: Option<u32>,
        reserved: impl Fn(u32) -> bool,
    ) -> Result<Self, NotFast> {
        match tokenizer.get_model() {
            ModelWrapper::Unigram(_) => {
                FastUnigram::new(tokenizer, unknown_id, reserved).map(Box::new).map(Self::Unigram)
            }
            ModelWrapper::BPE(_) => FastBpe::new(tokenizer).map(Box::new).map(Self::Bpe),
            _ => Err(NotFast("the model is neither Unigram nor BPE".to_owned())),
        }
    }

    /// What the path is called.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unigram(_) => "fast Unigram",
            Self::Bpe(fast) => fast.name(),
        }
    }

    /// A worker's state.
    #[must_use]
    pub fn state(&self) -> State {
        match self {
            Self::Unigram(fast) => State::Unigram(fast.state()),
            Self::Bpe(fast) => State::Bpe(fast.state()),
        }
    }

    /// Appends the ids of `text` to `ids`. `state` is one that this path has made.
    ///
    /// # Errors
    ///
    /// What the crate says of a part of the text that is given to it.
    pub fn encode(&self, text: &str, state: &mut State, ids: &mut Vec<u32>) -> Result<(), tokenizers::Error> {
        match (self, state) {
            (Self::Unigram(fast), State::Unigram(state)) => fast.encode(text, state, ids),
            (Self::Bpe(fast), State::Bpe(state)) => {
                fast.encode(text, state, ids);
                Ok(())
            }
            _ => Err("the state of another tokenizer".into()),
        }
    }
}

/// Why a file does not get the fast path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotFast(pub String);

impl fmt::Display for NotFast {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// No added token stands in text: all are special, and the tokenizer is set to encode special tokens as text.
fn check_added_tokens(tokenizer: &Tokenizer) -> Result<(), NotFast> {
    if tokenizer.get_added_tokens_decoder().values().any(|token| !token.special) {
        return Err(NotFast("an added token is not special, so it may stand in text".to_owned()));
    }
    Ok(())
}

/// Both paths on a few texts of all kinds: a guard against a crate that is not the one this code was proven with.
fn check_itself(
    tokenizer: &Tokenizer,
    encode: impl Fn(&str, &mut Vec<u32>) -> Result<(), tokenizers::Error>,
) -> Result<(), NotFast> {
    for text in SELF_CHECK {
        let mut ids = Vec::new();
        let equal = match (encode(text, &mut ids), tokenizer.encode_fast(text, false)) {
            (Ok(()), Ok(expected)) => ids == expected.get_ids(),
            (fast, expected) => fast.is_err() == expected.is_err(),
        };
        if !equal {
            return Err(NotFast(format!("both paths differ on {text:?}")));
        }
    }
    Ok(())
}

/// Texts of the self-check. None spells a reserved token.
const SELF_CHECK: [&str; 12] = [
    "",
    " ",
    "The quick brown fox, jumped over (13) lazy dogs; isn't it?",
    "  leading and  double   spaces\tand\ttabs\r\nand lines\n\n\n",
    "naïve café – “quoted” … ½ ﬁ ①",
    "a\u{301} \u{301}b c\u{301}\u{301} \u{200D}x",
    "nbsp\u{A0}inside \u{A0}edge\u{A0} \u{3000}wide\u{3000}",
    "▁meta▁space ▁ ▁▁ a▁",
    "漢字かな交じり文 한국어 문장 ไทย हिन्दी العربية",
    "😀👩\u{200D}👩\u{200D}👧 🇩🇪🇫🇷 \u{FE0F}",
    "\u{0}\u{1}\u{7F}\u{85}\u{2028}\u{FEFF}\u{FFFD} \u{E000}\u{10FFFF}",
    "----------------------------------------====____++++ aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];
