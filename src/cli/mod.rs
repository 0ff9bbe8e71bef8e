//! The command line. There are only structs here: their comments are the help text.

pub(crate) mod card;
pub(crate) mod inspect;
pub mod masking;
pub(crate) mod recipes;
pub mod usage;
pub(crate) mod values;

use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgMatches, Args, CommandFactory as _, Parser, Subcommand};

use crate::cli::card::{CARD, CardArgs};
use crate::cli::inspect::InspectArgs;
use crate::cli::masking::{LimitArgs, MaskingArgs};
use crate::cli::recipes::RecipesArgs;
use crate::pipeline::reject_limit::MaxRejects;
use crate::store::Location;

/// Make pre-masked training sets: UL2, UL2R and T5 denoising, from `.jsonl.zst` text to Parquet shards of `input_ids` and `labels`.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true, max_term_width = 120)]
#[command(help_template = HELP, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Arguments that are texts, where an empty text is valid.
const TEXTS: [&str; 2] = ["example", "label"];

/// Refuses an empty argument, which usually comes from an unset variable of the shell: an empty path would mean the
/// current folder.
///
/// # Errors
///
/// For the first such argument.
pub(crate) fn refuse_empty(matches: &ArgMatches) -> Result<(), clap::Error> {
    let mut command = Cli::command();
    command.build();
    let Some((name, given)) = matches.subcommand() else { return Ok(()) };
    let Some(command) = command.find_subcommand_mut(name) else { return Ok(()) };
    let is_empty = |arg: &&Arg| {
        let id = arg.get_id().as_str();
        let values = given.try_get_raw(id).ok().flatten();
        !TEXTS.contains(&id) && values.into_iter().flatten().any(std::ffi::OsStr::is_empty)
    };
    let Some(arg) = command.get_arguments().find(is_empty).map(ToString::to_string) else { return Ok(()) };
    let mut error = clap::Error::new(ErrorKind::InvalidValue).with_cmd(command);
    error.insert(ContextKind::InvalidArg, ContextValue::String(arg));
    error.insert(ContextKind::InvalidValue, ContextValue::String(String::new()));
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![UNSET.into()]));
    Err(error)
}

/// A likely cause of an empty argument.
const UNSET: &str = "the value is empty: is a variable of the shell not set?";

/// The commands in the order in which a person needs them. A test compares these lines with the commands' own
/// descriptions.
const HELP: &str = "\
{about-with-newline}
{usage-heading} {usage}

Before a run:
  recipes    List the built-in recipes, print one as the TOML file it is, or show what it does to a text
  tokenizer  Write a tokenizer with more tokens, such as sentinels
  plan       Show what `run` would do, refuse or shorten, and about what it would make; or write it for many machines

A run:
  run        Read sources, mask every document, write a data set; or make one unit of a plan
  status     Show which units of a data set are done
  finalize   Finish a data set whose units are all done

With a data set:
  inspect    Look at rows: of a data set, or of one line of a source without one
  stats      Count rows: as a table, as JSON, or on a page with plots
  verify     Check a data set: its files, its rows, and both against the sources
  reproduce  Make a data set again from its manifest, or say what differs

For the shell:
  generate   Print the man page, or completions for a shell
  help       Print this message or the help of the given subcommand(s)

Options:
{options}

Examples:
  ul2-prep recipes ul2 --example \"The quick brown fox jumps over the lazy dog.\"
  ul2-prep plan shards/ --tokenizer t5/tokenizer.json --recipe ul2
  ul2-prep run shards/ --tokenizer t5/tokenizer.json --recipe ul2 --seed 7 --out masked
  ul2-prep inspect masked --tokenizer t5/tokenizer.json --sample 5 --inline{after-help}";

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    the run failed on its data or its output; `verify` or `reproduce` found something
  2    usage, recipe or environment
  64   of `run --plan`, `status` and `finalize`: another attempt would fail as well
  75   of the same: another attempt may go better
  130  interrupted by Ctrl-C, 143 by a termination request; the same command resumes";

