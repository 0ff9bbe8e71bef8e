//! Bounds what a `tokenizer.json` may do to a text: how much longer its normalizer may make it, how long its
//! expressions may run on it (`docs/internals/tokenization.md`, Limits).
//!
//! Most files can do no harm: one check when the file is read shows that, and texts cost nothing extra. With any other
//! file, each text first goes through a check that asks each step what it would do.

use std::fmt;

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use tokenizers::{
    ModelWrapper, NormalizedString, Normalizer as _, NormalizerWrapper, OffsetReferential, OffsetType,
    PreTokenizedString, PreTokenizer as _, PreTokenizerWrapper, Tokenizer,
};

use crate::tokenize::TokenizeError;
use crate::tokenize::expression::{Expression, check_length, is_linear};
use crate::tokenize::sentencepiece::{Charsmap, MAX_TIMES};

/// Most steps of a normalizer or a pre-tokenizer. `DeepSeek`'s have four.
const MAX_STEPS: usize = 64;

/// Most bytes of a word's prefix or suffix in a model, which is added to each character; and of a `Prepend`, which is
/// added to each text.
const MAX_AFFIX: usize = 64;

/// Most characters of a word that a `WordPiece` model looks up from both ends. BERT's has 100.
const MAX_WORD: usize = 1_000;

/// Most bytes of a piece, as in a SentencePiece model: at each position of a text, the lookup may read a whole piece.
const MAX_PIECE: usize = 8_000;

/// Steps that expressions may take in any text, in addition to the steps for its length.
const SPARE_STEPS: u64 = 100_000;

/// Checks texts against a file's normalizer and pre-tokenizer, if these can do too much.
pub(super) struct Care {
    normalizers: Vec<Normalizer>,
    pre_tokenizers: Vec<(PreTokenizerWrapper, Option<Expression>)>,
}

struct Normalizer {
    wrapper: NormalizerWrapper,
    /// The expression that a `Replace` looks for.
    expression: Option<Expression>,
    growth: Growth,
}

/// How much longer a step can make a text.
#[derive(Clone, Copy)]
enum Growth {
    /// At most this many times as long.
    Times(usize),
    /// By the replacement of each match.
    Content(usize),
    /// By this many bytes.
    Front(usize),
    /// By a charsmap's replacement of each character, at most this many times as long.
    Charsmap(usize),
}

impl Care {
    /// The checks before the crate reads the file: the crate allocates what a charsmap asks for, and normalizes added
    /// tokens.
    ///
    /// # Errors
    ///
    /// What no real tokenizer has.
    pub(super) fn of_normalizer(json: &[u8]) -> Result<Self, String> {
        let mut care = Self { normalizers: Vec::new(), pre_tokenizers: Vec::new() };
        // The crate refuses everything that does not have this shape.
        let Ok(Parts { normalizers, added_tokens }) = serde_json::from_slice(json) else { return Ok(care) };
        for value in &normalizers {
            let mut times = 1;
            care.normalizers.clear();
            add_normalizers(value, &mut care.normalizers, &mut times)?;
            if care.normalizers.len() > MAX_STEPS {
                return Err(format!("its normalizer has more than {MAX_STEPS} steps"));
            }
            // No text needs a check.
            if times <= MAX_TIMES && care.normalizers.iter().all(|step| step.expression.is_none()) {
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

    /// The checks on the file once it has been read; `None` if no text needs a check.
    ///
    /// # Errors
    ///
    /// What no real tokenizer has.
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
        let decoder = serde_json::to_value(tokenizer.get_decoder()).map_err(|error| error.to_string())?;
        check_decoder(&decoder)?;
        if steps.iter().any(|(_, expression)| expression.is_some()) {
            self.pre_tokenizers = steps;
        }
        Ok((!self.normalizers.is_empty() || !self.pre_tokenizers.is_empty()).then_some(self))
    }

    /// Checks that a text is safe to pass to the crate.
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
        let length = normalized.get().len();
        budget.bytes = budget.bytes.saturating_sub(length);
        let mut cut = PreTokenizedString::from(normalized);
        for (step, expression) in &self.pre_tokenizers {
            if let Some(expression) = expression {
                budget.steps = budget.steps.saturating_add(expression.steps(length));
                for (piece, ..) in cut.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
                    expression.matches(piece, &mut budget.steps, &mut |_| Ok(()))?;
                }
            }
            step.pre_tokenize(&mut cut).map_err(|error| TokenizeError::Library(error.to_string()))?;
        }
        Ok(())
    }
}

