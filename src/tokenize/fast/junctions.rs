//! Where a text that nothing splits may be cut: between two characters that no merge of the model joins.
//!
//! A merge makes one token of two neighbours, so it joins the last character of the first and the first character of the
//! second. If no merge of the file joins these two characters, none ever reaches over a place between them, and what is
//! on both sides of it is merged as if the other side were not there.

use crate::tokenize::fast::scanner::scalar;
use crate::tokenize::fast::symbols::byte_token;

/// Bits of the set of pairs with a character beyond ASCII.
const BITS: usize = 1 << 20;

/// Stands for a space, and what a text has in its place.
const METASPACE: u32 = '▁' as u32;
const SPACE: u32 = ' ' as u32;

/// The pairs of characters that a merge joins.
pub(in crate::tokenize) struct Junctions {
    /// Whether a merge joins two ASCII characters, by `first << 7 | second`.
    ascii: Box<[bool; 1 << 14]>,
    /// A set of bits, one for each of the other pairs. Two pairs may share one: then there are fewer cuts.
    others: Vec<u64>,
    /// A space is `▁`.
    spaces: bool,
    /// A word begins at each `▁`.
    always: bool,
}

impl Junctions {
    /// The junctions of a model's merges. With `spaces` a space is a `▁` to the model, with `always` a word begins at each.
    ///
    /// # Errors
    ///
    /// A merge of a token that stands for a byte.
    pub(super) fn new(
        merges: &[(impl AsRef<str>, impl AsRef<str>)],
        spaces: bool,
        always: bool,
    ) -> Result<Self, String> {
        let mut found = Self { ascii: Box::new([false; 1 << 14]), others: vec![0; BITS / 64], spaces, always };
        let bytes: Vec<String> = (0..=255).map(byte_token).collect();
        for (left, right) in merges {
            let (left, right) = (left.as_ref(), right.as_ref());
            if [left, right].iter().any(|token| token.starts_with("<0x") && bytes.iter().any(|byte| byte == token)) {
                return Err(format!("the merge of `{left}` and `{right}` is one of bytes"));
            }
            if let (Some(first), Some(second)) = (left.chars().next_back(), right.chars().next()) {
                found.add(found.canonical(first as u32), found.canonical(second as u32));
            }
        }
        Ok(found)
    }

    /// The junctions of merges that make pieces of these names, in which a space is a `▁`; `None` if a name is not text.
    pub(in crate::tokenize) fn of_pieces<'a>(names: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let mut found =
            Self { ascii: Box::new([false; 1 << 14]), others: vec![0; BITS / 64], spaces: true, always: false };
        for name in names {
            let name = str::from_utf8(name).ok()?;
            for (first, second) in name.chars().zip(name.chars().skip(1)) {
                found.add(found.canonical(first as u32), found.canonical(second as u32));
            }
        }
        Some(found)
    }

    /// The junctions of merges that join everything but a `▁` and what is before it.
    pub(super) fn at_metaspaces() -> Self {
        Self { ascii: Box::new([true; 1 << 14]), others: vec![u64::MAX; BITS / 64], spaces: true, always: true }
    }

    fn canonical(&self, scalar: u32) -> u32 {
        if self.spaces && scalar == METASPACE { SPACE } else { scalar }
    }

    fn add(&mut self, first: u32, second: u32) {
        match ascii(first, second) {
            Some(place) => self.ascii[place] = true,
            None => self.others[bit(first, second) / 64] |= 1 << (bit(first, second) % 64),
        }
    }

    #[inline]
    fn joins(&self, first: u32, second: u32) -> bool {
        if self.always && second == SPACE {
            return false;
        }
        match ascii(first, second) {
            Some(place) => self.ascii[place],
            None => self.others[bit(first, second) / 64] >> (bit(first, second) % 64) & 1 == 1,
        }
    }

    /// Whether a space is a `▁`.
    pub(super) fn spaces(&self) -> bool {
        self.spaces
    }

    /// Whether a merge may join a `▁` and the text's first character.
    pub(super) fn joins_metaspace(&self, text: &str) -> bool {
        !text.is_empty() && self.joins(SPACE, self.character(text.as_bytes(), 0).0)
    }

    /// The end of the word that starts at `start`, where the text is not at its end.
    #[inline]
    pub(in crate::tokenize) fn word_end(&self, text: &[u8], start: usize) -> usize {
        let (mut last, width) = self.character(text, start);
        let mut place = start + width;
        while place < text.len() {
            let (next, width) = self.character(text, place);
            if !self.joins(last, next) {
                break;
            }
            last = next;
            place += width;
        }
        place
    }

    #[inline]
    fn character(&self, text: &[u8], place: usize) -> (u32, usize) {
        if text[place] < 0x80 {
            return (u32::from(text[place]), 1);
        }
        let (scalar, width) = scalar(text, place);
        (self.canonical(scalar), width)
    }
}

#[inline]
fn ascii(first: u32, second: u32) -> Option<usize> {
    ((first | second) < 0x80).then_some((first << 7 | second) as usize)
}

#[inline]
fn bit(first: u32, second: u32) -> usize {
    let mixed = (u64::from(first) << 21 | u64::from(second)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    #[expect(clippy::cast_possible_truncation, reason = "the upper bits, as many as a place has")]
    let place = (mixed >> (64 - BITS.trailing_zeros())) as usize;
    place
}
