//! `ul2-prep` makes pre-masked training sets.
pub mod denoise;
pub mod digest;
pub mod input;
pub mod output;
pub mod tokenize;
/// The pages of `docs/`, as they are.
pub mod documentation {
    #[doc = include_str!("../docs/masking.md")]
    pub mod masking {}
}
