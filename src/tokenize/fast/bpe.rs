//! The BPE fast path (`docs/internals/tokenization.md`): words that the merges provably cannot join, a cache, and its
//! own merge code.
//!
//! ```text
//! byte-level (GPT-2)   raw text ──GPT-2's expression, by the classes of characters──▶ words ──▶ cache, else bytes ──▶ merges
//! Llama-2              raw text ──before each run of spaces──────────────────────────▶ words ──▶ cache, else characters ──▶ merges
//! ```

use std::convert::Infallible;
use std::sync::Arc;

use serde::Deserialize;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::{ModelWrapper, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer as _, Tokenizer};

use crate::tokenize::fast::cache::{Ahead, Cache, Key};
use crate::tokenize::fast::conditions::{self, METASPACE, NotFast};
use crate::tokenize::fast::merges::{Merge, Merger, Merges};
use crate::tokenize::fast::words::{ByteLevelWords, Classes, Kind};

/// The fast path of one tokenizer file. Shared by all workers, each with its own [`BpeState`].
pub struct FastBpe {
    /// The tokenizer that the probes and the self-check ask.
    tokenizer: Arc<Tokenizer>,
    merges: Merges,
    words: Words,
}

/// How text is split into words, and words into symbols.
enum Words {
    /// GPT-2's expression; a symbol for each byte.
    ByteLevel { bytes: [u32; 256], ascii: [Kind; 128] },
    /// A `▁` before the text and for each space; a symbol for each character.
    Metaspace(Characters),
    /// One word, and no merges: a symbol for each character.
    Characters(Characters),
}

/// A worker's state between documents.
pub struct BpeState {
    cache: Cache,
    /// Words, as byte ranges.
    ahead: Ahead<(usize, usize)>,
    classes: Classes,
    merger: Merger,
}

/// Fields of the model that the crate does not expose.
#[derive(Deserialize)]
struct ModelFields {
    merges: Vec<(String, String)>,
    #[serde(default)]
    dropout: Option<f32>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
}

/// No symbol for this character.
const NO_SYMBOL: u32 = u32::MAX;

impl FastBpe {
    /// The fast path for a file, if words are provably independent in a file of this shape.
    ///
    /// # Errors
    ///
    /// [`NotFast`] with the reason.
    pub fn new(tokenizer: &Arc<Tokenizer>) -> Result<Self, NotFast> {
        let not = |reason: &str| NotFast(reason.to_owned());
        let ModelWrapper::BPE(model) = tokenizer.get_model() else { return Err(not("the model is not BPE")) };
        conditions::check_added_tokens(tokenizer)?;
        let json = serde_json::to_value(model).map_err(|error| NotFast(error.to_string()))?;
        let fields: ModelFields = serde_json::from_value(json).map_err(|error| NotFast(error.to_string()))?;
        if fields.dropout.is_some() || fields.ignore_merges {
            return Err(not("the BPE model has dropout or ignores merges"));
        }
        if fields.continuing_subword_prefix.is_some() || fields.end_of_word_suffix.is_some() {
            return Err(not("the BPE model marks pieces by their place in a word"));
        }
        let id = |token: &str| tokenizer.get_model_id(token);
        let words = Words::new(tokenizer, &fields)?;
        let merges = (0..).zip(&fields.merges).map(|(rank, (left, right))| {
            let both = format!("{left}{right}");
            Some((id(left)?, id(right)?, Merge { rank, id: id(&both)? }))
        });
        let merges: Option<Vec<_>> = merges.collect();
        let merges = Merges::new(&merges.ok_or_else(|| not("a merge of the BPE model has no token"))?);
        let fast = Self { tokenizer: Arc::clone(tokenizer), merges, words };
        conditions::check_itself(tokenizer, |text, ids| {
            let mut state = fast.state();
            fast.encode(text, &mut state, ids);
            Ok(())
        })?;
        Ok(fast)
    }

