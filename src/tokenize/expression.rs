//! An expression of a `tokenizer.json`, with a bound on the steps that it takes (`docs/internals/tokenization.md`,
//! Limits).
//!
//! The regex engine backtracks, so an expression can take time that grows as a power of the text's length, or faster.
//! The engine counts only its backtracking steps. So this module rewrites the expression with the same matches: each
//! iteration of each repetition, and each skipped position, first enters a branch that fails, which is one backtracking
//! step. Between two of these steps the engine reads at most what the expression spells out.

use std::ops::Range;

use onig::{MatchParam, Regex, Region, SearchOptions};

use crate::tokenize::TokenizeError;

/// Most bytes of an expression, or of a text to search for.
const MAX_BYTES: usize = 2_000;

/// Steps that an expression may take for each byte of a text, in addition to two for each byte of the expression.
const STEPS_PER_BYTE: u64 = 256;

/// Steps of the first attempt at a match; each further attempt has this many more.
const FIRST_STEPS: u64 = 64;
const MORE_STEPS: u64 = 4;

/// States that the engine may hold for each byte of a text, and as a base. A repetition holds one for each character.
const STATES_PER_BYTE: usize = 16;
const SPARE_STATES: usize = 100_000;

/// Most characters of a match of fixed length, if nothing else is checked about the expression.
const MAX_FIXED: usize = 100;

/// Takes one backtracking step and matches nothing.
const STEP: &str = "(?:(?!)|)";

/// Expressions of files in use. Each takes a number of steps linear in the text: a later alternative takes what the
/// first ones give up.
pub(super) const KNOWN: [&str; 9] = [
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##,
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r" ?[^(\s|[.,!?…。，、।۔،])]+",
    r"\p{N}{1,3}",
];

/// An expression with counted steps.
pub(super) struct Expression {
    /// The pattern in the file.
    pattern: String,
    /// The rewritten pattern, whose first group has the same matches. It skips positions itself: the engine restarts
    /// its count at each start position.
    counted: Regex,
}

impl Expression {
    /// Rewrites a pattern.
    ///
    /// # Errors
    ///
    /// A part whose steps cannot be counted, or the engine's error.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        let counted = format!(r"\G(?:{STEP}\O)*?({})", counted(pattern)?);
        let counted = Regex::new(&counted).map_err(|error| format!("the expression `{pattern}`: {error}"))?;
        Ok(Self { pattern: pattern.to_owned(), counted })
    }

    /// The expression that finds a text.
    ///
    /// # Errors
    ///
    /// Like [`Expression::new`].
    pub(super) fn of_text(text: &str) -> Result<Self, String> {
        let escaped = text.chars().flat_map(|letter| {
            let before = letter.is_ascii_punctuation().then_some('\\');
            before.into_iter().chain([letter])
        });
        Self::new(&escaped.collect::<String>())
    }

    /// The steps that the expression may take in a text of this many bytes.
    pub(super) fn steps(&self, bytes: usize) -> u64 {
        (STEPS_PER_BYTE + 2 * self.pattern.len() as u64).saturating_mul(bytes as u64)
    }

    /// Calls `found` with the matches in a text, the same that the crate finds. Subtracts the steps from `steps`.
    ///
    /// # Errors
    ///
    /// [`TokenizeError`] if the matches take more steps than are left, or the error of `found`.
    pub(super) fn matches(
        &self,
        text: &str,
        steps: &mut u64,
        found: &mut dyn FnMut(Range<usize>) -> Result<(), TokenizeError>,
    ) -> Result<(), TokenizeError> {
        let (mut from, mut last) = (0, None);
        while from <= text.len() {
            let Some(range) = self.next_match(text, from, steps)? else { return Ok(()) };
            if range.is_empty() && last == Some(range.end) {
                from = range.end.max(from) + text[range.end..].chars().next().map_or(1, char::len_utf8);
                continue;
            }
            from = range.end;
            last = Some(range.end);
            found(range)?;
        }
        Ok(())
    }

    fn next_match(&self, text: &str, from: usize, steps: &mut u64) -> Result<Option<Range<usize>>, TokenizeError> {
        let mut limit = FIRST_STEPS;
        loop {
            *steps = steps.checked_sub(limit).ok_or_else(|| {
                let pattern = &self.pattern;
                TokenizeError::Library(format!("the expression `{pattern}` takes too many steps for the text"))
            })?;
            if let Ok(found) = self.search(text, from, limit) {
                return Ok(found);
            }
            limit = limit.saturating_mul(MORE_STEPS);
        }
    }

    /// The first match from a position on, if the search takes fewer backtracking steps than `steps`.
    fn search(&self, text: &str, from: usize, steps: u64) -> Result<Option<Range<usize>>, ()> {
        let mut limit = MatchParam::default();
        limit.set_retry_limit_in_match(u32::try_from(steps).unwrap_or(u32::MAX));
        let states = text.len().saturating_mul(STATES_PER_BYTE).saturating_add(SPARE_STATES);
        limit.set_match_stack_limit(u32::try_from(states).unwrap_or(u32::MAX));
        let mut region = Region::new();
        let options = SearchOptions::SEARCH_OPTION_NONE;
        let found =
            self.counted.search_with_param(text, from, text.len(), options, Some(&mut region), limit).map_err(drop)?;
        Ok(found.and_then(|_| region.pos(1)).map(|(start, end)| start..end))
    }
}

