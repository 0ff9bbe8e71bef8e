//! How documents are cut into segments: the settings of it (`docs/masking.md` §8).

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::denoise::spec::{SourceKeys, Spec};
use crate::denoise::stream::Address;

/// What is cut into segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Segmenting {
    /// Each document.
    #[default]
    Document,
    /// The documents of a block, joined.
    Concat(Concat),
    /// A window of each document.
    Window(Window),
}

/// How documents are joined (T5's `reduce_concat_tokens`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Concat {
    /// Whether EOS stands between two documents.
    pub eos_between: bool,
}

/// Which part of a document is used (T5's `select_random_chunk`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Most tokens of a window; `None` for one segment.
    #[serde(default)]
    pub tokens: Option<u32>,
    /// Where it starts.
    #[serde(default)]
    pub start: Start,
}

/// Where a window starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// Anywhere, every place equally likely.
    #[default]
    Random,
    /// At the document's first token.
    First,
}

impl Window {
    /// The window of the document of `tokens` tokens on `line`.
    #[must_use]
    pub fn place(self, spec: &Spec, keys: &SourceKeys, line: u64, epoch: u16, tokens: u32) -> Range<u32> {
        let first = Address { line, epoch, segment: 0 };
        let one_segment = || spec.segment_length(spec.choose(&mut keys.choose.stream(first))).tokens;
        let length = self.tokens.unwrap_or_else(one_segment).min(tokens);
        let start = match self.start {
            Start::Random => keys.window.stream(first).below(tokens - length + 1),
            Start::First => 0,
        };
        start..start + length
    }
}
