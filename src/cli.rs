//! The command line. Only structs: their comments are the help text.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::input::reader::Limits;
use crate::output::schema::Column;
use crate::pipeline::allowance::MaxRejects;
use crate::recipe::{RowLayout, nearest};
use crate::tokenize::TokenizerPath;

/// Make pre-masked training sets: UL2, UL2R and T5 denoising, from `.jsonl.zst` text to Parquet shards of `input_ids` and `labels`.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true, after_help = EXIT_CODES, max_term_width = 120)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    the run failed on its data or its output; `verify` or `reproduce` found something
  2    usage, recipe or environment
  130  interrupted by Ctrl-C, 143 by a termination request; the same command goes on";

const RUN_EXAMPLES: &str = "\
Examples:
  ul2-prep run shards/ --out masked --tokenizer t5/tokenizer.json --seed 7
  ul2-prep run 'pile/*.jsonl.zst' --out masked --recipe ul2 --epochs 4
  ul2-prep run books.jsonl.gz --out masked --recipe my-mixture.toml --text-field body.text
  ul2-prep run more-shards/ --out masked --tokenizer t5/tokenizer.json --seed 7 --extend

The same command again goes on where an interrupted run stopped.";

const PLAN_EXAMPLES: &str = "\
Example:
  ul2-prep plan shards/ --tokenizer t5/tokenizer.json --recipe ul2";

const RECIPES_EXAMPLES: &str = "\
Examples:
  ul2-prep recipes
  ul2-prep recipes --tokenizer t5/tokenizer.json --inputs-length 1024 --labels-length 256
  ul2-prep recipes ul2r > my-mixture.toml
  ul2-prep recipes ul2 --example \"The quick brown fox jumps over the lazy dog.\"";

const VERIFY_EXAMPLES: &str = "\
Examples:
  ul2-prep verify masked
  ul2-prep verify masked --sources shards/ --tokenizer t5/tokenizer.json
  ul2-prep verify masked --sources shards/ --tokenizer t5/tokenizer.json --reproduce 10

One line for each finding on standard output; the exit code is 1 if there is one.";

const REPRODUCE_EXAMPLES: &str = "\
Example:
  ul2-prep reproduce masked/manifest.json shards/ --tokenizer t5/tokenizer.json --out again

One line for each difference on standard output; the exit code is 1 if there is one.";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read sources, mask every document, write a data set.
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Show what `run` would do, refuse or shorten, before a byte is written.
    #[command(after_help = PLAN_EXAMPLES)]
    Plan(PlanArgs),
    /// Check a data set: its files against their digests, its rows against the laws of the spec, and both against the sources.
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(VerifyArgs),
    /// Make a data set again from its manifest, or say what differs.
    #[command(after_help = REPRODUCE_EXAMPLES)]
    Reproduce(ReproduceArgs),
    /// List the built-in recipes, print one as the TOML file it is, or show what it does to a text.
    #[command(after_help = RECIPES_EXAMPLES)]
    Recipes(RecipesArgs),
}

/// `ul2-prep run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// What is read and how it is masked.
    #[command(flatten)]
    pub masking: MaskingArgs,
    /// The folder of the data set: new, empty, one that an interrupted run has begun, or with `--extend` a finished one.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Add sources that the data set does not have yet. Its finished shards stay as they are; their sources need not be given again.
    #[arg(long, help_heading = "Running")]
    pub extend: bool,
    /// How many lines of a source may be rejected before the run stops: a number, or a share of its lines, which allows at least 10.
    #[arg(long, value_name = "N|SHARE%", default_value = "0.1%", help_heading = "Running")]
    pub max_rejects: MaxRejects,
    /// Do not show how far the run is.
    #[arg(long, short, help_heading = "Running")]
    pub quiet: bool,
}

/// `ul2-prep plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// What is read and how it is masked.
    #[command(flatten)]
    pub masking: MaskingArgs,
    /// The folder of the data set, to see whether it could go on there.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// `ul2-prep verify`.
