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
//! is [`docs/masking.md`](crate::documentation::masking); each module names the section it implements.

pub mod denoiser;
pub mod encode;
pub mod mask;
pub mod ratio;
pub mod segment;
pub mod spec;
pub mod stream;
pub mod tokens;
pub mod vocabulary;

pub use denoiser::{Denoiser, Layout, Mode, NoisePattern, RandomSpans, Roll, Split, Suffix};
pub use encode::{DecodeError, Decoded, EosPolicy, RowForm, decode, encode};
pub use mask::{MaskError, Masker, NoiseMask, Span};
pub use ratio::{Ratio, RatioError};
pub use segment::{Cut, Segment};
pub use spec::{
    MASKING_VERSION, MAX_LENGTH, SegmentLength, Shortening, SourceKeys, Spec, SpecError, SpecFields, TokenizerId,
};
pub use stream::{Address, Seed, Stream, StreamKey, Subset};
pub use tokens::{TokenError, TokenSequence};
pub use vocabulary::{Vocabulary, VocabularyError};
