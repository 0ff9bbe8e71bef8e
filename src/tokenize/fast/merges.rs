//! Applies the merges of a BPE model to a word like the crate's `Word::merge_all`: the pair of the lowest rank first,
//! the leftmost of equal ones.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The merge of a pair of symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tokenize) struct Merge {
    /// Its rank: the lowest is merged first.
    pub(in crate::tokenize) rank: u32,
    /// The id of the merged symbol.
    pub(in crate::tokenize) id: u32,
}

/// No pair has this rank.
const NO_MERGE: Merge = Merge { rank: u32::MAX, id: 0 };

#[derive(Clone, Copy)]
struct Slot {
    pair: u64,
    merge: Merge,
}

/// Merges by pair: a table with open addressing, at most half full.
pub(in crate::tokenize) struct Merges {
    slots: Vec<Slot>,
    shift: u32,
    /// A bit for each pair, which may be another pair's too: most neighbours have no merge, and the table is large.
    seen: Vec<u64>,
}

/// Bits of `Merges::seen`.
const BITS: usize = 1 << 22;

/// No pair: both ids would be the largest.
const EMPTY: u64 = u64::MAX;

impl Merges {
    /// The merges of these pairs of ids. Of two equal pairs the last counts, as in the crate's map.
    pub(in crate::tokenize) fn new(merges: &[(u32, u32, Merge)]) -> Self {
        let slots = (2 * merges.len()).next_power_of_two().max(2);
        let empty = Slot { pair: EMPTY, merge: NO_MERGE };
        let seen = vec![0; BITS / 64];
        let mut table = Self { slots: vec![empty; slots], shift: 64 - slots.trailing_zeros(), seen };
        for &(left, right, merge) in merges {
            let place = table.place(left, right);
            table.slots[place] = Slot { pair: pair(left, right), merge };
            let bit = bit(mixed(left, right));
            table.seen[bit / 64] |= 1 << (bit % 64);
        }
        table
    }

    /// The merge of two neighbours; [`NO_MERGE`] if there is none.
    #[inline]
    fn get(&self, left: u32, right: u32) -> Merge {
        let bit = bit(mixed(left, right));
        if self.seen[bit / 64] >> (bit % 64) & 1 == 0 {
            return NO_MERGE;
        }
        self.slots[self.place(left, right)].merge
    }

    /// The pair's slot, or the empty slot where it would be.
    #[inline]
    fn place(&self, left: u32, right: u32) -> usize {
        let (pair, mixed) = (pair(left, right), mixed(left, right));
        #[expect(clippy::cast_possible_truncation, reason = "the upper bits, as many as a place has")]
        let mut place = (mixed >> self.shift) as usize;
        while self.slots[place].pair != pair && self.slots[place].pair != EMPTY {
            place = (place + 1) & (self.slots.len() - 1);
        }
        place
    }
}

#[inline]
fn mixed(left: u32, right: u32) -> u64 {
    let pair = pair(left, right);
    (pair ^ (pair >> 31)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[inline]
fn bit(mixed: u64) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "the upper bits, as many as a place has")]
    let bit = (mixed >> (64 - BITS.trailing_zeros())) as usize;
    bit
}

fn pair(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}

/// Words of more symbols are merged with a heap: a search of all pairs each time takes time quadratic in their number.
const FEW: usize = 48;

/// No symbol: the end of a linked list.
const NOTHING: u32 = u32::MAX;

/// Merges words and reuses its memory.
#[derive(Default)]
pub(in crate::tokenize) struct Merger {
    /// The symbols of the current word.
    pub(in crate::tokenize) symbols: Vec<u32>,
    merges: Vec<Merge>,
    links: Vec<(u32, u32)>,
    heap: BinaryHeap<Reverse<(u32, u32, u32)>>,
}

impl Merger {
    /// Merges `self.symbols` and appends the ids to `ids`.
    pub(in crate::tokenize) fn merge(&mut self, merges: &Merges, ids: &mut Vec<u32>) {
        if self.symbols.len() <= FEW {
            self.merge_few(merges);
            ids.extend_from_slice(&self.symbols);
        } else {
            self.merge_many(merges, ids);
        }
    }

