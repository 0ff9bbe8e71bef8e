//! Everything that decides rows, validated (`docs/reference/masking.md`, sections 4 and 6).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::denoise::denoiser::{Denoiser, RowBounds};
use crate::denoise::form::{Causal, EosPolicy, Layout, RowForm, SSentinel};
use crate::denoise::pattern::{NoisePattern, Parts};
use crate::denoise::segmenting::{Segmenting, Window};
use crate::denoise::spec_error::{LabelsRule, SpecError};
use crate::denoise::stream::{Seed, Stream, StreamKey};
use crate::denoise::validation::{DataSplit, MOST_PATTERN_BYTES, MOST_PATTERNS, SourceSplit, Validation};
use crate::denoise::vocabulary::Vocabulary;
use crate::denoise::weight::{Maskings, Weight};
use crate::denoise::{MASKING_VERSION, is_default};

/// Most ids of `input_ids` or `labels`: a segment then has at most 2^18 tokens, half of its stream's words.
pub const MAX_LENGTH: u32 = 1 << 17;

/// The fields of a [`Spec`] before they are checked together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpecFields {
    /// The version of the masking page that made the rows.
    pub masking_version: u32,
    /// The user's number.
    pub seed: Seed,
    /// Number of independent maskings, 1 to 65,536.
    pub epochs: u32,
    /// The recipe's name. It decides no row.
    pub recipe: String,
    /// The mixture.
    pub denoisers: Vec<Denoiser>,
    /// Most ids in `input_ids`, everything included.
    pub inputs_length: u32,
    /// Most ids in `labels`, everything included.
    pub labels_length: u32,
    /// Fewest tokens of a segment, at least 2.
    pub min_segment: u32,
    /// Which sequences EOS ends.
    pub eos: EosPolicy,
    /// What is cut into segments.
    #[serde(default, skip_serializing_if = "is_default")]
    pub segmenting: Segmenting,
    /// How inputs and labels become one sequence; `None` for encoder-decoder rows.
    #[serde(default, skip_serializing_if = "is_default")]
    pub causal: Option<Causal>,
    /// Whether a row holds several examples.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pack: bool,
    /// Whether the rows of a batch change places.
    #[serde(default, skip_serializing_if = "is_default")]
    pub shuffle: bool,
    /// Whether rows are filled up to their lengths.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pad: bool,
    /// The documents that are for validation; `None` if all are to train on.
    #[serde(default, skip_serializing_if = "is_default")]
    pub validation: Option<Validation>,
    /// Sources whose documents are masked more or less often: the first one that matches counts.
    #[serde(default, skip_serializing_if = "is_default")]
    pub weights: Vec<Weight>,
    /// The field of a record that holds the text, with `.` between the keys of nested objects.
    pub text_field: String,
    /// The field that holds the label, in records of two fields.
    #[serde(default, skip_serializing_if = "is_default")]
    pub label_field: Option<String>,
    /// The mark that ends texts and labels of two-field records without punctuation at their end.
    #[serde(default, skip_serializing_if = "is_default")]
    pub end_mark: Option<String>,
    /// Most bytes of a line.
    pub max_line: u64,
    /// Reserved ids.
    pub vocabulary: Vocabulary,
    /// Which tokenizer made the ids.
    pub tokenizer: TokenizerId,
}

/// Which tokenizer made the ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerId {
    /// `bytes` or `tokenizer.json`.
    pub kind: String,
    /// SHA-256 of the file's bytes, in hex; empty for `bytes`.
    pub sha256: String,
    /// The library and version that reads the file; empty for `bytes`.
    pub library: String,
}

/// The longest segment of a denoiser. Of the patterns of labels, the longest with a label of one token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentLength {
    /// Tokens.
    pub tokens: u32,
    /// The largest row it can give.
    pub bounds: RowBounds,
    /// The longest segment with more sentinels, if the vocabulary has too few.
    pub shortening: Option<Shortening>,
}

/// A denoiser that the vocabulary has too few sentinels for at the asked lengths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortening {
    /// The denoiser.
    pub denoiser: String,
    /// Segment length in tokens with enough sentinels.
    pub full_segment_length: u32,
    /// Segment length in tokens with those there are.
    pub segment_length: u32,
    /// Sentinels that the full length needs.
    pub sentinels_needed: u32,
    /// Sentinels that the vocabulary has.
    pub sentinels: u32,
}

/// Everything that decides rows. Equal specs, source names and source bytes give equal rows.
#[derive(Debug, Clone)]
pub struct Spec {
    fields: SpecFields,
    segment_lengths: Vec<SegmentLength>,
    forms: Vec<RowForm>,
    total_weight: u32,
}

