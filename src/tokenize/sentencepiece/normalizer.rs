//! Normalizes a text for the model (`docs/internals/sentencepiece.md`, Normalizer).

use std::sync::Arc;

use crate::tokenize::TokenizeError;
use crate::tokenize::fast::letters::Letters;
use crate::tokenize::fast::trie::{Piece, Trie};
use crate::tokenize::sentencepiece::model::{Model, ModelError, NormalizerFields, SPACE};

/// How many of the user-defined symbols at the beginning of a text are considered, the shortest first.
const MAX_SYMBOLS: usize = 64;

/// The same for a charsmap's keys.
const MAX_KEYS: usize = 32;

/// A normalized text may have at most this many times the bytes of the text.
pub(in crate::tokenize) const MAX_TIMES: usize = 32;

/// A model's normalizer.
pub(super) struct Normalizer {
    charsmap: Option<Arc<Charsmap>>,
    symbols: Option<Symbols>,
    add_dummy_prefix: bool,
    remove_extra_whitespaces: bool,
    whitespace_as_suffix: bool,
    /// The replacement of a space.
    space: &'static [u8],
    /// ASCII characters that every rule leaves unchanged before another ASCII character.
    plain: [bool; 256],
    /// The letters of ASCII, if all of them are plain.
    letters: Option<Letters>,
}

/// User-defined symbols, which are matched in raw text and stay as they are.
pub(super) struct Symbols {
    trie: Trie<()>,
}

/// Replacements of characters: a double array from keys to offsets of replacements.
pub(in crate::tokenize) struct Charsmap {
    units: Vec<u32>,
    replacements: Vec<u8>,
}

impl Symbols {
    /// The symbols with these names; `None` if there are none.
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let pieces: Vec<_> = names.map(|name| (name.to_vec(), Piece { id: 0, score: () })).collect();
        (!pieces.is_empty()).then(|| Self { trie: Trie::new(pieces) })
    }

    /// The length of the longest symbol at the beginning of the text.
    pub(super) fn longest(&self, text: &[u8]) -> Option<usize> {
        let (mut found, mut longest) = (0, None);
        self.trie.pieces_at(text, |length, _| {
            found += 1;
            if found <= MAX_SYMBOLS {
                longest = Some(length);
            }
        });
        longest
    }
}

impl Normalizer {
    /// The normalizer of a model, with its charsmap and these symbols.
    pub(super) fn new(model: &Model, charsmap: Option<Arc<Charsmap>>, symbols: Option<Symbols>) -> Self {
        let &NormalizerFields { charsmap: _, add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces } =
            &model.normalizer;
        let mut normalizer = Self {
            charsmap,
            symbols,
            add_dummy_prefix,
            remove_extra_whitespaces,
            whitespace_as_suffix: model.whitespace_as_suffix,
            space: if escape_whitespaces { SPACE } else { b" " },
            plain: [false; 256],
            letters: None,
        };
        for byte in 0..128_u8 {
            normalizer.plain[usize::from(byte)] = normalizer.is_plain(byte);
        }
        let are_plain = Letters::Any.bytes().all(|letter| normalizer.plain[usize::from(letter)]);
        normalizer.letters = are_plain.then_some(Letters::Any);
        normalizer
    }

    /// Whether a character stays unchanged, whatever ASCII character follows, or none.
    fn is_plain(&self, byte: u8) -> bool {
        let alone = self.prefix(&[byte]).0 == [byte];
        alone
            && (0..128).all(|next| matches!(self.prefix(&[byte, next]), ([becomes], 1) if *becomes == byte))
            && self.symbols.as_ref().is_none_or(|symbols| !symbols.trie.begins_with(byte))
            && self.charsmap.as_ref().is_none_or(|charsmap| !charsmap.goes_on_in_ascii(byte))
    }

