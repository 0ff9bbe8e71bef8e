//! `ul2-prep` makes pre-masked training sets.

pub mod app;
pub mod cli;
pub mod denoise;
pub mod digest;
pub mod hint;
pub mod input;
pub mod output;
pub mod pipeline;
pub mod recipe;
pub mod reject;
pub mod report;
pub mod settings;
pub mod tokenize;

/// The pages of `docs/`, as they are.
pub mod documentation {
    #[doc = include_str!("../docs/masking.md")]
    pub mod masking {}
}
