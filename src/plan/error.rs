//! Why the plans of a data set cannot be used.

use crate::output::OutputError;

/// Why the plans of a data set do not go with what is asked for.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The data set in the folder is another one.
    #[error("the data set in `{dir}` was begun with other settings: {}", differences.join("; "))]
    OtherPlan {
        /// The folder.
        dir: String,
        /// What differs.
        differences: Vec<String>,
        /// Whether nothing differs but that sources are new.
        only_new_sources: bool,
    },
    /// A source that was not given has to be read.
    #[error("{source_name}: the source is not finished in this data set, and is not among the SOURCEs")]
    NotGiven {
        /// The source.
        source_name: String,
    },
    /// An extension of what is not there.
    #[error("`{dir}` holds no data set that could be extended")]
    NothingToExtend {
        /// The folder.
        dir: String,
    },
    /// A plan or a record cannot be read or written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Why the places of what a data set is made of cannot be read or noted.
#[derive(Debug, thiserror::Error)]
pub enum InputsError {
    /// They do not read as such.
    #[error("`{path}` cannot be read: {reason}")]
    Damaged {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// JSON holds text alone.
    #[error("the path `{0}` is not UTF-8")]
    NotUtf8(String),
    /// The system, or a place that is none.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