#[derive(Debug, Args)]
#[command(mut_arg("max_window", |arg| arg.requires("sources")), mut_arg("max_expansion", |arg| arg.requires("sources")))]
pub struct VerifyArgs {
    /// The folder of the data set.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The sources that it was made from: their tokens are compared with those of the rows.
    #[arg(long, value_name = "SOURCE", num_args = 1..)]
    pub sources: Vec<String>,
    /// The tokenizer that it was made with [default: bytes].
    #[arg(long, value_name = "FILE|bytes", requires = "sources")]
    pub tokenizer: Option<String>,
    /// Make the rows again and compare them and their bytes: those of SAMPLE batches, or all.
    #[arg(long, value_name = "SAMPLE", requires = "sources", value_parser = clap::value_parser!(u64).range(1..))]
    pub reproduce: Option<Option<u64>>,
    /// Threads [default: one a core].
    #[arg(long, value_name = "N")]
    pub workers: Option<usize>,
    /// What a source may ask for.
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// `ul2-prep reproduce`.
#[derive(Debug, Args)]
pub struct ReproduceArgs {
    /// The manifest of the data set, or the folder that it is in.
    #[arg(value_name = "MANIFEST")]
    pub manifest: PathBuf,
    /// The sources that it was made from, so that their names are the same.
    #[arg(required = true, value_name = "SOURCE")]
    pub sources: Vec<String>,
    /// The folder to make it in: new, empty, or one that an interrupted command has begun.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The tokenizer that it was made with [default: bytes].
    #[arg(long, value_name = "FILE|bytes")]
    pub tokenizer: Option<String>,
    /// Threads [default: one a core].
    #[arg(long, value_name = "N")]
    pub workers: Option<usize>,
    /// What a source may ask for.
    #[command(flatten)]
    pub limits: LimitArgs,
    /// Do not show how far it is.
    #[arg(long, short)]
    pub quiet: bool,
}

/// What is read and how it is masked.
#[derive(Debug, Args)]
pub struct MaskingArgs {
    /// Files, folders (searched recursively) or quoted globs of `.jsonl`, `.json` or `.ndjson`, plain or with `.zst` or `.gz` behind.
    #[arg(required = true, value_name = "SOURCE")]
    pub sources: Vec<String>,

    /// A Hugging Face `tokenizer.json`, a SentencePiece `spiece.model`, a folder that holds one, or `bytes` (`ByT5`'s vocabulary, built in).
    #[arg(long, value_name = "FILE|bytes", default_value = "bytes", help_heading = "Text to tokens")]
    pub tokenizer: String,
    /// Which code makes the ids of a `tokenizer.json`: the fast path where the file's shape allows it, or always the `tokenizers` crate. Both make
    /// the same.
    #[arg(long, value_enum, default_value_t, help_heading = "Text to tokens")]
    pub tokenizer_path: TokenizerPath,
    /// What the recipe leaves open, or has otherwise.
    #[command(flatten)]
    pub spec: SpecArgs,
    /// A built-in recipe or a TOML file (see `ul2-prep recipes`).
    #[arg(long, value_name = "NAME|FILE.toml", default_value = crate::recipe::DEFAULT, help_heading = "Masking")]
    pub recipe: String,
    /// Refuse a recipe that needs more sentinels than the vocabulary has, instead of shortening its segments.
    #[arg(long, help_heading = "Masking")]
    pub strict_sentinels: bool,

    /// The columns of the shards, separated by commas [default: ids, then where they come from].
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = column, help_heading = "Rows")]
    pub columns: Option<Vec<Column>>,

    /// Threads [default: one a core]. They never change a byte of the output.
    #[arg(long, value_name = "N", help_heading = "Running")]
    pub workers: Option<usize>,
    /// Size at which a Parquet file is closed: the next row group would make it larger.
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = size, help_heading = "Running")]
    pub shard_size: u64,
    /// What a source may ask for.
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// What a source may ask for.
#[derive(Debug, Clone, Copy, Args)]
pub struct LimitArgs {
    /// Largest Zstandard window that a source may ask for, up to 2 GiB: each reading thread holds one (Pushshift's dumps need `2GiB`).
    #[arg(long, value_name = "SIZE", default_value = "128MiB", value_parser = window, help_heading = "Running")]
    pub max_window: u64,
    /// How many times its file's bytes a source may unfold to, beyond its first GiB.
    #[arg(long, value_name = "N", default_value_t = Limits::default().expansion, help_heading = "Running")]
    pub max_expansion: u64,
}