const RUN_EXAMPLES: &str = "\
Examples:
  ul2-prep run shards/ --out masked --tokenizer t5/tokenizer.json --seed 7
  ul2-prep run 'pile/*.jsonl.zst' --out masked --recipe ul2 --epochs 4
  ul2-prep run books.jsonl.gz --out masked --recipe my-mixture.toml --text-field body.text
  ul2-prep run more-shards/ --out masked --tokenizer t5/tokenizer.json --seed 7 --extend
  ul2-prep run s3://corpus/pile/ --out s3://sets/pile-ul2 --tokenizer t5/tokenizer.json
  ul2-prep run --plan s3://sets/pile-ul2 --unit 3

The same command resumes an interrupted run.";

const PLAN_EXAMPLES: &str = "\
Examples:
  ul2-prep plan shards/ --tokenizer t5/tokenizer.json --recipe ul2
  ul2-prep plan shards/ --tokenizer t5/tokenizer.json --recipe my-mixture.toml --out masked
  ul2-prep plan shards/ --no-estimate
  ul2-prep plan s3://corpus/pile/ --tokenizer t5/tokenizer.json --out s3://sets/pile-ul2 --write

Rows, size and time are estimated from the first MiB of up to 16 sources.";

const RECIPES_EXAMPLES: &str = "\
Examples:
  ul2-prep recipes
  ul2-prep recipes --tokenizer t5/tokenizer.json --inputs-length 1024 --labels-length 256
  ul2-prep recipes ul2r > my-mixture.toml
  ul2-prep recipes ul2 --example \"The quick brown fox jumps over the lazy dog.\"";

const TOKENIZER_EXAMPLES: &str = "\
Examples:
  ul2-prep tokenizer qwen3/tokenizer.json --add '<extra_id_{0..127}>' --out qwen3-ul2
  ul2-prep tokenizer llama3 --add '<extra_id_{0..99}>' --add '[S2S]' --add '[NLU]' --add '[NLG]' --out llama3-ul2

Text that spells none of the new tokens keeps its ids. The model's embedding needs at least as many rows as the command prints.";

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

const STATUS_EXAMPLES: &str = "\
Examples:
  ul2-prep status s3://sets/pile-ul2
  ul2-prep status s3://sets/pile-ul2 --missing
  ul2-prep status s3://sets/pile-ul2 --missing --array=1001";

const FINALIZE_EXAMPLES: &str = "\
Example:
  ul2-prep finalize s3://sets/pile-ul2

If units are missing, nothing is written and the exit code is 75.";

const INSPECT_EXAMPLES: &str = "\
Examples:
  ul2-prep inspect masked
  ul2-prep inspect masked --tokenizer t5/tokenizer.json --denoiser x-long --sample 5 --seed 1 --inline
  ul2-prep inspect masked --source books.jsonl.zst --line 17 --rows 0 --color always | less -R
  ul2-prep inspect shards/books.jsonl.zst:17 --recipe ul2 --tokenizer t5/tokenizer.json --seed 7
  ul2-prep inspect masked --min-span 40 --json | jq .inputs

Colours: noise yellow, sentinels cyan, mode tokens magenta.";

const STATS_EXAMPLES: &str = "\
Examples:
  ul2-prep stats masked
  ul2-prep stats masked --json > counts.json
  ul2-prep stats masked --tokenizer t5/tokenizer.json --html masked.html";

