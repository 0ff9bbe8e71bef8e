//! Splits a text into words as the file's pre-tokenizers do, one after the other.

use tokenizers::SplitDelimiterBehavior;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::split::SplitPattern;

use crate::tokenize::fast::scanner::Scanner;
use crate::tokenize::fast::syntax::Program;

/// The expression of the crate's `ByteLevel`, which is its own constant.
const BYTE_LEVEL: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// One pre-tokenizer: each match of its expression is a piece, and so is what stands between two of them.
struct Split {
    program: Program,
    keeps_matches: bool,
    keeps_gaps: bool,
}

/// The pre-tokenizers of a file.
pub(super) struct Splits {
    steps: Vec<Split>,
    /// The last step turns bytes into characters that stand for them.
    pub(super) is_byte_level: bool,
    /// A text that does not begin with a space gets one.
    pub(super) adds_space: bool,
}

impl Splits {
    /// The splits of a file's pre-tokenizers.
    ///
    /// # Errors
    ///
    /// The step that is not known.
    pub(super) fn new(steps: &[PreTokenizerWrapper]) -> Result<Self, String> {
        let mut all = Self { steps: Vec::new(), is_byte_level: false, adds_space: false };
        for (place, step) in steps.iter().enumerate() {
            if all.is_byte_level {
                return Err("a pre-tokenizer follows `ByteLevel`".to_owned());
            }
            let isolated = |program| Split { program, keeps_matches: true, keeps_gaps: true };
            match step {
                PreTokenizerWrapper::Split(split) => {
                    let program = match &split.pattern {
                        SplitPattern::String(text) => Program::of_text(text),
                        SplitPattern::Regex(pattern) => Program::of_expression(pattern),
                    }?;
                    let (keeps_matches, keeps_gaps) = match (split.behavior, split.invert) {
                        (SplitDelimiterBehavior::Isolated, _) => (true, true),
                        (SplitDelimiterBehavior::Removed, inverted) => (inverted, !inverted),
                        _ => return Err("a `Split` merges what it splits at".to_owned()),
                    };
                    all.steps.push(Split { program, keeps_matches, keeps_gaps });
                }
                PreTokenizerWrapper::Digits(digits) => {
                    let most = if digits.individual_digits { Some(1) } else { None };
                    all.steps.push(isolated(Program::of_cut_off(step, most)?));
                }
                PreTokenizerWrapper::Punctuation(punctuation) => {
                    let most = match punctuation.behavior {
                        SplitDelimiterBehavior::Isolated => Some(1),
                        SplitDelimiterBehavior::Contiguous => None,
                        _ => return Err("`Punctuation` merges what it splits at".to_owned()),
                    };
                    all.steps.push(isolated(Program::of_cut_off(step, most)?));
                }
                PreTokenizerWrapper::ByteLevel(level) => {
                    if level.add_prefix_space && place > 0 {
                        return Err("`ByteLevel` puts a space before each piece".to_owned());
                    }
                    all.adds_space = level.add_prefix_space;
                    all.is_byte_level = true;
                    if level.use_regex {
                        all.steps.push(isolated(Program::of_expression(BYTE_LEVEL)?));
                    }
                }
                _ => return Err("a pre-tokenizer that is not known".to_owned()),
            }
        }
        Ok(all)
    }

    /// A worker's automata.
    pub(super) fn scanners(&self) -> Vec<Scanner> {
        self.steps.iter().map(|split| Scanner::new(&split.program)).collect()
    }

    /// Calls `word` with the words of a text, from left to right, as byte ranges.
    #[inline]
    pub(super) fn words(&self, scanners: &mut [Scanner], text: &str, word: &mut impl FnMut(usize, usize)) {
        descend(&self.steps, scanners, text.as_bytes(), (0, text.len()), word);
    }
}

/// Splits a piece of a text by the first of the splits, and what comes out by the others.
fn descend(
    splits: &[Split],
    scanners: &mut [Scanner],
    text: &[u8],
    (start, end): (usize, usize),
    word: &mut impl FnMut(usize, usize),
) {
    let (Some((split, splits)), Some((scanner, scanners))) = (splits.split_first(), scanners.split_first_mut()) else {
        if start < end {
            word(start, end);
        }
        return;
    };
    let text = &text[..end];
    let mut piece = |from: usize, to: usize| {
        if splits.is_empty() {
            word(from, to);
        } else {
            descend(splits, scanners, text, (from, to), word);
        }
    };
    // `gap` is where what no match has taken begins.
    let (mut place, mut gap) = (start, start);
    while place < end {
        if let Some(next) = scanner.matched(&split.program, text, place) {
            if gap < place && split.keeps_gaps {
                piece(gap, place);
            }
            if split.keeps_matches {
                piece(place, next);
            }
            (place, gap) = (next, next);
            continue;
        }
        place += 1;
        while place < end && text[place] & 0xC0 == 0x80 {
            place += 1;
        }
        while let Some(next) = scanner.skipped(text, place) {
            place = next;
        }
    }
    if gap < end && split.keeps_gaps {
        piece(gap, end);
    }
}
