//! Why settings do not go together.

use crate::guidance::Guidance;
use crate::tokenize::config::CONFIG_NAME;
use crate::tokenize::names::Family;

/// Why settings do not go together.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message says it")]
pub(crate) enum SettingsError {
    /// A token that the tokenizer does not have.
    #[error("the tokenizer has no token `{token}` ({option})")]
    NoSuchToken {
        token: String,
        /// The flag, or the key of the recipe and its place.
        option: String,
    },
    /// A token from the configuration next to the tokenizer, which the tokenizer does not have.
    #[error("the tokenizer has no token `{token}`, which `{key}` of its `{CONFIG_NAME}` names")]
    NoConfiguredToken { token: String, key: &'static str, flag: &'static str },
    /// Patterns for sentinels that match nothing.
    #[error("{}", no_sentinels(patterns, option))]
    NoSuchSentinels {
        patterns: Vec<String>,
        /// The flag, or the key of the recipe and its place.
        option: String,
        /// The numbered tokens that the tokenizer has.
        families: Vec<Family>,
        /// The number of ids of a SentencePiece model, to which no tokens can be added.
        model_size: Option<u32>,
    },
    /// A mode token in brackets that the tokenizer does not have.
    #[error("the tokenizer has no token `{0}` (`mode_token`)")]
    NoModeToken(String),
    /// `tokenizer --add` with a pattern that does not name tokens.
    #[error("{0}")]
    NoNames(String),
    /// A file where one is to be written.
    #[error("`{0}` is there already, and is not replaced")]
    FileInTheWay(String),
    /// `--bos-token auto` for a tokenizer that names none.
    #[error("the tokenizer's files name no BOS token")]
    NoBos,
    /// An option of the causal layout in another layout.
    #[error("`{option}` belongs to the causal layout")]
    OnlyCausal { option: String },
    /// A separator that already marks a span.
    #[error("the separator `{token}` is {meaning} already")]
    TakenSeparator { token: String, meaning: String },
    /// Too few sentinels under `--strict-sentinels`.
    #[error(
        "denoiser `{denoiser}` needs {needed} sentinels for segments of {length} tokens, but the vocabulary has {sentinels}"
    )]
    TooFewSentinels { denoiser: String, needed: u32, length: u32, sentinels: u32 },
    /// `--tokenizer-path oracle` for a file that no library reads.
    #[error("`--tokenizer-path oracle` is for a `tokenizer.json`: only the tool itself reads a SentencePiece model")]
    NoOracle,
    /// No worker threads.
    #[error("`--workers` must be at least 1")]
    NoWorkers,
    /// A folder without a data set.
    #[error("`{0}` holds no data set of `ul2-prep`")]
    NoDataSet(String),
    /// A data set that is not finished.
    #[error("the data set in `{0}` is not finished")]
    Unfinished(String),
    /// Neither a data set nor a line of a source.
    #[error("`{0}` is neither the folder of a data set nor a line of a source")]
    NoTarget(String),
    /// A page that would replace a file of the data set.
    #[error("`{0}` would be a file of the data set")]
    InDataSet(String),
    /// A page that would replace a foreign file.
    #[error("`{0}` is in the way: the tool did not write it")]
    ForeignFile(String),
    /// A source that the data set was not made from.
    #[error("the data set has no source `{name}`")]
    NoSource {
        name: String,
        /// The nearest name, if it is near enough to be meant.
        near: Option<String>,
    },
    /// A denoiser that the spec does not have.
    #[error("there is no denoiser `{name}`; there is `{known}`")]
    NoDenoiser {
        name: String,
        /// The nearest name, or all names.
        known: String,
    },
    /// A data set that cannot be made again in its own folder.
    #[error("`{0}` is the data set to be made again")]
    SameFolder(String),
    /// A tokenizer that is not the data set's.
    #[error("the data set was made with the tokenizer {recorded}, not with {given}")]
    OtherTokenizer { recorded: String, given: String },
    /// A data set without a plan.
    #[error("no plan is written in `{0}`")]
    NoPlan(String),
    /// A plan of another version.
    #[error("the plan was written by version {0} of the tool, this is {VERSION}", VERSION = env!("CARGO_PKG_VERSION"))]
    OtherVersion(String),
    /// A plan written with another version of the library.
    #[error("ids may differ: the plan was written with {recorded}, this tool has {given}")]
    OtherLibrary { recorded: String, given: String },
    /// A unit that the plan does not have.
    #[error("there is no unit {unit}: the plan has {units}, counted from 0")]
    NoUnit { unit: usize, units: usize },
    /// A unit number that is not a number.
    #[error("`{variable}` is `{value}`, expected a unit number")]
    NoNumber { variable: &'static str, value: String },
    /// An offset without a task number from an engine.
    #[error("`--index-offset` is added to `SLURM_ARRAY_TASK_ID` or `JOB_COMPLETION_INDEX`, and neither is set")]
    NoIndex,
    /// A tokenizer whose location is not recorded.
    #[error("the data set needs the tokenizer {0}, whose location is not recorded")]
    NoTokenizer(String),
    /// A tokenizer that is no longer where the run found it.
    #[error("the data set needs the tokenizer {recorded}, which the run had at `{place}`")]
    TokenizerGone { recorded: String, place: String, source: Box<dyn std::error::Error + Send + Sync> },
    /// A source whose location is not recorded.
    #[error("{source_name}: the source is not among the SOURCEs, and the plan does not record its location")]
    NotGiven { source_name: String },
    /// A pattern of sources that matches none.
    #[error("no source matches `{pattern}` (`{flag}`)")]
    NoSuchSources {
        pattern: String,
        flag: &'static str,
        /// The name of a source.
        example: String,
    },
    /// Weights that leave out all sources.
    #[error("all sources have weight 0 (`--weight`)")]
    NoWeight,
    /// Patterns of sources for validation that match all sources.
    #[error("all sources are for validation (`--validation-source`), and none is left to train on")]
    OnlyValidation,
    /// A folder with something else in it.
    #[error("`{0}` is not empty and holds no data set of `ul2-prep`")]
    ForeignFolder(String),
}

