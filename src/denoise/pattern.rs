//! Which tokens of a segment become noise, as data: the patterns, their exact counts and their bounds (`docs/reference/masking.md`,
//! sections 5, 6 and 8). [`mask`](super::mask) draws them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::denoise::mean_span_length::SpanLength;
use crate::denoise::ratio::Ratio;

/// Which tokens of a segment become noise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoisePattern {
    /// Spans of random length at random places (R and X).
    RandomSpans(RandomSpans),
    /// Single tokens at random places (T5's `iid_denoising`).
    IndependentTokens(IndependentTokens),
    /// Everything that is noise in one of several masks (how `text-denoising` reads the "∪" of UL2's table 1).
    Union(Vec<RandomSpans>),
    /// Everything from some place on (S).
    Suffix(Suffix),
    /// Every token.
    Whole(Whole),
    /// The label of a record of two fields.
    Label(Label),
    /// Random spans of the text and of the label, each with its own numbers.
    Separate(Separate),
    /// Every set of the label's tokens, a row each.
    Permute(Permute),
    /// The label, which the inputs offer among others.
    MultipleChoice(MultipleChoice),
}

/// The most parts of a union: four masks of the longest segment still draw fewer words than a segment owns.
pub(crate) const MOST_UNITED: usize = 4;

/// Noise in spans: an exact number of noise tokens, lengths by a law.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandomSpans {
    /// Share of the tokens that become noise (UL2's *r*), in (0, 1).
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))]
    pub noise_density: Ratio,
    /// Mean length of the noise spans (UL2's *µ*).
    pub mean_span_length: SpanLength,
    /// The law of the spans' lengths.
    #[serde(default, skip_serializing_if = "crate::denoise::is_default")]
    pub law: Law,
    /// Which masks are rotated.
    #[serde(default)]
    pub roll: Roll,
}

/// The law of the lengths of noise spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Law {
    /// T5's `random_spans_noise_mask`: an exact number of spans, every way to share the noise out equally likely.
    #[default]
    T5,
    /// Independent lengths, uniform from 1 to twice the mean less 1.
    Uniform,
    /// Independent lengths, each one longer with the same probability.
    Geometric,
    /// Independent lengths around the mean.
    Normal(Normal),
}

/// Normally distributed span lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Normal {
    /// Standard deviation in tokens.
    pub std: Ratio,
}

/// Which masks are rotated by a uniform offset (T5's `random_roll`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Roll {
    /// Masks of one span, which would else be the same for every segment of that length.
    #[default]
    SingleSpan,
    /// Every mask.
    Always,
    /// None, as T5's default.
    Never,
}

/// Noise tokens one by one: an exact number, every set equally likely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IndependentTokens {
    /// Share of the tokens that become noise, in (0, 1).
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))]
    pub noise_density: Ratio,
}

/// Prefix language modelling: the noise is a suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Suffix {
    /// The law of the suffix's length.
    #[serde(default)]
    pub split: Split,
}

/// The law of a suffix's length in a segment of n tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Uniform over `[1, n)`, as T5's `prefix_lm`.
    #[default]
    Uniform,
    /// Uniform from 1 up to a share of the segment. A half gives the mean of .25 of UL2's table 1.
    UpTo(#[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))] Ratio),
    /// A share of the segment, always.
    Share(#[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))] Ratio),
}

/// Causal language modelling: nothing is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Whole {}

/// The label is noise, the text is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Label {}

/// Text and label are masked apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Separate {
    /// The noise of the text.
    pub text: RandomSpans,
    /// The noise of the label.
    pub label: RandomSpans,
}

/// One row for each set of label tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Permute {
    /// Most rows of a record, at least 1. A label with more sets gets that many random ones.
    pub rows: u32,
}

/// The right label among others of the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MultipleChoice {
    /// Fewest other labels.
    pub least: u32,
    /// Most other labels.
    pub most: u32,
    /// Ids before the labels.
    pub label_prompt: Vec<u32>,
    /// Ids before the text.
    pub text_prompt: Vec<u32>,
}

/// How many tokens a mask is drawn for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// Tokens of the text, or of a whole segment: at least 2 if there is no label.
    pub text: u32,
    /// Tokens of the label; 0 if there is none.
    pub label: u32,
    /// 0-based row of the record, for [`NoisePattern::Permute`].
    pub row: u32,
}

