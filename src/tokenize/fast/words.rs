//! The words of GPT-2's expression, found by the classes of characters:
//!
//! ```text
//! 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//! ```

/// The class of a character in the expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// Not determined yet.
    Unknown,
    /// `\p{L}`.
    Letter,
    /// `\p{N}`.
    Number,
    /// `\s`.
    Space,
    /// None of them.
    Other,
}

/// The classes of characters, determined on first use.
pub(super) struct Classes {
    ascii: [Kind; 128],
    others: Vec<Kind>,
}

impl Classes {
    pub(super) fn new(ascii: [Kind; 128]) -> Self {
        Self { ascii, others: Vec::new() }
    }

    #[inline]
    fn other(&mut self, character: char, ask: impl Fn(char) -> Kind) -> Kind {
        let place = character as usize;
        match self.others.get(place) {
            Some(&kind) if kind != Kind::Unknown => kind,
            _ => {
                if self.others.len() <= place {
                    // The table grows in steps, so that text in one script does not pay for all of Unicode.
                    self.others.resize((place + 1).next_multiple_of(1 << 12), Kind::Unknown);
                }
                self.others[place] = ask(character);
                self.others[place]
            }
        }
    }
}

/// The words of a text, as byte ranges, from left to right. Together they cover the whole text.
pub(super) struct ByteLevelWords<'a, Ask> {
    text: &'a str,
    place: usize,
    classes: &'a mut Classes,
    ask: Ask,
}

impl<'a, Ask: Fn(char) -> Kind> ByteLevelWords<'a, Ask> {
    /// `ask` returns the kind of a character beyond ASCII on its first use.
    pub(super) fn new(text: &'a str, classes: &'a mut Classes, ask: Ask) -> Self {
        Self { text, place: 0, classes, ask }
    }

    /// The kind of the character at `place`, and where it ends. `None` at the end.
    #[inline]
    fn at(&mut self, place: usize) -> Option<(Kind, usize)> {
        let byte = *self.text.as_bytes().get(place)?;
        if byte < 0x80 {
            return Some((self.classes.ascii[usize::from(byte)], place + 1));
        }
        let character = self.text.get(place..)?.chars().next()?;
        Some((self.classes.other(character, &self.ask), place + character.len_utf8()))
    }

    /// Where the run of `kind` that continues at `place` ends.
    #[inline]
    fn run(&mut self, kind: Kind, mut place: usize) -> usize {
        while let Some((found, next)) = self.at(place)
            && found == kind
        {
            place = next;
        }
        place
    }

    /// The end of a contraction that starts here.
    #[inline]
    fn contraction(&self, start: usize) -> Option<usize> {
        let length = match self.text.as_bytes().get(start + 1..)? {
            [b's' | b't' | b'm' | b'd', ..] => 2,
            [b'r' | b'v', b'e', ..] | [b'l', b'l', ..] => 3,
            _ => return None,
        };
        Some(start + length)
    }

    #[inline]
    fn word_end(&mut self, start: usize) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let (kind, next) = self.at(start)?;
        if bytes[start] == b'\''
            && let Some(end) = self.contraction(start)
        {
            return Some(end);
        }
        if kind != Kind::Space {
            return Some(self.run(kind, next));
        }
        // ` ?`: one space belongs to what follows it, unless that is white space.
        if bytes[start] == b' '
            && let Some((behind, next)) = self.at(next)
            && behind != Kind::Space
        {
            return Some(self.run(behind, next));
        }
        // `\s+(?!\S)` leaves the last one to what follows, if there are several; `\s+` takes a single one.
        let (mut end, mut last) = (next, start);
        while let Some((Kind::Space, next)) = self.at(end) {
            (last, end) = (end, next);
        }
        Some(if end == self.text.len() || last == start { end } else { last })
    }
}

impl<Ask: Fn(char) -> Kind> Iterator for ByteLevelWords<'_, Ask> {
    type Item = (usize, usize);

    #[inline]
    fn next(&mut self) -> Option<(usize, usize)> {
        let start = self.place;
        let end = self.word_end(start)?;
        self.place = end;
        Some((start, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        let kind = |character: char| match character {
            _ if character.is_alphabetic() => Kind::Letter,
            _ if character.is_numeric() => Kind::Number,
            _ if character.is_whitespace() => Kind::Space,
            _ => Kind::Other,
        };
        let mut ascii = [Kind::Unknown; 128];
        for (byte, found) in (0..128_u8).zip(&mut ascii) {
            *found = kind(char::from(byte));
        }
        let mut classes = Classes::new(ascii);
        ByteLevelWords::new(text, &mut classes, kind).map(|(start, end)| &text[start..end]).collect()
    }

    #[test]
    fn words_are_those_of_gpt_2s_expression() {
        assert_eq!(
            words("it's 4 o'clock, we'll see"),
            ["it", "'s", " 4", " o", "'", "clock", ",", " we", "'ll", " see"]
        );
        assert_eq!(words("a  b\n\nc \t d  "), ["a", " ", " b", "\n", "\n", "c", " \t", " d", "  "]);
        assert_eq!(words("x\u{A0}y \u{A0} é1²!"), ["x", "\u{A0}", "y", " \u{A0}", " é", "1²", "!"]);
        assert_eq!(words(" 's!'s 'rex"), [" '", "s", "!'", "s", " '", "rex"]);
        assert_eq!(words("\n"), ["\n"]);
        assert_eq!(words(""), Vec::<&str>::new());
    }
}