const GENERATE_EXAMPLES: &str = "\
Examples:
  ul2-prep generate man | man --local-file -
  ul2-prep generate bash > ~/.local/share/bash-completion/completions/ul2-prep
  ul2-prep generate zsh > ~/.zfunc/_ul2-prep
  ul2-prep generate fish > ~/.config/fish/completions/ul2-prep.fish";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read sources, mask every document, write a data set; or make one unit of a plan.
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Show what `run` would do, refuse or shorten, and about what it would make; or write it for many machines.
    #[command(after_help = PLAN_EXAMPLES)]
    Plan(PlanArgs),
    /// Show which units of a data set are done.
    #[command(after_help = STATUS_EXAMPLES)]
    Status(StatusArgs),
    /// Finish a data set whose units are all done.
    ///
    /// Writes card, digests and manifest from the commit records, and `_SUCCESS` last.
    #[command(after_help = FINALIZE_EXAMPLES)]
    Finalize(FinalizeArgs),
    /// Write a tokenizer with more tokens, such as sentinels.
    #[command(after_help = TOKENIZER_EXAMPLES)]
    Tokenizer(TokenizerArgs),
    /// Look at rows: of a data set, or of one line of a source without one.
    #[command(after_help = INSPECT_EXAMPLES)]
    Inspect(InspectArgs),
    /// Count rows: as a table, as JSON, or on a page with plots.
    ///
    /// The mixture asked for and made, densities, span lengths against their law, noise by position, lengths of both sequences, sentinels, rejects.
    #[command(after_help = STATS_EXAMPLES)]
    Stats(StatsArgs),
    /// Check a data set: its files, its rows, and both against the sources.
    ///
    /// It checks files against their digests and rows against the laws of the spec; given the sources, it makes tokens and rows again and compares
    /// them.
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(VerifyArgs),
    /// Make a data set again from its manifest, or say what differs.
    #[command(after_help = REPRODUCE_EXAMPLES)]
    Reproduce(ReproduceArgs),
    /// Print the man page, or completions for a shell.
    #[command(after_help = GENERATE_EXAMPLES)]
    Generate(GenerateArgs),
    /// List the built-in recipes, print one as the TOML file it is, or show what it does to a text.
    #[command(after_help = RECIPES_EXAMPLES)]
    Recipes(RecipesArgs),
}

/// What may be given next to a plan: where things are now, which unit is made, and how the run goes. Everything else decides rows or files, which the
/// plan fixes: a flag that is new is refused until it is named here.
const BESIDE_A_PLAN: [&str; 10] = [
    "plan",
    "unit",
    "index_offset",
    "sources",
    "tokenizer",
    "workers",
    "max_window",
    "max_expansion",
    "max_rejects",
    "quiet",
];

fn beside_a_plan(arg: Arg) -> Arg {
    match arg.get_id().as_str() {
        "sources" => arg.required(false).required_unless_present("plan"),
        "out" => arg.required(false).required_unless_present("plan").conflicts_with("plan"),
        id if BESIDE_A_PLAN.contains(&id) => arg,
        _ => arg.conflicts_with("plan"),
    }
}

/// `ul2-prep run`.
#[derive(Debug, Args)]
#[command(mut_args(beside_a_plan))]
pub struct RunArgs {
    /// What is read and how it is masked.
    #[command(flatten)]
    pub masking: MaskingArgs,
    /// The folder of the data set, or its URL: new, empty, one that an interrupted run has begun, or with `--extend` a finished one.
    #[arg(long, value_name = "DIR", value_parser = Location::parse)]
    pub out: Option<Location>,
    /// The data set that `ul2-prep plan --write` has begun: make one unit of it; or make all units and finish. Give SOURCE and `--tokenizer` only
    /// if they have moved.
    #[arg(long, value_name = "DIR", value_parser = Location::parse, help_heading = "Many machines")]
    pub(crate) plan: Option<Location>,
    /// The unit to make, counted from 0 [default: `SLURM_ARRAY_TASK_ID` or `JOB_COMPLETION_INDEX`, else all].
    #[arg(long, value_name = "K", requires = "plan", conflicts_with = "out", help_heading = "Many machines")]
    pub(crate) unit: Option<usize>,
    /// Added to the task number from the environment; an error if there is none.
    #[arg(
        long,
        value_name = "N",
        requires = "plan",
        conflicts_with_all = ["unit", "out"],
        help_heading = "Many machines"
    )]
    pub(crate) index_offset: Option<usize>,
    /// Add sources that the data set does not have yet. Its finished shards stay as they are; their sources need not be given again.
    #[arg(long, help_heading = "Running")]
    pub(crate) extend: bool,
    /// How many lines of a source, or of a part of it (`--split`), may be rejected before the run stops: a number, or a share of its lines, which
    /// allows at least 10.
    #[arg(long, value_name = "N|SHARE%", default_value = "0.1%", help_heading = "Running")]
    pub max_rejects: MaxRejects,
    /// What the data set card says.
    #[command(flatten)]
    pub(crate) card: CardArgs,
    /// Do not show progress.
    #[arg(long, short, help_heading = "Running")]
    pub(crate) quiet: bool,
}

