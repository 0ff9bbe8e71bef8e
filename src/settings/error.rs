//! Why settings do not go together.

use crate::tokenize::config::CONFIG_NAME;

/// Why settings do not go together.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A token given by name that the tokenizer does not have.
    #[error("the tokenizer has no token `{token}` (`{flag}`)")]
    NoSuchToken {
        /// The name.
        token: String,
        /// The flag.
        flag: &'static str,
    },
    /// A token that the configuration beside the tokenizer names, and the tokenizer does not have.
    #[error("the tokenizer has no token `{token}`, which `{key}` of its `{CONFIG_NAME}` names")]
    NoConfiguredToken {
        /// The name.
        token: String,
        /// The key of the configuration.
        key: &'static str,
        /// The flag that names another one.
        flag: &'static str,
    },
    /// Sentinels by a pattern of the recipe that finds none.
    #[error("the tokenizer has no token that the recipe's `sentinels` name: `{}`", patterns.join("`, `"))]
    NoSuchSentinels {
        /// The patterns.
        patterns: Vec<String>,
    },
    /// A sentinel given by its whole name that the tokenizer does not have.
    #[error("{file}:{line}: the tokenizer has no token `{token}` (`sentinels`)")]
    NoSuchSentinel {
        /// The recipe's name or path.
        file: String,
        /// 1-based line.
        line: usize,
        /// The name.
        token: String,
    },
    /// Something that only the causal layout has.
    #[error("`{option}` belongs to the causal layout")]
    OnlyCausal {
        /// The option.
        option: String,
    },
    /// A separator that marks a span.
    #[error("the separator `{token}` is {meaning} already")]
    TakenSeparator {
        /// The name.
        token: String,
        /// What it is.
        meaning: String,
    },
    /// `--strict-sentinels`, and too few.
    #[error(
        "denoiser `{denoiser}` needs {needed} sentinels for segments of {length} tokens, but the vocabulary has {sentinels}"
    )]
    TooFewSentinels {
        /// The denoiser.
        denoiser: String,
        /// Sentinels needed.
        needed: u32,
        /// Its segment length.
        length: u32,
        /// Sentinels there are.
        sentinels: u32,
    },
    /// `--tokenizer-path oracle` for a file that no library reads.
    #[error("`--tokenizer-path oracle` is for a `tokenizer.json`: only the tool itself reads a SentencePiece model")]
    NoOracle,
    /// No worker.
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
    /// A page that would be a file of the data set.
    #[error("`{0}` would be a file of the data set")]
    InDataSet(String),
    /// A page in the place of a file of someone else.
    #[error("`{0}` is in the way: the tool did not write it")]
    ForeignFile(String),
    /// A source that a data set was not made from.
    #[error("the data set has no source `{name}`")]
    NoSource {
        /// The name.
        name: String,
        /// The nearest one, if it is near enough to be meant.
        near: Option<String>,
    },
    /// A denoiser that the spec does not have.
    #[error("there is no denoiser `{name}`; there is `{known}`")]
    NoDenoiser {
        /// The name.
        name: String,
        /// The nearest one, or all.
        known: String,
    },
    /// A data set that cannot be made where its manifest is.
    #[error("`{0}` is the data set to be made again")]
    SameFolder(String),
    /// Another tokenizer than the data set was made with.
    #[error("the data set was made with the tokenizer {recorded}, not with {given}")]
    OtherTokenizer {
        /// Of the data set.
        recorded: String,
        /// The one given.
        given: String,
    },
    /// A data set without a plan.
    #[error("no plan is written in `{0}`")]
    NoPlan(String),
    /// A plan of another version.
    #[error("the plan was written by version {0} of the tool, this is {VERSION}", VERSION = env!("CARGO_PKG_VERSION"))]
    OtherVersion(String),
    /// Another library than the plan was written with.
    #[error("it is not certain {0}")]
    OtherLibrary(String),
    /// A unit that the plan does not have.
    #[error("there is no unit {unit}: the plan has {units}, counted from 0")]
    NoUnit {
        /// The number.
        unit: usize,
        /// How many there are.
        units: usize,
    },
    /// A number of a unit that is none.
    #[error("`{variable}` is `{value}`, which is no number of a unit")]
    NoNumber {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
    },
    /// An offset of nothing.
    #[error("`--index-offset` is added to `SLURM_ARRAY_TASK_ID` or `JOB_COMPLETION_INDEX`, and neither is set")]
    NoIndex,
    /// A tokenizer whose place is not known.
    #[error("the data set needs the tokenizer {0}, whose location is not recorded")]
    NoTokenizer(String),
    /// A tokenizer that is not where the run had it.
    #[error("the data set needs the tokenizer {recorded}, which the run had at `{place}`")]
    TokenizerGone {
        /// Of the data set.
        recorded: String,
        /// Where it was.
        place: String,
        /// Why it cannot be read there.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A source whose place is not known.
    #[error("{source_name}: the source is not among the SOURCEs, and where it was is not written beside the plan")]
    NotGiven {
        /// The source.
        source_name: String,
    },
    /// A folder with something else in it.
    #[error("`{0}` is not empty and holds no data set of `ul2-prep`")]
    ForeignFolder(String),
}