    /// The name of the path.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.words {
            Words::ByteLevel { .. } => "fast byte-level BPE",
            Words::Metaspace(_) => "fast BPE",
            Words::Characters(_) => "fast characters",
        }
    }

    /// A worker's state.
    #[must_use]
    pub fn state(&self) -> BpeState {
        let ascii = match &self.words {
            Words::ByteLevel { ascii, .. } => *ascii,
            Words::Metaspace(_) | Words::Characters(_) => [Kind::Unknown; 128],
        };
        BpeState { cache: Cache::new(), ahead: Ahead::new(), classes: Classes::new(ascii), merger: Merger::default() }
    }

    /// Appends the ids of `text` to `ids`.
    pub fn encode(&self, text: &str, state: &mut BpeState, ids: &mut Vec<u32>) {
        let BpeState { cache, ahead, classes, merger } = state;
        match &self.words {
            Words::ByteLevel { .. } => {
                let ask = |character: char| kind(&self.tokenizer, character);
                for word in ByteLevelWords::new(text, classes, ask) {
                    self.word(text, word, cache, ahead, merger, ids);
                }
            }
            Words::Metaspace(_) => {
                let mut start = 0;
                while start < text.len() {
                    let end = metaspace_word_end(text.as_bytes(), start);
                    self.word(text, (start, end), cache, ahead, merger, ids);
                    start = end;
                }
            }
            Words::Characters(_) => self.merged(text, (0, text.len()), merger, ids),
        }
        self.look_up(text, cache, ahead, merger, ids);
    }

    /// Takes the next word and queues it for lookup with others.
    #[inline]
    fn word(
        &self,
        text: &str,
        word: (usize, usize),
        cache: &mut Cache,
        ahead: &mut Ahead<(usize, usize)>,
        merger: &mut Merger,
        ids: &mut Vec<u32>,
    ) {
        let (start, end) = word;
        // The first word of Llama-2's shape has one more `▁` than its bytes show.
        let is_local = start > 0 || matches!(self.words, Words::ByteLevel { .. });
        let key = if is_local { Key::new(text.as_bytes(), start, end) } else { None };
        match key {
            Some(key) if ahead.add(key, word) => self.look_up(text, cache, ahead, merger, ids),
            Some(_) => {}
            None => {
                self.look_up(text, cache, ahead, merger, ids);
                self.merged(text, word, merger, ids);
            }
        }
    }

    /// Appends the ids of the queued words.
    #[inline]
    fn look_up(
        &self,
        text: &str,
        cache: &mut Cache,
        ahead: &mut Ahead<(usize, usize)>,
        merger: &mut Merger,
        ids: &mut Vec<u32>,
    ) {
        let miss = |word, ids: &mut Vec<u32>| {
            self.merged(text, word, merger, ids);
            Ok::<(), Infallible>(())
        };
        let Ok(()) = cache.look_up(ahead, ids, miss);
    }

    /// Appends the ids of a word by merging.
    fn merged(&self, text: &str, (start, end): (usize, usize), merger: &mut Merger, ids: &mut Vec<u32>) {
        let symbols = &mut merger.symbols;
        symbols.clear();
        match &self.words {
            Words::ByteLevel { bytes, .. } => {
                symbols.extend(text.as_bytes()[start..end].iter().map(|&byte| bytes[usize::from(byte)]));
            }
            Words::Metaspace(characters) => {
                if start == 0 {
                    characters.push('▁', symbols);
                }
                for character in text[start..end].chars() {
                    characters.push(if character == ' ' { '▁' } else { character }, symbols);
                }
            }
            Words::Characters(characters) => text.chars().for_each(|character| characters.push(character, symbols)),
        }
        merger.merge(&self.merges, ids);
    }
}

/// The symbols of characters, or of their bytes where a character has none.
struct Characters {
    symbols: Vec<u32>,
    bytes: [u32; 256],
}

impl Characters {
    /// The symbols of a model that falls back to all 256 bytes.
    fn new(tokenizer: &Tokenizer, fields: &ModelFields) -> Result<Self, NotFast> {
        let mut bytes = [0; 256];
        for (byte, symbol) in (0..=255_u8).zip(&mut bytes) {
            let found = tokenizer.get_model_id(&format!("<0x{byte:02X}>")).filter(|_| fields.byte_fallback);
            *symbol = found.ok_or_else(|| NotFast(format!("the BPE model does not fall back to the byte {byte}")))?;
        }
        let mut symbols = Vec::new();
        for (token, id) in tokenizers::Model::get_vocab(tokenizer.get_model()) {
            let mut all = token.chars();
            if let (Some(character), None) = (all.next(), all.next()) {
                let place = character as usize;
                if symbols.len() <= place {
                    symbols.resize(place + 1, NO_SYMBOL);
                }
                symbols[place] = id;
            }
        }
        Ok(Self { symbols, bytes })
    }

    fn has(&self, character: char) -> bool {
        self.symbols.get(character as usize).is_some_and(|&symbol| symbol != NO_SYMBOL)
    }

    #[inline]
    fn push(&self, character: char, symbols: &mut Vec<u32>) {
        match self.symbols.get(character as usize) {
            Some(&symbol) if symbol != NO_SYMBOL => symbols.push(symbol),
            _ => {
                let mut buffer = [0; 4];
                let encoded = character.encode_utf8(&mut buffer);
                symbols.extend(encoded.bytes().map(|byte| self.bytes[usize::from(byte)]));
            }
        }
    }
}

/// The end of the word that starts at `start`: before the next space (or `▁`) that follows something else.
fn metaspace_word_end(text: &[u8], start: usize) -> usize {
    let is_space = |place: usize| -> usize {
        match text[place] {
            b' ' => 1,
            _ if text[place..].starts_with(METASPACE.as_bytes()) => METASPACE.len(),
            _ => 0,
        }
    };
    let mut place = start;
    while place < text.len() && is_space(place) > 0 {
        place += is_space(place);
    }
    while place < text.len() && is_space(place) == 0 {
        place += 1;
    }
    place
}