impl From<u32> for Parts {
    /// A segment without a label.
    fn from(length: u32) -> Self {
        Self { text: length, label: 0, row: 0 }
    }
}

impl Parts {
    /// Tokens of the segment.
    #[must_use]
    pub(crate) fn length(self) -> u32 {
        self.text + self.label
    }
}

/// How many tokens and spans of a segment are noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoiseCounts {
    /// Noise tokens, at least 1, less than the segment's length.
    pub noise: u32,
    /// Noise spans before a roll, at least 1: exact for [`Law::T5`], near the mean for the others.
    pub spans: u32,
}

/// The most that any mask of a segment can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoiseBounds {
    /// Kept tokens.
    pub kept: u32,
    /// Noise tokens.
    pub noise: u32,
    /// Noise spans.
    pub spans: u32,
    /// Kept tokens and noise spans together.
    pub kept_and_spans: u32,
    /// Noise tokens and noise spans together.
    pub noise_and_spans: u32,
}

/// Why a pattern is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the message says it")]
pub enum PatternError {
    /// A density of 0, 1 or more.
    #[error("`noise_density` must lie between 0 and 1, both excluded, found {0}")]
    Density(Ratio),
    /// A mean span length below one token.
    #[error("`mean_span_length` must be at least 1 token, found {0}")]
    MeanSpanLength(Ratio),
    /// A share of 0, 1 or more.
    #[error("`{key}` must lie between 0 and 1, both excluded, found {share}")]
    Share { key: &'static str, share: Ratio },
    /// More noise spans than kept tokens to separate them.
    #[error(
        "noise of density {density} in spans of mean length {mean} needs more spans than there are kept tokens to separate them"
    )]
    TooDense { density: Ratio, mean: Ratio },
    /// A union of one mask, or of too many.
    #[error("`union` takes 2 to {MOST_UNITED} masks, found {0}")]
    United(usize),
    /// No row for a record, or more than 65,536.
    #[error("`rows` must be between 1 and 65536, found {0}")]
    Rows(u32),
    /// A range of choices without a number in it, or too many.
    #[error("`least` and `most` must be numbers of other labels with least ≤ most ≤ 1000, found {least} and {most}")]
    Choices { least: u32, most: u32 },
}

impl NoisePattern {
    /// Whether the pattern is about the label of a record of two fields.
    #[must_use]
    pub fn is_of_labels(&self) -> bool {
        match self {
            Self::Label(_) | Self::Separate(_) | Self::Permute(_) | Self::MultipleChoice(_) => true,
            Self::RandomSpans(_) | Self::IndependentTokens(_) | Self::Union(_) | Self::Suffix(_) | Self::Whole(_) => {
                false
            }
        }
    }

    /// Whether the noise is always one suffix, so that a row needs no sentinel.
    #[must_use]
    pub fn is_suffix(&self) -> bool {
        matches!(self, Self::Suffix(_) | Self::Whole(_) | Self::Label(_) | Self::MultipleChoice(_))
    }

    /// The most that a mask of these parts can have, over all draws.
    #[must_use]
    pub fn bounds(&self, parts: Parts) -> NoiseBounds {
        let length = parts.length();
        match self {
            Self::RandomSpans(law) => law.bounds(length),
            Self::IndependentTokens(law) => {
                let noise = law.noise(length);
                NoiseBounds::new(length - noise, noise, noise.min(length - noise + 1))
            }
            Self::Union(laws) => {
                let all = || laws.iter().map(|law| law.bounds(length));
                let least_noise = all().map(|bounds| bounds.noise).max().unwrap_or_default();
                let noise = all().map(|bounds| bounds.noise).sum::<u32>().min(length - 1);
                NoiseBounds::new(length - least_noise, noise, all().map(|bounds| bounds.spans).sum())
            }
            Self::Suffix(Suffix { split: Split::Uniform }) => NoiseBounds::new(length - 1, length - 1, 1),
            Self::Suffix(Suffix { split: Split::UpTo(share) }) => {
                NoiseBounds::new(length - 1, share_of(*share, length), 1)
            }
            Self::Suffix(Suffix { split: Split::Share(share) }) => {
                let noise = share_of(*share, length);
                NoiseBounds::new(length - noise, noise, 1)
            }
            Self::Whole(Whole {}) => NoiseBounds::new(0, length, 1),
            Self::Label(Label {}) | Self::MultipleChoice(_) => NoiseBounds::new(parts.text, parts.label, 1),
            Self::Separate(Separate { text, label }) => {
                let one = |noise| NoiseBounds::new(1 - noise, noise, noise);
                let text = if parts.text < 2 { one(0) } else { text.bounds(parts.text) };
                let label = if parts.label < 2 { one(1) } else { label.bounds(parts.label) };
                NoiseBounds::new(text.kept + label.kept, text.noise + label.noise, text.spans + label.spans)
            }
            Self::Permute(_) => NoiseBounds {
                kept: length - 1,
                noise: parts.label,
                spans: parts.label.div_ceil(2),
                // A span costs a sentinel in place of a token or more, and spans of one token need kept ones between them.
                kept_and_spans: length,
                noise_and_spans: parts.label + 1,
            },
        }
    }

