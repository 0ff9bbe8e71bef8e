//! A cache from a chunk's bytes to its ids, with the whole key in each slot: a key that differs in one bit is a miss, so a
//! hit is always right.
//!
//! Nearly all chunks are short and have few ids. Two of them share a cache line, so that twice as many stay in the fast
//! caches of the machine, and a chunk that is met often is not driven out by the first other one of its line. The rest has
//! a line each.

/// Longest cached chunk: with its length it fills three words.
pub(super) const MAX_KEY: usize = 23;

/// Most ids of a cached chunk.
const MAX_IDS: usize = 9;

/// Longest short chunk: with its length and the number of its ids it fills two words.
const MAX_SHORT: u64 = 15;

/// Most ids of a short chunk.
const MAX_SHORT_IDS: usize = 4;

/// How many chunks a cache has room for.
#[derive(Clone, Copy)]
pub(in crate::tokenize) struct Size {
    /// Lines of two short chunks, as a power of two.
    pairs: u32,
    /// Lines of one chunk, as a power of two.
    lines: u32,
}

impl Size {
    /// For words, nearly all of which are short: 40 MiB for each worker.
    pub(in crate::tokenize) const WORDS: Self = Self { pairs: 19, lines: 17 };

    /// For what stands between two separators, many of which have more than four ids: 32 MiB for each worker.
    pub(in crate::tokenize) const CHUNKS: Self = Self { pairs: 18, lines: 18 };
}

/// Chunks that are looked up together: their memory loads overlap and hide each other's latency.
const AHEAD: usize = 64;

/// A cache line. Lines of zeros are not touched before they are used, and no chunk has a key of zeros.
type Line = [u64; 8];

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

pub(in crate::tokenize) struct Cache {
    /// Two short chunks in each line, the newest first. A chunk is its key, with the number of ids in the upper half of the
    /// last byte, and two words of ids.
    pairs: Vec<Line>,
    /// A chunk in each line: its key, nine ids, their number.
    lines: Vec<Line>,
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

    /// Bytes of the chunk.
    #[inline]
    fn length(self) -> u64 {
        self.0[2] >> 56
    }

    /// The key of a short chunk.
    #[inline]
    fn short(self) -> [u64; 2] {
        let [a, b, c] = self.0;
        [a, b | c]
    }

    /// A number whose upper 32 bits spread keys evenly.
    #[inline]
    pub(super) fn mixed(self) -> u64 {
        let [a, b, c] = self.0;
        let mixed = (a ^ b.rotate_left(23) ^ c.rotate_left(41)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed ^ (mixed >> 29) ^ b).wrapping_mul(0xBF58_476D_1CE4_E5B9)
    }
}

/// The place of a mixed key among a power of two.
#[inline]
fn place(mixed: u64, places: usize) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "the upper bits, fewer than 32")]
    let place = (mixed >> (64 - places.trailing_zeros())) as usize;
    place
}

/// The two ids in a word.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the lower half")]
fn two(word: u64) -> [u32; 2] {
    [word as u32, (word >> 32) as u32]
}

/// The nine ids of a line, and their number.
#[inline]
fn ids_of(line: &Line) -> [u32; 10] {
    let mut ids = [0; 10];
    for (ids, &word) in ids.as_chunks_mut::<2>().0.iter_mut().zip(&line[3..]) {
        *ids = two(word);
    }
    ids
}

/// Whether two words are the key of a short chunk, and the number of its ids.
#[inline]
fn is_key(first: u64, second: u64, key: [u64; 2]) -> bool {
    (first ^ key[0]) | (second ^ key[1]) << 4 == 0
}

/// The words of ids.
#[inline]
fn words<const COUNT: usize>(ids: &[u32]) -> [u64; COUNT] {
    let mut words = [0; COUNT];
    for (place, &id) in ids.iter().enumerate() {
        words[place / 2] |= u64::from(id) << (32 * (place % 2));
    }
    words
}

/// Appends the first ids of an array: all of them and back again, because a fixed number is copied without a call.
#[inline]
fn append<const COUNT: usize>(ids: &mut Vec<u32>, all: [u32; COUNT], count: usize) {
    let count = ids.len() + count.min(COUNT);
    ids.extend_from_slice(&all);
    ids.truncate(count);
}

impl Cache {
    pub(in crate::tokenize) fn new(size: Size) -> Self {
        Self { pairs: vec![[0; 8]; 1 << size.pairs], lines: vec![[0; 8]; 1 << size.lines] }
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
        // Lines are all over the cache, and memory is slow. Only the sum waits for these loads.
        let touched = ahead.chunks.iter().fold(0, |sum, queued| sum ^ self.pairs[queued.place(self.pairs.len())][0]);
        std::hint::black_box(touched);
        for queued in ahead.chunks.drain(..) {
            let key = queued.key;
            if key.length() <= MAX_SHORT {
                let pair = &self.pairs[queued.place(self.pairs.len())];
                // Which of the two it is cannot be guessed, so it is not a branch.
                let is_second = is_key(pair[4], pair[5], key.short());
                if is_key(pair[0], pair[1], key.short()) | is_second {
                    let first = 4 * usize::from(is_second);
                    let (counted, [[c0, c1], [d0, d1]]) =
                        (pair[first + 1], [two(pair[first + 2]), two(pair[first + 3])]);
                    append(ids, [c0, c1, d0, d1], (counted >> 60) as usize);
                    continue;
                }
            }
            let line = &self.lines[queued.place(self.lines.len())];
            if line[..3] == key.0 {
                let kept = ids_of(line);
                append(ids, kept, kept[MAX_IDS] as usize);
                continue;
            }
            let first = ids.len();
            miss(queued.chunk, ids)?;
            self.put(key, queued.mixed, &ids[first..]);
        }
        Ok(())
    }

