//! What every fast path requires of a tokenizer's file, for any model.

use std::fmt;

use tokenizers::Tokenizer;

/// Texts of the self-check. None spells a reserved token.
pub(crate) const SELF_CHECK: [&str; 12] = [
    "",
    " ",
    "The quick brown fox, jumped over (13) lazy dogs; isn't it?",
    "  leading and  double   spaces\tand\ttabs\r\nand lines\n\n\n",
    "naïve café – “quoted” … ½ ﬁ ①",
    "a\u{301} \u{301}b c\u{301}\u{301} \u{200D}x",
    "nbsp\u{A0}inside \u{A0}edge\u{A0} \u{3000}wide\u{3000}",
    "▁meta▁space ▁ ▁▁ a▁",
    "漢字かな交じり文 한국어 문장 ไทย हिन्दी العربية",
    "😀👩\u{200D}👩\u{200D}👧 🇩🇪🇫🇷 \u{FE0F}",
    "\u{0}\u{1}\u{7F}\u{85}\u{2028}\u{FEFF}\u{FFFD} \u{E000}\u{10FFFF}",
    "----------------------------------------====____++++ aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

/// Stands for a space before a word.
pub(crate) const METASPACE: &str = "▁";

/// Why a file does not get the fast path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotFast(pub(crate) String);

impl fmt::Display for NotFast {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Compares both paths on a few texts of all kinds: a guard against a version of the crate for which this code was not
/// proven.
pub(super) fn check_itself(
    tokenizer: &Tokenizer,
    mut encode: impl FnMut(&str, &mut Vec<u32>) -> Result<(), tokenizers::Error>,
) -> Result<(), NotFast> {
    for text in SELF_CHECK {
        let mut ids = Vec::new();
        let equal = match (encode(text, &mut ids), tokenizer.encode_fast(text, false)) {
            (Ok(()), Ok(expected)) => ids == expected.get_ids(),
            (fast, expected) => fast.is_err() == expected.is_err(),
        };
        if !equal {
            return Err(NotFast(format!("both paths differ on {text:?}")));
        }
    }
    Ok(())
}
