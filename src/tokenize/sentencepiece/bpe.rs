//! The merges of a BPE model, as the package does them (`docs/internals/sentencepiece.md`, BPE).

use std::collections::{BTreeMap, BinaryHeap};
use std::convert::Infallible;

use crate::tokenize::fast::cache::{Ahead, Cache, Size};
use crate::tokenize::fast::junctions::Junctions;
use crate::tokenize::fast::merges::Merger;
use crate::tokenize::fast::trie::{Piece, Trie};
use crate::tokenize::sentencepiece::merge_table::{MergeTable, in_order};
use crate::tokenize::sentencepiece::model::{Model, PieceKind};
use crate::tokenize::sentencepiece::normalizer::{Symbols, character_length};
use crate::tokenize::sentencepiece::words::{Reserved, key};

/// How deep unused pieces are split again.
const MAX_DEPTH: usize = 100;

/// No symbol.
const NONE: u32 = u32::MAX;

pub(super) struct Bpe {
    /// Pieces that merges may make.
    trie: Trie<f32>,
    symbols: Option<Symbols>,
    unused: Vec<bool>,
    unknown: Option<u32>,
    bytes: Option<Box<[u32; 256]>>,
    /// Where a text may be cut, if merges depend on nothing outside their part.
    junctions: Option<Junctions>,
    table: Option<MergeTable>,
}

/// A worker's state between documents.
pub(super) struct BpeState {
    merging: Merging,
    cache: Option<(Cache, Ahead<(usize, usize)>)>,
}

/// A character, a user-defined symbol, or a merged symbol.
#[derive(Clone, Copy)]
struct Symbol {
    previous: u32,
    next: u32,
    start: u32,
    /// 0 once it is part of the symbol before it.
    length: u32,
    frozen: bool,
}

/// Two neighbours that together are a piece.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    /// The score, mapped to an integer in the same order.
    score: i32,
    /// The left one's distance from the end: of equal scores the leftmost pair is the greatest.
    left: u32,
    right: u32,
    length: u32,
}

#[derive(Default)]
struct Merging {
    merger: Merger,
    symbols: Vec<Symbol>,
    pairs: BinaryHeap<Pair>,
    /// The left part's length of unused pieces, from their latest merge.
    parts: BTreeMap<u32, u32>,
}

impl Bpe {
    pub(super) fn new(model: &Model, symbols: Option<Symbols>, reserved: Reserved<'_>) -> Self {
        let pieces = model.ids().filter(|&id| model.kind(id).is_of_text() && !reserved(id) && model.name(id) != b"\0");
        let pieces = pieces.map(|id| (model.name(id).to_vec(), Piece { id, score: model.score(id) })).collect();
        let unused: Vec<bool> = model.ids().map(|id| model.kind(id) == PieceKind::Unused).collect();
        // Every merge makes a piece, and a user-defined symbol is one.
        let of_text = || model.ids().filter(|&id| model.kind(id).is_of_text());
        let junctions =
            if unused.contains(&true) { None } else { Junctions::of_pieces(of_text().map(|id| model.name(id))) };
        let trie = Trie::new(pieces);
        let names = of_text().map(|id| str::from_utf8(model.name(id)).ok()).collect::<Option<Vec<_>>>();
        let names = names.filter(|_| junctions.is_some() && symbols.is_none());
        let table = names.map(|names| MergeTable::new(&names, &trie, model.len()));
        let (unknown, bytes) = (model.unknown, model.bytes.clone());
        Self { trie, symbols, unused, unknown, bytes, junctions, table }
    }

    /// Whether a text is encoded word by word.
    pub(super) fn words_are_apart(&self) -> bool {
        self.junctions.is_some()
    }

    pub(super) fn state(&self) -> BpeState {
        let cache = self.junctions.is_some().then(|| (Cache::new(Size::WORDS), Ahead::new()));
        BpeState { merging: Merging::default(), cache }
    }

    /// Appends the ids of a normalized text.
    pub(super) fn encode(&self, text: &[u8], state: &mut BpeState, ids: &mut Vec<u32>) {
        let first = ids.len();
        let BpeState { merging, cache } = state;
        match (cache, &self.junctions) {
            (Some((cache, ahead)), Some(junctions)) if str::from_utf8(text).is_ok() => {
                let mut look_up = |ahead: &mut Ahead<_>, merging: &mut Merging, ids: &mut Vec<u32>| {
                    let miss = |(start, end): (usize, usize), ids: &mut Vec<u32>| {
                        self.word(&text[start..end], merging, ids);
                        Ok::<(), Infallible>(())
                    };
                    match cache.look_up(ahead, ids, miss) {
                        Ok(()) => {}
                        Err(impossible) => match impossible {},
                    }
                };
                let mut end = 0;
                while end < text.len() {
                    let start = end;
                    end = junctions.word_end(text, start);
                    if let Some(key) = key(text, (start, end)) {
                        if ahead.add(key, (start, end)) {
                            look_up(ahead, merging, ids);
                        }
                    } else {
                        look_up(ahead, merging, ids);
                        self.word(&text[start..end], merging, ids);
                    }
                }
                look_up(ahead, merging, ids);
            }
            _ => self.merge(text, merging, ids),
        }
        if let (None, Some(unknown)) = (&self.bytes, self.unknown) {
            crate::tokenize::sentencepiece::words::merge_unknown(ids, first, unknown);
        }
    }

