//! What a `tokenizer.json` may do to a text: how much longer its normalizer may make it, how long its expressions may look at it
//! (`docs/tokenization.md`, Limits).
//!
//! Most files can do no harm: that is seen once, when they are read, and costs a text nothing. Through the steps of any other each text goes
//! once more beforehand, each step asked what it would do.

use std::fmt;
use std::ops::Range;

use onig::{MatchParam, Regex, Region, SearchOptions};
use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use tokenizers::{
    ModelWrapper, NormalizedString, Normalizer as _, NormalizerWrapper, OffsetReferential, OffsetType,
    PreTokenizedString, PreTokenizer as _, PreTokenizerWrapper, Tokenizer,
};

use super::TokenizeError;
use super::sentencepiece::{Charsmap, MAX_TIMES};

/// Steps of a normalizer or a pre-tokenizer. `DeepSeek`'s have four.
const MAX_STEPS: usize = 64;

/// Bytes of a word's prefix or suffix in a model, which is put to each character; of a `Prepend`, which is put to each text.
const MAX_AFFIX: usize = 64;

/// Characters of a word that a `WordPiece` model looks up from both ends. BERT's has 100.
const MAX_WORD: usize = 1_000;

/// Bytes of a piece, as in a SentencePiece model: each place of a text may look through all of one.
const MAX_PIECE: usize = 8_000;

/// Steps back that an expression may take at one place without being charged.
const FREE_STEPS: u64 = 256;

/// Steps back that may be charged for each byte of a text.
const STEPS_PER_BYTE: u64 = 64;

/// Steps back that may be charged in a text beside those.
const SPARE_STEPS: u64 = 100_000;

/// Expressions of files in use. Each takes a number of steps that grows with the text: what their first alternatives give up, a later one takes.
const KNOWN: [&str; 7] = [
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##,
    r"\p{N}{1,3}",
];

/// What a file's normalizer and pre-tokenizer may do, if it can be too much.
pub(super) struct Care {
    normalizers: Vec<Normalizer>,
    pre_tokenizers: Vec<(PreTokenizerWrapper, Option<Regex>)>,
}

struct Normalizer {
    wrapper: NormalizerWrapper,
    /// What a `Replace` looks for.
    regex: Option<Regex>,
    growth: Growth,
}

/// How long a step can make a text.
#[derive(Clone, Copy)]
enum Growth {
    /// At most so many times as long.
    Times(usize),
    /// By what stands for each match.
    Content(usize),
    /// By so much.
    Front(usize),
    /// By what a charsmap has for each character, so many times at most.
    Charsmap(usize),
}

impl Care {
    /// What is to be seen before the crate reads the file: it makes room for what a charsmap asks for, and normalizes added tokens.
    ///
    /// # Errors
    ///
    /// What no tokenizer has.
    pub(super) fn of_normalizer(json: &[u8]) -> Result<Self, String> {
        let mut care = Self { normalizers: Vec::new(), pre_tokenizers: Vec::new() };
        // What is not of this shape the crate refuses.
        let Ok(Parts { normalizers, added_tokens }) = serde_json::from_slice(json) else { return Ok(care) };
        for value in &normalizers {
            let mut times = 1;
            care.normalizers.clear();
            add_normalizers(value, &mut care.normalizers, &mut times)?;
            if care.normalizers.len() > MAX_STEPS {
                return Err(format!("its normalizer has more than {MAX_STEPS} steps"));
            }
            // Nothing to look at in a text.
            if times <= MAX_TIMES && care.normalizers.iter().all(|step| step.regex.is_none()) {
                care.normalizers.clear();
            }
            for token in added_tokens.iter().filter(|token| token.normalized.unwrap_or(!token.special.unwrap_or(false)))
            {
                care.check_part(&token.content, &mut Budget::new(&token.content))
                    .map_err(|error| format!("an added token cannot be normalized: {error}"))?;
            }
        }
        Ok(care)
    }

