//! The pure core: from a document's tokens to rows.
//!
//! ```text
//! tokens ──cut──▶ segments ──draw──▶ noise masks ──encode──▶ input_ids, labels
//!          ▲                  ▲
//!          │                  └ the denoiser's own stream
//!          └ the "choose" stream picks a denoiser for each segment
//! ```
//!
//! Nothing here opens a file, reads a clock or the environment, starts a thread or logs. The normative text
//! is [`docs/reference/masking.md`](crate::documentation::masking); each module names the section it implements.

pub(crate) mod cut;
pub mod denoiser;
pub mod encode;
pub(crate) mod form;
pub(crate) mod mask;
pub(crate) mod mean_span_length;
pub(crate) mod pack;
pub mod pattern;
pub(crate) mod ratio;
pub(crate) mod record;
pub(crate) mod segmenting;
pub mod spec;
pub(crate) mod spec_error;
pub(crate) mod stream;
pub(crate) mod tokens;
pub(crate) mod validation;
pub(crate) mod vocabulary;
pub(crate) mod weight;

pub use crate::denoise::cut::{Cut, LineStart, Segment};
pub use crate::denoise::denoiser::{Denoiser, Mode};
pub use crate::denoise::encode::{Decoded, IGNORED, decode, encode, split_causal};
pub use crate::denoise::form::{Causal, EosPolicy, Layout, Loss, RowForm, SSentinel};
pub use crate::denoise::mask::{Masker, NoiseMask, Span};
pub use crate::denoise::mean_span_length::SpanLength;
pub use crate::denoise::pack::FirstFit;
pub use crate::denoise::pattern::{
    IndependentTokens, Label, Law, MultipleChoice, NoisePattern, Normal, Parts, Permute, RandomSpans, Roll, Separate,
    Split, Suffix, Whole,
};
pub use crate::denoise::ratio::Ratio;
pub use crate::denoise::record::{Choices, Composed, Record, compose, label_fits, record_rows};
pub use crate::denoise::segmenting::{Concat, Segmenting, Start, Window};
pub(crate) use crate::denoise::spec::SourceKeys;
pub use crate::denoise::spec::{MAX_LENGTH, SegmentLength, Shortening, Spec, SpecFields, TokenizerId};
pub use crate::denoise::spec_error::{LabelsRule, SpecError};
pub use crate::denoise::stream::{Address, Seed, Stream, StreamKey, Subset};
pub use crate::denoise::tokens::{TokenError, TokenSequence};
pub use crate::denoise::validation::{DataSplit, Validation};
pub(crate) use crate::denoise::validation::{PerSplit, SourceSplit};
pub use crate::denoise::vocabulary::Vocabulary;
pub(crate) use crate::denoise::weight::Maskings;
pub use crate::denoise::weight::Weight;

/// The version of `docs/reference/masking.md`. Every change that changes a row increments it.
pub const MASKING_VERSION: u32 = 1;

/// Whether a key of a spec is left out because its value is the default.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
