//! The BPE fast path (`docs/internals/tokenization.md`): words that the merges provably cannot join, a cache, and its
//! own merge code.
//!
//! ```text
//! text ──added tokens──▶ parts ──normalizer──▶ normal text ──pre-tokenizer──▶ words ──▶ cache, else symbols ──▶ merges
//! ```
//!
//! Each step is the file's own, done where nothing has to be done to most of the text; what a step does not know is given
//! to the crate (`Normal::Crate`, `Words::Crate`, [`Symbols`]).

use std::borrow::Cow;
use std::sync::Arc;

use tokenizers::{
    Model as _, ModelWrapper, NormalizedString, Normalizer as _, OffsetReferential, OffsetType, PreTokenizer as _,
    Tokenizer,
};

use crate::tokenize::fast::added::{AddedTokens, Part};
use crate::tokenize::fast::cache::{Ahead, Cache, Key, Size};
use crate::tokenize::fast::conditions::{self, METASPACE, NotFast};
use crate::tokenize::fast::forms::FormState;
use crate::tokenize::fast::merge_list;
use crate::tokenize::fast::merges::{Merger, Merges};
use crate::tokenize::fast::scanner::Scanner;
use crate::tokenize::fast::shape::{Front, Normal, Shape, Words};
use crate::tokenize::fast::symbols::Symbols;
use crate::tokenize::fast::whole::WholeWords;

/// The fast path of one tokenizer file. Shared by all workers, each with its own [`BpeState`].
pub(crate) struct FastBpe {
    /// The tokenizer that the probes, the self-check and the steps of the crate ask.
    tokenizer: Arc<Tokenizer>,
    /// Added tokens that are looked for in the text, and in what the normalizer makes of it.
    in_text: Option<AddedTokens>,
    in_normal: Option<AddedTokens>,
    shape: Shape,
    symbols: Symbols,
    merges: Merges,
    /// Words that are tokens, whatever the merges say.
    whole: Option<WholeWords>,
}

/// A worker's state between documents.
pub(crate) struct BpeState {
    forms: FormState,
    scanners: Vec<Scanner>,
    lookup: Lookup,
}

/// A worker's words on their way to ids.
struct Lookup {
    cache: Cache,
    /// Words, as byte ranges.
    ahead: Ahead<(usize, usize)>,
    merger: Merger,
    error: Option<tokenizers::Error>,
}

impl FastBpe {
    /// The fast path for a file, whose bytes are `json`.
    ///
    /// # Errors
    ///
    /// [`NotFast`] with the reason.
    pub(crate) fn new(tokenizer: &Arc<Tokenizer>, json: &[u8]) -> Result<Self, NotFast> {
        let ModelWrapper::BPE(model) = tokenizer.get_model() else {
            return Err(NotFast("the model is not BPE".to_owned()));
        };
        if model.dropout.is_some_and(|dropout| dropout > 0.0) {
            return Err(NotFast("the BPE model has dropout".to_owned()));
        }
        let list = merge_list::of_file(json).map_err(NotFast)?;
        let merges = Merges::new(&merge_list::ids(model, &list).map_err(NotFast)?);
        let in_text = AddedTokens::new(tokenizer, false).map_err(NotFast)?;
        let in_normal = AddedTokens::new(tokenizer, true).map_err(NotFast)?;
        let (shape, symbols) = Shape::new(tokenizer, model, &list, in_normal.is_some());
        let whole = model.ignore_merges.then(|| WholeWords::new(model, &symbols));
        let fast = Self { tokenizer: Arc::clone(tokenizer), in_text, in_normal, shape, symbols, merges, whole };
        // Clearing a cache takes longer than all of the texts.
        let mut state = fast.state();
        conditions::check_itself(tokenizer, |text, ids| fast.encode(text, &mut state, ids))?;
        Ok(fast)
    }

    /// The name of the path.
    #[must_use]
    pub(crate) fn name(&self) -> String {
        let name = match (&self.shape.words, &self.symbols) {
            (Words::Split(_), Symbols::Bytes(_)) => "fast byte-level BPE",
            (Words::Characters, _) => "fast characters",
            _ => "fast BPE",
        };
        match &self.shape.by_crate {
            Some(reason) => format!("{name}, words by the `tokenizers` crate: {reason}"),
            None => name.to_owned(),
        }
    }

