//! Chunks, windows and the Viterbi of the Unigram fast path (`docs/internals/tokenization.md`).
//!
//! ```text
//! raw text ──cut at separators between plain characters──▶ windows
//!   window of plain characters        ──▶ cache, else Viterbi of "▁" + window
//!   any other window                  ──▶ cache, else the file's own normalizer and pre-tokenizer, then Viterbi
//! ```

use std::sync::Arc;

use serde_json::Value;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::{
    ModelWrapper, NormalizedString, Normalizer as _, OffsetReferential, OffsetType, PreTokenizedString,
    PreTokenizer as _, Tokenizer,
};

use crate::tokenize::fast::added::{AddedTokens, Part};
use crate::tokenize::fast::cache::{Ahead, Cache, Key, Size};
use crate::tokenize::fast::characters::{Class, Classes, stands_alone};
use crate::tokenize::fast::conditions::{self, METASPACE, NotFast};
use crate::tokenize::fast::letters::Letters;
use crate::tokenize::fast::trie::{Piece, Trie};

/// Subtracted from the lowest score for a character without a piece, as in the crate.
const UNKNOWN_PENALTY: f64 = 10.0;

/// The fast path of one tokenizer file. Shared by all workers, each with its own [`UnigramState`].
pub(crate) struct FastUnigram {
    /// The file's normalizer and pre-tokenizer, and the reference for the self-check.
    tokenizer: Arc<Tokenizer>,
    /// Added tokens that stand in text.
    added: Option<AddedTokens>,
    trie: Trie,
    unknown: Piece,
    ascii: [Class; 128],
    /// The letters that are plain, if all of ASCII are.
    letters: Option<Letters>,
    /// Whether the normalizer works on grapheme clusters, so that a plain character must be a separate one.
    clusters: bool,
    /// Whether any run of separators between plain characters acts like one.
    runs_collapse: bool,
    /// Whether a run of separators at the end of the text leaves nothing.
    end_is_stripped: bool,
}

/// A worker's state between documents.
pub(crate) struct UnigramState {
    cache: Cache,
    ahead: Ahead<Window>,
    classes: Classes,
    viterbi: Viterbi,
    word: Vec<u8>,
}

/// The best path to every position of a pre-token.
#[derive(Default)]
struct Viterbi {
    ends: Vec<End>,
}

/// The best path that ends at a position.
#[derive(Clone, Copy)]
struct End {
    score: f64,
    start: u32,
    id: u32,
}

/// No path ends here yet.
const UNREACHED: End = End { score: 0.0, start: u32::MAX, id: 0 };

/// Part of the text between two safe cuts.
#[derive(Clone, Copy)]
struct Window {
    start: usize,
    end: usize,
    /// One chunk of plain characters.
    plain: bool,
    /// One chunk between plain characters, so its ids depend on its bytes alone.
    local: bool,
}

impl FastUnigram {
    /// The fast path for a file, if chunks are provably local in a file of this shape. Text never gives `reserved` ids.
    /// `unknown_id` is the model's id of unknown text.
    ///
    /// # Errors
    ///
    /// [`NotFast`] with the reason.
    pub(crate) fn new(
        tokenizer: &Arc<Tokenizer>,
        unknown_id: Option<u32>,
        reserved: impl Fn(u32) -> bool,
    ) -> Result<Self, NotFast> {
        let not = |reason: &str| NotFast(reason.to_owned());
        let ModelWrapper::Unigram(model) = tokenizer.get_model() else { return Err(not("the model is not Unigram")) };
        if model.byte_fallback() {
            return Err(not("the Unigram model falls back to bytes"));
        }
        if model.alpha.is_some() {
            return Err(not("the Unigram model samples"));
        }
        if AddedTokens::new(tokenizer, true).map_err(NotFast)?.is_some() {
            return Err(not("an added token is not special and may be changed by the normalizer"));
        }
        let added = AddedTokens::new(tokenizer, false).map_err(NotFast)?;
        check_pre_tokenizer(tokenizer)?;
        let clusters = check_normalizer(tokenizer)?;
        let unknown_id = unknown_id.ok_or_else(|| not("the Unigram model has no unknown id"))?;
        let pieces = (0..).zip(model.iter()).filter(|(id, _)| !reserved(*id));
        let pieces =
            pieces.map(|(id, (piece, score))| (piece.as_bytes().to_vec(), Piece { id, score: *score })).collect();
        let mut fast = Self {
            tokenizer: Arc::clone(tokenizer),
            added,
            trie: Trie::new(pieces),
            unknown: Piece { id: unknown_id, score: model.min_score - UNKNOWN_PENALTY },
            ascii: [Class::Odd; 128],
            letters: None,
            clusters,
            runs_collapse: false,
            end_is_stripped: false,
        };
        fast.probe()?;
        Ok(fast)
    }

