//! Better error messages for a command line that cannot be parsed, where the parser's own would mislead.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, CommandFactory as _, FromArgMatches as _};

use crate::cli::{Cli, refuse_empty};

/// Flags that other tools have, and the flags that do the same here.
const ELSEWHERE: [(&[&str], &str); 6] = [
    (&["--resume", "--continue", "--restart"], "the same command again resumes where it stopped"),
    (
        &["--overwrite", "--force", "-f", "--clobber", "--replace"],
        "the tool never replaces a data set: name a new folder with `--out`",
    ),
    (
        &["--limit", "--max-documents", "--max-docs", "--max-rows", "--max-samples", "--head"],
        "sources are read whole: make one of the first lines, as with `zstdcat a.jsonl.zst | head -n 1000 > some.jsonl`",
    ),
    (&["--threads", "--jobs", "-j", "--num-workers", "--num-proc"], "`--workers N` gives the number of threads"),
    (&["--output", "--output-dir", "-o"], "`--out DIR` names the folder of the data set"),
    (&["--input", "--inputs", "--data", "-i"], "sources stand without a flag: `ul2-prep run SOURCE... --out DIR`"),
];

/// Reads the command line.
///
/// # Errors
///
/// Why it cannot be parsed; or the help or version text that was asked for.
pub fn parse() -> Result<Cli, clap::Error> {
    // A negative number is a bad value of the flag before it, not a flag.
    let below_zero = |arg: Arg| {
        let is_value = arg.get_long().is_some() && arg.get_action().takes_values();
        if is_value { arg.allow_negative_numbers(true) } else { arg }
    };
    let command = Cli::command().mut_subcommands(|command| command.mut_args(below_zero));
    let matches = command.try_get_matches().map_err(mended)?;
    refuse_empty(&matches)?;
    Cli::from_arg_matches(&matches)
}

/// The same error without a misleading tip, and with a helpful one if there is one.
fn mended(mut error: clap::Error) -> clap::Error {
    if error.kind() != ErrorKind::UnknownArgument {
        return error;
    }
    // "To pass it as a value, use `--`": no source is named like a flag.
    error.remove(ContextKind::Suggested);
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else { return error };
    let flag = flag.split('=').next().unwrap_or_default().to_owned();
    if let Some((_, tip)) = ELSEWHERE.iter().find(|(flags, _)| flags.contains(&flag.as_str())) {
        error.remove(ContextKind::SuggestedArg);
        // The usage line shows the suggested flag.
        error.remove(ContextKind::Usage);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![(*tip).into()]));
    }
    error
}
