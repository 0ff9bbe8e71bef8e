//! What to do about an error. All hints are here, so that messages elsewhere stay short.

use std::io::ErrorKind;
use std::path::Path;

use crate::cli::recipes::FlagOfNoUse;
use crate::denoise::SpecError;
use crate::input::reader::Limits;
use crate::input::source::Compression;
use crate::input::{DiscoverError, InputError};
use crate::output::OutputError;
use crate::output::data_set::NoNewNames;
use crate::output::schema::ColumnError;
use crate::pipeline::error::{RunError, UnitError};
use crate::pipeline::first_reject::Document;
use crate::plan::error::{InputsError, PlanError};
use crate::recipe::RecipeError;
use crate::reject::Reason;
use crate::settings::error::SettingsError;
use crate::store::{StoreError, is_transient};
use crate::tokenize::error::TokenizerFileError;

/// The next step for the first error of the chain that has one.
#[must_use]
pub fn hint(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|link| {
        let link = Link(link);
        link.as_type(settings)
            .or_else(|| link.as_type(recipe))
            .or_else(|| link.as_type(spec))
            .or_else(|| link.as_type(columns))
            .or_else(|| link.as_type(flag))
            .or_else(|| link.as_type(tokenizer))
            .or_else(|| link.as_type(discover))
            .or_else(|| link.as_type(run))
            .or_else(|| link.as_type(plan))
            .or_else(|| link.as_type(inputs))
            .or_else(|| link.as_type(unit))
            .or_else(|| link.as_type(input))
            .or_else(|| link.as_type(output))
            .or_else(|| link.as_type(system))
    })
}

struct Link<'a>(&'a (dyn std::error::Error + 'static));

impl<'a> Link<'a> {
    fn as_type<E: std::error::Error + 'static>(&self, hint: impl Fn(&'a E) -> Option<String>) -> Option<String> {
        self.0.downcast_ref::<E>().and_then(hint)
    }
}

fn settings(error: &SettingsError) -> Option<String> {
    match error {
        SettingsError::NoSuchToken { .. } | SettingsError::NoSuchSentinel { .. } => {
            Some("tokens are looked up by their exact name in the tokenizer file".into())
        }
        SettingsError::NoConfiguredToken { flag, .. } => {
            Some(format!("name a token that it has with `{flag}`, or put the files of one tokenizer together"))
        }
        SettingsError::NoSuchSentinels { .. } => {
            Some("`sentinels = [\"<extra_id_{n}>\"]` in a recipe names `<extra_id_0>`, `<extra_id_1>`, …".into())
        }
        SettingsError::TooFewSentinels { .. } => Some(
            "leave `--strict-sentinels` out to shorten the segments, or use a tokenizer with more sentinels".into(),
        ),
        SettingsError::OnlyCausal { .. } => Some("`--layout causal` makes rows for decoder-only models".into()),
        SettingsError::TakenSeparator { .. } => Some("a separator is a token that nothing else uses, or EOS".into()),
        SettingsError::ForeignFolder(_) | SettingsError::SameFolder(_) => {
            Some("name a new or an empty folder with `--out`".into())
        }
        SettingsError::NoDataSet(_) => Some("DIR is what `--out` of `ul2-prep run` was".into()),
        SettingsError::Unfinished(_) => Some("the same `ul2-prep run` goes on where it was interrupted".into()),
        SettingsError::NoTarget(_) => Some("a line is named as `books.jsonl.zst:17`, counted from 1".into()),
        SettingsError::OtherTokenizer { .. } | SettingsError::NoTokenizer(_) | SettingsError::TokenizerGone { .. } => {
            Some("name the file with `--tokenizer`".into())
        }
        SettingsError::InDataSet(_) => Some("name a file outside its folder".into()),
        SettingsError::ForeignFile(_) => Some("name another file with `--html`, or move this one elsewhere".into()),
        SettingsError::NoSource { near: Some(near), .. } => Some(format!("there is a source `{near}`")),
        SettingsError::NoSource { near: None, .. } => Some("`manifest.json` lists the sources by their names".into()),
        SettingsError::NoPlan(_) => Some("`ul2-prep plan … --out DIR --write` writes one".into()),
        SettingsError::OtherVersion(_) | SettingsError::OtherLibrary { .. } => {
            Some("use the version of the tool that the plan was written by on all machines".into())
        }
        SettingsError::NotGiven { .. } => {
            Some("name the sources after the flags, as they were when the plan was written".into())
        }
        SettingsError::NoDenoiser { .. }
        | SettingsError::NoWorkers
        | SettingsError::NoUnit { .. }
        | SettingsError::NoIndex
        | SettingsError::NoNumber { .. } => None,
        SettingsError::NoOracle => Some("leave `--tokenizer-path` out, or name a `tokenizer.json`".into()),
    }
}

