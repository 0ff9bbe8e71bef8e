//! Added tokens that are not special: the crate finds them in a text before anything else is done to it.

use daachorse::{DoubleArrayAhoCorasick, DoubleArrayAhoCorasickBuilder, MatchKind};
use regex::Regex;
use tokenizers::{AddedToken, NormalizedString, Normalizer as _, Tokenizer};

/// Tokens of at most this many bytes are looked for only where two bytes begin one.
const MAX_WINDOW: usize = 64;

/// Added tokens that are looked for together: in the text as it is, or in what the normalizer makes of it.
pub(super) struct AddedTokens {
    automaton: DoubleArrayAhoCorasick<u32>,
    tokens: Vec<Found>,
    /// Pairs of bytes that a token may begin with, as bits.
    beginnings: Vec<u64>,
    /// The one byte that all tokens begin with, if it is one that text seldom has.
    first: Option<u8>,
    /// Most bytes of a token, if they are few.
    window: Option<usize>,
    /// A character of a word, as the crate's own expression has it.
    of_word: Regex,
}

struct Found {
    id: u32,
    token: AddedToken,
    is_special: bool,
}

/// Part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Text, as a byte range.
    Text(usize, usize),
    /// An added token.
    Token(u32),
}

impl AddedTokens {
    /// The added tokens with this `normalized` flag; `None` if no text gives one of them.
    ///
    /// # Errors
    ///
    /// The automaton's error.
    pub(super) fn new(tokenizer: &Tokenizer, normalized: bool) -> Result<Option<Self>, String> {
        let all = tokenizer.get_added_tokens_decoder();
        let mut tokens: Vec<Found> = all
            .iter()
            .filter(|(_, token)| token.normalized == normalized)
            .map(|(&id, token)| {
                let is_special = tokenizer.get_added_vocabulary().is_special_token(&token.content);
                Found { id, token: token.clone(), is_special }
            })
            .collect();
        // Text never gives a special one, but no other token is found where one of them stands.
        if tokens.iter().all(|found| found.is_special) {
            return Ok(None);
        }
        tokens.sort_unstable_by_key(|found| found.id);
        let mut patterns = Vec::with_capacity(tokens.len());
        for Found { token, .. } in &tokens {
            let mut content = NormalizedString::from(token.content.as_str());
            if let Some(normalizer) = tokenizer.get_normalizer().filter(|_| normalized) {
                normalizer.normalize(&mut content).map_err(|error| error.to_string())?;
            }
            patterns.push(content.get().to_owned());
        }
        let mut beginnings = vec![0; (1 << 16) / 64];
        for pattern in &patterns {
            let bytes = pattern.as_bytes();
            let first = *bytes.first().ok_or("an added token is empty")?;
            let seconds = bytes.get(1).map_or(0..=255, |&second| second..=second);
            for second in seconds {
                let pair = usize::from(first) << 8 | usize::from(second);
                beginnings[pair / 64] |= 1 << (pair % 64);
            }
        }
        let most = patterns.iter().map(String::len).max().unwrap_or_default();
        let values = patterns.iter().map(String::as_str).zip(0..);
        let automaton = DoubleArrayAhoCorasickBuilder::new()
            .match_kind(MatchKind::LeftmostLongest)
            .build_with_values(values)
            .map_err(|error| error.to_string())?;
        let first = patterns.first().and_then(|pattern| pattern.bytes().next()).filter(|first| {
            first.is_ascii_punctuation() && patterns.iter().all(|pattern| pattern.as_bytes().starts_with(&[*first]))
        });
        let of_word = Regex::new(r"^\w$").map_err(|error| error.to_string())?;
        Ok(Some(Self { automaton, tokens, beginnings, first, window: (most <= MAX_WINDOW).then_some(most), of_word }))
    }

    /// Calls `part` with the parts of a text, from left to right, as the crate's `find_matches` has them.
    ///
    /// # Errors
    ///
    /// The first of `part`.
    pub(super) fn parts<Error>(
        &self,
        text: &str,
        mut part: impl FnMut(Part) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (mut done, mut place) = (0, 0);
        while let Some((mut start, mut end, found)) = self.next(text, place) {
            place = end;
            let Found { id, token, is_special } = &self.tokens[found as usize];
            if *is_special || (token.single_word && !self.is_word(text, start, end)) {
                continue;
            }
            if token.lstrip {
                start = text[..start].trim_end().len().max(done);
            }
            if token.rstrip {
                end = text.len() - text[end..].trim_start().len();
            }
            if done < start {
                part(Part::Text(done, start))?;
            }
            part(Part::Token(*id))?;
            done = end;
        }
        if done < text.len() {
            part(Part::Text(done, text.len()))?;
        }
        Ok(())
    }