/// Refuses a pattern, of whatever kind, that spells out more than any real tokenizer's does.
///
/// # Errors
///
/// Its length.
pub(super) fn check_length(pattern: &str) -> Result<(), String> {
    match pattern.len() {
        length if length > MAX_BYTES => Err(format!("a pattern has {length} bytes, more than {MAX_BYTES}")),
        _ => Ok(()),
    }
}

/// Whether an expression is known to take a number of steps linear in the text: it is in use in real files, or has at
/// most one repetition, at its end.
pub(super) fn is_linear(pattern: &str) -> bool {
    let simple = |pattern: &str| {
        let repeats = pattern.strip_suffix(['+', '*', '}']).unwrap_or(pattern);
        let braces = repeats.rsplit_once('{').filter(|_| pattern.ends_with('}'));
        let least = braces.map_or(Some(0), |(_, numbers)| numbers.split(',').next()?.parse().ok());
        let inner = braces.map_or(repeats, |(before, _)| before);
        least.is_some_and(|least: usize| least <= MAX_FIXED) && !inner.contains(['(', '+', '*', '{', '?', '|'])
    };
    KNOWN.contains(&pattern) || (simple(&without_properties(pattern)) && counted(pattern).is_ok())
}

/// The expression with a letter in place of each `\p{…}`, whose braces are not a repetition.
fn without_properties(pattern: &str) -> String {
    let mut parts = pattern.split(r"\p{");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "p" + part.split_once('}').map_or(part, |(_, after)| after))
}

/// The expression with the same matches, in which each iteration of a repetition takes a backtracking step.
///
/// # Errors
///
/// A part that can take any time without a step, or that this parser does not know.
fn counted(pattern: &str) -> Result<String, String> {
    check_length(pattern)?;
    let refused = |part: &str| format!("the steps of `{part}` in the expression `{pattern}` cannot be counted");
    let mut counted = String::with_capacity(2 * pattern.len());
    // Where each open group begins, and whether it is a look-behind.
    let mut groups: Vec<(usize, bool)> = Vec::new();
    // The beginning of the part that a repetition here would repeat.
    let mut part: Option<usize> = None;
    let mut rest = pattern;
    while let Some(letter) = rest.chars().next() {
        let looks_back = groups.last().is_some_and(|&(_, looks_back)| looks_back);
        let start = counted.len();
        let length = match letter {
            '(' => group(rest).ok_or_else(|| refused(rest.get(..3).unwrap_or(rest)))?,
            '|' | ')' => 1,
            '[' => class(rest).ok_or_else(|| refused("["))?,
            '\\' => escape(rest).ok_or_else(|| refused(rest.get(..2).unwrap_or(rest)))?,
            _ => repetition(rest).unwrap_or(letter.len_utf8()),
        };
        let (read, after) = rest.split_at(length);
        rest = after;
        if repetition(read).is_some() {
            // A repetition of a repetition could iterate without reading anything.
            let Some(begins) = part.take().filter(|_| !looks_back) else { return Err(refused(read)) };
            counted.insert_str(begins, &format!("(?:{STEP}"));
            counted.push(')');
            counted.push_str(read);
            continue;
        }
        counted.push_str(read);
        part = match letter {
            '|' => None,
            '(' if read.ends_with(')') => None,
            '(' => {
                groups.push((start, looks_back || read.starts_with("(?<")));
                None
            }
            ')' => Some(groups.pop().ok_or_else(|| refused(")"))?.0),
            _ => Some(start),
        };
    }
    if groups.is_empty() { Ok(counted) } else { Err(refused("(")) }
}