    /// A worker's state.
    #[must_use]
    pub(crate) fn state(&self) -> UnigramState {
        UnigramState {
            cache: Cache::new(Size::CHUNKS),
            ahead: Ahead::new(),
            classes: Classes::new(self.ascii),
            viterbi: Viterbi::default(),
            word: METASPACE.as_bytes().to_vec(),
        }
    }

    /// Appends the ids of `text` to `ids`.
    ///
    /// # Errors
    ///
    /// The crate's error for a window that is passed to it.
    pub(crate) fn encode(
        &self,
        text: &str,
        state: &mut UnigramState,
        ids: &mut Vec<u32>,
    ) -> Result<(), tokenizers::Error> {
        let Some(added) = &self.added else { return self.part(text, state, ids) };
        added.parts(text, |part| match part {
            Part::Token(id) => {
                ids.push(id);
                Ok(())
            }
            Part::Text(start, end) => self.part(&text[start..end], state, ids),
        })
    }

    /// Appends the ids of a part of the text without added tokens in it.
    fn part(&self, text: &str, state: &mut UnigramState, ids: &mut Vec<u32>) -> Result<(), tokenizers::Error> {
        let bytes = text.as_bytes();
        let mut window = Window { start: 0, end: 0, plain: true, local: true };
        let mut place = skip_run(self, bytes, 0);
        if place > 0 || bytes.is_empty() {
            (window.plain, window.local) = (false, false); // what separators at the very beginning do is the crate's to say
        }
        loop {
            let chunk = self.chunk(text, place, &mut state.classes);
            window.end = chunk.end;
            window.plain &= chunk.plain;
            window.local &= chunk.first && chunk.last;
            let next = skip_run(self, bytes, chunk.end);
            let run = next - chunk.end;
            if next == bytes.len() {
                if run > 0 && !(self.end_is_stripped && chunk.last && (run == 1 || self.runs_collapse)) {
                    window.end = next;
                    (window.plain, window.local) = (false, false);
                }
                self.window(text, window, state, ids)?;
                return self.look_up(text, state, ids);
            }
            let safe =
                chunk.last && (run == 1 || self.runs_collapse) && self.is_plain_at(text, next, &mut state.classes);
            if safe {
                self.window(text, window, state, ids)?;
                window = Window { start: next, end: next, plain: true, local: true };
            } else {
                (window.plain, window.local) = (false, false);
            }
            place = next;
        }
    }

    /// The chunk that starts at `start`: up to the next separator, and the classes of its characters.
    #[inline]
    fn chunk(&self, text: &str, start: usize, classes: &mut Classes) -> Chunk {
        let bytes = text.as_bytes();
        let mut chunk = Chunk { end: start, plain: true, first: true, last: true };
        if let Some(letters) = self.letters {
            chunk.end = letters.end(bytes, start);
        }
        while let Some(&byte) = bytes.get(chunk.end) {
            let (class, length) =
                if byte < 0x80 { (classes.ascii(byte), 1) } else { self.beyond_ascii(text, chunk.end, classes) };
            if class == Class::Separator {
                break;
            }
            let plain = class == Class::Plain;
            if chunk.end == start {
                chunk.first = plain;
            }
            chunk.last = plain;
            chunk.plain &= plain;
            chunk.end += length;
        }
        chunk
    }

    fn beyond_ascii(&self, text: &str, place: usize, classes: &mut Classes) -> (Class, usize) {
        let Some(character) = text.get(place..).and_then(|rest| rest.chars().next()) else { return (Class::Odd, 1) };
        (classes.other(character, |character| self.is_plain(character)), character.len_utf8())
    }

    fn is_plain_at(&self, text: &str, place: usize, classes: &mut Classes) -> bool {
        match text.as_bytes()[place] {
            byte if byte < 0x80 => classes.ascii(byte) == Class::Plain,
            _ => self.beyond_ascii(text, place, classes).0 == Class::Plain,
        }
    }