/// `ul2-prep plan`.
#[derive(Debug, Args)]
#[command(mut_args(|arg| if arg.get_help_heading() == Some(CARD) { arg.requires("write") } else { arg }))]
pub struct PlanArgs {
    /// What is read and how it is masked.
    #[command(flatten)]
    pub masking: MaskingArgs,
    /// Do not read the beginning of the sources: no estimates.
    #[arg(long, help_heading = "Running")]
    pub(crate) no_estimate: bool,
    /// The folder of the data set, or its URL, to see whether a run could resume there.
    #[arg(long, value_name = "DIR", value_parser = Location::parse)]
    pub(crate) out: Option<Location>,
    /// Write the plan there, for `run --plan` on many machines.
    #[arg(long, requires = "out", conflicts_with = "tokenizer_path", help_heading = "Many machines")]
    pub(crate) write: bool,
    /// What the data set card says.
    #[command(flatten)]
    pub(crate) card: CardArgs,
    /// Plan for sources that the data set does not have yet, as `run --extend` does.
    #[arg(long, requires = "out", help_heading = "Running")]
    pub(crate) extend: bool,
}

/// `ul2-prep status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The folder of the data set, or its URL.
    #[arg(value_name = "DIR", value_parser = Location::parse)]
    pub(crate) dir: Location,
    /// Print the numbers of the units that are not done, one a line.
    #[arg(long)]
    pub(crate) missing: bool,
    /// The same for Slurm: each line has an offset and an array of indices to add to it, below SIZE [default: 1001, as Slurm's `MaxArraySize`].
    #[arg(long, value_name = "SIZE", requires = "missing", num_args = 0..=1, require_equals = true, default_missing_value = "1001", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) array: Option<u64>,
}

/// `ul2-prep finalize`.
#[derive(Debug, Args)]
pub struct FinalizeArgs {
    /// The folder of the data set, or its URL.
    #[arg(value_name = "DIR", value_parser = Location::parse)]
    pub(crate) dir: Location,
    /// The tokenizer that it is made with [default: at the path the plan recorded, else bytes].
    #[arg(long, value_name = "FILE|bytes")]
    pub(crate) tokenizer: Option<String>,
    /// What the data set card says.
    #[command(flatten)]
    pub(crate) card: CardArgs,
}