/// Bytes of the repetition at the beginning, with the `?` or `+` after it.
fn repetition(rest: &str) -> Option<usize> {
    let length = match rest.chars().next()? {
        '*' | '+' | '?' => 1,
        '{' => {
            let (numbers, _) = rest[1..].split_once('}')?;
            let (least, most) = numbers.split_once(',').unwrap_or((numbers, ""));
            let has_numbers = least.len() + most.len() > 0;
            let are_numbers = least.bytes().chain(most.bytes()).all(|digit| digit.is_ascii_digit());
            (has_numbers && are_numbers).then_some(numbers.len() + 2)?
        }
        _ => return None,
    };
    Some(length + usize::from(rest[length..].starts_with(['?', '+'])))
}

/// Bytes of a group's beginning, or of options alone.
fn group(rest: &str) -> Option<usize> {
    let Some(kind) = rest.strip_prefix("(?") else { return (!rest.starts_with("(*")).then_some(1) };
    if kind.starts_with("<=") || kind.starts_with("<!") {
        return Some(4);
    }
    if kind.starts_with([':', '=', '!', '>']) {
        return Some(3);
    }
    let options = kind.find(|letter: char| !"im-".contains(letter))?;
    (options > 0 && kind[options..].starts_with([':', ')'])).then_some(options + 3)
}

/// Bytes of a class.
pub(super) fn class(rest: &str) -> Option<usize> {
    let mut letters = rest.char_indices().peekable();
    let mut depth = 0;
    while let Some((place, letter)) = letters.next() {
        match letter {
            // A control character's name may be a bracket.
            '\\' => drop(letters.next().filter(|(_, name)| !"cCM".contains(*name))?),
            '[' => {
                depth += 1;
                letters.next_if(|&(_, next)| next == '^');
                // A `]` at the beginning is a character of the class.
                letters.next_if(|&(_, next)| next == ']');
            }
            ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(place + 1);
        }
    }
    None
}