    /// Checks the numbers.
    ///
    /// # Errors
    ///
    /// The first [`PatternError`].
    pub fn check(&self) -> Result<(), PatternError> {
        match self {
            Self::RandomSpans(law) => law.check(),
            Self::IndependentTokens(law) => check_density(law.noise_density),
            Self::Union(laws) if !(2..=MOST_UNITED).contains(&laws.len()) => Err(PatternError::United(laws.len())),
            Self::Union(laws) => laws.iter().try_for_each(RandomSpans::check),
            Self::Suffix(Suffix { split: Split::UpTo(share) }) => check_share("up_to", *share),
            Self::Suffix(Suffix { split: Split::Share(share) }) => check_share("share", *share),
            Self::Separate(Separate { text, label }) => text.check().and_then(|()| label.check()),
            Self::Permute(Permute { rows }) if !(1..=1 << 16).contains(rows) => Err(PatternError::Rows(*rows)),
            Self::MultipleChoice(MultipleChoice { least, most, .. }) if least > most || *most > 1000 => {
                Err(PatternError::Choices { least: *least, most: *most })
            }
            Self::Suffix(Suffix { split: Split::Uniform })
            | Self::Whole(Whole {})
            | Self::Label(Label {})
            | Self::Permute(_)
            | Self::MultipleChoice(_) => Ok(()),
        }
    }

    /// The density that the numbers name; `None` where they name none.
    ///
    /// Of a union it is what independent masks would give, 1 − (1 − d₁)(1 − d₂)….
    #[must_use]
    pub fn nominal_density(&self) -> Option<f64> {
        match self {
            Self::RandomSpans(law) => Some(law.noise_density.as_f64()),
            Self::IndependentTokens(law) => Some(law.noise_density.as_f64()),
            Self::Union(laws) => Some(1.0 - laws.iter().map(|law| 1.0 - law.noise_density.as_f64()).product::<f64>()),
            Self::Suffix(Suffix { split: Split::Uniform }) => Some(0.5),
            Self::Suffix(Suffix { split: Split::UpTo(share) }) => Some(share.as_f64() / 2.0),
            Self::Suffix(Suffix { split: Split::Share(share) }) => Some(share.as_f64()),
            Self::Whole(Whole {}) => Some(1.0),
            Self::Label(_) | Self::Separate(_) | Self::Permute(_) | Self::MultipleChoice(_) => None,
        }
    }
}

impl NoiseBounds {
    fn new(kept: u32, noise: u32, spans: u32) -> Self {
        Self { kept, noise, spans, kept_and_spans: kept + spans, noise_and_spans: noise + spans }
    }
}

impl RandomSpans {
    /// Noise tokens and spans of a segment of `length` tokens, at least 2.
    ///
    /// T5 keeps at least one noise token and one kept token, even in a two-token segment, so that neither
    /// sequence is empty.
    #[must_use]
    pub fn counts(&self, length: u32) -> NoiseCounts {
        let noise = share_of(self.noise_density, length);
        let spans = self.mean(length).divide(noise).clamp(1, noise.min(length - noise));
        NoiseCounts { noise, spans }
    }

    /// The mean span length in a segment of `length` tokens.
    #[must_use]
    pub fn mean(&self, length: u32) -> Ratio {
        match self.mean_span_length {
            SpanLength::Tokens(mean) => mean,
            SpanLength::Share(share) => share.share_of(length),
        }
    }

