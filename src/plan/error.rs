//! Why the plans of a data set cannot be used.

use crate::output::OutputError;

/// Why a data set's plans conflict with the plan asked for.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message says it")]
pub enum PlanError {
    /// The data set in the folder has other settings.
    #[error("the data set in `{dir}` was begun with other settings: {}", differences.join("; "))]
    OtherPlan {
        dir: String,
        differences: Vec<String>,
        /// Whether new sources are the only difference.
        only_new_sources: bool,
    },
    /// A source that was not given, but has to be read.
    #[error("{source_name}: the source is not finished in this data set, and is not among the SOURCEs")]
    NotGiven { source_name: String },
    /// `--extend` without a data set.
    #[error("`{dir}` holds no data set that could be extended")]
    NothingToExtend { dir: String },
    /// A plan or a record cannot be read or written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Why the recorded inputs of a data set cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message says it")]
pub enum InputsError {
    /// The file is not valid.
    #[error("`{path}` cannot be read: {reason}")]
    Damaged { path: String, reason: String },
    /// JSON can only hold text.
    #[error("the path `{0}` is not UTF-8")]
    NotUtf8(String),
    /// An error of the system, or an invalid location.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