/// `ul2-prep verify`.
#[derive(Debug, Args)]
#[command(mut_arg("max_window", |arg| arg.requires("sources")), mut_arg("max_expansion", |arg| arg.requires("sources")))]
pub struct VerifyArgs {
    /// The folder of the data set, or its URL.
    #[arg(value_name = "DIR", value_parser = Location::parse)]
    pub(crate) dir: Location,
    /// The sources that it was made from, to compare their tokens with the rows.
    #[arg(long, value_name = "SOURCE", num_args = 1..)]
    pub(crate) sources: Vec<String>,
    /// The tokenizer that it was made with [default: at the path the run used].
    #[arg(long, value_name = "FILE|bytes", requires = "sources")]
    pub(crate) tokenizer: Option<String>,
    /// Make rows again and compare them and their bytes: all rows, or the rows of SAMPLE batches.
    #[arg(long, value_name = "SAMPLE", requires = "sources", value_parser = clap::value_parser!(u64).range(1..))]
    #[expect(clippy::option_option, reason = "clap's type of a flag with an optional value")]
    pub(crate) reproduce: Option<Option<u64>>,
    /// Threads [default: one a core].
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<usize>,
    /// What a source may ask for.
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// `ul2-prep reproduce`.
#[derive(Debug, Args)]
pub struct ReproduceArgs {
    /// The manifest of the data set, or the folder that it is in; or the URL of either.
    #[arg(value_name = "MANIFEST", value_parser = Location::parse)]
    pub(crate) manifest: Location,
    /// The sources that it was made from, so that their names are the same.
    #[arg(required = true, value_name = "SOURCE")]
    pub(crate) sources: Vec<String>,
    /// The folder to make it in, or its URL: new, empty, or one that an interrupted command has begun.
    #[arg(long, value_name = "DIR", value_parser = Location::parse)]
    pub(crate) out: Location,
    /// The tokenizer that it was made with [default: at the path the run used].
    #[arg(long, value_name = "FILE|bytes")]
    pub(crate) tokenizer: Option<String>,
    /// Threads [default: one a core].
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<usize>,
    /// What a source may ask for.
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    /// Do not show progress.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// `ul2-prep stats`.
#[derive(Debug, Args)]
pub struct StatsArgs {
    /// The folder of the data set, or its URL.
    #[arg(value_name = "DIR", value_parser = Location::parse)]
    pub(crate) dir: Location,
    /// One JSON object with all counts.
    #[arg(long)]
    pub(crate) json: bool,
    /// Write a page with plots and rows to this file: HTML that needs nothing else.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// The tokenizer that the data set was made with, for the rows of the page [default: at the path the run used, else ids are shown].
    #[arg(long, value_name = "FILE|bytes", requires = "html")]
    pub(crate) tokenizer: Option<String>,
    /// Threads [default: one a core].
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<usize>,
}

/// `ul2-prep tokenizer`.
#[derive(Debug, Args)]
pub struct TokenizerArgs {
    /// The `tokenizer.json`, or the folder with it.
    pub file: PathBuf,
    /// A special token to add: its name, or names with a range, as `<extra_id_{0..127}>`. Repeatable.
    #[arg(long, value_name = "PATTERN", required = true)]
    pub add: Vec<String>,
    /// The folder to write `tokenizer.json` and `tokenizer_config.json` to. No file is replaced.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// `ul2-prep generate`.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// What to print.
    #[arg(value_enum)]
    pub(crate) what: Generated,
}

/// Files that can be generated from the command line's definition alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Generated {
    /// The man page, of all commands.
    Man,
    /// Completions for bash.
    Bash,
    /// Completions for zsh.
    Zsh,
    /// Completions for fish.
    Fish,
    /// Completions for `PowerShell`.
    Powershell,
    /// Completions for Elvish.
    Elvish,
}

#[cfg(test)]
mod tests {
    use super::masking::SpecArgs;
    use super::values::size;
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
    fn an_empty_argument_is_a_usage_error_whichever_it_is() {
        let mut command = Cli::command();
        command.build();
        let mut tried = 0;
        for name in ["run", "plan", "status", "finalize", "verify", "reproduce", "inspect", "stats", "recipes"] {
            let command = command.find_subcommand(name).unwrap();
            for arg in command.get_arguments().filter(|arg| arg.get_action().takes_values()) {
                let id = arg.get_id().as_str();
                if TEXTS.contains(&id) {
                    continue;
                }
                // The other arguments that the command requires, so that the empty one is the only fault.
                let mut others: Vec<(&str, &[&str])> = match name {
                    "run" if matches!(id, "plan" | "unit" | "index_offset") => vec![("plan", &["--plan", "p"])],
                    "run" | "reproduce" => {
                        vec![("manifest", &["m"][..]), ("sources", &["s"]), ("out", &["--out", "o"])]
                    }
                    "plan" => vec![("sources", &["s"])],
                    "verify" => vec![("dir", &["d"]), ("sources", &["--sources", "s"])],
                    "stats" => vec![("dir", &["d"]), ("html", &["--html", "h"])],
                    "status" => vec![("dir", &["d"]), ("missing", &["--missing"])],
                    "finalize" => vec![("dir", &["d"])],
                    "inspect" => vec![("target", &["t"])],
                    _ => vec![("name", &["ul2"]), ("example", &["--example", "x"])],
                };
                others.retain(|(other, _)| *other != id && (name == "reproduce" || *other != "manifest"));
                let mut line = vec!["ul2-prep".to_owned(), name.to_owned()];
                let empty = arg.get_long().map_or(String::new(), |long| format!("--{long}="));
                let (before, after): (Vec<_>, Vec<_>) =
                    others.into_iter().partition(|(other, _)| arg.is_positional() && *other == "manifest");
                line.extend(before.iter().flat_map(|(_, words)| words.iter().map(ToString::to_string)));
                line.push(empty);
                // Flags with several values would consume the positional ones.
                line.extend(after.iter().flat_map(|(_, words)| words.iter().map(ToString::to_string)));
                let read = Cli::command().try_get_matches_from(&line).and_then(|matches| refuse_empty(&matches));
                let error = read.expect_err(&line.join(" "));
                assert_eq!(error.exit_code(), 2, "{line:?}: {error}");
                let kinds = [ErrorKind::InvalidValue, ErrorKind::ValueValidation];
                assert!(kinds.contains(&error.kind()), "{line:?}: {:?}: {error}", error.kind());
                tried += 1;
            }
        }
        assert!(tried > 80, "{tried} arguments");
    }