    /// The most spans that a mask of `length` tokens is drawn with, before a roll.
    #[must_use]
    pub fn most_drawn(&self, length: u32) -> u32 {
        let NoiseCounts { noise, spans } = self.counts(length);
        match self.law {
            Law::T5 => spans,
            // Four standard deviations of the number of spans, or more: an independent length varies no more than its mean.
            Law::Uniform | Law::Geometric | Law::Normal(_) => {
                let root = spans.isqrt() + u32::from(!is_square(spans));
                (spans + 4 * root).min(noise).min(length - noise)
            }
        }
    }

    /// Whether a mask of `spans` spans is rotated.
    #[must_use]
    pub fn rolls(&self, spans: u32) -> bool {
        match self.roll {
            Roll::SingleSpan => spans == 1,
            Roll::Always => true,
            Roll::Never => false,
        }
    }

    fn bounds(&self, length: u32) -> NoiseBounds {
        let noise = self.counts(length).noise;
        let drawn = self.most_drawn(length);
        // A roll may cut one span of two tokens or more in two.
        let cut = match self.roll {
            Roll::Always => noise > drawn,
            Roll::SingleSpan => drawn == 1 && noise > 1,
            Roll::Never => false,
        };
        NoiseBounds::new(length - noise, noise, drawn + u32::from(cut))
    }

    fn check(&self) -> Result<(), PatternError> {
        check_density(self.noise_density)?;
        let million = Ratio::from_millionths(1_000_000);
        let mean = match self.mean_span_length {
            SpanLength::Share(share) => return check_share("share", share),
            SpanLength::Tokens(mean) if mean < million => return Err(PatternError::MeanSpanLength(mean)),
            SpanLength::Tokens(mean) => mean,
        };
        let density = self.noise_density;
        let kept = million.millionths() - density.millionths();
        let spans_needed = u128::from(density.millionths()) * u128::from(million.millionths());
        if spans_needed > u128::from(mean.millionths()) * u128::from(kept) {
            return Err(PatternError::TooDense { density, mean });
        }
        Ok(())
    }
}

impl IndependentTokens {
    /// Noise tokens of a segment of `length` tokens, at least 2.
    #[must_use]
    pub(crate) fn noise(self, length: u32) -> u32 {
        share_of(self.noise_density, length)
    }
}

/// A share of a segment of at least two tokens, at least one of them and never all.
pub(super) fn share_of(share: Ratio, length: u32) -> u32 {
    debug_assert!(length >= 2, "a segment has at least two tokens");
    share.of(length).clamp(1, length - 1)
}

fn is_square(number: u32) -> bool {
    let root = number.isqrt();
    root * root == number
}

fn check_density(density: Ratio) -> Result<(), PatternError> {
    if density.is_share() { Ok(()) } else { Err(PatternError::Density(density)) }
}

fn check_share(key: &'static str, share: Ratio) -> Result<(), PatternError> {
    if share.is_share() { Ok(()) } else { Err(PatternError::Share { key, share }) }
}

impl fmt::Display for NoisePattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RandomSpans(law) => law.fmt(formatter),
            Self::IndependentTokens(law) => write!(formatter, "tokens {}", law.noise_density),
            Self::Union(laws) => {
                let laws: Vec<String> = laws.iter().map(ToString::to_string).collect();
                formatter.write_str(&laws.join(" ∪ "))
            }
            Self::Suffix(Suffix { split: Split::Uniform }) => formatter.write_str("suffix"),
            Self::Suffix(Suffix { split: Split::UpTo(share) }) => write!(formatter, "suffix up to {share}"),
            Self::Suffix(Suffix { split: Split::Share(share) }) => write!(formatter, "suffix {share}"),
            Self::Whole(Whole {}) => formatter.write_str("whole"),
            Self::Label(Label {}) => formatter.write_str("label"),
            Self::Separate(Separate { text, label }) => write!(formatter, "text {text}, label {label}"),
            Self::Permute(Permute { rows }) => write!(formatter, "label, up to {rows} rows"),
            Self::MultipleChoice(MultipleChoice { least, most, .. }) => {
                write!(formatter, "label beside {least} to {most}")
            }
        }
    }
}

/// `(3, 0.15)`: mean span length and density, as UL2's table 1 writes them.
impl fmt::Display for RandomSpans {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "({}, {})", self.mean_span_length, self.noise_density)?;
        match self.law {
            Law::T5 => Ok(()),
            Law::Uniform => formatter.write_str(" uniform"),
            Law::Geometric => formatter.write_str(" geometric"),
            Law::Normal(Normal { std }) => write!(formatter, " normal ± {std}"),
        }
    }
}