fn no_sentinels(patterns: &[String], option: &str) -> String {
    match patterns {
        [] => format!("the recipe needs sentinels, but {option} names none"),
        patterns => {
            let names = patterns.join("`, `");
            format!("the tokenizer has no sentinels: none of its tokens is named `{names}` ({option})")
        }
    }
}

impl Guidance for SettingsError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoSuchToken { .. } => Some("tokens are looked up by their exact name in the tokenizer file".into()),
            Self::NoConfiguredToken { flag, .. } => {
                Some(format!("name a token that it has with `{flag}`, or put the files of one tokenizer together"))
            }
            Self::NoSuchSentinels { families, model_size, .. } => Some(match (families.as_slice(), model_size) {
                ([], Some(size)) => format!(
                    "`--sentinels 'ids {size}..{}'` takes ids after the vocabulary, for a model with a larger embedding",
                    size.saturating_add(127)
                ),
                ([], None) => {
                    "`ul2-prep tokenizer FILE --add '<extra_id_{0..127}>' --out DIR` writes the tokenizer with sentinels"
                        .to_owned()
                }
                ([first, ..], _) => format!(
                    "`--sentinels '{}'` takes as many as the recipe needs of tokens that the file has: {}",
                    first.pattern(),
                    families.iter().map(Family::to_string).collect::<Vec<_>>().join(", ")
                ),
            }),
            Self::NoModeToken(text) => Some(format!(
                "`mode_token = {{ text = \"{text}\" }}` in the recipe spells it with pieces of text; \
                 `ul2-prep tokenizer FILE --add '{text}' --out DIR` writes the tokenizer with it"
            )),
            Self::FileInTheWay(_) => Some("name another folder with `--out`".into()),
            Self::NoNames(_) => None,
            Self::NoBos => Some("leave `--bos-token` out, or give the name of a token".into()),
            Self::TooFewSentinels { .. } => Some(
                "leave `--strict-sentinels` out to shorten the segments, or use a tokenizer with more sentinels".into(),
            ),
            Self::OnlyCausal { .. } => Some("`--layout causal` makes rows for decoder-only models".into()),
            Self::TakenSeparator { .. } => Some("a separator is a token that nothing else uses, or EOS".into()),
            Self::ForeignFolder(_) | Self::SameFolder(_) => Some("name a new or an empty folder with `--out`".into()),
            Self::NoDataSet(_) => Some("DIR is what `--out` of `ul2-prep run` was".into()),
            Self::Unfinished(_) => Some("the same `ul2-prep run` resumes it".into()),
            Self::NoTarget(_) => Some("a line is named as `books.jsonl.zst:17`, counted from 1".into()),
            Self::OtherTokenizer { .. } | Self::NoTokenizer(_) | Self::TokenizerGone { .. } => {
                Some("name the file with `--tokenizer`".into())
            }
            Self::InDataSet(_) => Some("name a file outside its folder".into()),
            Self::ForeignFile(_) => Some("name another file with `--html`, or move this one elsewhere".into()),
            Self::NoSource { near: Some(near), .. } => Some(format!("there is a source `{near}`")),
            Self::NoSource { near: None, .. } => Some("`manifest.json` lists the sources by their names".into()),
            Self::NoPlan(_) => Some("`ul2-prep plan … --out DIR --write` writes one".into()),
            Self::OtherVersion(_) | Self::OtherLibrary { .. } => {
                Some("use the version of the tool that the plan was written by on all machines".into())
            }
            Self::NotGiven { .. } => {
                Some("name the sources after the flags, as they were when the plan was written".into())
            }
            Self::NoDenoiser { .. } | Self::NoWorkers | Self::NoUnit { .. } | Self::NoIndex | Self::NoNumber { .. } => {
                None
            }
            Self::NoSuchSources { example, .. } => Some(format!(
                "a pattern is compared with the whole name of a source, such as `{example}`; `**/` stands for any folders"
            )),
            Self::NoWeight => Some("give a source that is to be masked a weight above 0".into()),
            Self::OnlyValidation => Some("name fewer sources, or take a share of the documents with `--validation`".into()),
            Self::NoOracle => Some("leave `--tokenizer-path` out, or name a `tokenizer.json`".into()),
        }
    }
}