    /// A worker's state.
    #[must_use]
    pub(crate) fn state(&self) -> BpeState {
        let scanners = match &self.shape.words {
            Words::Split(splits) => splits.scanners(),
            _ => Vec::new(),
        };
        let lookup =
            Lookup { cache: Cache::new(Size::WORDS), ahead: Ahead::new(), merger: Merger::default(), error: None };
        BpeState { forms: FormState::default(), scanners, lookup }
    }

    /// Appends the ids of `text` to `ids`.
    ///
    /// # Errors
    ///
    /// The crate's error, where a part of the text is given to it.
    pub(crate) fn encode(&self, text: &str, state: &mut BpeState, ids: &mut Vec<u32>) -> Result<(), tokenizers::Error> {
        if let Words::Crate = self.shape.words {
            return self.encode_by_crate(text, state, ids);
        }
        let Some(added) = &self.in_text else { return self.normalize(text, true, state, ids) };
        added.parts(text, |part| match part {
            Part::Token(id) => {
                ids.push(id);
                Ok(())
            }
            Part::Text(start, end) => self.normalize(&text[start..end], start == 0, state, ids),
        })
    }

    /// Appends the ids of a part of the text without added tokens in it. `is_first` if the text begins with it.
    fn normalize(
        &self,
        text: &str,
        is_first: bool,
        state: &mut BpeState,
        ids: &mut Vec<u32>,
    ) -> Result<(), tokenizers::Error> {
        let normal = match &self.shape.normal {
            Normal::Same => Cow::Borrowed(text),
            Normal::Metaspaces { prepend } => {
                let front = if *prepend && !text.is_empty() { METASPACE } else { "" };
                Cow::Owned(front.to_owned() + &text.replace(' ', METASPACE))
            }
            Normal::Form(form, normalizer) => form.normalize(normalizer, text, &mut state.forms)?,
            Normal::Crate(normalizer) => {
                let mut made = NormalizedString::from(text);
                normalizer.normalize(&mut made)?;
                Cow::Owned(made.get().to_owned())
            }
        };
        let text: &str = &normal;
        let Some(added) = &self.in_normal else { return self.words(text, is_first, state, ids) };
        added.parts(text, |part| match part {
            Part::Token(id) => {
                ids.push(id);
                Ok(())
            }
            Part::Text(start, end) => self.words(&text[start..end], is_first && start == 0, state, ids),
        })
    }

