//! A double-array trie over bytes that finds all vocabulary pieces at the beginning of a text.

use std::collections::VecDeque;

/// A piece of the vocabulary. The `tokenizers` crate has scores of 64 bits, `sentencepiece` of 32; a set of pieces has none.
#[derive(Debug, Clone, Copy)]
pub(in crate::tokenize) struct Piece<Score = f64> {
    pub(in crate::tokenize) id: u32,
    pub(in crate::tokenize) score: Score,
}

/// The state before the first byte.
const ROOT: u32 = 0;

/// No state has this parent.
const FREE: u32 = u32::MAX;

/// The root is a child of no state: a search must not find it below itself.
const NOBODY: u32 = u32::MAX - 1;

/// No piece ends in this state.
const NO_PIECE: u32 = u32::MAX;

/// A state. The child for byte `b` is `base ^ b`, if the `parent` there is this state.
#[derive(Clone, Copy)]
struct State<Score> {
    base: u32,
    parent: u32,
    id: u32,
    score: Score,
}

/// States are allocated in blocks: all values that one byte can reach by exclusive or.
const BLOCK: u32 = 256;

pub(in crate::tokenize) struct Trie<Score = f64> {
    states: Vec<State<Score>>,
}

impl<Score: Copy + Default> Trie<Score> {
    /// The trie of these pieces. Of two equal pieces the last counts, as in the crate's map from piece to id.
    pub(in crate::tokenize) fn new(mut pieces: Vec<(Vec<u8>, Piece<Score>)>) -> Self {
        pieces.retain(|(bytes, _)| !bytes.is_empty());
        pieces.sort_by(|a, b| a.0.cmp(&b.0)); // stable: equal pieces keep their order
        let mut builder = Builder { states: Vec::new(), free: Vec::new(), open: VecDeque::new() };
        builder.add_block();
        builder.take(ROOT, NOBODY);
        builder.place_all(&pieces);
        Self { states: builder.states }
    }

    /// Calls `found` with the length and the piece for each piece at the beginning of `text`, shortest first.
    #[inline]
    pub(in crate::tokenize) fn pieces_at(&self, text: &[u8], mut found: impl FnMut(usize, Piece<Score>)) {
        let mut state = ROOT;
        for (place, &byte) in text.iter().enumerate() {
            let Some(child) = self.child(state, byte) else { return };
            state = child;
            let State { id, score, .. } = self.states[state as usize];
            if id != NO_PIECE {
                found(place + 1, Piece { id, score });
            }
        }
    }

    /// The piece of this name.
    #[inline]
    pub(in crate::tokenize) fn piece(&self, name: &[u8]) -> Option<Piece<Score>> {
        let state = name.iter().try_fold(ROOT, |state, &byte| self.child(state, byte))?;
        let State { id, score, .. } = self.states[state as usize];
        (id != NO_PIECE).then_some(Piece { id, score })
    }

    /// Whether a piece begins with this byte.
    pub(in crate::tokenize) fn begins_with(&self, byte: u8) -> bool {
        self.child(ROOT, byte).is_some()
    }

    #[inline]
    fn child(&self, state: u32, byte: u8) -> Option<u32> {
        let child = self.states[state as usize].base ^ u32::from(byte);
        self.states.get(child as usize).filter(|found| found.parent == state).map(|_| child)
    }
}

struct Builder<Score> {
    states: Vec<State<Score>>,
    /// The free states of each block, one bit each.
    free: Vec<[u64; 4]>,
    /// Blocks with free states, oldest first.
    open: VecDeque<u32>,
}

/// Blocks to try for the children of a state before a new one is added: a bound on the time to build.
const TRIES: usize = 16;

/// Pieces that share their first bytes, which lead to a state.
struct Group<'a, Score> {
    state: u32,
    pieces: &'a [(Vec<u8>, Piece<Score>)],
    depth: usize,
}