impl Words {
    fn new(tokenizer: &Tokenizer, fields: &ModelFields) -> Result<Self, NotFast> {
        match (tokenizer.get_normalizer(), tokenizer.get_pre_tokenizer()) {
            (None, Some(PreTokenizerWrapper::ByteLevel(level))) if level.use_regex && !level.add_prefix_space => {
                Self::byte_level(tokenizer)
            }
            (Some(_), None) => Self::metaspace(tokenizer, fields),
            (None, None) if fields.merges.is_empty() => Characters::new(tokenizer, fields).map(Self::Characters),
            (_, pre_tokenizer) => {
                let found = if pre_tokenizer.is_some() { "a pre-tokenizer" } else { "no normalizer" };
                Err(NotFast(format!("a BPE model with {found} that is neither GPT-2's nor Llama-2's")))
            }
        }
    }

    fn byte_level(tokenizer: &Tokenizer) -> Result<Self, NotFast> {
        let mut bytes = [0; 256];
        for (byte, symbol) in (0..=255_u8).zip(&mut bytes) {
            let name = byte_character(byte).to_string();
            *symbol = tokenizer
                .get_model_id(&name)
                .ok_or_else(|| NotFast(format!("the BPE model has no token for the byte {byte}")))?;
        }
        let mut ascii = [Kind::Unknown; 128];
        for (byte, found) in (0..128_u8).zip(&mut ascii) {
            *found = kind(tokenizer, char::from(byte));
        }
        if ascii[usize::from(b' ')] != Kind::Space || ascii[usize::from(b'\'')] != Kind::Other {
            return Err(NotFast("the pre-tokenizer does not split as GPT-2's".to_owned()));
        }
        Ok(Self::ByteLevel { bytes, ascii })
    }

    /// Llama-2's shape: `▁` is added before the text and replaces each space, and nothing splits it.
    fn metaspace(tokenizer: &Tokenizer, fields: &ModelFields) -> Result<Self, NotFast> {
        let normalizer = serde_json::to_value(tokenizer.get_normalizer()).unwrap_or_default();
        let expected = serde_json::json!({"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": METASPACE},
            {"type": "Replace", "pattern": {"String": " "}, "content": METASPACE},
        ]});
        if normalizer != expected {
            return Err(NotFast("the normalizer is not Llama-2's".to_owned()));
        }
        // A token with a `▁` after something else could join two words.
        let joins = |(left, right): &(String, String)| right.starts_with(METASPACE) && !left.ends_with(METASPACE);
        if let Some((left, right)) = fields.merges.iter().find(|merge| joins(merge)) {
            return Err(NotFast(format!("the merge of {left:?} and {right:?} may join two words")));
        }
        let characters = Characters::new(tokenizer, fields)?;
        if !characters.has('▁') {
            return Err(NotFast("the BPE model has no token `▁`".to_owned()));
        }
        Ok(Self::Metaspace(characters))
    }
}

/// An id of the model itself, regardless of added tokens.
trait ModelId {
    fn get_model_id(&self, token: &str) -> Option<u32>;
}

impl ModelId for Tokenizer {
    fn get_model_id(&self, token: &str) -> Option<u32> {
        tokenizers::Model::token_to_id(self.get_model(), token)
    }
}

/// The class of a character in GPT-2's expression, as the file's own pre-tokenizer treats it.
fn kind(tokenizer: &Tokenizer, character: char) -> Kind {
    let joins = |first: char| {
        let Some(pre_tokenizer) = tokenizer.get_pre_tokenizer() else { return false };
        let mut text = PreTokenizedString::from(format!("{first}{character}"));
        pre_tokenizer.pre_tokenize(&mut text).is_ok()
            && text.get_splits(OffsetReferential::Original, OffsetType::None).len() == 1
    };
    // The classes exclude each other: letters join letters, numbers join numbers, and characters that are neither, nor
    // white space, join each other.
    match (joins('a'), joins('1'), joins('!')) {
        (true, false, false) => Kind::Letter,
        (false, true, false) => Kind::Number,
        (false, false, true) => Kind::Other,
        _ => Kind::Space,
    }
}

/// The character that stands for a byte in byte-level vocabularies (GPT-2's `bytes_to_unicode`).
fn byte_character(byte: u8) -> char {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    if printable(byte) {
        return char::from(byte);
    }
    // The others follow in order, from U+0100 on.
    let before = (0..byte).filter(|&byte| !printable(byte)).count();
    u32::try_from(before).ok().and_then(|before| char::from_u32(0x100 + before)).unwrap_or('\u{FFFD}')
}