/// The stream keys of one source.
#[derive(Clone)]
pub struct SourceKeys {
    /// The key of the stream that chooses denoisers.
    pub choose: StreamKey,
    /// The key of the stream that places windows.
    pub(crate) window: StreamKey,
    /// How often its documents are masked.
    pub(crate) maskings: Maskings,
    /// Where its documents belong.
    pub(crate) split: SourceSplit,
    /// The denoisers' keys, in the order of the spec.
    pub denoise: Vec<StreamKey>,
}

impl std::fmt::Debug for SourceKeys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SourceKeys").finish_non_exhaustive()
    }
}

impl Spec {
    /// Checks the fields together and computes what follows from them.
    ///
    /// # Errors
    ///
    /// [`SpecError`] for the first thing that is wrong.
    pub fn new(fields: SpecFields) -> Result<Self, SpecError> {
        if fields.masking_version != MASKING_VERSION {
            return Err(SpecError::MaskingVersion { found: fields.masking_version });
        }
        in_range("epochs", fields.epochs.into(), 1, 1 << 16)?;
        in_range("inputs_length", fields.inputs_length.into(), 2, MAX_LENGTH.into())?;
        in_range("labels_length", fields.labels_length.into(), 2, MAX_LENGTH.into())?;
        in_range("min_segment", fields.min_segment.into(), 2, MAX_LENGTH.into())?;
        in_range("max_line", fields.max_line, 1, 1 << 30)?;
        if fields.denoisers.is_empty() {
            return Err(SpecError::NoDenoiser);
        }
        if fields.eos != EosPolicy::None && fields.vocabulary.eos().is_none() {
            return Err(SpecError::NoEos { labels_only: fields.eos == EosPolicy::Labels });
        }
        check_rows(&fields)?;
        check_validation(&fields)?;
        check_weights(&fields)?;
        check_labels(&fields)?;
        let mut names = BTreeSet::new();
        let mut total_weight = 0u32;
        let mut segment_lengths = Vec::new();
        for denoiser in &fields.denoisers {
            if !names.insert(denoiser.name.as_str()) {
                return Err(SpecError::DuplicateName(denoiser.name.clone()));
            }
            denoiser.check().map_err(|source| SpecError::Denoiser { name: denoiser.name.clone(), source })?;
            check_inputs(denoiser, &fields)?;
            total_weight = total_weight.checked_add(denoiser.weight.get()).ok_or(SpecError::Weights)?;
            segment_lengths.push(segment_length(denoiser, &fields)?);
        }
        let forms = fields.denoisers.iter().map(|denoiser| row_form(denoiser, &fields)).collect();
        Ok(Self { fields, segment_lengths, forms, total_weight })
    }

