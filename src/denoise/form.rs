//! The form of rows: layout, EOS, loss, and what a causal row is made of.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which sequences EOS ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EosPolicy {
    /// Inputs and labels, as T5.
    #[default]
    Both,
    /// Labels only.
    Labels,
    /// Neither.
    None,
}

impl EosPolicy {
    /// Whether EOS ends the inputs.
    #[must_use]
    pub fn ends_inputs(self) -> bool {
        self == Self::Both
    }

    /// Whether EOS ends the labels.
    #[must_use]
    pub fn ends_labels(self) -> bool {
        self != Self::None
    }
}

/// Turns an encoder-decoder example into one sequence for a decoder alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Causal {
    /// Which ids the loss is taken on.
    pub loss: Loss,
    /// The id between the prefix and the targets.
    pub separator: Option<u32>,
    /// Most ids of a row.
    pub sequence_length: u32,
}

/// Which ids of a causal row the loss is taken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// The targets: the labels of the prefix are -100, which trainers ignore.
    #[default]
    Targets,
    /// All.
    All,
}

/// Everything but tokens and mask that an example of one denoiser is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowForm {
    /// How a mask becomes inputs and labels.
    pub layout: Layout,
    /// Where the split layout has its sentinel.
    pub s_sentinel: SSentinel,
    /// Whether a sentinel follows the last span of the labels.
    pub closing_sentinel: bool,
    /// The id at the front of the inputs, before the mode token.
    pub bos: Option<u32>,
    /// Ids at the front of the inputs, after BOS.
    pub mode_token: Vec<u32>,
    /// The ordered sentinels, at least the number that the example needs.
    pub sentinels: Vec<u32>,
    /// The id that ends the inputs.
    pub inputs_eos: Option<u32>,
    /// The id that ends the labels.
    pub labels_eos: Option<u32>,
    /// How the two become one sequence, if they do.
    pub causal: Option<Causal>,
}

/// How a mask becomes inputs and labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// A sentinel stands for each noise span in the inputs and precedes it in the labels.
    Sentinels,
    /// Inputs are the prefix, labels the suffix; no sentinel.
    Split,
}

/// Where the split layout has its sentinel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SSentinel {
    /// Nowhere, as T5's `prefix_lm`.
    #[default]
    None,
    /// At the end of the inputs.
    Input,
    /// There, and before the labels: the same as the sentinels layout.
    Both,
}

impl SSentinel {
    /// Sentinels in the inputs and in the labels.
    #[must_use]
    pub(crate) fn counts(self) -> (u32, u32) {
        match self {
            Self::None => (0, 0),
            Self::Input => (1, 0),
            Self::Both => (1, 1),
        }
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
