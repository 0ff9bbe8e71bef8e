//! Classes of characters by their effect on the text around them, as the file's own normalizer and pre-tokenizer treat
//! them.

use unicode_segmentation::UnicodeSegmentation as _;

/// The class of a character in the fast path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Class {
    /// Not determined yet.
    Unknown,
    /// Unchanged, and a separate grapheme cluster next to any other plain character.
    Plain,
    /// Ends a chunk: between plain characters it only starts a new pre-token. ASCII only.
    Separator,
    /// Anything else.
    Odd,
}

/// The classes of characters, determined on first use.
pub(super) struct Classes {
    ascii: [Class; 128],
    others: Vec<Class>,
}

/// Characters that Unicode's cluster rules treat differently from each other before or after another character.
const NEIGHBOURS: [char; 4] = ['a', '\u{AC00}', '\u{AC01}', '\u{1F600}'];

impl Classes {
    pub(super) fn new(ascii: [Class; 128]) -> Self {
        Self { ascii, others: Vec::new() }
    }

    #[inline]
    pub(super) fn ascii(&self, byte: u8) -> Class {
        self.ascii[usize::from(byte & 0x7F)]
    }

    /// The class of a character beyond ASCII; `ask` returns whether the file leaves it unchanged.
    #[inline]
    pub(super) fn other(&mut self, character: char, ask: impl FnOnce(char) -> bool) -> Class {
        let place = character as usize;
        match self.others.get(place) {
            Some(&class) if class != Class::Unknown => class,
            _ => self.ask(place, character, ask),
        }
    }

    #[cold]
    fn ask(&mut self, place: usize, character: char, ask: impl FnOnce(char) -> bool) -> Class {
        if self.others.len() <= place {
            // The table grows in steps, so that text in one script does not pay for all of Unicode.
            self.others.resize((place + 1).next_multiple_of(1 << 12), Class::Unknown);
        }
        let class = if ask(character) { Class::Plain } else { Class::Odd };
        self.others[place] = class;
        class
    }
}

/// Whether the character is a separate cluster next to every other character for which this holds.
///
/// Of the classes in the rules of UAX #29, the ones that break on both sides of one another pass: `Other`, `Control`,
/// whole Hangul syllables, pictographs. Marks, joiners, prepending letters, jamo and regional indicators fail one of
/// the probes.
pub(super) fn stands_alone(character: char) -> bool {
    let breaks = |first: char, second: char| [first, second].iter().collect::<String>().graphemes(true).count() == 2;
    breaks(character, character) && NEIGHBOURS.iter().all(|&other| breaks(character, other) && breaks(other, character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_sequence_of_characters_that_stand_alone_has_a_cluster_each() {
        // Every pair over one character of each range in Unicode's cluster rules, and runs of them.
        let all: Vec<char> = (0..0x0011_0000).filter_map(char::from_u32).filter(|&c| stands_alone(c)).collect();
        let text: String = all.iter().filter(|&&character| character != '\r' && character != '\n').collect();
        assert_eq!(text.graphemes(true).count(), text.chars().count());
        let mut state = 1_u64;
        for _ in 0..200 {
            let shuffled: String = (0..2_000)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    all[usize::try_from(state >> 33).unwrap() % all.len()]
                })
                .filter(|&character| character != '\r' && character != '\n')
                .collect();
            assert_eq!(shuffled.graphemes(true).count(), shuffled.chars().count());
        }
    }

    #[test]
    fn what_joins_its_neighbours_does_not_stand_alone() {
        for character in ['\u{301}', '\u{200D}', '\u{93F}', '\u{600}', '\u{1F1E6}', '\u{1100}', '\u{1161}', '\u{11A8}']
        {
            assert!(!stands_alone(character), "{character:?}");
        }
        for character in ['a', 'é', '漢', 'あ', '한', '😀', 'क', '\u{7}'] {
            assert!(stands_alone(character), "{character:?}");
        }
    }
}