    /// The spec as JSON, with sorted keys and each denoiser's segment length.
    ///
    /// # Panics
    ///
    /// Never: the fields hold nothing that JSON cannot.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        #[expect(clippy::expect_used, reason = "string keys, finite numbers")]
        let mut json = serde_json::to_value(&self.fields).expect("a spec is plain data");
        if let Some(denoisers) = json["denoisers"].as_array_mut() {
            for ((json, denoiser), length) in denoisers.iter_mut().zip(self.denoisers()).zip(&self.segment_lengths) {
                let length = (!denoiser.pattern.is_of_labels()).then_some(length.tokens);
                json["segment_length"] = length.into();
            }
        }
        json
    }

    /// The spec that [`Spec::to_json`] wrote.
    ///
    /// # Errors
    ///
    /// [`SpecError`] if the value is not a spec, or its segment lengths do not follow from its fields.
    pub fn from_json(mut json: serde_json::Value) -> Result<Self, SpecError> {
        let mut recorded = Vec::new();
        let denoisers = json.get_mut("denoisers").and_then(serde_json::Value::as_array_mut);
        for denoiser in denoisers.into_iter().flatten() {
            let length = denoiser.as_object_mut().and_then(|fields| fields.remove("segment_length"));
            recorded.push(length.and_then(|length| length.as_u64()).unwrap_or_default());
        }
        let spec = Self::new(serde_json::from_value(json)?)?;
        for ((denoiser, length), recorded) in spec.fields.denoisers.iter().zip(&spec.segment_lengths).zip(recorded) {
            if u64::from(length.tokens) != recorded && !denoiser.pattern.is_of_labels() {
                let (name, computed) = (denoiser.name.clone(), length.tokens);
                return Err(SpecError::SegmentLength { name, recorded, computed });
            }
        }
        Ok(spec)
    }

    /// The fields.
    #[must_use]
    pub fn fields(&self) -> &SpecFields {
        &self.fields
    }

    /// The mixture.
    #[must_use]
    pub fn denoisers(&self) -> &[Denoiser] {
        &self.fields.denoisers
    }

    /// Reserved ids.
    #[must_use]
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.fields.vocabulary
    }

    /// Fewest tokens of a segment.
    #[must_use]
    pub fn min_segment(&self) -> u32 {
        self.fields.min_segment
    }

    /// The longest segment of denoiser `index`.
    #[must_use]
    pub fn segment_length(&self, index: usize) -> &SegmentLength {
        &self.segment_lengths[index]
    }

    /// The form of the rows of denoiser `index`: everything besides tokens and mask.
    #[must_use]
    pub fn form(&self, index: usize) -> &RowForm {
        &self.forms[index]
    }

    /// The denoisers that the vocabulary has too few sentinels for.
    pub fn shortenings(&self) -> impl Iterator<Item = &Shortening> {
        self.segment_lengths.iter().filter_map(|length| length.shortening.as_ref())
    }

    /// The keys of the streams of `source`.
    #[must_use]
    pub fn source_keys(&self, source: &str) -> SourceKeys {
        let seed = self.fields.seed;
        SourceKeys {
            choose: seed.choose_key(source),
            window: seed.window_key(source),
            maskings: self.maskings(source),
            split: self.source_split(source),
            denoise: self.denoisers().iter().map(|denoiser| seed.denoise_key(&denoiser.name, source)).collect(),
        }
    }

    /// How often the documents of `source` are masked.
    #[must_use]
    pub(crate) fn maskings(&self, source: &str) -> Maskings {
        Maskings::of_source(&self.fields.weights, self.fields.epochs, self.fields.seed, source)
    }

    /// Where the documents of `source` belong.
    #[must_use]
    pub(crate) fn source_split(&self, source: &str) -> SourceSplit {
        let Some(validation) = &self.fields.validation else { return SourceSplit::All(DataSplit::Train) };
        validation.of_source(self.fields.seed, source)
    }

    /// The longest beginning of a text of `text` tokens, at least one, that fits into a row of denoiser `index` after
    /// `context` tokens and with a label of `label` tokens. `None` if not even one token fits.
    #[must_use]
    pub(crate) fn fit(&self, index: usize, context: u32, text: u32, label: u32) -> Option<u32> {
        longest_text(&self.denoisers()[index], &self.fields, context, text, label)
    }

    /// Whether a text of `text` tokens fits whole into a row of denoiser `index`, as for [`Spec::fit`].
    #[must_use]
    pub(crate) fn fits(&self, index: usize, context: u32, text: u32, label: u32) -> bool {
        text_fits(&self.denoisers()[index], &self.fields, context, text, label)
    }

    /// Whether all denoisers mask labels.
    #[must_use]
    pub fn is_of_labels(&self) -> bool {
        self.denoisers().iter().all(|denoiser| denoiser.pattern.is_of_labels())
    }

    /// Most ids of a row's two sequences, `input_ids` and `labels`, packed or not.
    #[must_use]
    pub fn row_lengths(&self) -> (u32, u32) {
        match self.fields.causal {
            Some(causal) => (causal.sequence_length, causal.sequence_length),
            None => (self.fields.inputs_length, self.fields.labels_length),
        }
    }

    /// Sum of the denoisers' weights.
    #[must_use]
    pub fn total_weight(&self) -> u32 {
        self.total_weight
    }

    /// Draws the index of a denoiser, with probability weight / total.
    pub fn choose(&self, stream: &mut Stream) -> usize {
        let drawn = stream.below(self.total_weight);
        let mut below = 0;
        let passed = self.denoisers().iter().take_while(|denoiser| {
            below += denoiser.weight.get();
            below <= drawn
        });
        passed.count()
    }
}

fn in_range(field: &'static str, found: u64, least: u64, most: u64) -> Result<(), SpecError> {
    if (least..=most).contains(&found) { Ok(()) } else { Err(SpecError::Range { field, least, most, found }) }
}