    /// A value that the parser of an argument takes.
    fn some_value(arg: &Arg) -> String {
        let default = arg.get_default_values().first().map(|value| value.to_str().unwrap().to_owned());
        let possible = || arg.get_possible_values().first().map(|value| value.get_name().to_owned());
        default.or_else(possible).unwrap_or_else(|| match arg.get_id().as_str() {
            "columns" => "input_ids".to_owned(),
            "split" => "1MiB".to_owned(),
            "validation" => "1%".to_owned(),
            "language" => "en".to_owned(),
            "weight" => "a=2".to_owned(),
            _ => "64".to_owned(),
        })
    }

    #[test]
    fn each_flag_of_run_goes_with_a_plan_or_is_refused_beside_one() {
        let mut command = Cli::command();
        command.build();
        let (mut taken, mut refused) = (Vec::new(), Vec::new());
        for arg in command.find_subcommand("run").unwrap().get_arguments() {
            let id = arg.get_id().as_str();
            if matches!(id, "plan" | "help" | "version") {
                continue;
            }
            let mut line = vec!["ul2-prep".to_owned(), "run".to_owned(), "--plan".to_owned(), "p".to_owned()];
            match arg.get_long() {
                Some(long) if arg.get_action().takes_values() => line.push(format!("--{long}={}", some_value(arg))),
                Some(long) => line.push(format!("--{long}")),
                None => line.push("s".to_owned()),
            }
            match Cli::command().try_get_matches_from(&line) {
                Ok(_) => taken.push(id),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::ArgumentConflict, "{line:?}: {error}");
                    refused.push(id);
                }
            }
        }
        assert!(refused.len() > 20, "{refused:?}");
        // `out` is the other way to run.
        assert!(refused.iter().all(|id| !BESIDE_A_PLAN.contains(id)), "{refused:?}");
        taken.push("plan");
        taken.sort_unstable();
        let mut expected = BESIDE_A_PLAN;
        expected.sort_unstable();
        assert_eq!(taken, expected);
    }

    #[test]
    fn an_empty_text_is_a_text() {
        let line = ["ul2-prep", "recipes", "ul2", "--example", ""];
        let matches = Cli::command().try_get_matches_from(line).unwrap();
        assert!(refuse_empty(&matches).is_ok());
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