    /// Writes the normalized text to `normalized`.
    pub(super) fn normalize(&self, text: &str, normalized: &mut Vec<u8>) -> Result<(), TokenizeError> {
        let &Self { add_dummy_prefix, remove_extra_whitespaces, whitespace_as_suffix, .. } = self;
        normalized.clear();
        let mut rest = text.as_bytes();
        if remove_extra_whitespaces {
            while !rest.is_empty()
                && let (b" ", length) = self.prefix(rest)
            {
                rest = &rest[length..];
            }
        }
        if rest.is_empty() {
            return Ok(());
        }
        let most = MAX_TIMES * text.len() + 64;
        if add_dummy_prefix && !whitespace_as_suffix {
            normalized.extend_from_slice(self.space);
        }
        // Whether leading spaces of the next prefix are dropped.
        let mut behind_space = remove_extra_whitespaces;
        while let Some(&first) = rest.first() {
            let run = self.plain_run(rest);
            if run > 0 {
                let (plain, behind) = rest.split_at(run);
                if first == b' ' {
                    // One space, or several.
                    for _ in 0..run {
                        if !behind_space {
                            normalized.extend_from_slice(self.space);
                        }
                        behind_space = remove_extra_whitespaces;
                    }
                } else {
                    normalized.extend_from_slice(plain);
                    behind_space = false;
                }
                rest = behind;
                continue;
            }
            let (becomes, length) = self.prefix(rest);
            rest = &rest[length..];
            let kept = becomes.iter().position(|&byte| !(behind_space && byte == b' ')).unwrap_or(becomes.len());
            let kept = &becomes[kept..];
            if kept.is_empty() {
                continue;
            }
            for &byte in kept {
                if byte == b' ' { normalized.extend_from_slice(self.space) } else { normalized.push(byte) }
            }
            behind_space = remove_extra_whitespaces && kept.ends_with(b" ");
            if normalized.len() > most {
                return Err(too_long());
            }
        }
        if remove_extra_whitespaces {
            while normalized.ends_with(self.space) {
                normalized.truncate(normalized.len() - self.space.len());
            }
        }
        if add_dummy_prefix && whitespace_as_suffix {
            normalized.extend_from_slice(self.space);
        }
        // Positions in it are 32-bit numbers.
        if u32::try_from(normalized.len()).is_ok_and(|length| length < u32::MAX) { Ok(()) } else { Err(too_long()) }
    }

    /// How many characters from here on are plain: all spaces, or none.
    #[inline]
    fn plain_run(&self, text: &[u8]) -> usize {
        let is_space = text[0] == b' ';
        let goes_on = |byte: u8| self.plain[usize::from(byte)] && (byte == b' ') == is_space;
        let letters = self.letters.filter(|_| !is_space).map_or(0, |letters| letters.end(text, 0));
        let run = text[letters..].iter().position(|&byte| !goes_on(byte)).map_or(text.len(), |more| letters + more);
        // A character before one beyond ASCII may be composed with it.
        run - usize::from(run > 0 && text.get(run).is_some_and(|byte| !byte.is_ascii()))
    }

    /// The replacement of the text's prefix, and the length of that prefix. The text is not empty.
    fn prefix<'a>(&'a self, text: &'a [u8]) -> (&'a [u8], usize) {
        if let Some(length) = self.symbols.as_ref().and_then(|symbols| symbols.longest(text)) {
            return (&text[..length], length);
        }
        if let Some(found) = self.charsmap.as_ref().and_then(|charsmap| charsmap.longest(text)) {
            return found;
        }
        match text[0] {
            // A key or symbol has ended inside a character; this is the rest of it.
            0x80..0xC0 => ("\u{FFFD}".as_bytes(), 1),
            first => {
                let length = character_length(first).min(text.len());
                (&text[..length], length)
            }
        }
    }
}

fn too_long() -> TokenizeError {
    TokenizeError::Library(format!("the normalized text has more than {MAX_TIMES} times the bytes of the text"))
}

/// The length of a character by its first byte; 1 for an invalid first byte.
#[inline]
pub(super) fn character_length(first: u8) -> usize {
    match first {
        0..0xC0 => 1,
        0xC0..0xE0 => 2,
        0xE0..0xF0 => 3,
        0xF0.. => 4,
    }
}

/// The offset of a unit's children, for exclusive or.
#[inline]
fn offset(unit: u32) -> u32 {
    (unit >> 10) << ((unit & (1 << 9)) >> 6)
}

/// The byte that leads to a unit; more than a byte if it holds a value.
#[inline]
fn label(unit: u32) -> u32 {
    unit & (1 << 31 | 0xFF)
}

/// Whether a key ends at a unit.
#[inline]
fn ends_key(unit: u32) -> bool {
    unit >> 8 & 1 == 1
}

