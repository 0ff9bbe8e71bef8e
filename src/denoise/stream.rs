//! Addressable random streams and their samplers (`docs/reference/masking.md`, sections 2 and 3).
//!
//! A stream has a name, not a history: with the seed, the denoiser, the source, the line, the epoch and the segment,
//! the same words can be drawn again without drawing any others. This is the only file that names `ChaCha`.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The text that starts every key. It names the masking version, so that two versions never share a stream.
const CONTEXT: &[u8] = b"ul2-prep masking v1";

/// The user's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seed(pub u64);

impl Seed {
    /// The key of the stream that chooses denoisers in `source`.
    #[must_use]
    pub fn choose_key(self, source: &str) -> StreamKey {
        self.key("choose", "", source)
    }

    /// The key of the stream that places windows in documents of `source`.
    #[must_use]
    pub(crate) fn window_key(self, source: &str) -> StreamKey {
        self.key("window", "", source)
    }

    /// The key of the stream that shuffles batches whose first row is of `source`.
    #[must_use]
    pub fn shuffle_key(self, source: &str) -> StreamKey {
        self.key("shuffle", "", source)
    }

    /// The key of the stream that chooses documents of `source` for validation.
    #[must_use]
    pub(crate) fn validation_key(self, source: &str) -> StreamKey {
        self.key("validation", "", source)
    }

    /// The key of the stream that chooses documents of `source` for one more masking.
    #[must_use]
    pub(crate) fn weight_key(self, source: &str) -> StreamKey {
        self.key("weight", "", source)
    }

    /// The key of the stream from which `denoiser` draws everything in `source`.
    #[must_use]
    pub fn denoise_key(self, denoiser: &str, source: &str) -> StreamKey {
        self.key("denoise", denoiser, source)
    }

    fn key(self, role: &str, denoiser: &str, source: &str) -> StreamKey {
        let mut hash = Sha256::new();
        let seed = self.0.to_le_bytes();
        for part in [CONTEXT, &seed, role.as_bytes(), denoiser.as_bytes(), source.as_bytes()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        StreamKey(hash.finalize().into())
    }
}

/// Where in a source a stream belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// 1-based line of the document.
    pub line: u64,
    /// 0-based masking of the data set.
    pub epoch: u16,
    /// 0-based segment of the document.
    pub segment: u32,
}

/// A `ChaCha20` key: one role, denoiser and source.
#[derive(Clone)]
pub struct StreamKey([u8; 32]);

impl StreamKey {
    /// The stream at `address`, at its first word.
    #[must_use]
    pub fn stream(&self, address: Address) -> Stream {
        let mut words = ChaCha20Rng::from_seed(self.0);
        words.set_stream(address.line);
        let block = u128::from(address.epoch) << 48 | u128::from(address.segment) << 16;
        words.set_word_pos(block * 16);
        Stream(words)
    }
}

/// A random sequence of words with an address. It owns 2^20 words.
pub struct Stream(ChaCha20Rng);

impl Stream {
    /// The next word.
    pub fn word(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// A uniform value of `0..n`; `n` is at least 1.
    ///
    /// Lemire's multiply-and-shift with rejection: exact, one word except with chance below n / 2^32.
    #[expect(clippy::cast_possible_truncation, reason = "the low and the high half of 64 bits")]
    pub fn below(&mut self, n: u32) -> u32 {
        debug_assert!(n >= 1, "an empty range has no value");
        let mut product = u64::from(self.word()) * u64::from(n);
        if (product as u32) < n {
            let threshold = n.wrapping_neg() % n;
            while (product as u32) < threshold {
                product = u64::from(self.word()) * u64::from(n);
            }
        }
        (product >> 32) as u32
    }

    /// The sum of twelve uniform 16-bit numbers: the halves of six words, each at most 65,535.
    pub(crate) fn sum_of_halves(&mut self) -> u32 {
        (0..6).map(|_| self.word()).map(|word| (word & 0xFFFF) + (word >> 16)).sum()
    }

    /// A uniform order of the items (Fisher and Yates): from the last place down, each changes places with one at or before it.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a batch has fewer than 2^32 rows, a row fewer choices"
            )]
            let places = last as u32 + 1;
            items.swap(last, self.below(places) as usize);
        }
    }
}

/// Draws sorted k-subsets, reusing its memory.
#[derive(Debug, Default)]
pub struct Subset {
    members: Vec<u64>,
}

impl Subset {
    /// Draws a uniform `k`-subset of `0..n` and calls `visit` with each member in increasing order.
    ///
    /// Floyd's algorithm: `k` draws, whatever `n` is. `k` is at most `n`.
    pub fn draw(&mut self, stream: &mut Stream, k: u32, n: u32, mut visit: impl FnMut(u32)) {
        debug_assert!(k <= n, "a subset is no larger than its set");
        self.members.clear();
        self.members.resize(n.div_ceil(64) as usize, 0);
        for last in n - k..n {
            let value = stream.below(last + 1);
            if !self.insert(value) {
                self.insert(last);
            }
        }
        let mut base = 0;
        for &word in &self.members {
            let mut word = word;
            while word != 0 {
                visit(base + word.trailing_zeros());
                word &= word - 1;
            }
            base += 64;
        }
    }

    /// Inserts `value`; returns whether it was new.
    fn insert(&mut self, value: u32) -> bool {
        let word = &mut self.members[(value / 64) as usize];
        let bit = 1 << (value % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(line: u64) -> Address {
        Address { line, epoch: 0, segment: 0 }
    }

    #[test]
    fn a_stream_does_not_depend_on_what_was_drawn_before() {
        let key = Seed(7).denoise_key("r", "a.jsonl");
        let second: Vec<u32> = {
            let mut stream = key.stream(Address { segment: 1, ..address(3) });
            (0..64).map(|_| stream.word()).collect()
        };
        let mut first = key.stream(address(3));
        for _ in 0..1 << 20 {
            first.word();
        }
        // The next segment's words follow directly: each segment owns exactly 2^20.
        assert_eq!((0..64).map(|_| first.word()).collect::<Vec<_>>(), second);
    }

    #[test]
    fn parts_of_a_key_cannot_run_into_each_other() {
        let words = |key: StreamKey| {
            let mut stream = key.stream(address(1));
            [stream.word(), stream.word()]
        };
        let seed = Seed(0);
        assert_ne!(words(seed.denoise_key("ab", "c")), words(seed.denoise_key("a", "bc")));
        assert_ne!(words(seed.denoise_key("", "c")), words(seed.choose_key("c")));
        assert_ne!(words(Seed(1).choose_key("c")), words(seed.choose_key("c")));
    }

    #[test]
    fn a_subset_is_sorted_and_has_k_members() {
        let mut stream = Seed(1).choose_key("x").stream(address(1));
        let mut subset = Subset::default();
        for n in 1..200 {
            for k in [0, 1, n / 2, n] {
                let mut members = Vec::new();
                subset.draw(&mut stream, k, n, |member| members.push(member));
                assert_eq!(members.len(), k as usize);
                assert!(members.is_sorted_by(|a, b| a < b));
                assert!(members.last().is_none_or(|&last| last < n));
            }
        }
    }
}
