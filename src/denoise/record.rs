//! Records of two fields: what becomes of a text and its label (`docs/reference/masking.md`, section 8).

use std::collections::BTreeMap;

use crate::denoise::mask::all_sets_fit;
use crate::denoise::pattern::{MultipleChoice, NoisePattern, Parts, Permute};
use crate::denoise::spec::Spec;
use crate::denoise::stream::{Stream, Subset};

/// The tokens of a record.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Of the text, at least one.
    pub text: &'a [u32],
    /// Of the label, at least one.
    pub label: &'a [u32],
    /// Index of the label in the block's [`Choices`].
    pub choice: usize,
}

/// The different labels of a block, in the order in which they first appear.
#[derive(Debug, Default)]
pub struct Choices {
    places: BTreeMap<Vec<u32>, usize>,
    labels: Vec<Vec<u32>>,
}

/// A segment made of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Composed {
    /// Tokens of the text (with everything before it) and of the label.
    pub parts: Parts,
    /// Tokens of the text that did not fit.
    pub left_out: u32,
}

impl Choices {
    /// The index of a label, new or known: labels with the same ids are one.
    pub fn add(&mut self, label: &[u32]) -> usize {
        if let Some(known) = self.places.get(label) {
            return *known;
        }
        let place = self.labels.len();
        self.places.insert(label.to_vec(), place);
        self.labels.push(label.to_vec());
        place
    }
}

/// Number of rows that a record with a label of `tokens` tokens makes.
#[must_use]
pub fn record_rows(pattern: &NoisePattern, tokens: usize) -> u32 {
    match (pattern, u32::try_from(tokens)) {
        (NoisePattern::Permute(Permute { rows }), Ok(tokens)) if all_sets_fit(*rows, tokens) => (1 << tokens) - 1,
        (NoisePattern::Permute(Permute { rows }), _) => *rows,
        _ => 1,
    }
}

/// Whether a label of `label` tokens leaves room for a token of text in the rows of every denoiser.
#[must_use]
pub fn label_fits(spec: &Spec, label: &[u32]) -> bool {
    (0..).zip(spec.denoisers()).all(|(index, denoiser)| {
        let context = match &denoiser.pattern {
            NoisePattern::MultipleChoice(choice) => context_without_others(choice, label),
            _ => 0,
        };
        spec.fits(index, context, 1, count(label))
    })
}

/// Makes the segment of a record for denoiser `denoiser`, in `segment`, before its mask is drawn from the same stream. `None` if the
/// label is too long ([`label_fits`]).
pub fn compose(
    spec: &Spec,
    denoiser: usize,
    record: Record<'_>,
    choices: &Choices,
    stream: &mut Stream,
    segment: &mut Vec<u32>,
) -> Option<Composed> {
    segment.clear();
    if let NoisePattern::MultipleChoice(pattern) = &spec.denoisers()[denoiser].pattern {
        offer(spec, denoiser, pattern, record, choices, stream, segment);
    }
    let context = count(segment);
    let (text, label) = (count(record.text), count(record.label));
    let fitting = spec.fit(denoiser, context, text, label)?;
    segment.extend_from_slice(&record.text[..fitting as usize]);
    segment.extend_from_slice(record.label);
    Some(Composed { parts: Parts { text: context + fitting, label, row: 0 }, left_out: text - fitting })
}

/// Ids before the text when the label is alone.
fn context_without_others(choice: &MultipleChoice, label: &[u32]) -> u32 {
    count(&choice.label_prompt) + count(label) + count(&choice.text_prompt)
}

/// Appends the prompts with the record's label among others.
fn offer(
    spec: &Spec,
    denoiser: usize,
    pattern: &MultipleChoice,
    record: Record<'_>,
    choices: &Choices,
    stream: &mut Stream,
    segment: &mut Vec<u32>,
) {
    let MultipleChoice { least, most, label_prompt, text_prompt } = pattern;
    let wanted = least + stream.below(most - least + 1);
    #[expect(clippy::cast_possible_truncation, reason = "a block has fewer than 2^32 lines")]
    let others = choices.labels.len() as u32 - 1;
    let mut offered = Vec::new();
    Subset::default().draw(stream, wanted.min(others), others, |other| {
        let other = other as usize;
        offered.push(if other < record.choice { other } else { other + 1 });
    });
    let (text, label) = (count(record.text), count(record.label));
    let mut context = context_without_others(pattern, record.label);
    context += offered.iter().map(|&other| count(&choices.labels[other])).sum::<u32>();
    while !spec.fits(denoiser, context, text, label)
        && let Some(other) = offered.pop()
    {
        context -= count(&choices.labels[other]);
    }
    offered.push(record.choice);
    stream.shuffle(&mut offered);
    segment.extend_from_slice(label_prompt);
    for label in offered {
        segment.extend_from_slice(&choices.labels[label]);
    }
    segment.extend_from_slice(text_prompt);
}

#[expect(clippy::cast_possible_truncation, reason = "a line has at most 2^30 bytes, and a token at least one")]
fn count(ids: &[u32]) -> u32 {
    ids.len() as u32
}