    /// Appends the ids of a normal text.
    fn words(
        &self,
        text: &str,
        is_first: bool,
        state: &mut BpeState,
        ids: &mut Vec<u32>,
    ) -> Result<(), tokenizers::Error> {
        let BpeState { scanners, lookup, .. } = state;
        match &self.shape.words {
            Words::Split(splits) => {
                let front = if splits.adds_space && !text.starts_with(' ') && !text.is_empty() { " " } else { "" };
                let text = if front.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(format!("{front}{text}")) };
                let text: &str = &text;
                splits.words(scanners, text, &mut |start, end| self.word(text, (start, end), lookup, ids));
                self.look_up(text, lookup, ids);
            }
            Words::Cut(junctions, front) => {
                let begins = text.starts_with([' ', '▁']);
                let has_front = match front {
                    Front::Nothing => false,
                    Front::Metaspace => !text.is_empty(),
                    Front::MetaspaceUnlessThere => !begins && !text.is_empty(),
                    Front::MetaspaceFirst => is_first && !begins && !text.is_empty(),
                };
                let mut start = 0;
                if has_front {
                    // The `▁` before the text is one more character of the first word than its bytes show.
                    start = if junctions.joins_metaspace(text) { junctions.word_end(text.as_bytes(), 0) } else { 0 };
                    self.merged(text, (0, start), true, lookup, ids);
                }
                while start < text.len() {
                    let end = junctions.word_end(text.as_bytes(), start);
                    self.word(text, (start, end), lookup, ids);
                    start = end;
                }
                self.look_up(text, lookup, ids);
            }
            Words::Characters | Words::Crate => self.merged(text, (0, text.len()), false, lookup, ids),
        }
        lookup.error.take().map_or(Ok(()), Err)
    }

    /// Appends the ids of a text whose words the crate makes.
    fn encode_by_crate(&self, text: &str, state: &mut BpeState, ids: &mut Vec<u32>) -> Result<(), tokenizers::Error> {
        let added = self.tokenizer.get_added_vocabulary();
        let mut pieces = added.extract_and_normalize(self.tokenizer.get_normalizer(), text);
        if let Some(pre_tokenizer) = self.tokenizer.get_pre_tokenizer() {
            pre_tokenizer.pre_tokenize(&mut pieces)?;
        }
        for (word, _, tokens) in pieces.get_splits(OffsetReferential::Normalized, OffsetType::None) {
            if let Some(tokens) = tokens {
                ids.extend(tokens.iter().map(|token| token.id));
            } else if !word.is_empty() {
                self.word(word, (0, word.len()), &mut state.lookup, ids);
                self.look_up(word, &mut state.lookup, ids);
            }
        }
        state.lookup.error.take().map_or(Ok(()), Err)
    }

    /// Takes the next word and queues it for lookup with others.
    #[inline]
    fn word(&self, text: &str, word: (usize, usize), lookup: &mut Lookup, ids: &mut Vec<u32>) {
        let Some(key) = Key::new(text.as_bytes(), word.0, word.1) else {
            self.look_up(text, lookup, ids);
            return self.merged(text, word, false, lookup, ids);
        };
        if lookup.ahead.add(key, word) {
            self.look_up(text, lookup, ids);
        }
    }

    /// Appends the ids of the queued words.
    #[inline]
    fn look_up(&self, text: &str, lookup: &mut Lookup, ids: &mut Vec<u32>) {
        let Lookup { cache, ahead, merger, error } = lookup;
        let looked_up = cache.look_up(ahead, ids, |word, ids| self.ids(text, word, false, merger, ids));
        if let Err(first) = looked_up {
            error.get_or_insert(first);
        }
    }

    /// Appends the ids of a word that is not looked up.
    fn merged(&self, text: &str, word: (usize, usize), has_front: bool, lookup: &mut Lookup, ids: &mut Vec<u32>) {
        if let Err(first) = self.ids(text, word, has_front, &mut lookup.merger, ids) {
            lookup.error.get_or_insert(first);
        }
    }

    /// Appends the ids of a word by merging. With `has_front` a `▁` stands before it.
    fn ids(
        &self,
        text: &str,
        (start, end): (usize, usize),
        has_front: bool,
        merger: &mut Merger,
        ids: &mut Vec<u32>,
    ) -> Result<(), tokenizers::Error> {
        let word = &text[start..end];
        let symbols = &mut merger.symbols;
        symbols.clear();
        let spaces = matches!(&self.shape.words, Words::Cut(junctions, _) if junctions.spaces());
        let mut is_complete = true;
        if let Some(id) = self.whole_id(word, has_front) {
            ids.push(id);
            return Ok(());
        }
        match &self.symbols {
            Symbols::Bytes(bytes) => is_complete = bytes.push(word.as_bytes(), symbols),
            Symbols::Characters(characters) => {
                if has_front {
                    is_complete &= characters.push('▁', symbols);
                }
                for character in word.chars() {
                    let character = if spaces && character == ' ' { '▁' } else { character };
                    is_complete &= characters.push(character, symbols);
                }
            }
        }
        if is_complete {
            merger.merge(&self.merges, ids);
        } else {
            let tokens = self.tokenizer.get_model().tokenize(&self.token(word, has_front))?;
            ids.extend(tokens.iter().map(|token| token.id));
        }
        Ok(())
    }

    /// The id of a word that is a token, if the model ignores its merges then.
    #[inline]
    fn whole_id(&self, word: &str, has_front: bool) -> Option<u32> {
        let whole = self.whole.as_ref()?;
        let model = self.tokenizer.get_model();
        if let Symbols::Bytes(bytes) = &self.symbols {
            return whole.id(model, word.as_bytes(), || bytes.spelled(word.as_bytes()));
        }
        let token = self.token(word, has_front);
        whole.id(model, token.as_bytes(), || token.to_string())
    }

    /// A word as the model's vocabulary spells it.
    fn token<'a>(&self, word: &'a str, has_front: bool) -> Cow<'a, str> {
        match (&self.symbols, &self.shape.words) {
            (Symbols::Bytes(bytes), _) => bytes.spelled(word.as_bytes()).into(),
            (_, Words::Cut(junctions, _)) if junctions.spaces() => {
                let front = if has_front { METASPACE } else { "" };
                (front.to_owned() + &word.replace(' ', METASPACE)).into()
            }
            _ => word.into(),
        }
    }
}
