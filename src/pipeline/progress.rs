//! How far a run is: lanes add to these counters, and a reporter reads them.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Counters of a run. They decide no byte of the output.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    file_bytes: AtomicU64,
    text_bytes: AtomicU64,
    documents: AtomicU64,
    rows: AtomicU64,
    tokens: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// Bytes of sources on disk.
    pub(crate) file_bytes: u64,
    /// Decompressed bytes.
    pub(crate) text_bytes: u64,
    /// Documents.
    pub(crate) documents: u64,
    /// Rows.
    pub(crate) rows: u64,
    /// Tokens of documents.
    pub(crate) tokens: u64,
}

impl Progress {
    /// Adds committed work.
    pub(crate) fn add(&self, done: Snapshot) {
        let Snapshot { file_bytes, text_bytes, documents, rows, tokens } = done;
        self.file_bytes.fetch_add(file_bytes, Relaxed);
        self.text_bytes.fetch_add(text_bytes, Relaxed);
        self.documents.fetch_add(documents, Relaxed);
        self.rows.fetch_add(rows, Relaxed);
        self.tokens.fetch_add(tokens, Relaxed);
    }

    /// The counters now.
    #[must_use]
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            file_bytes: self.file_bytes.load(Relaxed),
            text_bytes: self.text_bytes.load(Relaxed),
            documents: self.documents.load(Relaxed),
            rows: self.rows.load(Relaxed),
            tokens: self.tokens.load(Relaxed),
        }
    }
}
