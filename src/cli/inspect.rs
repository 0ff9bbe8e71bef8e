//! Flags of `inspect`, and which of them apply to a data set or to a line.

use std::collections::BTreeSet;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, Id};

use crate::cli::masking::{LimitArgs, SpecArgs};
use crate::cli::values::data_split;
use crate::denoise::DataSplit;

/// `ul2-prep inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    // First: reading another argument takes its value out of what clap has matched.
    #[command(flatten)]
    given: Given,
    /// The folder of a data set, or a line of a source, counted from 1; or the URL of either.
    #[arg(value_name = "DIR|SOURCE:LINE")]
    pub(crate) target: String,

    /// Rows of this denoiser.
    #[arg(long, value_name = "NAME", help_heading = "Which rows")]
    pub(crate) denoiser: Option<String>,
    /// Rows of this source of the data set.
    #[arg(long, value_name = "NAME", help_heading = "Which rows")]
    pub(crate) source: Option<String>,
    /// Rows of this line, counted from 1.
    #[arg(long, value_name = "N", help_heading = "Which rows")]
    pub(crate) line: Option<u64>,
    /// Rows of this segment of a document, counted from 0.
    #[arg(long, value_name = "N", help_heading = "Which rows")]
    pub(crate) segment: Option<u32>,
    /// Rows of this masking, counted from 0.
    #[arg(long, value_name = "N", help_heading = "Which rows")]
    pub(crate) epoch: Option<u32>,
    /// Rows of this split: `train` or `validation`.
    #[arg(long, value_name = "NAME", value_parser = data_split, help_heading = "Which rows")]
    pub(crate) split: Option<DataSplit>,
    /// Rows with a noise span of N tokens or more.
    #[arg(long, value_name = "N", help_heading = "Which rows")]
    pub(crate) min_span: Option<u32>,
    /// The first N rows, or all with 0 [default: 10; for a line of a source, all].
    #[arg(long, value_name = "N", conflicts_with = "sample", help_heading = "Which rows")]
    pub(crate) rows: Option<u64>,
    /// N random rows, chosen by `--seed`.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Which rows")]
    pub(crate) sample: Option<u64>,

    /// Show the text with its noise marked, instead of inputs above labels.
    #[arg(long, conflicts_with = "json", help_heading = "How they are shown")]
    pub(crate) inline: bool,
    /// A JSON object for each example.
    #[arg(long, help_heading = "How they are shown")]
    pub(crate) json: bool,
    /// Show ids instead of text, which needs no tokenizer.
    #[arg(long, help_heading = "How they are shown")]
    pub(crate) ids: bool,
    /// Columns of a line [default: the terminal's width, else 120].
    #[arg(long, value_name = "N", conflicts_with = "json", help_heading = "How they are shown")]
    pub(crate) width: Option<usize>,
    /// When to use colours; `NO_COLOR` says never.
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        conflicts_with = "json",
        help_heading = "How they are shown"
    )]
    pub(crate) color: When,

    /// The tokenizer that the data set was made with [default: at the path the run used], or the tokenizer for a line [default: bytes].
    #[arg(long, value_name = "FILE|bytes", help_heading = "Text to tokens")]
    pub(crate) tokenizer: Option<String>,
    /// The recipe for a line of a source: a built-in recipe or a TOML file [default: ul2r].
    #[arg(long, value_name = "NAME|FILE.toml", help_heading = "Masking")]
    pub(crate) recipe: Option<String>,
    /// The name that the source has in the data set, which decides its masks [default: its file name].
    #[arg(long, value_name = "NAME", help_heading = "Masking")]
    pub(crate) name: Option<String>,
    /// Settings the recipe leaves open, or that override it, for a line of a source; `--seed` is for a sample as well.
    #[command(flatten)]
    pub(crate) spec: SpecArgs,
    /// What a source may ask for.
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum When {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The arguments that stand on the command line, by their ids: a default value is not among them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Given(BTreeSet<String>);

impl FromArgMatches for Given {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let is_given = |id: &&str| matches.value_source(id) == Some(ValueSource::CommandLine);
        Ok(Self(matches.ids().map(Id::as_str).filter(is_given).map(str::to_owned).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// It adds no argument.
impl Args for Given {
    fn augment_args(command: Command) -> Command {
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        command
    }
}

impl InspectArgs {
    /// Refuses flags that this target does not use. A flag that is new is refused until a list of [`Target`] names it.
    ///
    /// # Errors
    ///
    /// [`FlagElsewhere`] for the first such flag.
    pub(crate) fn refuse_for(&self, target: Target) -> Result<(), FlagElsewhere> {
        let command = Self::augment_args(Command::new("inspect"));
        let is_given = |arg: &&Arg| self.given.0.contains(arg.get_id().as_str());
        for arg in command.get_arguments().filter(is_given) {
            let id = arg.get_id().as_str();
            if !target.uses().contains(&id) {
                let flag = arg.get_long().unwrap_or(id);
                return Err(FlagElsewhere { flag: format!("--{flag}"), other: target.other_for(id) });
            }
        }
        let combinations = [
            ("--tokenizer` with `--ids", self.ids && self.given.0.contains("tokenizer")),
            ("--seed` without `--sample", self.sample.is_none() && self.given.0.contains("seed")),
        ];
        match combinations.into_iter().find(|(_, given)| target == Target::DataSet && *given) {
            Some((flag, _)) => Err(FlagElsewhere { flag: flag.to_owned(), other: Target::Line.name() }),
            None => Ok(()),
        }
    }
}

/// The target of `inspect`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// A data set.
    DataSet,
    /// A line of a source.
    Line,
}

impl Target {
    /// The arguments that it uses, by their ids.
    fn uses(self) -> &'static [&'static str] {
        match self {
            Self::DataSet => &[
                "target",
                "denoiser",
                "source",
                "line",
                "segment",
                "epoch",
                "split",
                "min_span",
                "rows",
                "sample",
                "inline",
                "json",
                "ids",
                "width",
                "color",
                "tokenizer",
                "seed",
            ],
            Self::Line => &[
                "target",
                "denoiser",
                "segment",
                "epoch",
                "min_span",
                "rows",
                "inline",
                "json",
                "ids",
                "width",
                "color",
                "tokenizer",
                "recipe",
                "name",
                "text_field",
                "label_field",
                "bos_token",
                "eos_token",
                "pad_token",
                "sentinels",
                "max_line",
                "seed",
                "inputs_length",
                "labels_length",
                "validation",
                "validation_source",
                "layout",
                "sequence_length",
                "pack",
                "shuffle",
                "pad",
                "max_window",
                "max_expansion",
            ],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::DataSet => "a data set",
            Self::Line => "a line of a source, as `SOURCE:LINE`",
        }
    }

    /// What an argument is for that this target does not use.
    fn other_for(self, id: &str) -> &'static str {
        let other = [Self::DataSet, Self::Line].into_iter().find(|other| *other != self && other.uses().contains(&id));
        // A line is masked once; `--epoch` chooses the epoch.
        other.map_or("`run`", Self::name)
    }
}

/// A flag that has no effect on this target.
#[derive(Debug, thiserror::Error)]
#[error("`{flag}` is for {other}")]
pub(crate) struct FlagElsewhere {
    /// The flag.
    pub(crate) flag: String,
    /// The target that it applies to.
    pub(crate) other: &'static str,
}
