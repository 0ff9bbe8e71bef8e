//! The shape of a BPE file: how its normalizer and its pre-tokenizer make words of a text.

use serde_json::{Value, json};
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::split::SplitPattern;
use tokenizers::{NormalizerWrapper, Tokenizer};

use crate::tokenize::fast::conditions::METASPACE;
use crate::tokenize::fast::forms::Form;
use crate::tokenize::fast::junctions::Junctions;
use crate::tokenize::fast::merge_list::Token;
use crate::tokenize::fast::splits::Splits;
use crate::tokenize::fast::symbols::Symbols;

/// How a BPE file makes words.
pub(super) struct Shape {
    pub(super) normal: Normal,
    pub(super) words: Words,
    /// Why the crate makes the words, if it does.
    pub(super) by_crate: Option<String>,
}

/// What the normalizer does.
pub(super) enum Normal {
    /// Nothing, or only what `Words::Cut` does by itself.
    Same,
    /// Each space becomes a `▁`, and with `prepend` one stands before the text.
    Metaspaces { prepend: bool },
    /// A normalization form.
    Form(Form, NormalizerWrapper),
    /// Anything.
    Crate(NormalizerWrapper),
}

/// How a normal text is split into words.
pub(super) enum Words {
    /// By the pre-tokenizer's expressions.
    Split(Splits),
    /// Where no merge joins what is on both sides.
    Cut(Junctions, Front),
    /// Not at all, and there are no merges.
    Characters,
    /// By the crate's normalizer and pre-tokenizer.
    Crate,
}

/// What is put before a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Front {
    Nothing,
    /// A `▁`.
    Metaspace,
    /// A `▁`, if the text does not begin with one.
    MetaspaceUnlessThere,
    /// The same, but only at the beginning of a document.
    MetaspaceFirst,
}

impl Shape {
    /// The shape of a file with these merges. `finds_tokens` if there are added tokens to find in normal text.
    pub(super) fn new(
        tokenizer: &Tokenizer,
        model: &BPE,
        merges: &[(Token<'_>, Token<'_>)],
        finds_tokens: bool,
    ) -> (Self, Symbols) {
        Self::known(tokenizer, model, merges, finds_tokens).unwrap_or_else(|reason| {
            let shape = Self { normal: Normal::Same, words: Words::Crate, by_crate: Some(reason) };
            (shape, Symbols::characters(model))
        })
    }

    fn known(
        tokenizer: &Tokenizer,
        model: &BPE,
        merges: &[(Token<'_>, Token<'_>)],
        finds_tokens: bool,
    ) -> Result<(Self, Symbols), String> {
        let marks = [&model.continuing_subword_prefix, &model.end_of_word_suffix];
        if marks.iter().any(|mark| mark.as_ref().is_some_and(|mark| !mark.is_empty())) {
            return Err("the BPE model marks pieces by their place in a word".to_owned());
        }
        let (normal, mut front) = normal(tokenizer, finds_tokens);
        let mut steps = Vec::new();
        if let Some(pre_tokenizer) = tokenizer.get_pre_tokenizer() {
            add_steps(pre_tokenizer, &mut steps);
        }
        if front.is_some() {
            // No space is left to split at.
            steps.retain(|step| !is_split_at_spaces(step));
        }
        let mut always = false;
        if let ([PreTokenizerWrapper::Metaspace(metaspace)], None) = (steps.as_slice(), front) {
            if metaspace.get_replacement().to_string() != METASPACE {
                return Err("`Metaspace` with another character than `▁`".to_owned());
            }
            always = metaspace.get_split();
            front = Some(front_of(metaspace));
            if front == Some(Front::MetaspaceFirst) && finds_tokens {
                return Err("`Metaspace` first, and added tokens to find in normal text".to_owned());
            }
            steps.clear();
        }
        if !steps.is_empty() {
            if front.is_some() {
                return Err("a pre-tokenizer of text whose spaces are `▁`".to_owned());
            }
            let splits = Splits::new(&steps)?;
            let symbols = if splits.is_byte_level { Symbols::bytes(model) } else { Symbols::characters(model) };
            return Ok((Self { normal, words: Words::Split(splits), by_crate: None }, symbols));
        }
        let symbols = Symbols::characters(model);
        if always && (model.ignore_merges || !symbols.are_complete()) {
            // The words have to be those of the pre-tokenizer.
            let words = Words::Cut(Junctions::at_metaspaces(), front.unwrap_or(Front::Nothing));
            return Ok((Self { normal, words, by_crate: None }, symbols));
        }
        if model.ignore_merges {
            return Err("the BPE model ignores merges, and nothing splits a text".to_owned());
        }
        if !symbols.are_complete() {
            return Err("the BPE model has no token for some characters, and nothing splits a text".to_owned());
        }
        let words = if merges.is_empty() && front.is_none() {
            Words::Characters
        } else {
            Words::Cut(Junctions::new(merges, front.is_some(), always)?, front.unwrap_or(Front::Nothing))
        };
        Ok((Self { normal, words, by_crate: None }, symbols))
    }
}