    /// Searches all pairs for the best one each time.
    fn merge_few(&mut self, table: &Merges) {
        let Self { symbols, merges, .. } = self;
        merges.clear();
        merges.extend(symbols.windows(2).map(|pair| table.get(pair[0], pair[1])));
        loop {
            // The first of the lowest: `min_by_key` keeps the first of equal ones.
            let Some((place, best)) = merges.iter().copied().enumerate().min_by_key(|(_, merge)| merge.rank) else {
                return;
            };
            if best == NO_MERGE {
                return;
            }
            symbols[place] = best.id;
            symbols.remove(place + 1);
            merges.remove(place);
            if place > 0 {
                merges[place - 1] = table.get(symbols[place - 1], best.id);
            }
            if place < merges.len() {
                merges[place] = table.get(best.id, symbols[place + 1]);
            }
        }
    }

    /// Keeps all pairs in a heap. An entry is stale if its symbols have changed since: then their pair gives another
    /// id, or none.
    fn merge_many(&mut self, table: &Merges, ids: &mut Vec<u32>) {
        let Self { symbols, links, heap, .. } = self;
        #[expect(clippy::cast_possible_truncation, reason = "a line has at most 2^30 bytes")]
        let count = symbols.len() as u32;
        links.clear();
        links.extend(
            (0..count).map(|place| (place.wrapping_sub(1), if place + 1 < count { place + 1 } else { NOTHING })),
        );
        heap.clear();
        let push = |heap: &mut BinaryHeap<_>, symbols: &[u32], left: u32, right: u32| {
            let Merge { rank, id } = table.get(symbols[left as usize], symbols[right as usize]);
            if (Merge { rank, id }) != NO_MERGE {
                heap.push(Reverse((rank, left, id)));
            }
        };
        for left in 0..count.saturating_sub(1) {
            push(heap, symbols, left, left + 1);
        }
        while let Some(Reverse((_, left, id))) = heap.pop() {
            let (before, right) = links[left as usize];
            if symbols[left as usize] == NOTHING || right == NOTHING {
                continue;
            }
            let found = table.get(symbols[left as usize], symbols[right as usize]);
            if found == NO_MERGE || found.id != id {
                continue;
            }
            let (_, after) = links[right as usize];
            symbols[left as usize] = id;
            symbols[right as usize] = NOTHING;
            links[left as usize].1 = after;
            if after != NOTHING {
                links[after as usize].0 = left;
                push(heap, symbols, left, after);
            }
            if before != NOTHING {
                push(heap, symbols, before, left);
            }
        }
        ids.extend(symbols.iter().filter(|&&symbol| symbol != NOTHING));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Merges by definition: the leftmost pair of the lowest rank, until there is none.
    fn plainly(merges: &[(u32, u32, Merge)], mut symbols: Vec<u32>) -> Vec<u32> {
        loop {
            let merge = |pair: &[u32]| {
                merges.iter().rev().find(|(left, right, _)| [*left, *right] == *pair).map(|(_, _, merge)| *merge)
            };
            let best = symbols
                .windows(2)
                .enumerate()
                .filter_map(|(place, pair)| Some((merge(pair)?.rank, place, merge(pair)?.id)))
                .min();
            let Some((_, place, id)) = best else { return symbols };
            symbols.splice(place..place + 2, [id]);
        }
    }

    #[test]
    fn words_of_any_length_become_what_the_definition_says() {
        let mut state = 3_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            u32::try_from((state >> 33) % below).unwrap()
        };
        for _ in 0..40 {
            // 4 letters; each merge makes a new symbol from two existing ones, as a trainer does.
            let mut merges: Vec<(u32, u32, Merge)> = Vec::new();
            for rank in 0..30 {
                let (left, right) = (random(4 + u64::from(rank)), random(4 + u64::from(rank)));
                if !merges.iter().any(|(a, b, _)| (*a, *b) == (left, right)) {
                    merges.push((left, right, Merge { rank, id: 4 + rank }));
                }
            }
            let table = Merges::new(&merges);
            let mut reused = Merger::default();
            for length in [0, 1, 2, 3, 7, FEW - 1, FEW, FEW + 1, 200, 1000] {
                let word: Vec<u32> = (0..length).map(|_| random(4)).collect();
                reused.symbols.clone_from(&word);
                let mut ids = Vec::new();
                reused.merge(&table, &mut ids);
                assert_eq!(ids, plainly(&merges, word), "{length} symbols");
            }
        }
    }
}