    /// The next token that begins at `place` or later: of those that begin first the longest.
    fn next(&self, text: &str, place: usize) -> Option<(usize, usize, u32)> {
        let bytes = text.as_bytes();
        let found = |from: usize, to: usize| {
            let found = self.automaton.leftmost_find_iter(&bytes[from..to]).next();
            found.map(|found| (from + found.start(), from + found.end(), found.value()))
        };
        let Some(window) = self.window else { return found(place, bytes.len()) };
        let mut place = place;
        while place < bytes.len() {
            if let Some(first) = self.first {
                place += memchr::memchr(first, &bytes[place..])?;
            }
            let pair = usize::from(bytes[place]) << 8 | usize::from(bytes.get(place + 1).copied().unwrap_or_default());
            if self.beginnings[pair / 64] >> (pair % 64) & 1 == 1
                && let Some(found) = found(place, bytes.len().min(place + window))
                && found.0 == place
            {
                return Some(found);
            }
            place += 1;
        }
        None
    }

    /// Whether no character of a word stands before or after the range.
    fn is_word(&self, text: &str, start: usize, end: usize) -> bool {
        let is_of_word = |character: char| self.of_word.is_match(character.encode_utf8(&mut [0; 4]));
        !text[..start].chars().next_back().is_some_and(is_of_word)
            && !text[end..].chars().next().is_some_and(is_of_word)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokenizers::models::bpe::BPE;
    use tokenizers::{OffsetReferential, OffsetType};

    use super::*;

    /// Contents that overlap one another, with flags by bits: single word, spaces at its left and right, special.
    const CONTENTS: [(&str, u8); 12] = [
        ("ab", 0),
        ("abc", 1),
        ("b", 8),
        ("bca", 0),
        ("  ", 0),
        ("   ", 0),
        ("<s>", 6),
        ("<s", 8),
        ("é", 1),
        ("s>x", 2),
        ("c c", 4),
        ("_", 1),
    ];

    fn tokenizer() -> Tokenizer {
        let mut tokenizer = Tokenizer::new(BPE::default());
        let tokens = CONTENTS.map(|(content, flags)| AddedToken {
            content: content.to_owned(),
            single_word: flags & 1 > 0,
            lstrip: flags & 2 > 0,
            rstrip: flags & 4 > 0,
            normalized: false,
            special: flags & 8 > 0,
        });
        tokenizer.add_tokens(tokens).unwrap();
        tokenizer.set_encode_special_tokens(true);
        tokenizer
    }

    fn assert_same(tokenizer: &Tokenizer, added: &AddedTokens, text: &str) {
        let none: Option<&tokenizers::NormalizerWrapper> = None;
        let pieces = tokenizer.get_added_vocabulary().extract_and_normalize(none, text);
        let expected: Vec<String> = pieces
            .get_splits(OffsetReferential::Normalized, OffsetType::None)
            .into_iter()
            .filter(|(text, _, _)| !text.is_empty())
            .map(|(text, _, tokens)| tokens.as_ref().map_or(text.to_owned(), |tokens| format!("#{}", tokens[0].id)))
            .collect();
        let mut found = Vec::new();
        let taken: Result<(), ()> = added.parts(text, |part| {
            found.push(match part {
                Part::Text(start, end) => text[start..end].to_owned(),
                Part::Token(id) => format!("#{id}"),
            });
            Ok(())
        });
        assert_eq!((taken, found), (Ok(()), expected), "{text:?}");
    }

    proptest! {
        #[test]
        fn tokens_are_found_where_the_crate_finds_them(text in "[abc <s>é_x]{0,24}") {
            let tokenizer = tokenizer();
            let mut added = AddedTokens::new(&tokenizer, false).unwrap().unwrap();
            assert_same(&tokenizer, &added, &text);
            added.window = None;
            assert_same(&tokenizer, &added, &text);
        }
    }

    #[test]
    fn a_file_with_special_tokens_alone_needs_no_search() {
        let mut tokenizer = Tokenizer::new(BPE::default());
        tokenizer.add_special_tokens([AddedToken::from("<s>", true)]).unwrap();
        assert!(AddedTokens::new(&tokenizer, false).unwrap().is_none());
        assert!(AddedTokens::new(&tokenizer, true).unwrap().is_none());
    }
}