/// Bytes of an escape: for a character, a class of characters or a position.
fn escape(rest: &str) -> Option<usize> {
    let name = rest[1..].chars().next()?;
    let digits =
        |most: usize, radix: u32| rest[2..].chars().take(most).take_while(|digit| digit.is_digit(radix)).count();
    let braces = || rest[2..].starts_with('{').then(|| rest.find('}')).flatten().map(|end| end + 1);
    match name {
        'p' | 'P' => braces(),
        'x' => braces().or(Some(2 + digits(2, 16))),
        'u' => Some(2 + digits(4, 16)),
        '0' => Some(2 + digits(2, 8)),
        _ if "dDwWsShHbBAzZntrfvaeRNO".contains(name) => Some(2),
        _ => (!name.is_alphanumeric()).then_some(1 + name.len_utf8()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Slow expressions, each in a different way.
    const LONG: [&str; 17] = [
        "(a|aa)+$",
        "(a+)+b!",
        r"(\w+\s?)+$",
        r"\w*\w*(\d)",
        r"(?>\w+)\d",
        r"\w++\d",
        r"a+[!?]|b",
        r"(?=a*!)a",
        r"a(?!a*!)\d",
        r"[[:alpha:]]+[!?]",
        r"[]a[^]b]]*[!?]",
        r"(?i:A+)[!?]",
        r"(?i)A+[!?]",
        r"(?:a{0,}){0,}[!?]",
        r"(?:a??){2000}!",
        r"(?:(?:a?){2000}){2000}b",
        r"\x{61}+[!?]|\x61+[!?]",
    ];

    fn found(expression: &Expression, text: &str) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        let mut steps = u64::MAX;
        let taken = expression.matches(text, &mut steps, &mut |range| {
            found.push(range);
            Ok(())
        });
        taken.unwrap();
        found
    }

    fn assert_same(pattern: &str, text: &str) {
        let Ok(regex) = Regex::new(pattern) else { return };
        let expected: Vec<_> = regex.find_iter(text).map(|(start, end)| start..end).collect();
        assert_eq!(found(&Expression::new(pattern).unwrap(), text), expected, "{pattern} in {text:?}");
    }

    #[test]
    fn no_expression_takes_more_steps_than_a_text_allows() {
        for pattern in LONG {
            let expression = Expression::new(pattern).unwrap();
            for text in ["a".repeat(100_000) + "!", "1".repeat(100_000) + "!", " ".repeat(100_000) + "!"] {
                let mut steps = expression.steps(text.len());
                let taken = expression.matches(&text, &mut steps, &mut |_| Ok(()));
                let message = taken.err().map(|error| error.to_string()).unwrap_or_default();
                assert!(
                    message.is_empty() || message.contains(&format!("`{pattern}` takes too many steps")),
                    "{message}"
                );
            }
        }
    }

    #[test]
    fn each_turn_of_a_repetition_takes_a_step() {
        // Both endings are needed: the engine skips a text without the characters that each match has.
        let text = "a".repeat(10_000) + "!b";
        for pattern in LONG.into_iter().chain(["a+", "a*+", "(?>a+)", ".{3,}", "(?:ab?)+", "(?=a+)", "(?!a+b)a", "b"]) {
            let expression = Expression::new(pattern).unwrap();
            assert!(expression.search(&text, 0, 1_000).is_err(), "{pattern}");
        }
    }

    #[test]
    fn counted_expressions_have_the_same_matches() {
        let text = "ab a's  12\r\n\r\n  x!?{2} aaa]b[^ \u{4e00}\u{4e01} It'S {,} a{} \u{e9}\u{df}SS ";
        let others = [
            "a{,2}",
            "a{2,}b",
            "{,}",
            r"a{}",
            r"\{2}",
            "(?<=a)b+",
            "(?<!a)b",
            "(?i)it'S|(?i:ß)+",
            "[a-c&&[^b]]+",
            r"\s*+\S",
            r"\p{Han}+",
            r"\P{Han}+?",
            r"[^\]\[]+",
            r"x?+|",
            "a*",
            r"\b",
            r"^.|.$",
            "(a)(b)?|b*?",
            "a{2}?",
            r"\u0061+",
            r"\0+",
        ];
        for pattern in KNOWN.into_iter().chain(LONG).chain(others) {
            assert_same(pattern, text);
        }
    }

    #[test]
    fn what_cannot_be_counted_is_refused() {
        for part in [
            r"(a)\1",
            r"\k<a>",
            r"(?<a>b)",
            r"\g<0>",
            r"\X",
            r"(?~a)",
            "(?x) a +",
            "(?#a)",
            "(*FAIL)",
            "(?<=a+)b",
            "a+{2}",
            r"[\c]]+",
            r"\c]",
            "(?(a)b|c)",
            "(?{a})",
            "*",
        ] {
            assert!(Expression::new(part).is_err(), "{part}");
            assert!(!is_linear(part), "{part}");
        }
        assert!(!is_linear("a{1000}"));
    }

    /// Without anchors: `(?i:a|^){2}` and `((?i:a|^)){2}` have different matches in the engine itself.
    fn patterns() -> impl Strategy<Value = String> {
        let one = prop::sample::select(vec![
            "a", "b", ".", r"\s", r"\w", "[ab]", "[^a]", "[]b]", r"\p{L}", r"\x61", r"\{", "{", " ", "",
        ]);
        one.prop_map(str::to_owned).prop_recursive(5, 24, 3, |inner| {
            let group = prop::sample::select(vec!["(", "(?:", "(?>", "(?=", "(?!", "(?i:", "(?<=", "(?<!", "(?i)("]);
            let times = prop::sample::select(vec![
                "*", "+", "?", "*?", "+?", "??", "*+", "++", "?+", "{2}", "{1,2}", "{,2}?", "{2,}", "",
            ]);
            prop_oneof![
                (inner.clone(), inner.clone()).prop_map(|(a, b)| a + &b),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| a + "|" + &b),
                (group, inner, times).prop_map(|(group, inner, times)| format!("{group}{inner}){times}")),
            ]
        })
    }

    proptest! {
        #[test]
        fn counting_changes_no_match(pattern in patterns(), text in "[abA {\n]{0,8}") {
            if let (Ok(regex), Ok(expression)) = (Regex::new(&pattern), Expression::new(&pattern)) {
                let expected: Vec<_> = regex.find_iter(&text).map(|(start, end)| start..end).collect();
                prop_assert_eq!(found(&expression, &text), expected);
            }
        }
    }
}
