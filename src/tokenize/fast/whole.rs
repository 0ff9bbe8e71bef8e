//! Words that are tokens themselves, for a model that ignores its merges then (`ignore_merges`).

use tokenizers::models::bpe::BPE;

use crate::tokenize::fast::symbols::Symbols;

/// Bits of the set of tokens.
const BITS: usize = 1 << 21;

/// A set that has all tokens, and a few other words: only for what is in it, the model is asked.
pub(super) struct WholeWords {
    bits: Vec<u64>,
    /// Most bytes of a token.
    longest: usize,
}

impl WholeWords {
    /// The tokens of a model with these symbols.
    pub(super) fn new(model: &BPE, symbols: &Symbols) -> Self {
        let mut found = Self { bits: vec![0; BITS / 64], longest: 0 };
        for token in model.get_vocab().keys() {
            let Some(word) = symbols.word(token) else { continue };
            found.longest = found.longest.max(word.len());
            let bit = bit(&word);
            found.bits[bit / 64] |= 1 << (bit % 64);
        }
        found
    }

    /// The id of a word that is a token. `spelled` is the word as the vocabulary has it.
    #[inline]
    pub(super) fn id(
        &self,
        model: &impl tokenizers::Model,
        word: &[u8],
        spelled: impl FnOnce() -> String,
    ) -> Option<u32> {
        let bit = bit(word.get(..word.len().min(self.longest + 1))?);
        let may_be = word.len() <= self.longest && self.bits[bit / 64] >> (bit % 64) & 1 == 1;
        if may_be { model.token_to_id(&spelled()) } else { None }
    }
}

#[inline]
fn bit(word: &[u8]) -> usize {
    let (words, rest) = word.as_chunks::<8>();
    let mix = |mixed: u64, next: u64| (mixed.rotate_left(29) ^ next).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = words.iter().fold(word.len() as u64, |mixed, next| mix(mixed, u64::from_le_bytes(*next)));
    let mixed = rest.iter().fold(mixed, |mixed, &next| mix(mixed, u64::from(next)));
    #[expect(clippy::cast_possible_truncation, reason = "the upper bits, as many as a place has")]
    let bit = (mix(mixed, mixed >> 32) >> (64 - BITS.trailing_zeros())) as usize;
    bit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_token_is_found_and_other_words_are_asked_about() {
        let vocab = [("ab", 1), ("Ġé", 2), ("a", 3)].map(|(token, id)| (token.to_owned(), id));
        let model = BPE::builder().vocab_and_merges(vocab, vec![]).build().unwrap();
        let bytes = Symbols::bytes(&model);
        let words = WholeWords::new(&model, &bytes);
        let id = |word: &str, spelled: &str| words.id(&model, word.as_bytes(), || spelled.to_owned());
        assert_eq!((id("ab", "ab"), id("a", "a")), (Some(1), Some(3)));
        // `é` stands for a byte that is no text by itself: the model has it, but no word of a text is it.
        assert_eq!((id("abc", "abc"), id("b", "b"), id("", "")), (None, None, None));
    }
}