    /// What is to be seen of the file that has been read; `None` if no text needs to be looked at.
    ///
    /// # Errors
    ///
    /// What no tokenizer has.
    pub(super) fn of_file(mut self, tokenizer: &Tokenizer) -> Result<Option<Self>, String> {
        let (mut steps, mut times) = (Vec::new(), 1);
        if let Some(pre_tokenizer) = tokenizer.get_pre_tokenizer() {
            add_pre_tokenizers(pre_tokenizer, &mut steps, &mut times)?;
        }
        if steps.len() > MAX_STEPS {
            return Err(format!("its pre-tokenizer has more than {MAX_STEPS} steps"));
        }
        if times > 2 * MAX_TIMES {
            return Err(format!("its pre-tokenizer may make a text {times} times as long"));
        }
        check_model(tokenizer.get_model())?;
        if steps.iter().any(|(_, regex)| regex.is_some()) {
            self.pre_tokenizers = steps;
        }
        Ok((!self.normalizers.is_empty() || !self.pre_tokenizers.is_empty()).then_some(self))
    }

    /// Whether the crate may be given a text.
    ///
    /// # Errors
    ///
    /// [`TokenizeError`] if it would become too long, or take too long.
    pub(super) fn check(&self, tokenizer: &Tokenizer, text: &str) -> Result<(), TokenizeError> {
        let mut budget = Budget::new(text);
        let parts = tokenizer.get_added_vocabulary().extract_and_normalize(None::<&NormalizerWrapper>, text);
        for (part, _, tokens) in parts.get_splits(OffsetReferential::Original, OffsetType::Byte) {
            if tokens.is_none() {
                self.check_part(part, &mut budget)?;
            }
        }
        Ok(())
    }

    fn check_part(&self, text: &str, budget: &mut Budget) -> Result<(), TokenizeError> {
        let mut normalized = NormalizedString::from(text);
        for step in &self.normalizers {
            step.expect(normalized.get(), budget)?;
            step.wrapper.normalize(&mut normalized).map_err(|error| TokenizeError::Library(error.to_string()))?;
            budget.hold(normalized.get().len())?;
        }
        budget.bytes = budget.bytes.saturating_sub(normalized.get().len());
        let mut cut = PreTokenizedString::from(normalized);
        for (step, regex) in &self.pre_tokenizers {
            if let Some(regex) = regex {
                for (piece, ..) in cut.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
                    matches(regex, piece, budget, |_| Ok(()))?;
                }
            }
            step.pre_tokenize(&mut cut).map_err(|error| TokenizeError::Library(error.to_string()))?;
        }
        Ok(())
    }
}

impl Normalizer {
    /// Whether the step may be taken.
    fn expect(&self, text: &str, budget: &mut Budget) -> Result<(), TokenizeError> {
        match self.growth {
            Growth::Times(_) => Ok(()),
            Growth::Front(bytes) => budget.hold(text.len() + bytes),
            Growth::Content(content) => {
                let mut becomes = text.len();
                let mut add = |range: Range<usize>, budget: &Budget| {
                    becomes = (becomes + content).saturating_sub(range.len());
                    budget.hold(becomes.saturating_sub(text.len()))
                };
                match &self.regex {
                    Some(regex) => matches_with(regex, text, budget, &mut add),
                    None => budget.hold(text.len().saturating_mul(content.max(1))),
                }
            }
            Growth::Charsmap(times) if text.len().saturating_mul(times) <= budget.bytes => Ok(()),
            Growth::Charsmap(_) => {
                let mut becomes = 0;
                for part in text.chars() {
                    let mut alone = NormalizedString::from(part.to_string());
                    self.wrapper.normalize(&mut alone).map_err(|error| TokenizeError::Library(error.to_string()))?;
                    becomes += alone.get().len();
                    budget.hold(becomes)?;
                }
                Ok(())
            }
        }
    }
}

/// What a text may still become, and how many steps its expressions may still take.
struct Budget {
    bytes: usize,
    steps: u64,
}

impl Budget {
    fn new(text: &str) -> Self {
        let bytes = MAX_TIMES * text.len() + MAX_AFFIX;
        Self { bytes, steps: STEPS_PER_BYTE * text.len() as u64 + SPARE_STEPS }
    }

    fn hold(&self, bytes: usize) -> Result<(), TokenizeError> {
        if bytes <= self.bytes {
            return Ok(());
        }
        Err(TokenizeError::Library(format!(
            "the normalized text has more than {MAX_TIMES} times the bytes of the text"
        )))
    }

