//! Texts that are hard on tokenizers: white space of all kinds, control characters, combining marks, `▁`, emoji sequences, spelled
//! special tokens, contractions, long runs, and any scalar value at all. By number, so that a failure can be named.

/// A generator of fixed variety.
struct Choice(u64);

impl Choice {
    fn below(&mut self, n: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % n as u64).unwrap_or_default()
    }

    fn of<'a, T: ?Sized>(&mut self, items: &[&'a T]) -> &'a T {
        items[self.below(items.len())]
    }
}

const SPACES: [&str; 16] = [
    " ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", "\r", "\u{B}", "\u{C}", "\u{85}", "\u{A0}", "\u{2009}", "\u{2028}",
    "\u{3000}", " \u{A0} ",
];

const WORDS: [&str; 24] = [
    "the",
    "The",
    "of",
    "and",
    "isn't",
    "we'll",
    "I'VE",
    "'s",
    "o'clock",
    "naïve",
    "Straße",
    "ﬁne",
    "１２３",
    "½",
    "1st",
    "3.14159",
    "2026-11-25",
    "foo_bar",
    "http://a.b/c?d=e&f",
    "漢字",
    "かな",
    "한국어",
    "हिन्दी",
    "العربية",
];

const ODD: [&str; 32] = [
    "\u{301}",
    "e\u{301}",
    "\u{200D}",
    "👩\u{200D}👧",
    "🇩🇪",
    "🇩",
    "\u{FE0F}",
    "☺\u{FE0F}",
    "▁",
    "▁▁",
    "▁a",
    "a▁",
    "\u{0}",
    "\u{1}",
    "\u{7F}",
    "\u{AD}",
    "\u{FEFF}",
    "\u{FFFD}",
    "\u{FDD0}",
    "\u{10FFFF}",
    "\u{E000}",
    "</s>",
    "<s>",
    "<unk>",
    "<pad>",
    "<extra_id_0>",
    "<extra_id_99>",
    "<|endoftext|>",
    "<0x0A>",
    "Ġ",
    "Ċ",
    "＜/s＞",
];

const MARKS: [&str; 16] = ["!", "?!", "...", "---", "'", "\"", "``", "''", "(", "){", "=>", "##", "$", "%%", "@", "—"];

/// Text `number`: up to some hundred characters of all of it.
pub(crate) fn text(number: u64) -> String {
    let mut choice = Choice(number);
    let mut text = String::new();
    for _ in 0..=choice.below(40) {
        match choice.below(12) {
            0..=3 => text.push_str(choice.of(&WORDS)),
            4..=6 => text.push_str(choice.of(&SPACES)),
            7 => text.push_str(choice.of(&ODD)),
            8 => text.push_str(choice.of(&MARKS)),
            9 => {
                let length = 1 + choice.below(80);
                let repeated = match choice.below(3) {
                    0 => choice.of(&MARKS),
                    1 => choice.of(&SPACES),
                    _ => choice.of(&["a", "ab", "0", "é", "漢", "-=", "aA1 "]),
                };
                text.push_str(&repeated.repeat(length));
            }
            10 => {
                // Any scalar value, often of the lower planes.
                let planes = [0x80, 0x800, 0x3000, 0x1_0000, 0x2_0000, 0x11_0000];
                let most = planes[choice.below(planes.len())];
                text.extend(u32::try_from(choice.below(most)).ok().and_then(char::from_u32));
            }
            _ => {
                let letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/";
                text.extend((0..choice.below(60)).map(|_| char::from(letters[choice.below(letters.len())])));
            }
        }
        if choice.below(3) == 0 {
            text.push(' ');
        }
    }
    text
}

/// Text `number` with up to six of these tokens put into it, at any places.
pub(crate) fn text_with(number: u64, tokens: &[String]) -> String {
    let mut text = text(number);
    let mut choice = Choice(number ^ 0x5DEE_CE66);
    for _ in 0..choice.below(7) {
        let Some(token) = tokens.get(choice.below(tokens.len().max(1))) else { break };
        let mut place = choice.below(text.len() + 1);
        while !text.is_char_boundary(place) {
            place -= 1;
        }
        text.insert_str(place, token);
    }
    text
}
