//! How to corrupt one segment: R, S and X as data (`docs/reference/masking.md`, sections 5 and 6).

use std::fmt;
use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::denoise::form::{EosPolicy, Layout, SSentinel};
use crate::denoise::pattern::{NoisePattern, Parts, PatternError};

/// UL2's three families of denoisers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Regular: short spans, low density.
    R,
    /// Sequential: a prefix is given, the model produces the rest.
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
    /// How a mask becomes an example.
    pub layout: Layout,
    /// Where the split layout has its sentinel.
    #[serde(default, skip_serializing_if = "crate::denoise::is_default")]
    pub s_sentinel: SSentinel,
    /// Whether a sentinel follows the last span of the labels.
    #[serde(default, skip_serializing_if = "crate::denoise::is_default")]
    pub closing_sentinel: bool,
    /// The ids put at the front of the inputs; empty for none.
    pub mode_token: Vec<u32>,
}

/// The largest example that a segment of some length can give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowBounds {
    /// Ids in the inputs.
    pub inputs: u32,
    /// Ids in the labels.
    pub labels: u32,
    /// Sentinels used.
    pub sentinels: u32,
    /// Ids in both together.
    pub total: u32,
}

/// Why a denoiser is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the message says it")]
pub enum DenoiserError {
    /// Invalid numbers of a mask.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// A layout that does not go with the pattern.
    #[error("layout `split` needs noise that is a suffix")]
    Split,
    /// A multiple choice with sentinels.
    #[error("`multiple_choice` needs layout `split`: its labels are not a span of a text")]
    Choices,
    /// An option of the other layout.
    #[error("`{option}` belongs to layout `{layout}`")]
    Option { option: &'static str, layout: Layout },
}

impl Denoiser {
    /// Checks the numbers and that pattern and layout go together.
    ///
    /// # Errors
    ///
    /// The first [`DenoiserError`].
    pub fn check(&self) -> Result<(), DenoiserError> {
        self.pattern.check()?;
        match self.layout {
            Layout::Split if !self.pattern.is_suffix() => Err(DenoiserError::Split),
            Layout::Sentinels if matches!(self.pattern, NoisePattern::MultipleChoice(_)) => Err(DenoiserError::Choices),
            Layout::Split if self.closing_sentinel => {
                Err(DenoiserError::Option { option: "closing_sentinel", layout: Layout::Sentinels })
            }
            Layout::Sentinels if self.s_sentinel != SSentinel::None => {
                Err(DenoiserError::Option { option: "s_sentinel", layout: Layout::Split })
            }
            Layout::Sentinels | Layout::Split => Ok(()),
        }
    }

    /// The largest example that a segment of these parts, or of this many tokens (at least 2), can give, over all
    /// draws.
    #[must_use]
    pub(crate) fn row_bounds(&self, parts: impl Into<Parts>, eos: EosPolicy) -> RowBounds {
        let parts = parts.into();
        let mode = u32::try_from(self.mode_token.len()).unwrap_or(u32::MAX);
        let bounds = self.pattern.bounds(parts);
        let (inputs, labels, in_inputs, in_labels) = match self.layout {
            Layout::Sentinels => {
                let closing = u32::from(self.closing_sentinel);
                (bounds.kept_and_spans, bounds.noise_and_spans + closing, bounds.spans, bounds.spans + closing)
            }
            Layout::Split => {
                let (in_inputs, in_labels) = self.s_sentinel.counts();
                (bounds.kept + in_inputs, bounds.noise + in_labels, in_inputs, in_labels)
            }
        };
        let (inputs_eos, labels_eos) = (u32::from(eos.ends_inputs()), u32::from(eos.ends_labels()));
        RowBounds {
            inputs: mode.saturating_add(inputs + inputs_eos),
            labels: labels + labels_eos,
            sentinels: in_inputs.max(in_labels),
            total: mode.saturating_add(parts.length() + in_inputs + in_labels + inputs_eos + labels_eos),
        }
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