    fn charge(&mut self, steps: u64) -> Result<(), TokenizeError> {
        self.steps = self.steps.checked_sub(steps).ok_or_else(|| {
            TokenizeError::Library("an expression of the tokenizer takes too many steps for the text".to_owned())
        })?;
        Ok(())
    }
}

fn matches(
    regex: &Regex,
    text: &str,
    budget: &mut Budget,
    mut found: impl FnMut(Range<usize>) -> Result<(), TokenizeError>,
) -> Result<(), TokenizeError> {
    matches_with(regex, text, budget, &mut |range, _| found(range))
}

/// Takes a match, and what is left to be spent.
type OnMatch<'a> = dyn FnMut(Range<usize>, &Budget) -> Result<(), TokenizeError> + 'a;

/// The matches of an expression, as the crate finds them, with a bound on what they cost.
fn matches_with(regex: &Regex, text: &str, budget: &mut Budget, found: &mut OnMatch<'_>) -> Result<(), TokenizeError> {
    let (mut from, mut last) = (0, None);
    while from <= text.len() {
        let Some(range) = next_match(regex, text, from, budget)? else { return Ok(()) };
        if range.is_empty() && last == Some(range.end) {
            from = range.end.max(from) + text[range.end..].chars().next().map_or(1, char::len_utf8);
            continue;
        }
        from = range.end;
        last = Some(range.end);
        found(range, budget)?;
    }
    Ok(())
}