    /// Caches the ids of a chunk, if they are few enough.
    fn put(&mut self, key: Key, mixed: u64, ids: &[u32]) {
        if ids.len() <= MAX_SHORT_IDS && key.length() <= MAX_SHORT {
            let size = self.pairs.len();
            let pair = &mut self.pairs[place(mixed, size)];
            pair.copy_within(..4, 4);
            pair[..2].copy_from_slice(&key.short());
            pair[1] |= (ids.len() as u64) << 60;
            pair[2..4].copy_from_slice(&words::<2>(ids));
        } else if ids.len() <= MAX_IDS {
            let size = self.lines.len();
            let line = &mut self.lines[place(mixed, size)];
            line[..3].copy_from_slice(&key.0);
            line[3..].copy_from_slice(&words::<5>(ids));
            line[7] |= (ids.len() as u64) << 32;
        }
    }
}

/// Chunks queued for lookup together.
pub(in crate::tokenize) struct Ahead<Chunk> {
    chunks: Vec<Queued<Chunk>>,
}

/// A chunk, its key, and the mixed key.
pub(in crate::tokenize) struct Queued<Chunk> {
    pub(in crate::tokenize) key: Key,
    mixed: u64,
    pub(in crate::tokenize) chunk: Chunk,
}

impl<Chunk> Queued<Chunk> {
    /// The key's place among this many, a power of two.
    #[inline]
    pub(in crate::tokenize) fn place(&self, places: usize) -> usize {
        place(self.mixed, places)
    }
}

impl<Chunk> Ahead<Chunk> {
    pub(in crate::tokenize) fn new() -> Self {
        Self { chunks: Vec::with_capacity(AHEAD) }
    }

    /// Adds a chunk. Returns whether it is time to look them up.
    #[inline]
    pub(in crate::tokenize) fn add(&mut self, key: Key, chunk: Chunk) -> bool {
        self.chunks.push(Queued { key, mixed: key.mixed(), chunk });
        self.chunks.len() >= AHEAD
    }

    /// The queued chunks.
    pub(in crate::tokenize) fn chunks(&self) -> &[Queued<Chunk>] {
        &self.chunks
    }

    /// Removes all of them.
    pub(in crate::tokenize) fn drain(&mut self) -> impl Iterator<Item = Queued<Chunk>> {
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

    fn key(text: &[u8]) -> Key {
        Key::new(text, 0, text.len()).unwrap()
    }

    fn put(cache: &mut Cache, text: &str, ids: &[u32]) {
        cache.put(key(text.as_bytes()), key(text.as_bytes()).mixed(), ids);
    }

    #[test]
    fn a_hit_gives_back_what_was_put() {
        let mut cache = Cache::new(Size::WORDS);
        put(&mut cache, "word", &[1, 2, 3]);
        put(&mut cache, "many", &[7; MAX_IDS + 1]);
        put(&mut cache, "some", &[8; MAX_SHORT_IDS + 1]);
        put(&mut cache, "f fifteen bytes", &[6; MAX_SHORT_IDS]);
        put(&mut cache, "of sixteen bytes", &[5]);
        let (mut ahead, mut missed, mut ids) = (Ahead::new(), Vec::new(), Vec::new());
        let texts = [
            "word",
            "words",
            "many",
            "word",
            "words",
            "some",
            "f fifteen bytes",
            "of sixteen bytes",
            "f sixteen bytes",
        ];
        for text in texts {
            assert!(!ahead.add(key(text.as_bytes()), text));
        }
        let miss = |text: &'static str, ids: &mut Vec<u32>| {
            missed.push(text);
            ids.push(9);
            Ok::<(), ()>(())
        };
        cache.look_up(&mut ahead, &mut ids, miss).unwrap();
        // A chunk that is too long for the cache misses each time; a miss is cached for the next chunk in the queue.
        assert_eq!(missed, ["words", "many", "f sixteen bytes"]);
        assert_eq!(ids, [1, 2, 3, 9, 9, 1, 2, 3, 9, 8, 8, 8, 8, 8, 6, 6, 6, 6, 5, 9]);
    }

    #[test]
    fn many_chunks_of_all_lengths_come_back_as_they_were_put_or_not_at_all() {
        let mut cache = Cache::new(Size::WORDS);
        let text = |number: u32| format!("{number:x}.").repeat(1 + number as usize % 3);
        let expected = |number: u32| -> Vec<u32> { (0..=number % 11).map(|part| number ^ part).collect() };
        let (mut ahead, mut hits) = (Ahead::new(), 0);
        for turn in 0..2 {
            for number in 0..200_000 {
                let mut ids = Vec::new();
                let mut is_hit = true;
                ahead.add(key(text(number).as_bytes()), number);
                let miss = |number: u32, ids: &mut Vec<u32>| {
                    is_hit = false;
                    ids.extend(expected(number));
                    Ok::<(), ()>(())
                };
                cache.look_up(&mut ahead, &mut ids, miss).unwrap();
                assert_eq!(ids, expected(number));
                hits += u32::from(is_hit && turn > 0);
            }
        }
        // Nine of eleven have few enough ids to be cached.
        assert!(hits > 100_000, "{hits}");
    }
}
