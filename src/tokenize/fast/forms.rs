//! Unicode's normalization forms: text that a quick check finds to be normal stays where it is, the rest is given to the
//! file's normalizer in the smallest pieces that it cannot reach out of.

use std::borrow::Cow;
use std::collections::BTreeMap;

use tokenizers::{NormalizedString, Normalizer as _, NormalizerWrapper};
use unicode_normalization_alignments::char::canonical_combining_class;
use unicode_normalization_alignments::{IsNormalized, is_nfc_quick, is_nfd_quick, is_nfkc_quick, is_nfkd_quick};

use crate::tokenize::fast::scanner::scalar;

/// Pieces that a worker remembers, and most bytes of one.
const MAX_PIECES: usize = 1 << 14;
const MAX_PIECE: usize = 64;

/// A normalization form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Nfc,
    Nfd,
    Nfkc,
    Nfkd,
}

/// What the quick check says of a character: its combining class, whether it is allowed, and whether it is known.
const CLASS: u16 = 0xFF;
const ALLOWED: u16 = 1 << 8;
const KNOWN: u16 = 1 << 9;

/// A worker's table of the quick check.
#[derive(Default)]
pub(super) struct FormState {
    /// By scalar value.
    characters: Vec<u16>,
    pieces: BTreeMap<Box<str>, Box<str>>,
}

impl Form {
    /// The form of a normalizer.
    pub(super) fn of(normalizer: &NormalizerWrapper) -> Option<Self> {
        match normalizer {
            NormalizerWrapper::NFC(_) => Some(Self::Nfc),
            NormalizerWrapper::NFD(_) => Some(Self::Nfd),
            NormalizerWrapper::NFKC(_) => Some(Self::Nfkc),
            NormalizerWrapper::NFKD(_) => Some(Self::Nfkd),
            _ => None,
        }
    }

    fn ask(self, character: char) -> u16 {
        let one = std::iter::once(character);
        let answer = match self {
            Self::Nfc => is_nfc_quick(one),
            Self::Nfd => is_nfd_quick(one),
            Self::Nfkc => is_nfkc_quick(one),
            Self::Nfkd => is_nfkd_quick(one),
        };
        let allowed = if answer == IsNormalized::Yes { ALLOWED } else { 0 };
        KNOWN | allowed | u16::from(canonical_combining_class(character))
    }

    /// What `normalizer`, which is of this form, makes of a text.
    ///
    /// # Errors
    ///
    /// The normalizer's error.
    pub(super) fn normalize<'a>(
        self,
        normalizer: &NormalizerWrapper,
        text: &'a str,
        state: &mut FormState,
    ) -> Result<Cow<'a, str>, tokenizers::Error> {
        let bytes = text.as_bytes();
        let mut made = String::new();
        // What is before `done` has been made. `stable` is where the last character begins that the form leaves alone,
        // whatever is before it.
        let (mut done, mut stable, mut place, mut last) = (0, 0, 0, 0);
        while place < bytes.len() {
            if bytes[place] < 0x80 {
                let ascii = bytes[place..].iter().take_while(|&&byte| byte < 0x80).count();
                place += ascii;
                (stable, last) = (place - 1, 0);
                continue;
            }
            let (scalar, width) = scalar(bytes, place);
            let found = state.character(self, scalar);
            let class = found & CLASS;
            if found & ALLOWED != 0 && (class == 0 || last <= class) {
                if class == 0 {
                    stable = place;
                }
                last = class;
                place += width;
                continue;
            }
            // The piece goes from the last stable character up to the next one.
            let mut end = place + width;
            while end < bytes.len() {
                if bytes[end] < 0x80 {
                    break;
                }
                let (scalar, width) = self::scalar(bytes, end);
                let found = state.character(self, scalar);
                if found & ALLOWED != 0 && found & CLASS == 0 {
                    break;
                }
                end += width;
            }
            made.push_str(&text[done..stable]);
            state.piece(normalizer, &text[stable..end], &mut made)?;
            (done, stable, place, last) = (end, end, end, 0);
        }
        if done == 0 {
            return Ok(Cow::Borrowed(text));
        }
        made.push_str(&text[done..]);
        Ok(Cow::Owned(made))
    }
}

impl FormState {
    #[inline]
    fn character(&mut self, form: Form, scalar: u32) -> u16 {
        match self.characters.get(scalar as usize) {
            Some(&found) if found != 0 => found,
            _ => self.ask(form, scalar),
        }
    }

    #[cold]
    fn ask(&mut self, form: Form, scalar: u32) -> u16 {
        let place = scalar as usize;
        if self.characters.len() <= place {
            // The table grows in steps, so that text in one script does not pay for all of Unicode.
            self.characters.resize((place + 1).next_multiple_of(1 << 12), 0);
        }
        self.characters[place] = char::from_u32(scalar).map_or(KNOWN, |character| form.ask(character));
        self.characters[place]
    }

    /// Appends what the normalizer makes of a piece.
    fn piece(
        &mut self,
        normalizer: &NormalizerWrapper,
        piece: &str,
        made: &mut String,
    ) -> Result<(), tokenizers::Error> {
        if let Some(known) = self.pieces.get(piece) {
            made.push_str(known);
            return Ok(());
        }
        let mut normal = NormalizedString::from(piece);
        normalizer.normalize(&mut normal)?;
        made.push_str(normal.get());
        if piece.len() <= MAX_PIECE && self.pieces.len() < MAX_PIECES {
            self.pieces.insert(piece.into(), normal.get().into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokenizers::normalizers::{NFC, NFD, NFKC, NFKD};

    use super::*;

    fn assert_same(text: &str) {
        let all: [NormalizerWrapper; 4] = [NFC.into(), NFD.into(), NFKC.into(), NFKD.into()];
        for normalizer in all {
            let form = Form::of(&normalizer).unwrap();
            let mut expected = NormalizedString::from(text);
            normalizer.normalize(&mut expected).unwrap();
            let found = form.normalize(&normalizer, text, &mut FormState::default()).unwrap();
            assert_eq!(found, expected.get(), "{form:?} of {text:?}");
        }
    }

    #[test]
    fn every_character_is_normalized_as_by_the_crate_between_others() {
        // In texts of many, so that neighbours of all kinds stand next to each other.
        let all: Vec<char> =
            (0..0x11_0000).filter_map(char::from_u32).filter(|c| !('\u{E000}'..'\u{F8FF}').contains(c)).collect();
        for step in [1, 7, 1_009, 65_537] {
            for part in 0..40 {
                let text: String = (0..500).map(|n| all[(part * 997 + n * step * 13) % 0x3_1000]).collect();
                assert_same(&text);
            }
        }
        assert_same(&all[..0x3400].iter().collect::<String>());
        assert_same(&all[..0x3400].iter().rev().collect::<String>());
    }

    #[test]
    fn normal_text_stays_where_it_is() {
        let mut state = FormState::default();
        let text = "Straße, naïve café — 漢字 한국어 हिन्दी عَرَبِيّ Tiếng Việt 🇩🇪";
        assert!(matches!(Form::Nfc.normalize(&NFC.into(), text, &mut state), Ok(Cow::Borrowed(same)) if same == text));
    }

    proptest! {
        #[test]
        fn marks_and_letters_are_normalized_as_by_the_crate(
            text in "[aeéE\u{300}-\u{330}\u{345}\u{1100}\u{1161}\u{11a8}가각\u{915}\u{93c}\u{958}\u{94d}ﬁ①Å\u{f73}\u{344}\u{5b4}\u{5bc} ]{0,12}",
        ) {
            assert_same(&text);
        }
    }
}