fn next_match(
    regex: &Regex,
    text: &str,
    from: usize,
    budget: &mut Budget,
) -> Result<Option<Range<usize>>, TokenizeError> {
    if let Ok(found) = search(regex, text, from, text.len(), FREE_STEPS) {
        return Ok(found);
    }
    // Some place takes more: one after the other, each charged for what it is allowed.
    let places =
        text[from..].char_indices().map(|(place, character)| (from + place, from + place + character.len_utf8()));
    for (place, next) in places {
        let mut steps = FREE_STEPS;
        let found = loop {
            if let Ok(found) = search(regex, text, place, next, steps) {
                break found;
            }
            steps *= 16;
            budget.charge(steps)?;
        };
        // What begins at the next place is found there.
        if let Some(found) = found.filter(|found| found.start < next) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The first match that begins from one place to another, if no place takes more steps back.
fn search(regex: &Regex, text: &str, from: usize, to: usize, steps: u64) -> Result<Option<Range<usize>>, ()> {
    let mut limit = MatchParam::default();
    limit.set_retry_limit_in_match(u32::try_from(steps).unwrap_or(u32::MAX));
    let mut region = Region::new();
    let options = SearchOptions::SEARCH_OPTION_NONE;
    let found = regex.search_with_param(text, from, to, options, Some(&mut region), limit).map_err(drop)?;
    Ok(found.and_then(|_| region.pos(0)).map(|(start, end)| start..end))
}

fn add_normalizers(value: &Value, steps: &mut Vec<Normalizer>, times: &mut usize) -> Result<(), String> {
    if let Some(nested) = value.get("normalizers").and_then(Value::as_array) {
        return nested.iter().try_for_each(|value| add_normalizers(value, steps, times));
    }
    let mut charsmap = None;
    if let Some(encoded) = value.get("precompiled_charsmap").and_then(Value::as_str) {
        let bytes = from_base64(encoded).ok_or("its charsmap is not base64")?;
        let read = Charsmap::new(&bytes).map_err(|error| error.to_string())?;
        charsmap = Some(read.most_times());
    }
    let Ok(wrapper) = serde_json::from_value::<NormalizerWrapper>(value.clone()) else { return Ok(()) };
    let (growth, regex) = match &wrapper {
        NormalizerWrapper::Precompiled(_) => (Growth::Charsmap(charsmap.unwrap_or(usize::MAX)), None),
        NormalizerWrapper::Replace(replace) => {
            let regex = || value.pointer("/pattern/Regex").and_then(Value::as_str);
            let literal = value.pointer("/pattern/String").and_then(Value::as_str);
            let least = literal.map_or_else(|| regex().map_or(0, least_match), str::len);
            let content = replace.content.len();
            let most = if least == 0 { content + 1 } else { content.div_ceil(least).max(1) };
            let pattern = regex().map_or_else(|| literal.map(escaped), |pattern| Some(pattern.to_owned()));
            regex().map_or(Ok(()), check_expression)?;
            let is_harmless = most <= MAX_TIMES && regex().is_none_or(is_linear);
            let compiled = pattern.and_then(|pattern| Regex::new(&pattern).ok());
            let growth = Growth::Content(content);
            (if is_harmless { Growth::Times(most) } else { growth }, compiled.filter(|_| !is_harmless))
        }
        NormalizerWrapper::Prepend(prepend) if prepend.prepend.len() > MAX_AFFIX => {
            return Err(format!("it puts {} bytes in front of each text", prepend.prepend.len()));
        }
        NormalizerWrapper::Prepend(prepend) => (Growth::Front(prepend.prepend.len()), None),
        NormalizerWrapper::BertNormalizer(_) => (Growth::Times(8), None),
        NormalizerWrapper::NFKC(_) | NormalizerWrapper::NFKD(_) => (Growth::Times(11), None),
        NormalizerWrapper::NFC(_) | NormalizerWrapper::NFD(_) => (Growth::Times(3), None),
        NormalizerWrapper::Lowercase(_) | NormalizerWrapper::ByteLevel(_) => (Growth::Times(2), None),
        _ => (Growth::Times(1), None),
    };
    *times = match growth {
        Growth::Times(most) | Growth::Charsmap(most) => times.saturating_mul(most),
        Growth::Content(_) => usize::MAX,
        Growth::Front(_) => *times,
    };
    steps.push(Normalizer { wrapper, regex, growth });
    Ok(())
}

fn add_pre_tokenizers(
    wrapper: &PreTokenizerWrapper,
    steps: &mut Vec<(PreTokenizerWrapper, Option<Regex>)>,
    times: &mut usize,
) -> Result<(), String> {
    let mut regex = None;
    match wrapper {
        PreTokenizerWrapper::Sequence(sequence) => {
            return sequence.as_ref().iter().try_for_each(|step| add_pre_tokenizers(step, steps, times));
        }
        PreTokenizerWrapper::Split(split) => {
            let pattern = serde_json::to_value(&split.pattern).map_err(|error| error.to_string())?;
            if let Some(pattern) = pattern.get("Regex").and_then(Value::as_str).filter(|pattern| !is_linear(pattern)) {
                check_expression(pattern)?;
                regex = Some(Regex::new(pattern).map_err(|error| error.to_string())?);
            }
        }
        PreTokenizerWrapper::Metaspace(_) => *times = times.saturating_mul(5),
        PreTokenizerWrapper::ByteLevel(_) => *times = times.saturating_mul(3),
        _ => {}
    }
    steps.push((wrapper.clone(), regex));
    Ok(())
}

/// Numbers of the model that let a text take much more time than others.
fn check_model(model: &ModelWrapper) -> Result<(), String> {
    let affix = |name: &str, affix: &str| match affix.len() {
        length if length > MAX_AFFIX => Err(format!("`{name}` has {length} bytes, more than {MAX_AFFIX}")),
        _ => Ok(()),
    };
    match model {
        ModelWrapper::BPE(model) => {
            affix("continuing_subword_prefix", model.continuing_subword_prefix.as_deref().unwrap_or_default())?;
            affix("end_of_word_suffix", model.end_of_word_suffix.as_deref().unwrap_or_default())
        }
        ModelWrapper::WordPiece(model) if model.max_input_chars_per_word > MAX_WORD => {
            let given = model.max_input_chars_per_word;
            Err(format!("`max_input_chars_per_word` is {given}, more than {MAX_WORD}"))
        }
        ModelWrapper::WordPiece(model) => affix("continuing_subword_prefix", &model.continuing_subword_prefix),
        ModelWrapper::Unigram(model) => match model.iter().position(|(piece, _)| piece.len() >= MAX_PIECE) {
            Some(place) => Err(format!("piece {place} has {MAX_PIECE} bytes or more")),
            None => Ok(()),
        },
        ModelWrapper::WordLevel(_) => Ok(()),
    }
}

/// Whether an expression is known to take a number of steps that grows with the text: one of files in use, or one with at most one
/// repetition, at its end.
fn is_linear(pattern: &str) -> bool {
    let simple = |pattern: &str| {
        let repeats = pattern.strip_suffix(['+', '*', '}']).unwrap_or(pattern);
        let inner = repeats.rsplit_once('{').filter(|_| pattern.ends_with('}')).map_or(repeats, |(before, _)| before);
        inner.len() <= 1_000 && !inner.contains(['(', '+', '*', '{', '?', '|'])
    };
    KNOWN.contains(&pattern) || simple(&without_properties(pattern))
}

/// Refuses an expression whose steps may grow faster than the text: a repeated group that repeats or chooses inside, or two repetitions
/// without an end in a branch that goes on after them.
fn check_expression(pattern: &str) -> Result<(), String> {
    let refused = || Err(format!("the expression `{pattern}` may take too many steps"));
    if is_linear(pattern) {
        return Ok(());
    }
    let pattern = without_properties(pattern);
    // Of each open group: repetitions of the branch at hand, and whether there is a repetition or a choice in the group.
    let mut groups = vec![(0_u32, false)];
    let mut ended = None;
    let (mut in_class, mut escaped) = (0_u32, false);
    let mut before = ' ';
    for letter in pattern.chars() {
        let before = std::mem::replace(&mut before, letter);
        let group_before = std::mem::take(&mut ended);
        let depth = groups.len();
        let Some((repetitions, varies)) = groups.last_mut() else { return Ok(()) };
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => in_class += 1,
            ']' if in_class > 0 => in_class -= 1,
            _ if in_class > 0 => continue,
            '|' => (*repetitions, *varies) = (0, true),
            '(' => groups.push((0, false)),
            ')' if depth > 1 => ended = groups.pop().map(|(_, varies)| varies),
            // Possessive: it gives nothing back.
            '+' if "*+".contains(before) => *repetitions = repetitions.saturating_sub(1),
            '+' if "?}".contains(before) => {}
            '*' | '+' if group_before == Some(true) => return refused(),
            '*' | '+' => (*repetitions, *varies) = (*repetitions + 1, true),
            _ => {}
        }
        if groups.last().is_some_and(|(repetitions, _)| *repetitions >= 2) && !"*+?[()|\\".contains(letter) {
            return refused();
        }
    }
    Ok(())
}

/// The expression with a letter in the place of each `\p{…}`, whose brace repeats nothing.
fn without_properties(pattern: &str) -> String {
    let mut parts = pattern.split(r"\p{");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "p" + part.split_once('}').map_or(part, |(_, behind)| behind))
}

