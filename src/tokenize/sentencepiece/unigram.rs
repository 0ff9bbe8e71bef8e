//! Finds the best path through a normalized text, as the package does (`docs/internals/sentencepiece.md`, Unigram and
//! Margins).
//!
//! Scores are added up in float32 over the whole text, so the best path may depend on everything before it. A word's
//! path is cached all the same, with its margin: how much better it is than the next best one. As long as rounding
//! cannot use up the margin, the path is the best one after any text.

use crate::tokenize::fast::cache::{Ahead, Key};
use crate::tokenize::fast::trie::{Piece, Trie};
use crate::tokenize::sentencepiece::model::{Model, PieceKind};
use crate::tokenize::sentencepiece::normalizer::character_length;
use crate::tokenize::sentencepiece::words::{Reserved, key, words};

/// Subtracted from the lowest score for a character without a piece.
const UNKNOWN_PENALTY: f32 = 10.0;

/// Scores beyond this are reset to zero.
const RESET: f32 = 100_000.0;

/// Most ids of a cached word.
const MAX_IDS: usize = 8;

/// Cached words: 32 MiB for each worker.
const SLOTS: usize = 1 << 19;

/// The most that rounding may take from a float32 sum, as a share of it: half of the last bit, and a hundredth more for
/// what earlier rounding has added to the sum.
const ROUNDING: f64 = 1.01 / 16_777_216.0;

/// Most bytes of a cached word, where each `▁` at its beginning counts one, and so most pieces of a path.
#[expect(clippy::cast_precision_loss, reason = "it is 23")]
const LONGEST: f64 = Key::MAX as f64;

/// No piece.
const NONE: u32 = u32::MAX;

pub(super) struct Unigram {
    trie: Trie<f32>,
    /// The score of each id; the unknown id has the score of an unknown character.
    scores: Vec<f32>,
    /// [`NONE`] if everything unknown becomes bytes.
    unknown: u32,
    unknown_score: f32,
    bytes: Option<Box<[u32; 256]>>,
    /// Whether no piece crosses the beginning of a word.
    words_are_apart: bool,
    /// No path of a cached word changes a score by more than this, up or down.
    most: f64,
}

/// A worker's state between documents.
pub(super) struct UnigramState {
    ends: Vec<End>,
    two_best: Vec<TwoBest>,
    slots: Vec<Slot>,
    ahead: Ahead<(usize, usize)>,
}

/// The best path that ends at a position.
#[derive(Clone, Copy)]
struct End {
    score: f32,
    start: u32,
    id: u32,
}

const UNREACHED: End = End { score: 0.0, start: u32::MAX, id: NONE };

/// The best path that ends at a position of a word, and the score of the next best, almost without rounding.
#[derive(Clone, Copy)]
struct TwoBest {
    best: f64,
    second: f64,
    start: usize,
    id: u32,
}

const NO_PATH: TwoBest = TwoBest { best: f64::NEG_INFINITY, second: f64::NEG_INFINITY, start: 0, id: NONE };

/// A word, its best path, and the path's margin.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Slot {
    key: Key,
    /// Negative if the path is not cached.
    margin: f32,
    count: u32,
    ids: [u32; MAX_IDS],
}

impl Unigram {
    pub(super) fn new(model: &Model, reserved: Reserved<'_>) -> Self {
        let normal = || model.ids().filter(|&id| model.kind(id) == PieceKind::Normal).map(|id| model.score(id));
        let unknown_score = normal().fold(f32::MAX, f32::min) - UNKNOWN_PENALTY;
        let mut scores: Vec<f32> = model.ids().map(|id| score(model, id)).collect();
        if let Some(unknown) = model.unknown {
            scores[unknown as usize] = unknown_score;
        }
        let is_tried =
            |id: &u32| matches!(model.kind(*id), PieceKind::Normal | PieceKind::UserDefined) && !reserved(*id);
        let pieces = model.ids().filter(is_tried);
        let pieces: Vec<_> =
            pieces.map(|id| (model.name(id).to_vec(), Piece { id, score: scores[id as usize] })).collect();
        let most = pieces.iter().fold(unknown_score.abs(), |most, (_, piece)| most.max(piece.score.abs()));
        Self {
            trie: Trie::new(pieces),
            scores,
            unknown: model.unknown.unwrap_or(NONE),
            unknown_score,
            bytes: model.bytes.clone(),
            words_are_apart: model.spaces_begin_pieces(),
            most: f64::from(most) * LONGEST,
        }
    }

    /// Whether a text is encoded word by word.
    pub(super) fn words_are_apart(&self) -> bool {
        self.words_are_apart
    }