    /// Takes the next window. If its ids depend on its bytes alone, queues it for lookup with others.
    #[inline]
    fn window(
        &self,
        text: &str,
        window: Window,
        state: &mut UnigramState,
        ids: &mut Vec<u32>,
    ) -> Result<(), tokenizers::Error> {
        let key = if window.local { Key::new(text.as_bytes(), window.start, window.end) } else { None };
        match key {
            Some(key) if state.ahead.add(key, window) => self.look_up(text, state, ids),
            Some(_) => Ok(()),
            None => {
                self.look_up(text, state, ids)?;
                self.model(text, window, &mut state.viterbi, &mut state.word, ids)
            }
        }
    }

    /// Appends the ids of the queued windows.
    fn look_up(&self, text: &str, state: &mut UnigramState, ids: &mut Vec<u32>) -> Result<(), tokenizers::Error> {
        let UnigramState { cache, ahead, viterbi, word, .. } = state;
        cache.look_up(ahead, ids, |window, ids| self.model(text, window, viterbi, word, ids))
    }

    /// Appends the ids of a window by the model.
    fn model(
        &self,
        text: &str,
        window: Window,
        viterbi: &mut Viterbi,
        word: &mut Vec<u8>,
        ids: &mut Vec<u32>,
    ) -> Result<(), tokenizers::Error> {
        if window.plain {
            word.truncate(METASPACE.len());
            word.extend_from_slice(&text.as_bytes()[window.start..window.end]);
            viterbi.encode(&self.trie, self.unknown, word, ids);
        } else {
            for word in self.pre_tokens(&text[window.start..window.end])? {
                viterbi.encode(&self.trie, self.unknown, word.as_bytes(), ids);
            }
        }
        Ok(())
    }

    /// The pre-tokens of a text by the file's own normalizer and pre-tokenizer.
    fn pre_tokens(&self, text: &str) -> Result<Vec<String>, tokenizers::Error> {
        let mut normal = NormalizedString::from(text);
        if let Some(normalizer) = self.tokenizer.get_normalizer() {
            normalizer.normalize(&mut normal)?;
        }
        let mut pre_tokens = PreTokenizedString::from(normal);
        if let Some(pre_tokenizer) = self.tokenizer.get_pre_tokenizer() {
            pre_tokenizer.pre_tokenize(&mut pre_tokens)?;
        }
        let splits = pre_tokens.get_splits(OffsetReferential::Normalized, OffsetType::None);
        Ok(splits.into_iter().map(|(word, _, _)| word.to_owned()).collect())
    }

    fn becomes(&self, text: &str, expected: &[&str]) -> bool {
        self.pre_tokens(text).is_ok_and(|words| words == expected)
    }

    /// Whether the file leaves the character unchanged, inside a word and at its ends.
    fn is_plain(&self, character: char) -> bool {
        (!self.clusters || stands_alone(character))
            && self.becomes(&format!("a{character}b"), &[&format!("▁a{character}b")])
            && self.becomes(&format!("a {character}"), &["▁a", &format!("▁{character}")])
            && self.becomes(&character.to_string(), &[&format!("▁{character}")])
    }

    /// Asks the file how it treats its characters, then compares both paths on texts of all kinds.
    fn probe(&mut self) -> Result<(), NotFast> {
        if !self.becomes("b", &["▁b"]) || !self.becomes("a b", &["▁a", "▁b"]) {
            return Err(NotFast("a space does not simply begin a word".to_owned()));
        }
        let mut separators = Vec::new();
        for byte in 0..128_u8 {
            let character = char::from(byte);
            self.ascii[usize::from(byte)] = if self.is_plain(character) {
                Class::Plain
            } else if self.becomes(&format!("a{character}b"), &["▁a", "▁b"]) {
                separators.push(character);
                Class::Separator
            } else {
                Class::Odd
            };
        }
        let are_plain = Letters::Any.bytes().all(|letter| self.ascii[usize::from(letter)] == Class::Plain);
        self.letters = are_plain.then_some(Letters::Any);
        let mut runs: Vec<String> = separators.iter().map(char::to_string).collect();
        self.end_is_stripped = runs.iter().all(|run| self.becomes(&format!("a{run}"), &["▁a"]));
        self.runs_collapse = true;
        for _ in 0..2 {
            // All pairs, then all triples: normalization decides on one separator at a time, or two for CR LF.
            runs = runs.iter().flat_map(|run| separators.iter().map(move |next| format!("{run}{next}"))).collect();
            self.runs_collapse &= runs.iter().all(|run| self.becomes(&format!("a{run}b"), &["▁a", "▁b"]));
            self.end_is_stripped &= runs.iter().all(|run| self.becomes(&format!("a{run}"), &["▁a"]));
        }
        // Clearing a cache takes longer than all of the texts.
        let mut state = self.state();
        conditions::check_itself(&self.tokenizer, |text, ids| self.encode(text, &mut state, ids))
    }
}

