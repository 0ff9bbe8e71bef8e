//! Why a spec is refused, and what to do about it.

use crate::denoise::MASKING_VERSION;
use crate::denoise::denoiser::DenoiserError;
use crate::denoise::ratio::Ratio;
use crate::denoise::validation::MOST_PATTERN_BYTES;
use crate::guidance::Guidance;

/// Why fields are not a valid [`Spec`](crate::denoise::Spec).
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message says it")]
pub enum SpecError {
    /// Rows of another version of the masking page.
    #[error("masking version {found} is not the version {MASKING_VERSION} of this tool")]
    MaskingVersion { found: u32 },
    /// A number out of its range.
    #[error("`{field}` must be between {least} and {most}, found {found}")]
    Range { field: &'static str, least: u64, most: u64, found: u64 },
    /// No denoiser.
    #[error("the recipe has no denoiser")]
    NoDenoiser,
    /// Two denoisers with one name.
    #[error("two denoisers are named `{0}`: the name addresses the random stream and must be unique")]
    DuplicateName(String),
    /// Weights whose sum is not a 32-bit number.
    #[error("the weights add up to more than {max}", max = u32::MAX)]
    Weights,
    /// A denoiser whose numbers do not go together.
    #[error("denoiser `{name}`")]
    Denoiser { name: String, source: DenoiserError },
    /// EOS asked for, but the vocabulary has none.
    #[error("the recipe ends sequences with EOS (`eos = \"{}\"`), but no EOS token is known", if *.labels_only { "labels" } else { "both" })]
    NoEos {
        /// Whether the policy was `labels`.
        labels_only: bool,
    },
    /// No sentinel at all.
    #[error("denoiser `{name}` needs sentinels, but the vocabulary has none")]
    NoSentinels { name: String },
    /// Lengths that fit no segment, or only segments too short to give up tokens.
    #[error(
        "denoiser `{name}` fits segments of at most {tokens} tokens into inputs of {inputs_length} and labels of \
         {labels_length} with {sentinels} sentinels, but `min_segment = {min_segment}` needs {needed}"
    )]
    TooShort {
        name: String,
        /// Its segment length; below 2 if none fits.
        tokens: u32,
        inputs_length: u32,
        labels_length: u32,
        sentinels: usize,
        min_segment: u32,
        /// The segment length needed: `2 · min_segment − 1`.
        needed: u32,
    },
    /// Rows shorter than their parts, or longer than both together.
    #[error(
        "`sequence_length` must be at least 2 and at most `inputs_length` and `labels_length` together, {most}, found {found}"
    )]
    SequenceLength {
        /// `inputs_length + labels_length`.
        most: u32,
        found: u32,
    },
    /// A separator that is not a reserved id.
    #[error("the separator {0} is an ordinary token")]
    Separator(u32),
    /// Rows with empty inputs.
    #[error("the inputs of denoiser `{name}` would be empty: all of a segment is noise, and nothing comes before it")]
    EmptyInputs { name: String },
    /// Padding asked for, but the vocabulary has no pad.
    #[error("`pad` needs a pad token, but none is known")]
    NoPad,
    /// A share of the documents that leaves none for one of the splits.
    #[error("the share of documents for validation must be above 0 and below 1, found {0}")]
    ValidationShare(Ratio),
    /// A pattern of sources that is empty or too long.
    #[error("a pattern of sources for validation must have 1 to {MOST_PATTERN_BYTES} bytes, found {found}")]
    ValidationPattern { found: usize },
    /// A pattern of sources with a weight that is empty or too long.
    #[error("a pattern of sources with a weight must have 1 to {MOST_PATTERN_BYTES} bytes, found {found}")]
    WeightPattern { found: usize },
    /// EOS between documents asked for, but the vocabulary has none.
    #[error("`eos_between` needs an EOS token, but none is known")]
    NoEosBetween,
    /// A window that is too small to be cut.
    #[error("a window of {tokens} tokens is too short for `min_segment = {min_segment}`, which needs {needed}")]
    ShortWindow {
        tokens: u32,
        min_segment: u32,
        /// `2 · min_segment − 1`.
        needed: u32,
    },
    /// A pattern of labels next to one of another kind, or without labels.
    #[error("denoiser `{name}`: {rule}")]
    Labels { name: String, rule: LabelsRule },
    /// A JSON value that is not a spec.
    #[error("not a spec of this version")]
    Json(#[from] serde_json::Error),
    /// Recorded segment lengths that differ from the computed ones.
    #[error("the recorded segment length of `{name}` is {recorded}, but the spec gives {computed}")]
    SegmentLength { name: String, recorded: u64, computed: u32 },
}

impl Guidance for SpecError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::SequenceLength { .. } => "`--sequence-length` alone lets inputs and labels be as long as the row",
            Self::EmptyInputs { .. } => {
                "`--layout causal` makes rows for decoder-only models; a mode token or `eos = \"both\"` fills the inputs"
            }
            Self::NoPad => "name it with `--pad-token`",
            Self::NoEosBetween => "name it with `--eos-token`, or set `eos_between = false`",
            Self::NoEos { .. } => "name it with `--eos-token`, or set `eos = \"none\"` in the recipe",
            Self::NoSentinels { .. } => {
                "name the sentinels with `sentinels = [\"…{n}…\"]` in the recipe, or use a tokenizer that has \
                 `<extra_id_0>`, …"
            }
            Self::TooShort { .. } => {
                "raise `--inputs-length` and `--labels-length`, or use a tokenizer with more sentinels"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// The requirements of a pattern of labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelsRule {
    /// A field with labels.
    Field,
    /// Only denoisers of its own kind.
    Alone,
    /// Documents as they are.
    Document,
}

impl std::fmt::Display for LabelsRule {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Field => "its noise is that of a label, but records have one field",
            Self::Alone => "patterns of labels and of segments cannot be in one recipe",
            Self::Document => "a pattern of labels needs `segmenting = \"document\"`",
        })
    }
}