fn recipe(error: &RecipeError) -> Option<String> {
    match error {
        RecipeError::Unknown { nearest: Some(nearest), .. } => Some(format!("there is a recipe `{nearest}`")),
        RecipeError::Unknown { nearest: None, .. } => {
            Some("`ul2-prep recipes` lists the built-in ones; a file's name ends in `.toml`".into())
        }
        RecipeError::NoLabelField { .. } => {
            Some("name the label's field with `--label-field`, or `label_field` in the recipe".into())
        }
        RecipeError::At { .. } => Some("`ul2-prep recipes ul2r` prints a recipe with every key explained".into()),
        RecipeError::Read(_) => None,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "as its siblings")]
fn flag(_: &FlagOfNoUse) -> Option<String> {
    Some("`--example` shows a recipe with a tokenizer, `ul2-prep recipes` without a name the lengths of all".into())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as its siblings")]
fn columns(error: &ColumnError) -> Option<String> {
    match error {
        ColumnError::NotPacked(_) => Some("`--pack` puts several examples into a row".into()),
        ColumnError::NotCausal(_) => Some("`--layout causal` makes rows for decoder-only models".into()),
        ColumnError::Causal(_) => Some("use `input_segment_ids` and `input_positions` for the labels as well".into()),
        ColumnError::Twice(_) => None,
    }
}

fn spec(error: &SpecError) -> Option<String> {
    match error {
        SpecError::SequenceLength { .. } => {
            Some("`--sequence-length` alone lets inputs and labels be as long as the row".into())
        }
        SpecError::EmptyInputs { .. } => {
            Some("`--layout causal` makes rows for decoder-only models; a mode token or `eos = \"both\"` fills the inputs".into())
        }
        SpecError::NoPad => Some("name it with `--pad-token`".into()),
        SpecError::NoEosBetween => Some("name it with `--eos-token`, or set `eos_between = false`".into()),

        SpecError::NoEos { .. } => Some("name it with `--eos-token`, or set `eos = \"none\"` in the recipe".into()),
        SpecError::NoSentinels { .. } => Some(
            "name the sentinels with `sentinels = [\"…{n}…\"]` in the recipe, or use a tokenizer that has `<extra_id_0>`, …"
                .into(),
        ),
        SpecError::TooShort { .. } => {
            Some("raise `--inputs-length` and `--labels-length`, or use a tokenizer with more sentinels".into())
        }
        _ => None,
    }
}

fn tokenizer(error: &TokenizerFileError) -> Option<String> {
    match error {
        TokenizerFileError::NoFile(_) | TokenizerFileError::Invalid { .. } => Some(
            "`--tokenizer` takes a Hugging Face `tokenizer.json` or a SentencePiece model, whose name ends in `.model`"
                .into(),
        ),
        TokenizerFileError::Mistaken { kind, .. } => Some(kind.hint().into()),
        TokenizerFileError::NoSuchFile(path) => Some(format!(
            "`--tokenizer` takes a file, a folder, or `bytes`; if `{0}` is a name of the Hugging Face Hub, \
             `hf download {0} --include \"tokenizer*\" \"*.model\" --local-dir FOLDER` fetches its files",
            path.display()
        ))
        .filter(|_| is_hub_name(path))
        .or_else(|| Some("`--tokenizer` takes a file, a folder, or `bytes`".into())),
        TokenizerFileError::Read(_) => Some("`--tokenizer` takes a file, a folder, or `bytes`".into()),
        TokenizerFileError::Config { .. } => None,
    }
}

/// Whether a path could be a name on the Hub: `OWNER/MODEL`, or `MODEL`, without an ending.
fn is_hub_name(path: &Path) -> bool {
    let of_name = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let is_part =
        |part: &str| part.starts_with(|letter: char| letter.is_ascii_alphanumeric()) && part.chars().all(of_name);
    let is_file = path.extension().is_some_and(|ending| ["json", "model", "txt"].iter().any(|file| ending == *file));
    path.to_str().is_some_and(|name| !is_file && name.split('/').count() <= 2 && name.split('/').all(is_part))
}

fn discover(error: &DiscoverError) -> Option<String> {
    match error {
        DiscoverError::Nothing(_) | DiscoverError::PassedOver { .. } => {
            Some(format!("sources end in {}", crate::input::source::ENDINGS))
        }
        DiscoverError::SameName { .. } => {
            Some("a source's name is its path below the SOURCE that found it: name a folder above both".into())
        }
        DiscoverError::ControlCharacter(_) => {
            Some("rename the file: its name stands in lists that have a name on each line".into())
        }
        DiscoverError::NotUtf8(_) => Some("rename the file: a source's name is UTF-8".into()),
        _ => None,
    }
}

fn run(error: &RunError) -> Option<String> {
    match error {
        // Transparent errors do not appear in the chain themselves.
        RunError::Output(error) => output(error),
        RunError::OnlyUnit(error) => unit(error),
        RunError::Plan(error) => plan(error),
        RunError::Missing { .. } => {
            Some("make them with `ul2-prep run --plan DIR --unit K`, then finalize again".into())
        }
        RunError::Interrupted { shards: Some(0), .. } => Some("a smaller `--shard-size` commits more often".into()),
        _ => None,
    }
}

fn plan(error: &PlanError) -> Option<String> {
    Some(match error {
        PlanError::OtherPlan { only_new_sources: true, .. } => "`--extend` adds the new sources to the data set".into(),
        PlanError::OtherPlan { .. } => "use the same settings, or name another folder with `--out`".into(),
        PlanError::NothingToExtend { .. } => "without `--extend` the run begins one".into(),
        PlanError::NotGiven { .. } => "finish the data set first, or give all its sources".into(),
        PlanError::Output(error) => return output(error),
    })
}

fn inputs(error: &InputsError) -> Option<String> {
    match error {
        InputsError::Damaged { .. } => {
            Some("name the sources and `--tokenizer`, or write it again with the same `ul2-prep plan … --write`".into())
        }
        InputsError::NotUtf8(_) => Some("rename the file or its folder".into()),
        InputsError::Io(error) => system(error),
    }
}

fn unit(error: &UnitError) -> Option<String> {
    match error {
        UnitError::Input(error) => input(error),
        UnitError::Output(error) => output(error),
        UnitError::OneDocument { place, document, .. } => Some(as_lines(place, *document)),
        UnitError::TooManyRejects { first, .. } | UnitError::NoDocument { first, .. } => {
            let of_reason = match first.reason() {
                Some(Reason::MissingText) => "name the field that holds the text with `--text-field`",
                Some(Reason::MissingLabel) => "name the field that holds the label with `--label-field`",
                Some(Reason::NotAnObject) => "a source holds one JSON object a line",
                _ if matches!(error, UnitError::NoDocument { .. }) => "mend the source, or leave it out",
                _ => "mend the source, or allow more with `--max-rejects`",
            };
            Some(of_reason.into())
        }
        UnitError::SourceChanged { .. } => {
            Some("put the old source back, or make the data set anew in another folder".into())
        }
        _ => None,
    }
}

/// A command that turns a file with one JSON document into JSON lines.
fn as_lines(place: &str, document: Document) -> String {
    let filter = match document {
        Document::Array => "'.[]'",
        Document::Object => ".",
    };
    let file_name = place.rsplit('/').next().unwrap_or(place);
    let stem = file_name.split('.').next().unwrap_or(file_name);
    let (file, lines) = (quoted(place), quoted(&format!("{stem}.lines.jsonl")));
    let command = match Compression::of(place) {
        _ if place.contains("://") => format!("jq -c {filter} FILE > {lines}"),
        Some(Compression::Zstd) => format!("zstd -dc {file} | jq -c {filter} > {lines}"),
        Some(Compression::Gzip) => format!("gzip -dc {file} | jq -c {filter} > {lines}"),
        _ => format!("jq -c {filter} {file} > {lines}"),
    };
    format!("`{command}` writes one record a line: give that file instead")
}

/// A word quoted for a shell.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+,:@%".contains(letter);
    if word.chars().all(is_plain) && !word.starts_with('-') {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

fn input(error: &InputError) -> Option<String> {
    match error {
        InputError::Read { cause, .. } => match cause.kind() {
            _ if is_of_a_store(cause) => None,
            ErrorKind::PermissionDenied => Some("let this user read the file, then run the same command again".into()),
            ErrorKind::NotFound => Some("put the file back, then run the same command again".into()),
            _ if is_of_the_system(cause) => None,
            _ => Some(
                "the file is truncated or damaged: fetch it again, or leave it out; finished shards are kept".into(),
            ),
        },
        InputError::Dictionary { .. } => Some(
            "decompress the file with its dictionary (`zstd -d -D DICTIONARY FILE`) and give what that writes".into(),
        ),
        InputError::Window { asked, .. } if *asked > Limits::MOST_WINDOW => {
            Some("no decompressor takes such a window: compress the file again".into())
        }
        InputError::Window { asked, .. } => {
            Some(format!("`--max-window {asked}` allows it, and takes as much memory for each reading thread"))
        }
        InputError::Expansion { .. } => {
            Some("if the source is not a decompression bomb, allow more with `--max-expansion`".into())
        }
        InputError::Format { .. } => Some("rename the file, or compress it as its name says".into()),
        InputError::OtherTag { .. } => {
            Some("put the old object back, or make the data set anew in another folder".into())
        }
        InputError::Changed { .. } => Some("do not write to sources while they are read".into()),
        InputError::Spool { .. } => None,
    }
}

fn output(error: &OutputError) -> Option<String> {
    match error {
        OutputError::SourceChanged(_) => {
            Some("put the old source back, or make the data set anew in another folder".into())
        }
        OutputError::Gone { record, found, .. } => {
            let record = record.display();
            let removed = if found.is_some() { format!("it and `{record}`") } else { format!("`{record}`") };
            Some(format!("put the file back; or remove {removed}, and the same `ul2-prep run` makes both again"))
        }
        OutputError::InTheWay(_) => Some("move the file elsewhere and run the same command again".into()),
        OutputError::PlanReplaced(_) => Some("name another folder with `--out`, or end the other run first".into()),
        OutputError::Damaged { .. } | OutputError::ForeignRecord { .. } => {
            Some("make the data set anew in another folder".into())
        }
        _ => None,
    }
}

/// Whether the operating system reported the error: a decompressor's errors have no number, and only a few kinds.
fn is_of_the_system(error: &std::io::Error) -> bool {
    let of_a_decompressor =
        [ErrorKind::InvalidData, ErrorKind::InvalidInput, ErrorKind::UnexpectedEof, ErrorKind::Other];
    if !of_a_decompressor.contains(&error.kind()) {
        return true;
    }
    let mut link: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = link {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            // An error that wraps another reports only the inner one's cause as its source.
            let inside = error.get_ref().and_then(|inside| inside.downcast_ref::<std::io::Error>());
            if error.raw_os_error().or_else(|| inside?.raw_os_error()).is_some() {
                return true;
            }
        }
        link = error.source();
    }
    false
}

fn is_of_a_store(error: &std::io::Error) -> bool {
    error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<StoreError>)
}

