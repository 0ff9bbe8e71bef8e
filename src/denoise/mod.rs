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

pub mod cut;
pub mod denoiser;
pub mod encode;
pub mod mask;
pub mod pack;
pub mod pattern;
pub mod ratio;
pub mod record;
pub mod spec;
pub mod stream;
pub mod tokens;
pub mod vocabulary;

pub use cut::{Concat, Cut, LineStart, Segment, Segmenting, Start, Window};
pub use denoiser::{Denoiser, Layout, Mode, SSentinel};
pub use encode::{Causal, DecodeError, Decoded, EosPolicy, IGNORED, Loss, RowForm, decode, encode, split_causal};
pub use mask::{MaskError, Masker, NoiseMask, Span};
pub use pack::FirstFit;
pub use pattern::{
    IndependentTokens, Label, Law, MultipleChoice, NoisePattern, Normal, Parts, PatternError, Permute, RandomSpans,
    Roll, Separate, SpanLength, Split, Suffix, Whole,
};
pub use ratio::{Ratio, RatioError};
pub use record::{Choices, Composed, Record, compose, label_fits, record_rows};
pub use spec::{
    MASKING_VERSION, MAX_LENGTH, SegmentLength, Shortening, SourceKeys, Spec, SpecError, SpecFields, TokenizerId,
};
pub use stream::{Address, Seed, Stream, StreamKey, Subset};
pub use tokens::{TokenError, TokenSequence};
pub use vocabulary::{Vocabulary, VocabularyError};

/// Whether a key of a spec is left out because its value is the default.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
