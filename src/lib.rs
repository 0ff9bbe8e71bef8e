//! `ul2-prep` makes pre-masked training sets: UL2, UL2R and T5 denoising, from `.jsonl.zst` text to Parquet shards of `input_ids` and
//! `labels`.
//!
//! ```text
//! read ─▶ batch ─▶ parse ─▶ tokenize ─▶ segment ─▶ choose denoiser ─▶ mask ─▶ encode ─▶ row group ─▶ shard
//! └ input ─────┘  └ input ┘ └ tokenize ┘ └ denoise ────────────────────────────────┘  └ output ──────────┘
//!                 └ on a worker ───────────────────────────────────────────────────────────────┘
//! ```
//!
//! The floors of the crate. A module imports only modules of lower floors (`tests/it/architecture.rs`):
//!
//! ```text floors
//! commands
//! report
//! settings
//! cli  inspect  stats  verify
//! pipeline
//! plan  reading
//! input  output
//! tokenize  recipe
//! reject
//! denoise  store  files  json  digest  numbers
//! guidance  system
//! ```
//!
//! - [`commands`] has a file for each command; [`settings`] turns arguments and recipes into a [`denoise::Spec`] and a job; [`report`] prints.
//! - [`pipeline`] is the program: [`pipeline::unit`](mod@pipeline::unit) shows it on one page. [`plan`] decides what a run makes.
//! - [`verify`] checks that a finished data set keeps its laws, [`inspect`] picks rows, [`stats`] counts them; [`reading`] decodes rows for all three.
//! - [`input`], [`tokenize`] and [`output`] do not use one another; the pipeline connects them.
//! - [`denoise`] is the pure core: tokens to rows, by streams that have an address and no history.
//!
//! The pages of `docs/` are included under [`documentation`].

#![allow(rustdoc::private_intra_doc_links, reason = "the documentation of the code is built with private items")]

pub mod cli;
pub mod commands;
pub mod denoise;
pub mod digest;
pub(crate) mod files;
pub(crate) mod guidance;
pub mod input;
pub(crate) mod inspect;
pub mod json;
pub(crate) mod numbers;
pub mod output;
pub mod pipeline;
pub mod plan;
pub(crate) mod reading;
pub mod recipe;
pub(crate) mod reject;
pub mod report;
pub mod settings;
pub(crate) mod stats;
pub(crate) mod store;
pub(crate) mod system;
pub mod tokenize;
pub mod verify;

/// The pages of `docs/`, as they are.
#[allow(clippy::doc_markdown, reason = "prose for readers outside rustdoc as well")]
pub mod documentation {
    #[doc = include_str!("../docs/guide/first-data-set.md")]
    pub mod first_data_set {}
    #[doc = include_str!("../docs/guide/recipes.md")]
    pub mod write_your_own_recipe {}
    #[doc = include_str!("../docs/guide/decoder-only.md")]
    pub mod decoder_only {}
    #[doc = include_str!("../docs/guide/several-machines.md")]
    pub mod several_machines {}
    #[doc = include_str!("../docs/guide/resuming.md")]
    pub mod resume_and_check {}
    #[doc = include_str!("../docs/guide/looking-at-rows.md")]
    pub mod looking_at_rows {}
    #[doc = include_str!("../docs/guide/training.md")]
    pub mod training {}
    #[doc = include_str!("../docs/reference/command-line.md")]
    pub mod command_line {}
    #[doc = include_str!("../docs/reference/recipes.md")]
    pub mod recipes {}
    #[doc = include_str!("../docs/reference/sources.md")]
    pub mod sources {}
    #[doc = include_str!("../docs/reference/tokens.md")]
    pub mod tokens {}
    #[doc = include_str!("../docs/reference/coming-from.md")]
    pub mod coming_from {}
    #[doc = include_str!("../docs/reference/format.md")]
    pub mod format {}
    #[doc = include_str!("../docs/reference/manifest.md")]
    pub mod manifest {}
    #[doc = include_str!("../docs/reference/masking.md")]
    pub mod masking {}
    #[doc = include_str!("../docs/reference/reproducibility.md")]
    pub mod reproducibility {}
    #[doc = include_str!("../docs/reference/resuming.md")]
    pub mod resuming {}
    #[doc = include_str!("../docs/reference/verify.md")]
    pub mod verify {}
    #[doc = include_str!("../docs/reference/inspect.md")]
    pub mod inspect {}
    #[doc = include_str!("../docs/reference/scale-out.md")]
    pub mod scale_out {}
    #[doc = include_str!("../docs/internals/design.md")]
    pub mod design {}
    #[doc = include_str!("../docs/internals/tokenization.md")]
    pub mod tokenization {}
    #[doc = include_str!("../docs/internals/sentencepiece.md")]
    pub mod sentencepiece {}
    #[doc = include_str!("../docs/internals/performance.md")]
    pub mod performance {}
    #[doc = include_str!("../docs/internals/reliability.md")]
    pub mod reliability {}
    #[doc = include_str!("../docs/internals/testing.md")]
    pub mod testing {}
    #[doc = include_str!("../docs/internals/scale-out.md")]
    pub mod how_scale_out_was_tried {}
}