/// Bytes that a match has at least, where that is easily seen: `x{2,}` with one ASCII character.
fn least_match(pattern: &str) -> usize {
    let counted = |pattern: &str| -> Option<usize> {
        let (character, count) = pattern.strip_suffix(",}")?.split_once('{')?;
        let is_plain = character.len() == 1 && !".^$\\|".contains(character);
        count.parse().ok().filter(|_| is_plain)
    };
    counted(pattern).unwrap_or_default()
}

/// An expression for a text.
fn escaped(text: &str) -> String {
    text.chars().flat_map(|letter| letter.is_ascii_punctuation().then_some('\\').into_iter().chain([letter])).collect()
}

/// The bytes that base64 stands for.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    let (mut bits, mut held) = (0_u32, 0);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held).to_le_bytes()[0]);
        }
    }
    Some(bytes)
}

/// Normalizers of a file, should it name several, and its added tokens.
#[derive(Default)]
struct Parts {
    normalizers: Vec<Value>,
    added_tokens: Vec<AddedText>,
}

#[derive(Deserialize)]
struct AddedText {
    content: String,
    normalized: Option<bool>,
    special: Option<bool>,
}

impl<'de> Deserialize<'de> for Parts {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PartsVisitor)
    }
}

struct PartsVisitor;

impl<'de> Visitor<'de> for PartsVisitor {
    type Value = Parts;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a tokenizer")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parts, A::Error> {
        let mut parts = Parts::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "normalizer" => parts.normalizers.push(map.next_value()?),
                "added_tokens" => parts.added_tokens = map.next_value()?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(parts)
    }
}
