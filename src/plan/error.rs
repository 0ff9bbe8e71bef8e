//! Why the plans of a data set cannot be used.

use crate::guidance::{Class, Guidance};
use crate::output::error::{OutputError, of_system};

/// Why a data set's plans conflict with the plan asked for.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message says it")]
pub(crate) enum PlanError {
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
pub(crate) enum InputsError {
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

impl Guidance for PlanError {
    fn class(&self) -> Option<Class> {
        Some(match self {
            Self::OtherPlan { .. } | Self::NotGiven { .. } | Self::NothingToExtend { .. } => Class::Usage,
            Self::Output(_) => Class::Data,
        })
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::OtherPlan { only_new_sources: true, .. } => "`--extend` adds the new sources to the data set".into(),
            Self::OtherPlan { .. } => "use the same settings, or name another folder with `--out`".into(),
            Self::NothingToExtend { .. } => "without `--extend` the run begins one".into(),
            Self::NotGiven { .. } => "finish the data set first, or give all its sources".into(),
            Self::Output(error) => return error.hint(),
        })
    }
}

impl Guidance for InputsError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Damaged { .. } => Some(
                "name the sources and `--tokenizer`, or write it again with the same `ul2-prep plan … --write`".into(),
            ),
            Self::NotUtf8(_) => Some("rename the file or its folder".into()),
            Self::Io(error) => of_system(error),
        }
    }
}
