//! Flags of `inspect`, and which of them apply to a data set or to a line.

use clap::Args;

use crate::cli::masking::{LimitArgs, SpecArgs};

/// `ul2-prep inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The folder of a data set, or a line of a source, counted from 1; or the URL of either.
    #[arg(value_name = "DIR|SOURCE:LINE")]
    pub target: String,

    /// Rows of this denoiser.
    #[arg(long, value_name = "NAME", help_heading = "Which rows")]
    pub denoiser: Option<String>,
    /// Rows of this source of the data set.
    #[arg(long, value_name = "NAME", help_heading = "Which rows")]
    pub source: Option<String>,
    /// Rows of this line, counted from 1.
    #[arg(long, value_name = "N", help_heading = "Which rows")]
    pub line: Option<u64>,
    /// Rows of this segment of a document, counted from 0.
    #[arg(long, value_name = "N", help_heading = "Which rows")]
    pub segment: Option<u32>,
    /// Rows of this masking, counted from 0.
    #[arg(long, value_name = "N", help_heading = "Which rows")]
    pub epoch: Option<u32>,
    /// Rows with a noise span of N tokens or more.
    #[arg(long, value_name = "N", help_heading = "Which rows")]
    pub min_span: Option<u32>,
    /// The first N rows, or all with 0 [default: 10; for a line of a source, all].
    #[arg(long, value_name = "N", conflicts_with = "sample", help_heading = "Which rows")]
    pub rows: Option<u64>,
    /// N random rows, chosen by `--seed`.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Which rows")]
    pub sample: Option<u64>,

    /// Show the text with its noise marked, instead of inputs above labels.
    #[arg(long, conflicts_with = "json", help_heading = "How they are shown")]
    pub inline: bool,
    /// A JSON object for each example.
    #[arg(long, help_heading = "How they are shown")]
    pub json: bool,
    /// Show ids instead of text, which needs no tokenizer.
    #[arg(long, help_heading = "How they are shown")]
    pub ids: bool,
    /// Columns of a line [default: the terminal's width, else 120].
    #[arg(long, value_name = "N", conflicts_with = "json", help_heading = "How they are shown")]
    pub width: Option<usize>,
    /// When to use colours; `NO_COLOR` says never.
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        conflicts_with = "json",
        help_heading = "How they are shown"
    )]
    pub color: When,

    /// The tokenizer that the data set was made with [default: at the path the run used], or the tokenizer for a line [default: bytes].
    #[arg(long, value_name = "FILE|bytes", help_heading = "Text to tokens")]
    pub tokenizer: Option<String>,
    /// The recipe for a line of a source: a built-in recipe or a TOML file [default: ul2r].
    #[arg(long, value_name = "NAME|FILE.toml", help_heading = "Masking")]
    pub recipe: Option<String>,
    /// The name that the source has in the data set, which decides its masks [default: its file name].
    #[arg(long, value_name = "NAME", help_heading = "Masking")]
    pub name: Option<String>,
    /// Settings the recipe leaves open, or that override it, for a line of a source; `--seed` is for a sample as well.
    #[command(flatten)]
    pub spec: SpecArgs,
    /// What a source may ask for.
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum When {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl InspectArgs {
    /// Refuses flags that apply only to the other target: a data set or a line of a source.
    ///
    /// # Errors
    ///
    /// [`FlagElsewhere`] for the first such flag.
    pub fn refuse_for(&self, target: Target) -> Result<(), FlagElsewhere> {
        let SpecArgs {
            text_field,
            label_field,
            eos_token,
            pad_token,
            max_line,
            seed,
            epochs,
            inputs_length,
            labels_length,
            layout,
            sequence_length,
            pack,
            shuffle,
            pad,
        } = &self.spec;
        let default = SpecArgs::default();
        let of_lines = [
            ("--recipe", self.recipe.is_some()),
            ("--name", self.name.is_some()),
            ("--text-field", text_field.is_some()),
            ("--label-field", label_field.is_some()),
            ("--eos-token", eos_token.is_some()),
            ("--pad-token", pad_token.is_some()),
            ("--max-line", *max_line != default.max_line),
            ("--inputs-length", inputs_length.is_some()),
            ("--labels-length", labels_length.is_some()),
            ("--layout", layout.is_some()),
            ("--sequence-length", sequence_length.is_some()),
            ("--pack", pack.is_some()),
            ("--shuffle", shuffle.is_some()),
            ("--pad", pad.is_some()),
            ("--max-window", self.limits.max_window != LimitArgs::default().max_window),
            ("--max-expansion", self.limits.max_expansion != LimitArgs::default().max_expansion),
            ("--tokenizer` with `--ids", self.ids && self.tokenizer.is_some()),
            ("--seed` without `--sample", *seed != default.seed && self.sample.is_none()),
        ];
        let of_data_sets =
            [("--source", self.source.is_some()), ("--line", self.line.is_some()), ("--sample", self.sample.is_some())];
        let (flags, other) = match target {
            Target::DataSet => (&of_lines[..], "a line of a source, as `SOURCE:LINE`"),
            Target::Line => (&of_data_sets[..], "a data set"),
        };
        // A line is masked once; `--epoch` chooses the epoch.
        let epochs = (*epochs != default.epochs).then_some(FlagElsewhere { flag: "--epochs", other: "`run`" });
        let found = flags.iter().find(|(_, given)| *given).map(|(flag, _)| FlagElsewhere { flag, other });
        found.or(epochs).map_or(Ok(()), Err)
    }
}

/// The target of `inspect`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A data set.
    DataSet,
    /// A line of a source.
    Line,
}

/// A flag that has no effect on this target.
#[derive(Debug, thiserror::Error)]
#[error("`{flag}` is for {other}")]
pub struct FlagElsewhere {
    /// The flag.
    pub flag: &'static str,
    /// The target that it applies to.
    pub other: &'static str,
}
