//! The rows of one line of a source, made as a run makes them.

use std::path::Path;
use std::sync::Arc;

use crate::guidance::{Class, Guidance};
use crate::input::InputError;
use crate::input::batch::Batch;
use crate::input::batch_reader::BatchReader;
use crate::input::limits::Limits;
use crate::input::source::Source;
use crate::output::OutputError;
use crate::output::encode::RowGroup;
use crate::output::rebuild::write_aside;
use crate::output::unit_writer::ShardOptions;
use crate::pipeline::documents::Shared;
use crate::pipeline::error::UnitError;
use crate::pipeline::masker::{BatchMasker, Masked};

/// Why a line has no rows to be shown.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message says it")]
pub(crate) enum LineError {
    /// The source cannot be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// Rows cannot be made.
    #[error(transparent)]
    Unit(#[from] UnitError),
    /// The temporary shard cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A source with fewer lines.
    #[error("{source_name}:{line}: the source has {lines} lines")]
    NoLine { source_name: String, line: u64, lines: u64 },
    /// A line that a run rejects.
    #[error("{source_name}:{line}: rejected as {reason}: {detail}")]
    Rejected { source_name: String, line: u64, reason: String, detail: String },
    /// A line without rows of its own.
    #[error(
        "{source_name}:{line}: no row begins with this line: it is blank, too short, or joined with the lines before it"
    )]
    NoRow { source_name: String, line: u64 },
}

impl Guidance for LineError {
    fn class(&self) -> Option<Class> {
        Some(Class::Data)
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Input(error) => error.hint(),
            Self::Unit(error) => error.hint(),
            Self::Output(error) => error.hint(),
            Self::NoLine { .. } | Self::Rejected { .. } | Self::NoRow { .. } => None,
        }
    }
}

impl LineError {
    /// The line has no row.
    #[must_use]
    pub(crate) fn no_row(source_name: &str, line: u64) -> Self {
        Self::NoRow { source_name: source_name.to_owned(), line }
    }
}

/// Masks a line.
pub(crate) struct LineMasker<'a> {
    /// The state that workers share.
    pub(crate) shared: &'a Shared,
    /// How rows are encoded.
    pub(crate) options: &'a ShardOptions,
    /// The source, with the name that decides its masks.
    pub(crate) source: &'a Source,
    /// Limits on what it may ask for.
    pub(crate) limits: Limits,
    /// The 0-based epoch.
    pub(crate) epoch: u16,
    /// A folder for temporary files.
    pub(crate) spool: &'a Path,
}

impl LineMasker<'_> {
    /// Masks the batch of a line and writes its rows to `shard`, a temporary file.
    ///
    /// # Errors
    ///
    /// [`LineError`] if there is no such line, or a run rejects it.
    pub(crate) fn mask(&self, line: u64, shard: &Path) -> Result<(), LineError> {
        let batch = self.batch(line)?;
        let Masked { row_groups, rejects, counts: _ } =
            BatchMasker::new(self.shared, self.epoch)?.mask(&batch, &[&self.source.name], |_| u64::MAX)?;
        if let Some(reject) = rejects.iter().find(|reject| reject.line == line) {
            return Err(LineError::Rejected {
                source_name: self.source.name.clone(),
                line,
                reason: reject.rejected.reason.to_string(),
                detail: reject.rejected.detail.clone(),
            });
        }
        let row_groups: Vec<RowGroup> = row_groups.into_iter().flatten().collect();
        if row_groups.is_empty() {
            return Err(LineError::no_row(&self.source.name, line));
        }
        Ok(write_aside(shard, self.options, row_groups)?)
    }

    fn batch(&self, line: u64) -> Result<Batch, LineError> {
        let buffers = Arc::default();
        let max_line = self.shared.spec.fields().max_line;
        let sources = std::slice::from_ref(self.source);
        let mut reader = BatchReader::new(sources, max_line, self.spool, &buffers).with_limits(self.limits);
        let mut lines = 0;
        while let Some(batch) = reader.next_batch()? {
            let in_piece =
                batch.pieces.iter().any(|piece| (piece.first_line..piece.first_line + piece.lines).contains(&line));
            if in_piece || batch.long_lines.iter().any(|long| long.line == line) {
                return Ok(batch);
            }
            lines = batch.finished.last().map_or(lines, |finished| finished.lines);
        }
        Err(LineError::NoLine { source_name: self.source.name.clone(), line, lines })
    }
}
