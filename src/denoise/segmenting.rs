//! How documents are cut into segments: the settings of it (`docs/reference/masking.md` §4).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
