//! What a character does to the text around it, asked of the file's own normalizer and pre-tokenizer.

use unicode_segmentation::UnicodeSegmentation as _;

/// What a character is to the fast path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Class {
    /// Not asked yet.
    Unknown,
    /// Stays itself and is a grapheme cluster of its own next to any other plain character.
    Plain,
    /// Ends a chunk: between plain characters it only starts a new pre-token. ASCII only.
    Separator,
    /// Anything else.
    Odd,
}

/// The classes of characters, filled as they are met.
pub(super) struct Classes {
    ascii: [Class; 128],
    others: Vec<Class>,
}

/// Characters that the cluster rules of Unicode treat differently from each other where they follow or precede another.
const NEIGHBOURS: [char; 4] = ['a', '\u{AC00}', '\u{AC01}', '\u{1F600}'];

impl Classes {
    pub(super) fn new(ascii: [Class; 128]) -> Self {
        Self { ascii, others: Vec::new() }
    }

    #[inline]
    pub(super) fn ascii(&self, byte: u8) -> Class {
        self.ascii[usize::from(byte & 0x7F)]
    }

    /// The class of a character beyond ASCII; `ask` tells whether the file leaves it as it is.
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
            // In steps, so that text of one script does not pay for all of Unicode.
            self.others.resize((place + 1).next_multiple_of(1 << 12), Class::Unknown);
        }
        let class = if ask(character) { Class::Plain } else { Class::Odd };
        self.others[place] = class;
        class
    }
}

/// Whether the character is a cluster of its own next to every other character for which this holds.
///
/// Of the classes in the rules of UAX #29 it leaves those that break on both sides of one another: `Other`, `Control`, whole Hangul
/// syllables, pictographs. Marks, joiners, prepending letters, jamo and regional indicators fail one of the probes.
pub(super) fn stands_alone(character: char) -> bool {
    let breaks = |first: char, second: char| [first, second].iter().collect::<String>().graphemes(true).count() == 2;
    breaks(character, character) && NEIGHBOURS.iter().all(|&other| breaks(character, other) && breaks(other, character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_sequence_of_characters_that_stand_alone_has_a_cluster_each() {
        // Every pair over one character of each range that Unicode's cluster rules know, and runs of them.
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
