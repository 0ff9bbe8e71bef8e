//! Previews of recipes without any data: lengths, densities, and one text under each denoiser.

use anyhow::{Context as _, Result};

use crate::cli::masking::SpecArgs;
use crate::denoise::record::{Choices, Composed, Record, compose};
use crate::denoise::{Address, Denoiser, Masker, Parts, Seed, Segmenting, Spec, Stream, encode, split_causal};
use crate::pipeline::documents::with_end_mark;
use crate::reading::parts::{Part, PartKind, of_segment, of_sequence};
use crate::recipe::{BUILT_IN, Recipe};
use crate::settings::spec::resolve;
use crate::tokenize::guard::guarded;
use crate::tokenize::{TokenizeError, Tokenizer, TokenizerNames};

/// A built-in recipe with the lengths of a tokenizer, or the reason why the two cannot be used together.
pub(crate) struct RecipePreview {
    /// The recipe.
    pub(crate) recipe: Recipe,
    /// Everything that would decide rows.
    pub(crate) spec: Result<Spec>,
}

/// The built-in recipes for a tokenizer.
///
/// # Errors
///
/// Never for the recipes of a release: a test reads each of them.
pub(crate) fn built_in(names: &dyn TokenizerNames, args: &SpecArgs) -> Result<Vec<RecipePreview>> {
    let preview = |(name, _): &(&str, &str)| {
        let recipe = Recipe::find(name)?;
        let spec = resolve(&recipe, names, args);
        Ok(RecipePreview { recipe, spec })
    };
    BUILT_IN.iter().map(preview).collect()
}

/// The number of masks over which a density is averaged.
const DRAWS: u64 = 1000;

/// The share of noise in masks of the denoiser's segment length, averaged over a thousand masks. `None` for patterns of
/// labels, whose share depends on the records.
#[must_use]
pub(crate) fn realised_density(spec: &Spec, denoiser: usize) -> Option<f64> {
    let Denoiser { name, pattern, .. } = &spec.denoisers()[denoiser];
    if pattern.is_of_labels() {
        return None;
    }
    let length = spec.segment_length(denoiser).tokens;
    let key = Seed(0).denoise_key(name, "preview");
    let mut masker = Masker::default();
    let noise: u64 = (0..DRAWS)
        .map(|line| {
            u64::from(masker.draw(pattern, length, &mut key.stream(Address { line, epoch: 0, segment: 0 })).noise())
        })
        .sum();
    #[expect(clippy::cast_precision_loss, reason = "at most 2^28")]
    Some(noise as f64 / (DRAWS * u64::from(length)) as f64)
}

/// One text under one denoiser.
pub(crate) struct Shown {
    /// The denoiser.
    pub(crate) denoiser: Denoiser,
    /// The segment.
    pub(crate) text: Vec<Part>,
    /// The inputs.
    pub(crate) inputs: Vec<Part>,
    /// The labels.
    pub(crate) labels: Vec<Part>,
    /// What happens to the rest of the text.
    pub(crate) left: Left,
}

/// What happens to the tokens after a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// No tokens are left.
    Nothing,
    /// They go into further segments.
    ForLater(usize),
    /// They are in no row.
    Out(usize),
}

/// The beginning of a text, as much as fits into a segment, under each denoiser of a spec. `labels` are the record's
/// label and the other labels.
///
/// # Errors
///
/// If the text has too few tokens, or a pattern of labels has no label.
pub(crate) fn example(
    spec: &Spec,
    names: &dyn TokenizerNames,
    tokenizer: &dyn Tokenizer,
    text: &str,
    labels: &[String],
) -> Result<Vec<Shown>> {
    let mut scratch = tokenizer.scratch();
    let mut tokens = |text: &str| -> Result<Vec<u32>> {
        let marked = spec.fields().end_mark.as_ref().map(|mark| with_end_mark(text, mark));
        let text = marked.as_deref().unwrap_or(text);
        let ids = guarded(|| tokenizer.tokenize(text, &mut scratch).map(|tokens| tokens.ids().to_vec()));
        Ok(ids.map_err(TokenizeError::Library)??)
    };
    let text = tokens(text).context("the example cannot be tokenized")?;
    let labels = labels.iter().map(|label| tokens(label).context("the label cannot be tokenized"));
    let labels: Vec<Vec<u32>> = labels.collect::<Result<_>>()?;
    let mut choices = Choices::default();
    for label in &labels {
        choices.add(label);
    }
    let label = labels.into_iter().next().unwrap_or_default();
    if spec.is_of_labels() {
        anyhow::ensure!(!label.is_empty(), "this recipe masks labels: name one with `--label`");
    } else {
        let found = text.len();
        anyhow::ensure!(found >= spec.min_segment() as usize, "the example has {found} tokens, too few to be masked");
    }
    let keys = spec.source_keys("example");
    let show = |index: usize| {
        let mut stream = keys.denoise[index].stream(Address { line: 1, epoch: 0, segment: 0 });
        let (parts, segment, left) = segment(spec, index, &text, &label, &choices, &mut stream)?;
        show(spec, names, index, parts, &segment, &mut stream, left)
    };
    (0..spec.denoisers().len()).map(show).collect()
}

/// The segment that a denoiser would get if it were chosen first.
fn segment(
    spec: &Spec,
    index: usize,
    text: &[u32],
    label: &[u32],
    choices: &Choices,
    stream: &mut Stream,
) -> Result<(Parts, Vec<u32>, Left)> {
    let mut segment = Vec::new();
    if spec.is_of_labels() {
        let record = Record { text, label, choice: 0 };
        let composed = compose(spec, index, record, choices, stream, &mut segment);
        let Composed { parts, left_out } = composed.context("the label is too long for a row")?;
        let left = if left_out == 0 { Left::Nothing } else { Left::Out(left_out as usize) };
        return Ok((parts, segment, left));
    }
    segment.extend(text.iter().chain(label).take(spec.segment_length(index).tokens as usize));
    let left = match (text.len() + label.len() - segment.len(), spec.fields().segmenting) {
        (0, _) => Left::Nothing,
        (tokens, Segmenting::Document | Segmenting::Concat(_)) => Left::ForLater(tokens),
        (tokens, Segmenting::Window(_)) => Left::Out(tokens),
    };
    let length = u32::try_from(segment.len()).context("a segment is short")?;
    Ok((length.into(), segment, left))
}

fn show(
    spec: &Spec,
    names: &dyn TokenizerNames,
    index: usize,
    parts: Parts,
    segment: &[u32],
    stream: &mut Stream,
    left: Left,
) -> Result<Shown> {
    let denoiser = spec.denoisers()[index].clone();
    let mut masker = Masker::default();
    let mask = masker.draw(&denoiser.pattern, parts, stream);
    let (mut input_ids, mut labels) = (Vec::new(), Vec::new());
    let prefix = encode(segment, mask, spec.form(index), &mut input_ids, &mut labels);
    let (inputs, labels) = match spec.fields().causal {
        None => (input_ids.as_slice(), labels.as_slice()),
        Some(causal) => split_causal(&input_ids, &labels, prefix, causal)?,
    };
    let shown = |ids: &[u32]| names.shown(ids);
    let sequence = |ids, ordinary| of_sequence(&shown, ids, ordinary, spec.vocabulary(), Some(spec.form(index)));
    let (inputs, labels) = (sequence(inputs, PartKind::Kept), sequence(labels, PartKind::Noise));
    Ok(Shown { text: of_segment(&shown, segment, mask), inputs, labels, left, denoiser })
}