impl LimitArgs {
    /// The limits.
    #[must_use]
    pub fn limits(self) -> Limits {
        Limits { window: self.max_window, expansion: self.max_expansion }
    }
}

/// What a recipe leaves open, or has otherwise.
#[derive(Debug, Clone, Args)]
pub struct SpecArgs {
    /// The field of a record that holds the text; `a.b` for a nested one [default: the recipe's, else `text`].
    #[arg(long, value_name = "FIELD", help_heading = "Text to tokens")]
    pub text_field: Option<String>,
    /// The field that holds the label, in records of two fields [default: the recipe's].
    #[arg(long, value_name = "FIELD", help_heading = "Text to tokens")]
    pub label_field: Option<String>,
    /// The EOS token by name, if the tokenizer's files do not say it.
    #[arg(long, value_name = "TOKEN", help_heading = "Text to tokens")]
    pub eos_token: Option<String>,
    /// The pad token by name, if the tokenizer's files do not say it.
    #[arg(long, value_name = "TOKEN", help_heading = "Text to tokens")]
    pub pad_token: Option<String>,
    /// Longest line; a longer one is rejected.
    #[arg(long, value_name = "SIZE", default_value = MAX_LINE, value_parser = size, help_heading = "Text to tokens")]
    pub max_line: u64,

    /// The number that all masks follow from.
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Masking")]
    pub seed: u64,
    /// Independent maskings of every document.
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Masking")]
    pub epochs: u32,
    /// Most ids of the inputs, EOS and sentinels included [default: the recipe's, else 512].
    #[arg(long, value_name = "N", help_heading = "Masking")]
    pub inputs_length: Option<u32>,
    /// Most ids of the labels, EOS and sentinels included [default: the recipe's, else 512].
    #[arg(long, value_name = "N", help_heading = "Masking")]
    pub labels_length: Option<u32>,

    /// Two sequences for an encoder and a decoder, or one for a decoder alone [default: the recipe's, else encoder-decoder].
    #[arg(long, value_enum, help_heading = "Rows")]
    pub layout: Option<RowLayout>,
    /// Most ids of a causal row [default: the recipe's, else both lengths together]. The inputs and the labels alone may then be as long,
    /// unless their lengths are given as well.
    #[arg(long, value_name = "N", help_heading = "Rows")]
    pub sequence_length: Option<u32>,
    /// Put several examples into a row, up to its lengths [default: the recipe's].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Rows")]
    pub pack: Option<bool>,
    /// Let the rows of a row group change places [default: the recipe's].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Rows")]
    pub shuffle: Option<bool>,
    /// Fill rows up to their lengths [default: the recipe's].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Rows")]
    pub pad: Option<bool>,
}

const MAX_LINE: &str = "64MiB";

/// `ul2-prep recipes`.
#[derive(Debug, Args)]
pub struct RecipesArgs {
    /// The recipe to print, built in or a file.
    pub name: Option<String>,
    /// Show this text under each of the recipe's denoisers.
    #[arg(long, value_name = "TEXT", requires = "name")]
    pub example: Option<String>,
    /// The label of the example, for recipes of two-field records; further ones are the other labels of a multiple choice.
    #[arg(long, value_name = "TEXT", requires = "example")]
    pub label: Vec<String>,
    /// Print the JSON Schema of recipe files.
    #[arg(long, conflicts_with_all = ["name", "example"])]
    pub schema: bool,
    /// The tokenizer to compute lengths and examples for [default: bytes].
    #[arg(long, value_name = "FILE|bytes")]
    pub tokenizer: Option<String>,
    /// The number that the example's masks follow from [default: 0].
    #[arg(long, value_name = "N", requires = "example")]
    pub seed: Option<u64>,
    /// Most ids of the inputs [default: the recipe's, else 512].
    #[arg(long, value_name = "N")]
    pub inputs_length: Option<u32>,
    /// Most ids of the labels [default: the recipe's, else 512].
    #[arg(long, value_name = "N")]
    pub labels_length: Option<u32>,
}