    pub(super) fn state(&self) -> UnigramState {
        let empty = Slot { key: Key::NONE, margin: -1.0, count: 0, ids: [0; MAX_IDS] };
        // Byte fallback needs the text, so it is not cached.
        let slots = if self.words_are_apart && self.bytes.is_none() { SLOTS } else { 0 };
        UnigramState { ends: Vec::new(), two_best: Vec::new(), slots: vec![empty; slots], ahead: Ahead::new() }
    }

    /// Appends the ids of a normalized text.
    pub(super) fn encode(&self, text: &[u8], state: &mut UnigramState, ids: &mut Vec<u32>) {
        let first = ids.len();
        let mut score = 0.0;
        if self.words_are_apart && str::from_utf8(text).is_ok() {
            for (start, end) in words(text) {
                let key = if state.slots.is_empty() { None } else { key(text, (start, end)) };
                if let Some(key) = key {
                    if state.ahead.add(key, (start, end)) {
                        score = self.look_up(text, score, state, ids);
                    }
                } else {
                    score = self.look_up(text, score, state, ids);
                    score = self.stretch(&text[start..end], score, &mut state.ends, ids);
                }
            }
            self.look_up(text, score, state, ids);
        } else {
            self.stretch(text, score, &mut state.ends, ids);
        }
        if self.bytes.is_none() {
            crate::tokenize::sentencepiece::words::merge_unknown(ids, first, self.unknown);
        }
    }

    /// Appends the ids of the queued words, and returns the score after them.
    fn look_up(&self, text: &[u8], score: f32, state: &mut UnigramState, ids: &mut Vec<u32>) -> f32 {
        let UnigramState { ends, two_best, slots, ahead } = state;
        // As in the cache of the fast paths: all loads at once.
        let touched = ahead.chunks().iter().fold(0, |sum, queued| sum ^ slots[queued.place(SLOTS)].count);
        std::hint::black_box(touched);
        let mut score = score;
        for queued in ahead.drain() {
            let (start, end) = queued.chunk;
            let (key, word) = (queued.key, &text[start..end]);
            let slot = &mut slots[queued.place(SLOTS)];
            if slot.key != key {
                *slot = self.kept(key, word, two_best);
            }
            if self.is_best(slot, word.len(), score) {
                let known = &slot.ids[..slot.count as usize];
                ids.extend_from_slice(known);
                score = known.iter().fold(score, |score, &id| score + self.scores[id as usize]);
            } else {
                score = self.stretch(word, score, ends, ids);
            }
        }
        score
    }

    /// Whether the cached path of a word of this many bytes is the best one after this score.
    #[inline]
    fn is_best(&self, slot: &Slot, length: usize, score: f32) -> bool {
        let largest = f64::from(score.abs()) + self.most;
        #[expect(clippy::cast_precision_loss, reason = "at most 23")]
        let rounding = 2.0 * length as f64 * largest * ROUNDING;
        largest < f64::from(RESET) && f64::from(slot.margin) > rounding
    }

    /// The best path of a word, if it is short, and its margin.
    fn kept(&self, key: Key, word: &[u8], two_best: &mut Vec<TwoBest>) -> Slot {
        two_best.clear();
        two_best.resize(word.len() + 1, NO_PATH);
        two_best[0].best = 0.0;
        let mut start = 0;
        while start < word.len() {
            let TwoBest { best, second, .. } = two_best[start];
            self.pieces_at(&word[start..], |length, id, score| {
                let end = &mut two_best[start + length];
                let score = f64::from(score);
                if best + score > end.best {
                    end.second = end.best.max(second + score);
                    (end.best, end.start, end.id) = (best + score, start, id);
                } else {
                    end.second = end.second.max(best + score);
                }
            });
            start += character_length(word[start]);
        }
        let mut slot = Slot { key, margin: -1.0, count: 0, ids: [0; MAX_IDS] };
        let mut place = word.len();
        let mut path = [0; MAX_IDS];
        while place > 0 {
            let count = slot.count as usize;
            let TwoBest { start, id, .. } = two_best[place];
            if count == MAX_IDS || id == NONE {
                return slot;
            }
            path[count] = id;
            slot.count += 1;
            place = start;
        }
        for (id, last) in slot.ids.iter_mut().zip(path[..slot.count as usize].iter().rev()) {
            *id = *last;
        }
        let TwoBest { best, second, .. } = two_best[word.len()];
        // A billionth is far more than the loss in float64 here, and in float32 in the next step.
        #[expect(clippy::cast_possible_truncation, reason = "rounded down by a part in a million")]
        let margin = ((best - second) * 0.999_999 - 1e-9) as f32;
        slot.margin = margin;
        slot
    }

    /// Calls `found` with the length, id and score of each piece at the beginning of a text; and with the unknown id,
    /// if no piece is exactly its first character.
    #[inline]
    fn pieces_at(&self, text: &[u8], mut found: impl FnMut(usize, u32, f32)) {
        let width = character_length(text[0]).min(text.len());
        let mut single = false;
        self.trie.pieces_at(text, |length, Piece { id, score }| {
            single |= length == width;
            found(length, id, score);
        });
        if !single {
            found(width, self.unknown, self.unknown_score);
        }
    }