/// What the normalizer does; and what it puts before a text, if it makes spaces `▁`.
fn normal(tokenizer: &Tokenizer, finds_tokens: bool) -> (Normal, Option<Front>) {
    let Some(normalizer) = tokenizer.get_normalizer() else { return (Normal::Same, None) };
    let mut steps = Vec::new();
    add_normalizers(normalizer, &mut steps);
    match steps.as_slice() {
        [] => return (Normal::Same, None),
        [step] => {
            if let Some(form) = Form::of(step) {
                return (Normal::Form(form, (*step).clone()), None);
            }
        }
        _ => {}
    }
    let shapes: Vec<Value> = steps.iter().map(|step| serde_json::to_value(step).unwrap_or_default()).collect();
    let spaces = json!({"type": "Replace", "pattern": {"String": " "}, "content": METASPACE});
    let prepend = json!({"type": "Prepend", "prepend": METASPACE});
    let front = match shapes.as_slice() {
        [only] if *only == spaces => Some(Front::Nothing),
        [first, second] if *first == prepend && *second == spaces => Some(Front::Metaspace),
        _ => None,
    };
    match front {
        Some(front) if !finds_tokens => (Normal::Same, Some(front)),
        // The text is made, so that tokens can be found in it.
        Some(front) => (Normal::Metaspaces { prepend: front == Front::Metaspace }, Some(Front::Nothing)),
        None => (Normal::Crate(normalizer.clone()), None),
    }
}

fn add_normalizers<'a>(normalizer: &'a NormalizerWrapper, steps: &mut Vec<&'a NormalizerWrapper>) {
    match normalizer {
        NormalizerWrapper::Sequence(sequence) => sequence.as_ref().iter().for_each(|step| add_normalizers(step, steps)),
        step => steps.push(step),
    }
}

fn add_steps(pre_tokenizer: &PreTokenizerWrapper, steps: &mut Vec<PreTokenizerWrapper>) {
    match pre_tokenizer {
        PreTokenizerWrapper::Sequence(sequence) => sequence.as_ref().iter().for_each(|step| add_steps(step, steps)),
        step => steps.push(step.clone()),
    }
}

fn is_split_at_spaces(step: &PreTokenizerWrapper) -> bool {
    matches!(step, PreTokenizerWrapper::Split(split)
        if !split.invert && split.pattern == SplitPattern::String(" ".to_owned()))
}

fn front_of(metaspace: &Metaspace) -> Front {
    match metaspace.get_prepend_scheme() {
        PrependScheme::Never => Front::Nothing,
        PrependScheme::Always => Front::MetaspaceUnlessThere,
        PrependScheme::First => Front::MetaspaceFirst,
    }
}