fn check_rows(fields: &SpecFields) -> Result<(), SpecError> {
    if let Some(Causal { loss: _, separator, sequence_length }) = fields.causal {
        let most = fields.inputs_length + fields.labels_length;
        if !(2..=most).contains(&sequence_length) {
            return Err(SpecError::SequenceLength { most, found: sequence_length });
        }
        if let Some(id) = separator.filter(|id| fields.vocabulary.is_ordinary(*id)) {
            return Err(SpecError::Separator(id));
        }
    }
    if fields.pad && fields.vocabulary.pad().is_none() {
        return Err(SpecError::NoPad);
    }
    match fields.segmenting {
        Segmenting::Concat(concat) if concat.eos_between && fields.vocabulary.eos().is_none() => {
            Err(SpecError::NoEosBetween)
        }
        Segmenting::Window(Window { tokens: Some(tokens), .. }) if tokens < shortest(fields) => {
            let (min_segment, needed) = (fields.min_segment, shortest(fields));
            Err(SpecError::ShortWindow { tokens, min_segment, needed })
        }
        Segmenting::Document | Segmenting::Concat(_) | Segmenting::Window(_) => Ok(()),
    }
}

fn check_weights(fields: &SpecFields) -> Result<(), SpecError> {
    in_range("weights", fields.weights.len() as u64, 0, MOST_PATTERNS as u64)?;
    for Weight { sources, weight } in &fields.weights {
        if !(1..=MOST_PATTERN_BYTES).contains(&sources.len()) {
            return Err(SpecError::WeightPattern { found: sources.len() });
        }
        let maskings = (weight.millionths() * u64::from(fields.epochs)).div_ceil(1_000_000);
        in_range("weight", maskings, 0, 1 << 16)?;
    }
    Ok(())
}

fn check_validation(fields: &SpecFields) -> Result<(), SpecError> {
    match &fields.validation {
        Some(Validation::Share(share)) if !share.is_share() => Err(SpecError::ValidationShare(*share)),
        Some(Validation::Sources(patterns)) => {
            in_range("validation.sources", patterns.len() as u64, 1, MOST_PATTERNS as u64)?;
            match patterns.iter().find(|pattern| !(1..=MOST_PATTERN_BYTES).contains(&pattern.len())) {
                Some(pattern) => Err(SpecError::ValidationPattern { found: pattern.len() }),
                None => Ok(()),
            }
        }
        Some(Validation::Share(_)) | None => Ok(()),
    }
}

/// Rows of an encoder and a decoder need inputs. Only `whole` may keep nothing.
fn check_inputs(denoiser: &Denoiser, fields: &SpecFields) -> Result<(), SpecError> {
    let all_is_noise = matches!(denoiser.pattern, NoisePattern::Whole(_));
    let has_sentinel = denoiser.layout == Layout::Sentinels || denoiser.s_sentinel != SSentinel::None;
    if all_is_noise
        && !has_sentinel
        && denoiser.mode_token.is_empty()
        && fields.vocabulary.bos().is_none()
        && !fields.eos.ends_inputs()
        && fields.causal.is_none()
    {
        return Err(SpecError::EmptyInputs { name: denoiser.name.clone() });
    }
    Ok(())
}

fn check_labels(fields: &SpecFields) -> Result<(), SpecError> {
    let of_labels = |denoiser: &&Denoiser| denoiser.pattern.is_of_labels();
    let Some(first) = fields.denoisers.iter().find(of_labels) else { return Ok(()) };
    let broken = |denoiser: &Denoiser, rule| Err(SpecError::Labels { name: denoiser.name.clone(), rule });
    if fields.label_field.is_none() {
        return broken(first, LabelsRule::Field);
    }
    if let Some(other) = fields.denoisers.iter().find(|denoiser| !of_labels(denoiser)) {
        return broken(other, LabelsRule::Alone);
    }
    if fields.segmenting != Segmenting::Document {
        return broken(first, LabelsRule::Document);
    }
    Ok(())
}

/// The largest example of these parts, with BOS and the separator of a causal row.
fn row_bounds(denoiser: &Denoiser, parts: impl Into<Parts>, fields: &SpecFields) -> RowBounds {
    let bounds = denoiser.row_bounds(parts, fields.eos);
    let bos = u32::from(fields.vocabulary.bos().is_some());
    let separator = u32::from(fields.causal.is_some_and(|causal| causal.separator.is_some()));
    let more = bos + separator;
    RowBounds { inputs: bounds.inputs.saturating_add(more), total: bounds.total.saturating_add(more), ..bounds }
}

/// Whether a row of these bounds is within its lengths and has its sentinels.
fn fits(bounds: RowBounds, fields: &SpecFields, sentinels: u32) -> bool {
    bounds.inputs <= fields.inputs_length
        && bounds.labels <= fields.labels_length
        && fields.causal.is_none_or(|causal| bounds.total <= causal.sequence_length)
        && bounds.sentinels <= sentinels
}