impl<Score: Copy + Default> Builder<Score> {
    fn add_block(&mut self) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "far fewer than 2^32 states")]
        let block = self.free.len() as u32;
        let empty = State { base: 0, parent: FREE, id: NO_PIECE, score: Score::default() };
        self.states.extend([empty; BLOCK as usize]);
        self.free.push([u64::MAX; 4]);
        self.open.push_back(block);
        block
    }

    fn take(&mut self, state: u32, parent: u32) {
        self.states[state as usize].parent = parent;
        let free = &mut self.free[(state / BLOCK) as usize];
        free[(state % BLOCK / 64) as usize] &= !(1 << (state % 64));
    }

    /// Makes the states below the root. Pieces may be long, so the work list is not on the stack.
    fn place_all(&mut self, pieces: &[(Vec<u8>, Piece<Score>)]) {
        let mut open = vec![Group { state: ROOT, pieces, depth: 0 }];
        while let Some(group) = open.pop() {
            self.place(&group, &mut open);
        }
    }

    /// Makes the children of a state, and adds them to `open`, the first one last.
    fn place<'a>(&mut self, group: &Group<'a, Score>, open: &mut Vec<Group<'a, Score>>) {
        let &Group { state, pieces, depth } = group;
        let here = pieces.iter().take_while(|(bytes, _)| bytes.len() == depth).count();
        if let Some((_, piece)) = pieces[..here].last() {
            self.states[state as usize].id = piece.id;
            self.states[state as usize].score = piece.score;
        }
        let pieces = &pieces[here..];
        let bytes: Vec<u8> = pieces.chunk_by(|a, b| a.0[depth] == b.0[depth]).map(|group| group[0].0[depth]).collect();
        if bytes.is_empty() {
            return;
        }
        let base = self.find_base(&bytes);
        self.states[state as usize].base = base;
        for &byte in &bytes {
            self.take(base ^ u32::from(byte), state);
        }
        let groups = pieces.chunk_by(|a, b| a.0[depth] == b.0[depth]).zip(bytes);
        let first = open.len();
        open.extend(groups.map(|(pieces, byte)| Group { state: base ^ u32::from(byte), pieces, depth: depth + 1 }));
        open[first..].reverse();
    }

    /// A base under which all these children are free.
    fn find_base(&mut self, bytes: &[u8]) -> u32 {
        while self.open.front().is_some_and(|&block| self.free[block as usize] == [0; 4]) {
            self.open.pop_front();
        }
        // A single child fills the oldest hole; several children search the newest blocks, where there is room.
        let newest = self.open.len();
        let tried = if bytes.len() == 1 { 0..newest } else { newest.saturating_sub(TRIES)..newest };
        let found = self.open.range(tried).find_map(|&block| self.base_in(block, bytes));
        found.unwrap_or_else(|| self.add_block() * BLOCK) // a new block is free
    }

    fn base_in(&self, block: u32, bytes: &[u8]) -> Option<u32> {
        let free = &self.free[block as usize];
        let is_free = |place: u32| free[(place / 64) as usize] >> (place % 64) & 1 == 1;
        let (first, others) = bytes.split_first()?;
        for (index, &word) in (0..).zip(free) {
            let mut word = word;
            while word != 0 {
                let base = (index * 64 + word.trailing_zeros()) ^ u32::from(*first);
                if others.iter().all(|&byte| is_free(base ^ u32::from(byte))) {
                    return Some(block * BLOCK + base);
                }
                word &= word - 1;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_may_be_long() {
        let long = vec![b'x'; 1 << 20];
        let trie = Trie::new(vec![
            (long.clone(), Piece { id: 7, score: 0.0 }),
            (long[1..].to_vec(), Piece { id: 8, score: 0.0 }),
        ]);
        assert_eq!(trie.piece(&long).map(|piece| piece.id), Some(7));
        assert_eq!(trie.piece(&long[1..]).map(|piece| piece.id), Some(8));
        assert!(trie.piece(&long[2..]).is_none() && trie.begins_with(b'x') && !trie.begins_with(b'y'));
    }

    #[test]
    fn finds_every_piece_that_a_text_starts_with() {
        let words = ["a", "ab", "abc", "b", "▁the", "▁", "\u{0}", "\u{FF}x", "abcdefghij"];
        let piece = |id| Piece { id, score: -f64::from(id) };
        let mut pieces: Vec<_> = (0..).zip(words).map(|(id, word)| (word.as_bytes().to_vec(), piece(id))).collect();
        pieces.extend((0..=255).map(|byte| (vec![b'z', byte, b'q'], piece(1000 + u32::from(byte)))));
        pieces.push((b"ab".to_vec(), piece(77))); // the last of two equal pieces counts
        let trie = Trie::new(pieces);
        let found = |text: &[u8]| {
            let mut all = Vec::new();
            trie.pieces_at(text, |length, piece| all.push((length, piece.id)));
            all
        };
        assert_eq!(found(b"abcd"), [(1, 0), (2, 77), (3, 2)]);
        assert_eq!(found("▁them".as_bytes()), [(3, 5), (6, 4)]);
        assert_eq!(found(b"\0\0"), [(1, 6)]);
        assert_eq!(found(b"zAq"), [(3, 1000 + 65)]);
        assert_eq!(found(b"zzz"), []);
        assert_eq!(found(b""), []);
    }

    #[test]
    fn the_root_is_not_found_below_itself() {
        let piece = Piece { id: 1, score: 0.0 };
        for first in 0..=255_u8 {
            let trie = Trie::new(vec![(vec![first, b'n'], piece)]);
            for byte in 0..=255 {
                let mut found = 0;
                trie.pieces_at(&[byte, first, b'n'], |_, _| found += 1);
                let starts_with_it = byte == first && first == b'n';
                assert_eq!(found, usize::from(starts_with_it), "{first} {byte}");
            }
        }
    }
}