fn system(error: &std::io::Error) -> Option<String> {
    let of_store = error.get_ref().and_then(|error| error.downcast_ref::<StoreError>());
    if let Some(hint) = of_store.and_then(StoreError::hint) {
        return Some(hint.into());
    }
    match error.kind() {
        _ if error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<NoNewNames>) => {
            Some("make the data set on another file system, and copy it there when it is finished".into())
        }
        ErrorKind::PermissionDenied | ErrorKind::NotFound if is_of_a_store(error) => {
            Some("credentials and end points come from the environment (`AWS_…`, `GOOGLE_…`, `AZURE_…`)".into())
        }
        _ if is_of_a_store(error) && is_transient(error) => {
            Some("run the same command again when the store is back: it goes on after the last finished shard".into())
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Some("make room and run the same command again: it goes on after the last finished shard".into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_file_that_may_not_be_read_is_not_damaged() {
        let said = |cause| hint(&anyhow::Error::new(InputError::Read { source_name: "a".to_owned(), line: 0, cause }));
        let of_system = |number| {
            let inner = io::Error::from_raw_os_error(number);
            io::Error::new(inner.kind(), inner)
        };
        assert_eq!(said(fs_err::read_dir("/proc/self/cmdline").unwrap_err()), None, "not a folder");
        assert_eq!(
            said(of_system(13)).as_deref(),
            Some("let this user read the file, then run the same command again")
        );
        assert_eq!(said(of_system(2)).as_deref(), Some("put the file back, then run the same command again"));
        assert_eq!(said(of_system(5)), None);
        assert!(said(io::Error::other("corrupt")).unwrap().starts_with("the file is truncated or damaged"));
    }
}
