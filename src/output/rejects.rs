//! Rejected lines: kept byte for byte, with their place and the reason.

use std::io::{self, BufWriter, ErrorKind, Write as _};

use crate::output::commit::{RejectFiles, Unnamed};
use crate::output::data_set::DataSet;
use crate::output::temporary::TemporaryFile;
use crate::reject::{IndexEntry, KeptBytes, Reject, Rejected};

/// Writes the rejects of a shard's batches.
pub(crate) struct RejectWriter {
    index: BufWriter<TemporaryFile>,
    lines: BufWriter<TemporaryFile>,
    offset: u64,
    count: u64,
}

impl RejectWriter {
    /// A writer of new files.
    ///
    /// # Errors
    ///
    /// If they cannot be created.
    pub(crate) fn new(data_set: &DataSet) -> io::Result<Self> {
        Ok(Self {
            index: BufWriter::new(data_set.temporary("rejects.jsonl")?),
            lines: BufWriter::new(data_set.temporary("rejects.lines")?),
            offset: 0,
            count: 0,
        })
    }

    /// Adds a reject.
    ///
    /// # Errors
    ///
    /// If it cannot be written, or its bytes were spooled to disk and cannot be read.
    pub(crate) fn add(&mut self, reject: Reject<'_>) -> io::Result<()> {
        let length = match reject.bytes {
            KeptBytes::Inline(bytes) => {
                self.lines.write_all(bytes)?;
                bytes.len() as u64
            }
            KeptBytes::File(file) => {
                let copied = io::copy(&mut file.contents()?, &mut self.lines)?;
                if copied != file.length {
                    return Err(io::Error::new(ErrorKind::UnexpectedEof, "a line that was put aside is cut short"));
                }
                copied
            }
        };
        self.lines.write_all(b"\n")?;
        let Rejected { reason, detail } = reject.rejected;
        let entry = IndexEntry {
            source: reject.source.into(),
            line: reject.line,
            reason: *reason,
            detail: detail.into(),
            offset: self.offset,
            length,
        };
        serde_json::to_writer(&mut self.index, &entry)?;
        self.index.write_all(b"\n")?;
        self.offset += length + 1;
        self.count += 1;
        Ok(())
    }

    /// The files as a record describes them, and each file with its final name, which it does not have yet.
    ///
    /// # Errors
    ///
    /// If they cannot be written.
    pub(crate) fn close(self, stem: &str) -> io::Result<(RejectFiles, [Unnamed; 2])> {
        let index = self.index.into_inner().map_err(io::IntoInnerError::into_error)?;
        let lines = self.lines.into_inner().map_err(io::IntoInnerError::into_error)?;
        let files = RejectFiles {
            index: format!("{stem}.jsonl"),
            index_sha256: index.sha256(),
            lines: format!("{stem}.lines"),
            lines_sha256: lines.sha256(),
            count: self.count,
        };
        // The index marks the file of lines as ours, so it is named first, in case the run ends here.
        let unnamed = [(index, files.index.clone()), (lines, files.lines.clone())];
        Ok((files, unnamed))
    }
}
