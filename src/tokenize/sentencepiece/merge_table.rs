//! The merges of a BPE model by pairs of symbols, which need no look at the text (`docs/internals/sentencepiece.md`, BPE).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::tokenize::fast::merges::{Merge, Merger, Merges};
use crate::tokenize::fast::trie::{Piece, Trie};

/// No piece has this character.
const NO_SYMBOL: u32 = u32::MAX;

/// The merges of a model without unused pieces and user-defined symbols.
pub(super) struct MergeTable {
    merges: Merges,
    /// The symbols of characters, by their scalar value.
    symbols: Vec<u32>,
    /// Characters that are in a piece and not a piece themselves; their symbols follow `first`.
    characters: Vec<char>,
    /// The first symbol that is not a piece.
    first: u32,
}

impl MergeTable {
    /// The table of these pieces. Their ids are less than `first`.
    pub(super) fn new(names: &[&str], trie: &Trie<f32>, first: u32) -> Self {
        let merges = Merges::new(&[]);
        let mut table = Self { merges, symbols: Vec::new(), characters: Vec::new(), first };
        for character in names.iter().flat_map(|name| name.chars()) {
            table.add(character, trie);
        }
        let pieces = names.iter().filter_map(|name| Some((*name, trie.piece(name.as_bytes())?)));
        // Of all pairs that make a piece, the one with the greatest score is first; equal scores have an equal rank.
        let scores: BTreeSet<_> = pieces.clone().map(|(_, piece)| Reverse(in_order(piece.score))).collect();
        let ranks: BTreeMap<_, u32> = scores.into_iter().zip(0..).collect();
        let mut merges = Vec::new();
        for (name, Piece { id, score }) in pieces {
            let rank = ranks[&Reverse(in_order(score))];
            for (place, _) in name.char_indices().skip(1) {
                let (left, right) = name.split_at(place);
                if let (Some(left), Some(right)) = (table.symbol(left, trie), table.symbol(right, trie)) {
                    merges.push((left, right, Merge { rank, id }));
                }
            }
        }
        table.merges = Merges::new(&merges);
        table
    }

    /// Adds a character of a piece.
    fn add(&mut self, character: char, trie: &Trie<f32>) {
        let place = character as usize;
        if self.symbols.len() <= place {
            self.symbols.resize(place + 1, NO_SYMBOL);
        }
        if self.symbols[place] != NO_SYMBOL {
            return;
        }
        let piece = trie.piece(character.encode_utf8(&mut [0; 4]).as_bytes()).map(|piece| piece.id);
        self.symbols[place] = piece.unwrap_or_else(|| {
            self.characters.push(character);
            #[expect(clippy::cast_possible_truncation, reason = "fewer than there are characters")]
            let number = self.characters.len() as u32 - 1;
            self.first + number
        });
    }

    /// The symbol that a text of merges can be: a character or a piece.
    fn symbol(&self, text: &str, trie: &Trie<f32>) -> Option<u32> {
        let mut characters = text.chars();
        match (characters.next(), characters.next()) {
            (Some(only), None) => self.symbols.get(only as usize).copied(),
            _ => trie.piece(text.as_bytes()).map(|piece| piece.id),
        }
    }

    /// Appends the ids of a part of a text; `unknown` appends those of a character that is not a piece. Returns whether it
    /// could: not if the text has a character that is in no piece.
    pub(super) fn merge(
        &self,
        text: &str,
        merger: &mut Merger,
        ids: &mut Vec<u32>,
        unknown: impl Fn(char, &mut Vec<u32>),
    ) -> bool {
        merger.symbols.clear();
        for character in text.chars() {
            match self.symbols.get(character as usize) {
                Some(&symbol) if symbol != NO_SYMBOL => merger.symbols.push(symbol),
                _ => return false,
            }
        }
        let start = ids.len();
        merger.merge(&self.merges, ids);
        if ids[start..].iter().any(|&id| id >= self.first) {
            for symbol in ids.split_off(start) {
                match symbol.checked_sub(self.first) {
                    Some(number) => unknown(self.characters[number as usize], ids),
                    None => ids.push(symbol),
                }
            }
        }
        true
    }
}

/// A score's bits as an integer in the same order, as in `f32::total_cmp`.
pub(super) fn in_order(score: f32) -> i32 {
    let bits = score.to_bits().cast_signed();
    if bits < 0 { bits ^ i32::MAX } else { bits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_ordered_as_numbers() {
        let scores = [f32::NEG_INFINITY, -1e30, -2.0, -1.0, -0.0, 0.0, 1e-40, 1.0, f32::INFINITY];
        assert!(scores.map(in_order).is_sorted_by(|a, b| a < b));
    }
}