/// A flag that would change nothing.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` changes nothing in the file of a recipe")]
pub struct FlagOfNoUse(pub &'static str);

impl RecipesArgs {
    /// Refuses what a printed file does not depend on.
    ///
    /// # Errors
    ///
    /// [`FlagOfNoUse`] for the first such flag.
    pub fn refuse_for_a_file(&self) -> Result<(), FlagOfNoUse> {
        let given = [
            ("--tokenizer", self.tokenizer.is_some()),
            ("--inputs-length", self.inputs_length.is_some()),
            ("--labels-length", self.labels_length.is_some()),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(FlagOfNoUse(flag)),
            None => Ok(()),
        }
    }

    /// What the recipes leave open.
    #[must_use]
    pub fn spec(&self) -> SpecArgs {
        SpecArgs {
            seed: self.seed.unwrap_or_default(),
            inputs_length: self.inputs_length,
            labels_length: self.labels_length,
            ..SpecArgs::default()
        }
    }
}

impl Default for SpecArgs {
    /// As if no flag was given.
    fn default() -> Self {
        Self {
            text_field: None,
            label_field: None,
            eos_token: None,
            pad_token: None,
            max_line: 64 << 20,
            seed: 0,
            epochs: 1,
            inputs_length: None,
            labels_length: None,
            layout: None,
            sequence_length: None,
            pack: None,
            shuffle: None,
            pad: None,
        }
    }
}

/// A column by its name.
fn column(name: &str) -> Result<Column, String> {
    let names = || Column::ALL.into_iter().map(Column::name);
    Column::named(name).ok_or_else(|| match nearest(name, names()) {
        Some(nearest) => format!("there is no column `{name}`; there is `{nearest}`"),
        None => format!("there is no column `{name}`; there are `{}`", names().collect::<Vec<_>>().join("`, `")),
    })
}

/// Bytes: `1000`, `64MiB`, `1.5GB`.
fn size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 7] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("B", 1),
    ];
    let (number, unit) =
        UNITS.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit))).unwrap_or((text, 1));
    let number: f64 = number.trim().parse().map_err(|_| format!("expected a size like `256MiB`, found `{text}`"))?;
    #[expect(clippy::cast_precision_loss, reason = "units are small")]
    let bytes = number * unit as f64;
    if !(1.0..=1e15).contains(&bytes) {
        return Err(format!("expected a size from 1 B to 1,000,000 GB, found `{text}`"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    Ok(bytes as u64)
}

/// A Zstandard window.
fn window(text: &str) -> Result<u64, String> {
    let bytes = size(text)?;
    if (Limits::LEAST_WINDOW..=Limits::MOST_WINDOW).contains(&bytes) {
        Ok(bytes)
    } else {
        Err(format!("expected a window from `1KiB` to `2GiB`, found `{text}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        assert_eq!(size("256MiB"), Ok(256 << 20));
        assert_eq!(size("1.5 GB"), Ok(1_500_000_000));
        assert_eq!(size("17"), Ok(17));
        for bad in ["", "MiB", "-1", "x", "1e99", "0.1"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn arguments_that_are_not_given_have_the_same_defaults_everywhere() {
        let Command::Plan(args) = Cli::parse_from(["ul2-prep", "plan", "x"]).command else { panic!("a plan") };
        assert_eq!(format!("{:?}", args.masking.spec), format!("{:?}", SpecArgs::default()));
    }

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}