    /// Appends the ids of the best path through a part of a text, which follows a score, and returns the score after
    /// it.
    fn stretch(&self, text: &[u8], score: f32, ends: &mut Vec<End>, ids: &mut Vec<u32>) -> f32 {
        ends.clear();
        ends.resize(text.len() + 1, UNREACHED);
        ends[0].score = score;
        let (mut start, mut frontier) = (0, 0);
        while start < text.len() {
            let mut before = ends[start].score;
            if before.abs() > RESET {
                let reached = &mut ends[start..=frontier.max(start)];
                reached[0].score -= before;
                for end in reached[1..].iter_mut().filter(|end| end.start != u32::MAX) {
                    end.score -= before;
                }
                before = 0.0;
            }
            self.pieces_at(&text[start..], |length, id, score| {
                frontier = frontier.max(start + length);
                let end = &mut ends[start + length];
                let score = score + before;
                if end.start == u32::MAX || score > end.score {
                    #[expect(clippy::cast_possible_truncation, reason = "a text has fewer than 2^32 bytes")]
                    let start = start as u32;
                    *end = End { score, start, id };
                }
            });
            start += character_length(text[start]);
        }
        let first = ids.len();
        let mut place = text.len();
        while place > 0 {
            let End { start, id, .. } = ends[place];
            let start = start as usize;
            match &self.bytes {
                Some(bytes) if id == self.unknown => {
                    ids.extend(text[start..place].iter().rev().map(|&byte| bytes[usize::from(byte)]));
                }
                _ => ids.push(id),
            }
            place = start;
        }
        ids[first..].reverse();
        ends[text.len()].score
    }
}

/// The score of a piece: long user-defined symbols beat the same text in parts, and any user-defined symbol beats other
/// pieces.
fn score(model: &Model, id: u32) -> f32 {
    match model.kind(id) {
        PieceKind::UserDefined => {
            #[expect(clippy::cast_precision_loss, reason = "fewer than 8,000")]
            let longer = (model.name(id).len() - 1) as f64;
            #[expect(clippy::cast_possible_truncation, reason = "rounded as in the package")]
            let score = (0.1 * longer) as f32;
            score
        }
        _ => model.score(id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenize::sentencepiece::tests::{TEXTS, model};

    /// The fixture's model with its scores times a factor.
    fn unigram(factor: f32) -> Unigram {
        let model = model("unigram", &[]);
        let mut unigram = Unigram::new(&model, &|_| false);
        let pieces: Vec<_> = model.ids().filter(|&id| model.kind(id) == PieceKind::Normal).collect();
        let pieces = pieces.into_iter().map(|id| {
            let piece = Piece { id, score: model.score(id) * factor };
            unigram.scores[id as usize] = piece.score;
            (model.name(id).to_vec(), piece)
        });
        unigram.trie = Trie::new(pieces.collect());
        unigram.most *= f64::from(factor.abs().max(1.0));
        unigram
    }

    #[test]
    fn word_by_word_the_best_path_is_that_of_the_whole_text() {
        // The larger the scores, the more rounding takes, up to where sums are reset in the middle of words.
        for factor in [1.0, -1.0, 33.3, 1e3, 1e4, 1e6, 1e36] {
            let unigram = unigram(factor);
            let mut state = unigram.state();
            let mut text = String::new();
            for _ in 0..30 {
                for part in TEXTS {
                    text.push('▁');
                    text.push_str(part);
                }
                let (mut words, mut whole, mut ends) = (Vec::new(), Vec::new(), Vec::new());
                unigram.encode(text.as_bytes(), &mut state, &mut words);
                unigram.stretch(text.as_bytes(), 0.0, &mut ends, &mut whole);
                crate::tokenize::sentencepiece::words::merge_unknown(&mut whole, 0, unigram.unknown);
                assert_eq!(words, whole, "{factor}");
            }
        }
    }

    #[test]
    fn a_path_is_kept_only_as_far_as_its_margin_reaches() {
        let unigram = unigram(1.0);
        let word = "▁the".as_bytes();
        let key = Key::new(word, 0, word.len()).unwrap();
        let slot = unigram.kept(key, word, &mut Vec::new());
        assert!(slot.margin > 0.0 && slot.count == 1);
        assert!(unigram.is_best(&slot, word.len(), -1000.0));
        assert!(!unigram.is_best(&slot, word.len(), -99_999.0));
        assert!(!unigram.is_best(&Slot { margin: 1e-4, ..slot }, word.len(), -10_000.0));
        assert!(!unigram.is_best(&slot, word.len(), f32::NAN));
    }
}