impl Normalizer {
    /// Checks that the step is safe to take.
    fn expect(&self, text: &str, budget: &mut Budget) -> Result<(), TokenizeError> {
        match self.growth {
            Growth::Times(_) => Ok(()),
            Growth::Front(bytes) => budget.hold(text.len() + bytes),
            Growth::Content(content) => {
                let Budget { bytes, steps } = budget;
                let Some(expression) = &self.expression else { return Ok(()) };
                *steps = steps.saturating_add(expression.steps(text.len()));
                let mut becomes = text.len();
                expression.matches(text, steps, &mut |range| {
                    becomes = (becomes + content).saturating_sub(range.len());
                    hold(*bytes, becomes.saturating_sub(text.len()))
                })
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

/// How long a text may still become, and how many steps its expressions may still take.
struct Budget {
    bytes: usize,
    steps: u64,
}

impl Budget {
    fn new(text: &str) -> Self {
        Self { bytes: MAX_TIMES * text.len() + MAX_AFFIX, steps: SPARE_STEPS }
    }

    fn hold(&self, bytes: usize) -> Result<(), TokenizeError> {
        hold(self.bytes, bytes)
    }
}

fn hold(most: usize, bytes: usize) -> Result<(), TokenizeError> {
    if bytes <= most {
        return Ok(());
    }
    Err(TokenizeError::Library(format!("the normalized text has more than {MAX_TIMES} times the bytes of the text")))
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
    let (growth, expression) = match &wrapper {
        NormalizerWrapper::Precompiled(_) => (Growth::Charsmap(charsmap.unwrap_or(usize::MAX)), None),
        NormalizerWrapper::Replace(replace) => {
            let regex = || value.pointer("/pattern/Regex").and_then(Value::as_str);
            let literal = value.pointer("/pattern/String").and_then(Value::as_str);
            let least = literal.map_or_else(|| regex().map_or(0, least_match), str::len);
            let content = replace.content.len();
            let most = if least == 0 { content + 1 } else { content.div_ceil(least).max(1) };
            regex().or(literal).map_or(Ok(()), check_length)?;
            let is_harmless = most <= MAX_TIMES && regex().is_none_or(is_linear);
            let expression = match (regex(), literal) {
                _ if is_harmless => None,
                (Some(pattern), _) => Some(Expression::new(pattern)?),
                (None, literal) => Some(Expression::of_text(literal.unwrap_or_default())?),
            };
            (if is_harmless { Growth::Times(most) } else { Growth::Content(content) }, expression)
        }
        NormalizerWrapper::Prepend(prepend) if prepend.prepend.len() > MAX_AFFIX => {
            return Err(format!("it puts {} bytes before each text", prepend.prepend.len()));
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
    steps.push(Normalizer { wrapper, expression, growth });
    Ok(())
}

fn add_pre_tokenizers(
    wrapper: &PreTokenizerWrapper,
    steps: &mut Vec<(PreTokenizerWrapper, Option<Expression>)>,
    times: &mut usize,
) -> Result<(), String> {
    let mut expression = None;
    match wrapper {
        PreTokenizerWrapper::Sequence(sequence) => {
            return sequence.as_ref().iter().try_for_each(|step| add_pre_tokenizers(step, steps, times));
        }
        PreTokenizerWrapper::Split(split) => {
            let pattern = serde_json::to_value(&split.pattern).map_err(|error| error.to_string())?;
            let regex = pattern.get("Regex").and_then(Value::as_str);
            regex.or_else(|| pattern.get("String").and_then(Value::as_str)).map_or(Ok(()), check_length)?;
            expression = regex.filter(|regex| !is_linear(regex)).map(Expression::new).transpose()?;
        }
        PreTokenizerWrapper::Metaspace(_) => *times = times.saturating_mul(5),
        PreTokenizerWrapper::ByteLevel(_) => *times = times.saturating_mul(3),
        _ => {}
    }
    steps.push((wrapper.clone(), expression));
    Ok(())
}

/// Checks the patterns of a decoder, wherever they are: nothing else bounds the decoded text.
fn check_decoder(decoder: &Value) -> Result<(), String> {
    match decoder {
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| match value.as_str() {
            Some(pattern) if name == "Regex" && !is_linear(pattern) => {
                Err(format!("its decoder looks for `{pattern}`, which may take too many steps"))
            }
            _ => check_decoder(value),
        }),
        Value::Array(values) => values.iter().try_for_each(check_decoder),
        _ => Ok(()),
    }
}

/// Checks the model's numbers that could make a text take much longer than others.
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

/// The least bytes of a match, where that is easy to see: `x{2,}` with one ASCII character.
fn least_match(pattern: &str) -> usize {
    let counted = |pattern: &str| -> Option<usize> {
        let (character, count) = pattern.strip_suffix(",}")?.split_once('{')?;
        let is_plain = character.len() == 1 && !".^$\\|".contains(character);
        count.parse().ok().filter(|_| is_plain)
    };
    counted(pattern).unwrap_or_default()
}

/// Decodes base64.
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

/// A file's normalizers, if it names several, and its added tokens.
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
