//! How to corrupt one segment: R, S and X as data (`docs/masking.md`, sections 5 and 6).

use std::fmt;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::encode::EosPolicy;
use super::ratio::Ratio;

/// UL2's three families of denoisers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Mode {
    /// Regular: short spans, low density.
    R,
    /// Sequential: a prefix is given, the rest is asked for.
    S,
    /// Extreme: long spans (12 tokens or more) or high density (30 % or more).
    X,
}

/// A weighted way to corrupt a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denoiser {
    /// Its name in the recipe, in rows and in the stream's key. Unique in a spec.
    pub name: String,
    /// Its family.
    pub mode: Mode,
    /// Its share of the segments, relative to the other denoisers' weights.
    pub weight: NonZeroU32,
    /// Which tokens become noise.
    pub pattern: NoisePattern,
    /// How a mask becomes a row.
    pub layout: Layout,
    /// The ids put at the front of the inputs; empty for none.
    pub mode_token: Vec<u32>,
}

/// Which tokens of a segment become noise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoisePattern {
    /// Spans of random length at random places (R and X).
    RandomSpans(RandomSpans),
    /// Everything from a random place on (S).
    Suffix(Suffix),
}

/// T5's `random_spans_noise_mask`: exact counts, uniformly random compositions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomSpans {
    /// Share of the tokens that become noise (UL2's *r*), in (0, 1).
    pub noise_density: Ratio,
    /// Mean length of the noise spans in tokens (UL2's *µ*), at least 1.
    pub mean_span_length: Ratio,
    /// Which masks are rotated.
    #[serde(default)]
    pub roll: Roll,
}

/// Which masks are rotated by a uniform offset (T5's `random_roll`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
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

/// Prefix language modelling: the noise is a suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suffix {
    /// The law of the prefix length.
    #[serde(default)]
    pub split: Split,
}

/// The law of a prefix's length in a segment of n tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// Uniform over `[1, n)`, as T5's `prefix_lm`.
    #[default]
    Uniform,
}

/// How a mask becomes inputs and labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// A sentinel stands for each noise span in the inputs and precedes it in the labels.
    Sentinels,
    /// Inputs are the prefix, labels the suffix; no sentinel.
    Split,
}

/// The largest row that a segment of some length can give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowBounds {
    /// Ids in `input_ids`.
    pub inputs: u32,
    /// Ids in `labels`.
    pub labels: u32,
    /// Sentinels used.
    pub sentinels: u32,
}

/// Why a denoiser is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DenoiserError {
    /// A density of 0, 1 or more.
    #[error("`noise_density` must lie between 0 and 1, both excluded, found {0}")]
    Density(Ratio),
    /// A mean span length below one token.
    #[error("`mean_span_length` must be at least 1 token, found {0}")]
    MeanSpanLength(Ratio),
    /// More noise spans than kept tokens to separate them.
    #[error(
        "noise of density {density} in spans of mean length {mean} needs more spans than there are kept tokens to separate them"
    )]
    TooDense {
        /// The density.
        density: Ratio,
        /// The mean span length.
        mean: Ratio,
    },
    /// A layout that does not go with the pattern.
    #[error("layout `{layout}` needs noise that is a suffix")]
    Layout {
        /// The layout asked for.
        layout: Layout,
    },
}

impl Denoiser {
    /// Checks the numbers and that pattern and layout go together.
    ///
    /// # Errors
    ///
    /// The first [`DenoiserError`].
    pub fn check(&self) -> Result<(), DenoiserError> {
        match (&self.pattern, self.layout) {
            (NoisePattern::RandomSpans(spans), Layout::Sentinels) => spans.check(),
            (NoisePattern::Suffix(Suffix { .. }), Layout::Sentinels | Layout::Split) => Ok(()),
            (NoisePattern::RandomSpans(_), layout @ Layout::Split) => Err(DenoiserError::Layout { layout }),
        }
    }

    /// The largest row that a segment of `length` (at least 2) tokens can give, over all draws.
    #[must_use]
    pub fn row_bounds(&self, length: u32, eos: EosPolicy) -> RowBounds {
        let mode = u32::try_from(self.mode_token.len()).unwrap_or(u32::MAX);
        let (kept, noise, spans) = match &self.pattern {
            NoisePattern::RandomSpans(spans) => {
                let counts = spans.counts(length);
                (length - counts.noise, counts.noise, spans.most_spans(length))
            }
            // The split is free: either side may hold all tokens but one.
            NoisePattern::Suffix(Suffix { split: Split::Uniform }) => (length - 1, length - 1, 1),
        };
        let sentinels = match self.layout {
            Layout::Sentinels => spans,
            Layout::Split => 0,
        };
        RowBounds {
            inputs: mode.saturating_add(kept + sentinels + u32::from(eos.ends_inputs())),
            labels: noise + sentinels + u32::from(eos.ends_labels()),
            sentinels,
        }
    }
}

/// How many tokens and spans of a segment are noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoiseCounts {
    /// Noise tokens, at least 1, less than the segment's length.
    pub noise: u32,
    /// Noise spans before a roll, at least 1.
    pub spans: u32,
}

impl RandomSpans {
    /// Noise tokens and spans of a segment of `length` tokens, at least 2.
    ///
    /// T5 keeps at least one noise token and one kept token, even in a two-token segment, so that neither
    /// sequence is empty.
    #[must_use]
    pub fn counts(&self, length: u32) -> NoiseCounts {
        debug_assert!(length >= 2, "a segment has at least two tokens");
        let noise = self.noise_density.of(length).clamp(1, length - 1);
        let spans = self.mean_span_length.divide(noise).clamp(1, noise.min(length - noise));
        NoiseCounts { noise, spans }
    }

    /// Whether masks of `spans` spans are rotated.
    #[must_use]
    pub fn rolls(&self, spans: u32) -> bool {
        match self.roll {
            Roll::SingleSpan => spans == 1,
            Roll::Always => true,
            Roll::Never => false,
        }
    }

    /// The most spans that a mask of `length` tokens can have: a roll may cut one span of two tokens or more in two.
    #[must_use]
    pub fn most_spans(&self, length: u32) -> u32 {
        let NoiseCounts { noise, spans } = self.counts(length);
        spans + u32::from(self.rolls(spans) && noise > spans)
    }

    fn check(&self) -> Result<(), DenoiserError> {
        let million = Ratio::from_millionths(1_000_000);
        let (density, mean) = (self.noise_density, self.mean_span_length);
        if density.millionths() == 0 || density >= million {
            return Err(DenoiserError::Density(density));
        }
        if mean < million {
            return Err(DenoiserError::MeanSpanLength(mean));
        }
        let kept = million.millionths() - density.millionths();
        let spans_needed = u128::from(density.millionths()) * u128::from(million.millionths());
        if spans_needed > u128::from(mean.millionths()) * u128::from(kept) {
            return Err(DenoiserError::TooDense { density, mean });
        }
        Ok(())
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::R => "R",
            Self::S => "S",
            Self::X => "X",
        })
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Sentinels => "sentinels",
            Self::Split => "split",
        })
    }
}