/// The segment length that [`Cut`](crate::denoise::Cut) needs to be able to give up tokens.
fn shortest(fields: &SpecFields) -> u32 {
    2 * fields.min_segment - 1
}

fn sentinels(fields: &SpecFields) -> u32 {
    u32::try_from(fields.vocabulary.sentinels().len()).unwrap_or(u32::MAX)
}

fn longest_text(denoiser: &Denoiser, fields: &SpecFields, context: u32, text: u32, label: u32) -> Option<u32> {
    let most = text.min(fields.inputs_length.saturating_add(fields.labels_length));
    (1..=most).rev().find(|text| text_fits(denoiser, fields, context, *text, label))
}

fn text_fits(denoiser: &Denoiser, fields: &SpecFields, context: u32, text: u32, label: u32) -> bool {
    // Far more tokens than any row holds; the sums below stay small.
    let most = fields.inputs_length.saturating_add(fields.labels_length);
    let all = context.saturating_add(text).saturating_add(label);
    let parts = Parts { text: context.saturating_add(text), label, row: 0 };
    all <= most && fits(row_bounds(denoiser, parts, fields), fields, sentinels(fields))
}

/// The longest segment such that every length up to it fits.
fn segment_length(denoiser: &Denoiser, fields: &SpecFields) -> Result<SegmentLength, SpecError> {
    if denoiser.pattern.is_of_labels() {
        return longest_record(denoiser, fields);
    }
    let sentinels = sentinels(fields);
    let longest = |sentinels: u32| {
        let fits = |length: &u32| fits(row_bounds(denoiser, *length, fields), fields, sentinels);
        (2..=2 * MAX_LENGTH).take_while(fits).last().unwrap_or(0)
    };
    let tokens = longest(sentinels);
    if sentinels == 0 && row_bounds(denoiser, 2, fields).sentinels > 0 {
        return Err(SpecError::NoSentinels { name: denoiser.name.clone() });
    }
    if tokens < shortest(fields) {
        return Err(too_short(denoiser, fields, tokens));
    }
    let full = longest(u32::MAX);
    let shortening = (full > tokens).then(|| Shortening {
        denoiser: denoiser.name.clone(),
        full_segment_length: full,
        segment_length: tokens,
        sentinels_needed: row_bounds(denoiser, full, fields).sentinels,
        sentinels,
    });
    Ok(SegmentLength { tokens, bounds: row_bounds(denoiser, tokens, fields), shortening })
}

/// The longest text of a record with a label of one token, and the label.
fn longest_record(denoiser: &Denoiser, fields: &SpecFields) -> Result<SegmentLength, SpecError> {
    let context = match &denoiser.pattern {
        NoisePattern::MultipleChoice(choice) => choice.label_prompt.len() + 1 + choice.text_prompt.len(),
        _ => 0,
    };
    let context = u32::try_from(context).unwrap_or(u32::MAX);
    if sentinels(fields) == 0 && row_bounds(denoiser, Parts { text: 1, label: 1, row: 0 }, fields).sentinels > 0 {
        return Err(SpecError::NoSentinels { name: denoiser.name.clone() });
    }
    let text = longest_text(denoiser, fields, context, u32::MAX, 1).ok_or_else(|| too_short(denoiser, fields, 0))?;
    let parts = Parts { text: context + text, label: 1, row: 0 };
    Ok(SegmentLength { tokens: parts.length(), bounds: row_bounds(denoiser, parts, fields), shortening: None })
}

fn too_short(denoiser: &Denoiser, fields: &SpecFields, tokens: u32) -> SpecError {
    SpecError::TooShort {
        name: denoiser.name.clone(),
        tokens,
        inputs_length: fields.inputs_length,
        labels_length: fields.labels_length,
        sentinels: fields.vocabulary.sentinels().len(),
        min_segment: fields.min_segment,
        needed: shortest(fields),
    }
}

fn row_form(denoiser: &Denoiser, fields: &SpecFields) -> RowForm {
    let eos = fields.vocabulary.eos();
    RowForm {
        layout: denoiser.layout,
        s_sentinel: denoiser.s_sentinel,
        closing_sentinel: denoiser.closing_sentinel,
        bos: fields.vocabulary.bos(),
        mode_token: denoiser.mode_token.clone(),
        sentinels: fields.vocabulary.sentinels().to_vec(),
        inputs_eos: eos.filter(|_| fields.eos.ends_inputs()),
        labels_eos: eos.filter(|_| fields.eos.ends_labels()),
        causal: fields.causal,
    }
}
