//! Reserved ids by name: BOS, EOS, pad, sentinels, mode tokens. Never `vocabulary size − k`.

use std::collections::BTreeMap;
use std::fmt;

use crate::denoise::vocabulary::MAX_SIZE;
use crate::tokenize::{Role, TokenizerNames};

/// Sentinel patterns to try when the recipe names none, in this order; all matches count: T5, `ByT5` and most others;
/// then the 28 that Flan-UL2 adds to T5's hundred.
pub(crate) const SENTINEL_PATTERNS: [&str; 2] = ["<extra_id_{n}>", "[new_id_{n}]"];

/// The place of the number in a sentinel pattern that counts up.
const NUMBER: &str = "{n}";

/// Most sentinels that one pattern names.
const MOST_SENTINELS: u32 = 1 << 16;

/// Names of a BOS token, if no configuration names one.
pub(crate) const BOS_NAMES: [&str; 5] =
    ["<s>", "<bos>", "<|begin_of_text|>", "<|startoftext|>", "<｜begin▁of▁sentence｜>"];

/// Names of an EOS token that ends a document, if no configuration names one.
pub(crate) const EOS_NAMES: [&str; 5] = ["</s>", "<eos>", "<|end_of_text|>", "<|endoftext|>", "<｜end▁of▁sentence｜>"];

/// Names of a pad token, if no configuration names one.
pub(crate) const PAD_NAMES: [&str; 5] = ["<pad>", "[PAD]", "<|padding|>", "<|finetune_right_pad_id|>", "<｜▁pad▁｜>"];

/// Names of tokens that end a turn of a chat, which the configurations of chat models name as EOS.
const TURN_ENDS: [&str; 5] = ["<|eot_id|>", "<|im_end|>", "<end_of_turn>", "<|return|>", "<|end|>"];

/// What a sentinel pattern names (`docs/reference/recipes.md`, "Sentinels").
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SentinelPattern {
    /// One token, by its whole name.
    Name(String),
    /// The tokens with numbers from 0 (or 1, where there is no 0) up to the first that is missing.
    Counted {
        /// Before the number.
        prefix: String,
        /// After the number.
        suffix: String,
    },
    /// The tokens with numbers of a range that the tokenizer has.
    Range {
        /// Before the number.
        prefix: String,
        /// After the number.
        suffix: String,
        /// The first number.
        first: u32,
        /// The last number; `None` for as many as are needed.
        last: Option<u32>,
    },
    /// Ids, which the tokenizer need not have: the embedding may be larger than its vocabulary.
    Ids {
        /// The first id.
        first: u32,
        /// The last id.
        last: u32,
    },
}

/// A sentinel pattern whose range cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}`: expected a range of at most {MOST_SENTINELS} ascending numbers, such as `0..127`")]
pub(crate) struct RangeError {
    pattern: String,
}

impl SentinelPattern {
    /// The pattern of a text: a name; a name with `{n}`, `{0..127}` or `{8..}` at the number's place; or `ids 0..127`.
    /// Both ends of a range belong to it. Other braces are part of a name.
    ///
    /// # Errors
    ///
    /// [`RangeError`] for a range that counts down or is too long.
    pub(crate) fn parse(text: &str) -> Result<Self, RangeError> {
        let checked = |first: u32, last: u32| {
            let is_range = last.checked_sub(first).is_some_and(|more| more < MOST_SENTINELS);
            if is_range { Ok(()) } else { Err(RangeError { pattern: text.to_owned() }) }
        };
        if let Some(numbers) = text.strip_prefix("ids ") {
            let Some((first, Some(last))) = range(numbers) else {
                return Err(RangeError { pattern: text.to_owned() });
            };
            checked(first, last)?;
            return Ok(Self::Ids { first, last });
        }
        if let Some((prefix, suffix)) = text.split_once(NUMBER) {
            return Ok(Self::Counted { prefix: prefix.to_owned(), suffix: suffix.to_owned() });
        }
        for (open, _) in text.match_indices('{') {
            let Some((inside, suffix)) = text[open + 1..].split_once('}') else { continue };
            let Some((first, last)) = range(inside) else { continue };
            last.map_or(Ok(()), |last| checked(first, last))?;
            let (prefix, suffix) = (text[..open].to_owned(), suffix.to_owned());
            return Ok(Self::Range { prefix, suffix, first, last });
        }
        Ok(Self::Name(text.to_owned()))
    }

    /// Whether it names as many sentinels as are needed, rather than certain ones.
    #[must_use]
    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Self::Range { last: None, .. })
    }

    /// The ids of its tokens, in their order of use.
    #[must_use]
    pub(crate) fn ids(&self, names: &dyn TokenizerNames) -> Vec<u32> {
        match self {
            Self::Name(name) => names.id(name).into_iter().collect(),
            Self::Counted { prefix, suffix } => {
                let id = |number: u32| names.id(&format!("{prefix}{number}{suffix}"));
                let first = u32::from(id(0).is_none());
                (first..).map_while(id).collect()
            }
            Self::Range { prefix, suffix, first, last: Some(last) } => {
                (*first..=*last).filter_map(|number| names.id(&format!("{prefix}{number}{suffix}"))).collect()
            }
            Self::Range { prefix, suffix, first, last: None } => {
                let found = (0..names.size().min(MAX_SIZE)).filter_map(|id| {
                    let name = names.token(id)?;
                    let digits = name.strip_prefix(prefix.as_str())?.strip_suffix(suffix.as_str())?;
                    number(digits).filter(|number| number >= first).map(|number| (number, id))
                });
                found.collect::<BTreeMap<u32, u32>>().into_values().collect()
            }
            Self::Ids { first, last } => (*first..=*last).collect(),
        }
    }
}

