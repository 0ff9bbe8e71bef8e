//! A cache from a chunk's bytes to its ids: direct-mapped, with the whole key in each slot.
//!
//! A slot is one cache line. A key that differs in one bit is a miss, so a hit is always right.

/// Longest cached chunk: with its length it fills three words.
pub(super) const MAX_KEY: usize = 23;

/// Most ids of a cached chunk.
const MAX_IDS: usize = 9;

/// Slots: 32 MiB for each worker.
const SLOTS: usize = 1 << 19;

/// Chunks that are looked up together: their memory loads overlap and hide each other's latency.
const AHEAD: usize = 32;

/// For each length of a chunk, what its bytes take of three words.
const MASKS: [[u64; 3]; MAX_KEY + 1] = {
    let mut masks = [[0; 3]; MAX_KEY + 1];
    let mut length = 0;
    while length <= MAX_KEY {
        let mut byte = 0;
        while byte < length {
            masks[length][byte / 8] |= 0xFF << (8 * (byte % 8));
            byte += 1;
        }
        length += 1;
    }
    masks
};

/// A chunk of at most [`MAX_KEY`] bytes, zero-padded, with its length in the last byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tokenize) struct Key([u64; 3]);

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Slot {
    key: Key,
    count: u32,
    ids: [u32; MAX_IDS],
}

pub(in crate::tokenize) struct Cache {
    slots: Vec<Slot>,
}

impl Key {
    /// Most bytes of a chunk that has a key.
    pub(in crate::tokenize) const MAX: usize = MAX_KEY;

    /// Chunks are never empty, so no chunk has this key.
    pub(in crate::tokenize) const NONE: Self = Self([0; 3]);

    /// The key of `text[start..end]`; `None` if it is too long.
    #[inline]
    pub(in crate::tokenize) fn new(text: &[u8], start: usize, end: usize) -> Option<Self> {
        let length = end - start;
        if length > MAX_KEY {
            return None;
        }
        let mut words = [0; 3];
        if let Some(bytes) = text.get(start..start + 24) {
            // For most chunks: read three words at once, then blank the bytes after the chunk.
            let (bytes, _) = bytes.as_chunks::<8>();
            for ((word, bytes), mask) in words.iter_mut().zip(bytes).zip(MASKS[length]) {
                *word = u64::from_le_bytes(*bytes) & mask;
            }
        } else {
            let mut bytes = [0; 24];
            bytes[..length].copy_from_slice(&text[start..end]);
            for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
                *word = u64::from_le_bytes(*bytes);
            }
        }
        words[2] |= (length as u64) << 56;
        Some(Self(words))
    }

    #[inline]
    fn slot(self) -> usize {
        let [a, b, c] = self.0;
        let mixed = (a ^ b.rotate_left(23) ^ c.rotate_left(41)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mixed = (mixed ^ (mixed >> 29) ^ b).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        #[expect(clippy::cast_possible_truncation, reason = "the upper bits, fewer than 32")]
        let slot = (mixed >> (64 - SLOTS.trailing_zeros())) as usize;
        slot
    }
}

impl Cache {
    pub(in crate::tokenize) fn new() -> Self {
        Self { slots: vec![Slot { key: Key::NONE, count: 0, ids: [0; MAX_IDS] }; SLOTS] }
    }

    /// Appends the ids of the queued chunks, in order: known ones from the cache, others as `miss` appends them.
    ///
    /// # Errors
    ///
    /// The first error of `miss`.
    #[inline]
    pub(in crate::tokenize) fn look_up<Chunk: Copy, Error>(
        &mut self,
        ahead: &mut Ahead<Chunk>,
        ids: &mut Vec<u32>,
        mut miss: impl FnMut(Chunk, &mut Vec<u32>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        // Slots are all over the cache, and memory is slow. Only the sum waits for these loads.
        let touched = ahead.chunks.iter().fold(0, |sum, (_, slot, _)| sum ^ self.slots[*slot].key.0[0]);
        std::hint::black_box(touched);
        for (key, slot, chunk) in ahead.chunks.drain(..) {
            let known = &self.slots[slot];
            if known.key == key {
                // All of them and back again: a fixed number is copied without a call.
                let count = ids.len() + (known.count as usize).min(MAX_IDS);
                ids.extend_from_slice(&known.ids);
                ids.truncate(count);
                continue;
            }
            let first = ids.len();
            miss(chunk, ids)?;
            self.put(key, &ids[first..]);
        }
        Ok(())
    }

    /// Caches the ids of a chunk, if they are few enough.
    fn put(&mut self, key: Key, ids: &[u32]) {
        let mut kept = [0; MAX_IDS];
        if let (Some(place), Ok(count)) = (kept.get_mut(..ids.len()), u32::try_from(ids.len())) {
            place.copy_from_slice(ids);
            self.slots[key.slot()] = Slot { key, count, ids: kept };
        }
    }
}

/// Chunks queued for lookup together.
pub(in crate::tokenize) struct Ahead<Chunk> {
    chunks: Vec<(Key, usize, Chunk)>,
}

impl<Chunk> Ahead<Chunk> {
    pub(in crate::tokenize) fn new() -> Self {
        Self { chunks: Vec::with_capacity(AHEAD) }
    }

    /// Adds a chunk. Returns whether it is time to look them up.
    #[inline]
    pub(in crate::tokenize) fn add(&mut self, key: Key, chunk: Chunk) -> bool {
        self.chunks.push((key, key.slot(), chunk));
        self.chunks.len() >= AHEAD
    }

    /// The queued chunks: key, slot and chunk.
    pub(in crate::tokenize) fn chunks(&self) -> &[(Key, usize, Chunk)] {
        &self.chunks
    }

    /// Removes all of them.
    pub(in crate::tokenize) fn drain(&mut self) -> impl Iterator<Item = (Key, usize, Chunk)> {
        self.chunks.drain(..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_wherever_the_chunk_stands_and_differs_in_every_bit() {
        let text = b"xxthe quick brown fox jumps over it";
        for length in 0..=MAX_KEY {
            let inside = Key::new(text, 2, 2 + length);
            let alone = Key::new(&text[2..2 + length], 0, length);
            assert_eq!(inside, alone, "{length}");
            assert!(inside.is_some());
        }
        assert_eq!(Key::new(text, 0, MAX_KEY + 1), None);
        assert_ne!(Key::new(b"a", 0, 1), Key::new(b"a\0", 0, 2));
    }

    #[test]
    fn a_hit_gives_back_what_was_put() {
        let mut cache = Cache::new();
        let key = |text: &[u8]| Key::new(text, 0, text.len()).unwrap();
        cache.put(key(b"word"), &[1, 2, 3]);
        cache.put(key(b"many"), &[7; MAX_IDS + 1]);
        let (mut ahead, mut missed, mut ids) = (Ahead::new(), Vec::new(), Vec::new());
        for text in ["word", "words", "many", "word", "words"] {
            assert!(!ahead.add(key(text.as_bytes()), text));
        }
        let miss = |text: &'static str, ids: &mut Vec<u32>| {
            missed.push(text);
            ids.push(9);
            Ok::<(), ()>(())
        };
        cache.look_up(&mut ahead, &mut ids, miss).unwrap();
        // A chunk that is too long for the cache misses each time; a miss is cached for the next chunk in the queue.
        assert_eq!((missed, ids), (vec!["words", "many"], vec![1, 2, 3, 9, 9, 1, 2, 3, 9]));
    }
}