struct Chunk {
    end: usize,
    /// All characters are plain.
    plain: bool,
    /// The first one is.
    first: bool,
    /// The last one is.
    last: bool,
}

#[inline]
fn skip_run(fast: &FastUnigram, bytes: &[u8], start: usize) -> usize {
    let mut place = start;
    while bytes.get(place).is_some_and(|&byte| byte < 0x80 && fast.ascii[usize::from(byte)] == Class::Separator) {
        place += 1;
    }
    place
}

impl Viterbi {
    /// Appends the ids of the best path through `text`, as the crate's `Unigram::encode_optimized` finds it: scores are
    /// f64, added from the left, only a strictly better path replaces another, and neighbouring unknown characters
    /// become one id.
    fn encode(&mut self, trie: &Trie, unknown: Piece, text: &[u8], ids: &mut Vec<u32>) {
        self.ends.clear();
        self.ends.resize(text.len() + 1, UNREACHED);
        let mut start = 0;
        while start < text.len() {
            let score = self.ends[start].score;
            let width = character_width(text[start]);
            let mut single = false;
            let ends = &mut self.ends[start..];
            #[expect(clippy::cast_possible_truncation, reason = "a line has at most 2^30 bytes")]
            let mut reach = |length: usize, piece: Piece| {
                let end = &mut ends[length];
                let candidate = piece.score + score;
                if end.start == u32::MAX || candidate > end.score {
                    *end = End { score: candidate, start: start as u32, id: piece.id };
                }
            };
            trie.pieces_at(&text[start..], |length, piece| {
                single |= length == width;
                reach(length, piece);
            });
            if !single {
                reach(width, unknown);
            }
            start += width;
        }
        let first = ids.len();
        let mut place = text.len();
        let mut after_unknown = false;
        while place > 0 {
            let End { start, id, .. } = self.ends[place];
            let is_unknown = id == unknown.id;
            if !(is_unknown && after_unknown) {
                ids.push(id);
            }
            after_unknown = is_unknown;
            place = start as usize;
        }
        ids[first..].reverse();
    }
}

/// Bytes of the character that starts with `byte`.
#[inline]
fn character_width(byte: u8) -> usize {
    match byte {
        0..0x80 => 1,
        0x80..0xE0 => 2,
        0xE0..0xF0 => 3,
        0xF0.. => 4,
    }
}

/// Accepts a Metaspace that begins every word, alone or after a split at white space.
fn check_pre_tokenizer(tokenizer: &Tokenizer) -> Result<(), NotFast> {
    let always = |metaspace: &Metaspace| {
        metaspace.get_split()
            && metaspace.get_replacement().to_string() == METASPACE
            && metaspace.get_prepend_scheme() == PrependScheme::Always
    };
    let fits = match tokenizer.get_pre_tokenizer() {
        Some(PreTokenizerWrapper::Metaspace(metaspace)) => always(metaspace),
        Some(PreTokenizerWrapper::Sequence(sequence)) => match sequence.as_ref() {
            [PreTokenizerWrapper::WhitespaceSplit(_), PreTokenizerWrapper::Metaspace(metaspace)] => always(metaspace),
            _ => false,
        },
        _ => false,
    };
    if fits { Ok(()) } else { Err(NotFast("the pre-tokenizer is not Metaspace that begins every word".to_owned())) }
}

/// Accepts only normalizers that work on one character or cluster at a time, strip the ends, or collapse runs of
/// spaces. Returns whether one of them works on clusters.
fn check_normalizer(tokenizer: &Tokenizer) -> Result<bool, NotFast> {
    let json = serde_json::to_value(tokenizer.get_normalizer()).map_err(|error| NotFast(error.to_string()))?;
    let steps = match &json {
        Value::Null => Vec::new(),
        Value::Object(step) if step["type"] == "Sequence" => {
            step["normalizers"].as_array().cloned().unwrap_or_default()
        }
        step => vec![step.clone()],
    };
    let mut clusters = false;
    for step in &steps {
        match step["type"].as_str() {
            Some("Precompiled") => clusters = true,
            Some("Strip") => {}
            Some("Replace") if step["pattern"]["Regex"] == " {2,}" => {}
            other => {
                return Err(NotFast(format!("the normalizer `{}` is not known to be local", other.unwrap_or("?"))));
            }
        }
    }
    Ok(clusters)
}