    /// Appends the ids of a word.
    fn word(&self, text: &[u8], merging: &mut Merging, ids: &mut Vec<u32>) {
        let unknown = |character: char, ids: &mut Vec<u32>| match &self.bytes {
            Some(bytes) => {
                let mut buffer = [0; 4];
                ids.extend(character.encode_utf8(&mut buffer).bytes().map(|byte| bytes[usize::from(byte)]));
            }
            None => ids.extend(self.unknown),
        };
        let table = self.table.as_ref().zip(str::from_utf8(text).ok());
        if !table.is_some_and(|(table, text)| table.merge(text, &mut merging.merger, ids, unknown)) {
            self.merge(text, merging, ids);
        }
    }

    /// Appends the ids of a part of a text that is independent of the rest.
    fn merge(&self, text: &[u8], merging: &mut Merging, ids: &mut Vec<u32>) {
        merging.begin(text, self.symbols.as_ref());
        for right in 1..merging.symbols.len() {
            merging.add_pair(self, text, right - 1, right);
        }
        while let Some(pair) = merging.pairs.pop() {
            merging.apply(self, text, pair);
        }
        let mut place = 0;
        while let Some(&Symbol { start, length, next, .. }) = merging.symbols.get(place) {
            self.emit(text, start as usize, length as usize, &merging.parts, 0, ids);
            place = next as usize;
        }
    }

    /// Appends the ids of a symbol; an unused piece is split again.
    fn emit(
        &self,
        text: &[u8],
        start: usize,
        length: usize,
        parts: &BTreeMap<u32, u32>,
        depth: usize,
        ids: &mut Vec<u32>,
    ) {
        let name = &text[start..start + length];
        match self.trie.piece(name) {
            Some(Piece { id, .. }) if depth > MAX_DEPTH || !self.unused[id as usize] => ids.push(id),
            Some(Piece { id, .. }) if parts.contains_key(&id) => {
                let left = parts[&id] as usize;
                self.emit(text, start, left, parts, depth + 1, ids);
                self.emit(text, start + left, length - left, parts, depth + 1, ids);
            }
            _ => match &self.bytes {
                Some(bytes) => ids.extend(name.iter().map(|&byte| bytes[usize::from(byte)])),
                None => ids.extend(self.unknown),
            },
        }
    }
}

impl Merging {
    /// Splits a text into symbols.
    #[expect(clippy::cast_possible_truncation, reason = "a text has fewer than 2^32 bytes")]
    fn begin(&mut self, text: &[u8], symbols: Option<&Symbols>) {
        self.symbols.clear();
        self.pairs.clear();
        self.parts.clear();
        let mut start = 0;
        while start < text.len() {
            let place = self.symbols.len() as u32;
            let found = symbols.and_then(|symbols| symbols.longest(&text[start..]));
            let length = found.unwrap_or_else(|| character_length(text[start]).min(text.len() - start));
            let next = if start + length < text.len() { place + 1 } else { NONE };
            let previous = place.checked_sub(1).unwrap_or(NONE);
            let (start_here, length_here) = (start as u32, length as u32);
            let frozen = found.is_some();
            self.symbols.push(Symbol { previous, next, start: start_here, length: length_here, frozen });
            start += length;
        }
    }

    /// Adds two neighbours, if together they are a piece.
    #[expect(clippy::cast_possible_truncation, reason = "a text has fewer than 2^32 symbols")]
    fn add_pair(&mut self, bpe: &Bpe, text: &[u8], left: usize, right: usize) {
        let (Some(first), Some(second)) = (self.symbols.get(left), self.symbols.get(right)) else { return };
        if first.frozen || second.frozen {
            return;
        }
        let (start, length) = (first.start as usize, first.length + second.length);
        if let Some(Piece { id, score }) = bpe.trie.piece(&text[start..start + length as usize]) {
            if bpe.unused[id as usize] {
                self.parts.insert(id, first.length);
            }
            self.pairs.push(Pair { score: in_order(score), left: NONE - left as u32, right: right as u32, length });
        }
    }

    /// Merges a pair, if neither has changed since.
    fn apply(&mut self, bpe: &Bpe, text: &[u8], pair: Pair) {
        let (left, right) = ((NONE - pair.left) as usize, pair.right as usize);
        let (first, second) = (self.symbols[left], self.symbols[right]);
        if first.length == 0 || second.length == 0 || first.length + second.length != pair.length {
            return;
        }
        self.symbols[left] = Symbol { length: pair.length, next: second.next, ..first };
        self.symbols[right].length = 0;
        if let Some(next) = self.symbols.get_mut(second.next as usize) {
            next.previous = NONE - pair.left;
        }
        self.add_pair(bpe, text, first.previous as usize, left);
        self.add_pair(bpe, text, left, second.next as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenize::sentencepiece::tests::{TEXTS, model};

    #[test]
    fn word_by_word_the_merges_are_those_of_the_whole_text() {
        let bpe = Bpe::new(&model("bpe", &[]), None, &|_| false);
        assert!(bpe.words_are_apart() && bpe.table.is_some());
        let (mut state, mut text) = (bpe.state(), String::new());
        for _ in 0..3 {
            for part in TEXTS {
                text.push('▁');
                text.push_str(part);
                let (mut words, mut whole) = (Vec::new(), Vec::new());
                bpe.encode(text.as_bytes(), &mut state, &mut words);
                bpe.merge(text.as_bytes(), &mut Merging::default(), &mut whole);
                assert_eq!(words, whole);
            }
        }
    }
}