/// `A..B` or `A..`, without spaces and leading zeros.
fn range(text: &str) -> Option<(u32, Option<u32>)> {
    let (first, last) = text.split_once("..")?;
    let last = if last.is_empty() { None } else { Some(number(last)?) };
    Some((number(first)?, last))
}

/// A number in its only spelling.
fn number(digits: &str) -> Option<u32> {
    digits.parse().ok().filter(|number: &u32| number.to_string() == digits)
}

/// The ids of numbered tokens by what stands before and after the number, then by the number.
fn families(names: &dyn TokenizerNames) -> BTreeMap<(String, String), BTreeMap<u32, u32>> {
    let mut families: BTreeMap<(String, String), BTreeMap<u32, u32>> = BTreeMap::new();
    for id in 0..names.size().min(MAX_SIZE) {
        let Some(name) = names.token(id) else { continue };
        if !is_marked(&name) {
            continue;
        }
        let Some(end) = name.rfind(|letter: char| letter.is_ascii_digit()) else { continue };
        let start = name[..end]
            .rfind(|letter: char| !letter.is_ascii_digit())
            .map_or(0, |place| place + name[place..].chars().next().map_or(1, char::len_utf8));
        if let Some(number) = number(&name[start..=end]) {
            let family = (name[..start].to_owned(), name[end + 1..].to_owned());
            families.entry(family).or_default().insert(number, id);
        }
    }
    families
}

/// Whether a text has the form of a token: in angle or in square brackets.
pub(crate) fn is_marked(text: &str) -> bool {
    [('<', '>'), ('[', ']')].into_iter().any(|(open, close)| text.starts_with(open) && text.ends_with(close))
}

/// Fewest tokens of a family that is worth naming.
const LEAST_FAMILY: usize = 8;

/// Tokens in angle or square brackets that differ by a number alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Family {
    prefix: String,
    suffix: String,
    first: u32,
    last: u32,
    tokens: usize,
}

impl Family {
    /// The pattern that takes as many of its tokens as are needed.
    #[must_use]
    pub(crate) fn pattern(&self) -> String {
        let Self { prefix, suffix, first, .. } = self;
        format!("{prefix}{{{first}..}}{suffix}")
    }
}

impl fmt::Display for Family {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { prefix, suffix, first, last, tokens } = self;
        write!(formatter, "`{prefix}{{{first}..{last}}}{suffix}` ({tokens} tokens)")
    }
}

/// The largest families of numbered tokens, at most four, from the largest on. Bytes, such as `<0x41>`, are no family.
#[must_use]
pub(crate) fn largest_families(names: &dyn TokenizerNames) -> Vec<Family> {
    let mut found: Vec<Family> = families(names)
        .into_iter()
        .filter(|((prefix, _), numbers)| numbers.len() >= LEAST_FAMILY && !prefix.starts_with("<0x"))
        .filter_map(|((prefix, suffix), numbers)| {
            let (first, last) = (*numbers.first_key_value()?.0, *numbers.last_key_value()?.0);
            Some(Family { prefix, suffix, first, last, tokens: numbers.len() })
        })
        .collect();
    found.sort_by_key(|family| std::cmp::Reverse(family.tokens));
    found.truncate(4);
    found
}

/// The token that ends documents, where `eos` ends a turn of a chat instead.
#[must_use]
pub(crate) fn document_end(names: &dyn TokenizerNames, eos: &str) -> Option<&'static str> {
    let is_known = |name: &&&str| names.is_special(name) && names.id(name).is_some();
    TURN_ENDS.contains(&eos).then(|| EOS_NAMES.iter().find(is_known).copied()).flatten()
}

impl Role {
    /// Names of its token, if neither the configuration nor the file names one.
    #[must_use]
    pub(crate) fn known_names(self) -> &'static [&'static str] {
        match self {
            Self::Bos => &BOS_NAMES,
            Self::Eos => &EOS_NAMES,
            Self::Pad => &PAD_NAMES,
        }
    }
}

/// The id of a role's token, if one is known: the configured one, or else the first special token among the file's own
/// and the usual names. Gemma's `</s>` is an HTML tag, Qwen's a piece of text: only in a file without special tokens
/// may any token be meant.
///
/// # Errors
///
/// The configured name, if the file does not have it.
pub(crate) fn of_role(names: &dyn TokenizerNames, role: Role) -> Result<Option<u32>, &str> {
    if let Some(name) = names.configured(role) {
        return names.id(name).map(Some).ok_or(name);
    }
    let counts = |name: &&str| names.is_special(name) || !names.has_special();
    let usual = role.known_names().iter().copied();
    Ok(names.own(role).into_iter().chain(usual).filter(counts).find_map(|name| names.id(name)))
}
