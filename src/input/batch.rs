//! A batch of lines of a unit. [`batch_reader`](crate::input::batch_reader) cuts them, by a rule on the decompressed
//! bytes alone.
//!
//! A **block** is consecutive lines of one source; it ends with the first line that brings it to [`BLOCK_BYTES`] or
//! more, or with the source. So the source alone decides its blocks. A **batch** is consecutive blocks of a unit; it
//! ends with the first block that brings it to [`BLOCK_BYTES`] or more, or with the unit. It may hold the end of one
//! source and the beginning of the next, but a full block always ends it: its pieces of one source are one block.
//!
//! All lines count, of whatever length. The reader moves a line longer than `--max-line` into a file and never holds it
//! in memory.

use std::ops::Range;

use memchr::{memchr, memrchr};

use crate::files::aside::AsideBytes;
use crate::input::buffers::Buffer;
use crate::input::reader::FileDigest;

/// Decompressed bytes at which a block or a batch ends: a row group of 8 to 80 MB of ids, with any tokenizer.
pub const BLOCK_BYTES: usize = 8 << 20;

/// Permits of a batch whose longest line has `line` bytes: one for each [`BLOCK_BYTES`] of that line, rounded up. The
/// rest of the batch is less than two blocks, which one permit covers.
#[must_use]
pub(crate) fn weight(line: usize) -> usize {
    line.div_ceil(BLOCK_BYTES).max(1)
}

/// Consecutive lines of a unit.
#[derive(Debug)]
pub struct Batch {
    /// 0-based number in the unit.
    pub(crate) index: u64,
    /// The lines of each of its sources, in order.
    pub pieces: Vec<Piece>,
    /// Lines moved into files.
    pub long_lines: Vec<LongLine>,
    /// The reader's position after the batch.
    pub(crate) end: Position,
    /// Sources that ended in the batch.
    pub(crate) finished: Vec<FinishedSource>,
    pub(super) bytes: Buffer,
}

/// Consecutive lines of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Index of the source in the unit.
    pub(crate) source: usize,
    /// 1-based number of its first line.
    pub(crate) first_line: u64,
    /// Number of lines.
    pub(crate) lines: u64,
    /// Its range in the batch's bytes.
    pub(super) range: Range<usize>,
}

/// A line longer than `--max-line`, kept in its own file until the batch is committed or dropped.
#[derive(Debug)]
pub struct LongLine {
    /// Index of the source in the unit.
    pub(crate) source: usize,
    /// 1-based line.
    pub line: u64,
    /// Its bytes, without the line feed.
    pub bytes: u64,
    /// Its bytes.
    pub file: AsideBytes,
}

/// A position between two batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    /// Index of the source in the unit; the number of sources at the end.
    pub(crate) source: usize,
    /// Lines of that source before the position.
    pub(crate) lines: u64,
    /// Digest of the bytes read from that source's file.
    pub(crate) file: FileDigest,
}

/// A source read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FinishedSource {
    /// Index of the source in the unit.
    pub(crate) source: usize,
    /// Number of lines.
    pub(crate) lines: u64,
    /// Digest of the whole file.
    pub(crate) file: FileDigest,
}

impl Batch {
    /// Decompressed bytes of its lines, without long ones.
    #[must_use]
    pub(crate) fn text_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Its weight in permits: more than one if a line is longer than a block. Such a line ends its block, so it is the
    /// last.
    #[must_use]
    pub(crate) fn weight(&self) -> usize {
        let lines = self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes);
        weight(lines.len() - memrchr(b'\n', lines).map_or(0, |end| end + 1))
    }

    /// Keeps about `bytes` of its lines, at even distances, with new numbers; all of them if there are not more. Lines
    /// in files stay.
    pub(crate) fn thin(&mut self, bytes: usize) {
        let every = self.text_bytes().div_ceil(bytes.max(1));
        let Some(first) = self.pieces.first().filter(|_| every > 1) else { return };
        let (source, mut kept, mut lines) = (first.source, Vec::new(), 0);
        for (_, line) in self.pieces.iter().flat_map(|piece| self.lines(piece)).step_by(every) {
            kept.extend_from_slice(line);
            kept.push(b'\n');
            lines += 1;
        }
        self.pieces = vec![Piece { source, first_line: 1, lines, range: 0..kept.len() }];
        self.bytes.clear();
        self.bytes.append(&mut kept);
    }

    /// The lines of a piece with their numbers, without line feeds.
    pub fn lines(&self, piece: &Piece) -> impl Iterator<Item = (u64, &[u8])> {
        let mut rest = &self.bytes[piece.range.clone()];
        (piece.first_line..piece.first_line + piece.lines).map(move |number| {
            let end = memchr(b'\n', rest);
            let line = &rest[..end.unwrap_or(rest.len())];
            rest = end.map_or(&[], |end| &rest[end + 1..]);
            (number, line)
        })
    }
}