/// The value of a unit that holds one.
#[inline]
fn value(unit: u32) -> u32 {
    unit & (u32::MAX >> 1)
}

impl Charsmap {
    /// Reads a charsmap, and refuses one whose trie points outside itself.
    pub(in crate::tokenize) fn new(blob: &[u8]) -> Result<Self, ModelError> {
        let cut = || ModelError::Charsmap("is cut off");
        let (size, rest) = blob.split_first_chunk::<4>().ok_or_else(cut)?;
        let size = u32::from_le_bytes(*size) as usize;
        let (trie, replacements) = rest.split_at_checked(size).ok_or_else(cut)?;
        if size < 1024 || !size.is_multiple_of(1024) {
            return Err(ModelError::Charsmap("has a trie of a size that no trie has"));
        }
        if replacements.last() != Some(&0) {
            return Err(ModelError::Charsmap("has a replacement without an end"));
        }
        let units: Vec<u32> = trie.as_chunks::<4>().0.iter().map(|unit| u32::from_le_bytes(*unit)).collect();
        let charsmap = Self { units, replacements: replacements.to_vec() };
        if charsmap.is_sound() {
            Ok(charsmap)
        } else {
            Err(ModelError::Charsmap("has a trie that leads out of itself"))
        }
    }

    /// Whether every unit points to units, and every value to a replacement.
    fn is_sound(&self) -> bool {
        let has_block = |place: u32| ((place | 0xFF) as usize) < self.units.len();
        let Some(&root) = self.units.first() else { return false };
        if label(root) != 0 || ends_key(root) || offset(root) == 0 || !has_block(offset(root)) {
            return false;
        }
        (0..).zip(&self.units).skip(1).all(|(place, &unit): (u32, _)| {
            if label(unit) > 0xFF {
                return (value(unit) as usize) < self.replacements.len();
            }
            let children = place ^ offset(unit);
            has_block(children) && (!ends_key(unit) || label(self.unit(children)) > 0xFF)
        })
    }

    #[inline]
    fn unit(&self, place: u32) -> u32 {
        // A missing unit gets a label that no byte has.
        self.units.get(place as usize).copied().unwrap_or(1 << 31)
    }

    /// The replacement of the longest key at the beginning of the text, and the key's length.
    #[inline]
    fn longest<'a>(&'a self, text: &[u8]) -> Option<(&'a [u8], usize)> {
        let mut place = offset(self.unit(0));
        let (mut found, mut longest) = (0, None);
        for (length, &byte) in (1..).zip(text) {
            place ^= u32::from(byte);
            let unit = self.unit(place);
            if label(unit) != u32::from(byte) {
                break;
            }
            place ^= offset(unit);
            if ends_key(unit) {
                found += 1;
                if found > MAX_KEYS {
                    break;
                }
                longest = Some((value(self.unit(place)), length));
            }
        }
        let (start, length) = longest?;
        let replacement = self.replacements.get(start as usize..)?;
        let end = memchr::memchr(0, replacement)?;
        Some((&replacement[..end], length))
    }

    /// Most bytes that a byte of text becomes, rounded up.
    pub(in crate::tokenize) fn most_times(&self) -> usize {
        let longest = self.replacements.split(|&byte| byte == 0).map(<[u8]>::len).max().unwrap_or_default();
        let pairs = (1..=u8::MAX).flat_map(|first| (1..=u8::MAX).map(move |second| [first, second]));
        let of_short =
            pairs.filter_map(|pair| self.longest(&pair)).map(|(becomes, length)| becomes.len().div_ceil(length));
        let of_single = (1..=u8::MAX).filter_map(|byte| self.longest(&[byte])).map(|(becomes, _)| becomes.len());
        of_short.chain(of_single).max().unwrap_or_default().max(longest.div_ceil(3)).max(1)
    }

    /// Whether a key continues after this byte with another ASCII character.
    fn goes_on_in_ascii(&self, byte: u8) -> bool {
        let first = offset(self.unit(0)) ^ u32::from(byte);
        let unit = self.unit(first);
        let children = first ^ offset(unit);
        label(unit) == u32::from(byte) && (0..128).any(|next| label(self.unit(children ^ next)) == next)
    }
}
