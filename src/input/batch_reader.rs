//! Cuts the lines of a unit into batches ([`batch`](crate::input::batch)).

use std::io::{self, Read as _};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use memchr::{memchr, memchr_iter, memrchr};

use crate::files::aside::{AsideBytes, AsideFile};
use crate::input::InputError;
use crate::input::batch::{BLOCK_BYTES, Batch, FinishedSource, LongLine, Piece, Position};
use crate::input::buffers::Buffers;
use crate::input::compression::Compression;
use crate::input::frames::{dictionary, window_above};
use crate::input::limits::Limits;
use crate::input::reader::{FileDigest, SourceFile, SourceReader};
use crate::input::source::Source;

/// Bytes requested from the decompressor at a time.
const CHUNK: usize = 1 << 18;

/// Reads the sources of a unit one after the other.
pub struct BatchReader<'a> {
    sources: &'a [Source],
    max_line: usize,
    limits: Limits,
    spool: &'a Path,
    buffers: &'a Arc<Buffers>,
    next_index: u64,
    /// Index of the source being read, or of the next one to open.
    source: usize,
    reader: Option<SourceReader>,
    /// Lines of the current source that are already in batches.
    lines: u64,
    /// Bytes of the current source after the last cut.
    carry: Vec<u8>,
    /// For a part of a single source: the bytes of the file before the first block in the part, and before the first
    /// block after it.
    from: u64,
    to: Option<u64>,
    /// Whether the reader has reached the first block of the part.
    is_there: bool,
}

/// How far a batch is filled.
#[derive(Debug, Clone, Copy, Default)]
struct Filling {
    /// Bytes of all lines of finished blocks.
    before: usize,
    /// Bytes of the current block's lines that were moved into files.
    aside: usize,
    /// Where the current block begins in the batch's bytes.
    block: usize,
}

impl Filling {
    /// Bytes of the current block, if `end` bytes of the batch have been read.
    fn block_bytes(self, end: usize) -> usize {
        end - self.block + self.aside
    }
}

impl<'a> BatchReader<'a> {
    /// A reader at the beginning of `sources`. Lines of more than `max_line` bytes go to files in `spool`; `buffers`
    /// lends the batches their memory.
    #[must_use]
    pub fn new(sources: &'a [Source], max_line: u64, spool: &'a Path, buffers: &'a Arc<Buffers>) -> Self {
        let max_line = usize::try_from(max_line).unwrap_or(usize::MAX);
        Self {
            sources,
            max_line,
            limits: Limits::default(),
            spool,
            buffers,
            next_index: 0,
            source: 0,
            reader: None,
            lines: 0,
            carry: Vec::new(),
            from: 0,
            to: None,
            is_there: true,
        }
    }

    /// The same reader with other limits.
    #[must_use]
    pub(crate) fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The same reader for a part of a single source: the blocks before which at least `from` bytes of the file, and
    /// fewer than `to`, have been read. The reader skips the blocks before them.
    #[must_use]
    pub(crate) fn between(self, from: u64, to: Option<u64>) -> Self {
        Self { from, to, is_there: from == 0, ..self }
    }

    /// Bytes of the file before the first block of the part.
    #[must_use]
    pub(crate) fn from(&self) -> u64 {
        self.from
    }

    /// Reads on towards the beginning of the part, a block at most. Returns whether the reader has reached it.
    ///
    /// # Errors
    ///
    /// [`InputError`] if the source cannot be read.
    pub(crate) fn approach(&mut self) -> Result<bool, InputError> {
        if !self.is_there && self.source < self.sources.len() && self.file_bytes() < self.from {
            drop(self.read_batch()?);
            self.next_index = 0;
            return Ok(false);
        }
        self.is_there = true;
        Ok(true)
    }

    /// The next batch; `None` after the last one. The last batch of a unit may have no lines.
    ///
    /// # Errors
    ///
    /// [`InputError`] if a source cannot be read to its end.
    pub fn next_batch(&mut self) -> Result<Option<Batch>, InputError> {
        while !self.approach()? {}
        let is_over = self.to.is_some_and(|to| self.file_bytes() >= to);
        if self.source == self.sources.len() || is_over {
            return Ok(None);
        }
        self.read_batch().map(Some)
    }

    /// Bytes read from the current file.
    fn file_bytes(&self) -> u64 {
        self.reader.as_ref().map_or(0, SourceReader::file_bytes)
    }

    /// The reader's position.
    #[must_use]
    pub(crate) fn position(&self) -> Position {
        let file = self.reader.as_ref().map_or(FileDigest { bytes: 0, sha256: [0; 32] }, SourceReader::digest);
        Position { source: self.source, lines: self.lines, file }
    }

    fn read_batch(&mut self) -> Result<Batch, InputError> {
        let mut batch = Batch {
            index: self.next_index,
            pieces: Vec::new(),
            long_lines: Vec::new(),
            end: Position { source: 0, lines: 0, file: FileDigest { bytes: 0, sha256: [0; 32] } },
            finished: Vec::new(),
            bytes: self.buffers.lend(BLOCK_BYTES + 2 * CHUNK),
        };
        batch.bytes.append(&mut self.carry);
        self.next_index += 1;
        let mut filling = Filling::default();
        while self.source < self.sources.len() && filling.before < BLOCK_BYTES {
            self.fill(&mut batch, &mut filling)?;
        }
        batch.end = self.position();
        Ok(batch)
    }

    /// Reads a block of the current source.
    fn fill(&mut self, batch: &mut Batch, filling: &mut Filling) -> Result<(), InputError> {
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => SourceReader::open(&self.sources[self.source], self.limits)?,
        };
        // The bytes from `piece` on are this source's; the bytes from `line` on belong to a line whose end has not been
        // read yet. The bytes carried over from the last batch begin this one.
        let mut piece = if filling.before == 0 { 0 } else { batch.bytes.len() };
        *filling = Filling { block: piece, aside: 0, ..*filling };
        let mut line = piece + memrchr(b'\n', &batch.bytes[piece..]).map_or(0, |end| end + 1);
        let mut searched = piece;
        loop {
            if let Some(cut) = full_block(batch, *filling, searched) {
                self.carry = batch.bytes.split_off(cut);
                self.close_piece(batch, piece..cut);
                self.reader = Some(reader);
                filling.before += filling.block_bytes(cut);
                return Ok(());
            }
            searched = batch.bytes.len();
            let read = self.read_chunk(&mut reader, &mut batch.bytes, piece)?;
            if read == 0 {
                break;
            }
            if let Some(end) = memrchr(b'\n', &batch.bytes[searched..]) {
                line = searched + end + 1;
            }
            // A full block ends before the line that is too long.
            if batch.bytes.len() - line > self.max_line && full_block(batch, *filling, searched).is_none() {
                self.close_piece(batch, piece..line);
                filling.aside += self.put_aside(&mut reader, batch, line)?;
                if filling.block_bytes(line) >= BLOCK_BYTES {
                    self.carry = batch.bytes.split_off(line);
                    self.reader = Some(reader);
                    filling.before += filling.block_bytes(line);
                    return Ok(());
                }
                piece = line;
                line = piece + memrchr(b'\n', &batch.bytes[piece..]).map_or(0, |end| end + 1);
                searched = piece;
            }
        }
        let end = batch.bytes.len();
        self.close_piece(batch, piece..end);
        filling.before += filling.block_bytes(end);
        self.finish_source(batch, &reader)
    }

    /// Appends a whole chunk, or the rest of the source. Whole chunks make read-ahead, and so [`Position`], repeatable.
    /// The bytes from `open` on belong to lines that are in no piece yet.
    fn read_chunk(&self, reader: &mut SourceReader, bytes: &mut Vec<u8>, open: usize) -> Result<usize, InputError> {
        let read =
            reader.take(CHUNK as u64).read_to_end(bytes).map_err(|cause| self.read_error(&bytes[open..], cause))?;
        if let Some((text, file)) = reader.expands_too_far() {
            let (source_name, line) = (self.sources[self.source].name.clone(), self.line(&bytes[open..]));
            return Err(InputError::Expansion { source_name, line, file, text, allowed: self.limits.expansion });
        }
        Ok(read)
    }

    fn read_error(&self, bytes: &[u8], cause: io::Error) -> InputError {
        let source = &self.sources[self.source];
        let source_name = source.name.clone();
        if let Some(asked) = too_large_window(source, self.limits.window, &cause) {
            return InputError::Window { source_name, asked, allowed: self.limits.window };
        }
        if let Some(id) = missing_dictionary(source, &cause) {
            return InputError::Dictionary { source_name, id };
        }
        InputError::Read { source_name, line: self.line(bytes), cause }
    }

    /// The last whole line that was read, if `bytes` follow the lines in pieces.
    fn line(&self, bytes: &[u8]) -> u64 {
        self.lines + memchr_iter(b'\n', bytes).count() as u64
    }

    fn close_piece(&mut self, batch: &mut Batch, range: Range<usize>) {
        let bytes = &batch.bytes[range.clone()];
        let unended = bytes.last().is_some_and(|&last| last != b'\n');
        let lines = memchr_iter(b'\n', bytes).count() as u64 + u64::from(unended);
        if lines > 0 {
            batch.pieces.push(Piece { source: self.source, first_line: self.lines + 1, lines, range });
            self.lines += lines;
        }
    }

    /// Moves the line that starts at `start` into a file, up to its line feed. The bytes after it stay in the batch.
    /// Returns the bytes of the line, line feed included.
    fn put_aside(&mut self, reader: &mut SourceReader, batch: &mut Batch, start: usize) -> Result<usize, InputError> {
        let source_name = &self.sources[self.source].name;
        let line = self.lines + 1;
        let spool_error = |cause| InputError::Spool { source_name: source_name.clone(), line, cause };
        // One file for all long lines of a batch.
        let before = batch.long_lines.last().map(|long| long.file.clone());
        let (file, offset) = match before {
            Some(AsideBytes { file, offset, length }) => (file, offset + length),
            None => (Arc::new(AsideFile::create(self.spool).map_err(spool_error)?), 0),
        };
        let mut aside = AsideBytes { file, offset, length: 0 };
        let mut chunk = batch.bytes.split_off(start);
        let mut line_feed = 0;
        loop {
            let end = memchr(b'\n', &chunk);
            let part = &chunk[..end.unwrap_or(chunk.len())];
            aside.file.append(part).map_err(spool_error)?;
            aside.length += part.len() as u64;
            if let Some(end) = end {
                batch.bytes.extend_from_slice(&chunk[end + 1..]);
                line_feed = 1;
                break;
            }
            chunk.clear();
            if self.read_chunk(reader, &mut chunk, 0)? == 0 {
                break;
            }
        }
        self.lines = line;
        let bytes = aside.length;
        batch.long_lines.push(LongLine { source: self.source, line, bytes, file: aside });
        // Beyond the size of a block, the exact number does not matter.
        Ok(usize::try_from(bytes).unwrap_or(BLOCK_BYTES).saturating_add(line_feed))
    }

    fn finish_source(&mut self, batch: &mut Batch, reader: &SourceReader) -> Result<(), InputError> {
        let source = &self.sources[self.source];
        let file = reader.digest();
        if file.bytes != source.bytes {
            let (planned, found) = (source.bytes, file.bytes);
            return Err(InputError::Changed { source_name: source.name.clone(), planned, found });
        }
        batch.finished.push(FinishedSource { source: self.source, lines: self.lines, file });
        self.source += 1;
        self.lines = 0;
        Ok(())
    }
}

/// The dictionary that a frame of the source names, if the decompressor failed because of it.
fn missing_dictionary(source: &Source, cause: &io::Error) -> Option<u32> {
    let of_dictionary = source.compression == Compression::Zstd && cause.to_string().contains("Dictionary");
    let file = of_dictionary.then(|| SourceFile::open(source).ok()).flatten()?;
    dictionary(file).ok().flatten()
}

/// The largest window that the source asks for, if the decompressor failed because of it.
fn too_large_window(source: &Source, allowed: u64, cause: &io::Error) -> Option<u64> {
    // A damaged file gives other messages; another look at the headers costs next to nothing.
    let of_window = source.compression == Compression::Zstd && cause.to_string().contains("too much memory");
    let file = of_window.then(|| SourceFile::open(source).ok()).flatten()?;
    window_above(allowed, file).ok().flatten()
}

/// The end of the batch's block, if it is full. It does not end before `searched`.
fn full_block(batch: &Batch, filling: Filling, searched: usize) -> Option<usize> {
    // The first byte whose line feed would make the block full.
    let missing = (BLOCK_BYTES - 1).saturating_sub(filling.aside);
    let from = searched.max(filling.block + missing).min(batch.bytes.len());
    memchr(b'\n', &batch.bytes[from..]).map(|end| from + end + 1)
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::super::source::discover;
    use super::*;
    use crate::store::Location;

    #[test]
    fn a_batch_weighs_a_permit_for_each_block_of_its_longest_line() {
        let folder = tempfile::tempdir().unwrap();
        let line = |blocks: usize, more: usize| "x".repeat(blocks * BLOCK_BYTES + more) + "\n";
        let lines = [line(0, 7), line(0, BLOCK_BYTES - 9), line(1, 0), line(0, 9), line(1, 1), line(3, 1), line(0, 2)];
        fs::write(folder.path().join("a.jsonl"), lines.concat()).unwrap();
        let sources = discover(&[folder.path().to_str().unwrap().to_owned()]).unwrap().sources;
        let buffers = Arc::default();
        let mut reader = BatchReader::new(&sources, 1 << 26, folder.path(), &buffers);
        let weights: Vec<_> = std::iter::from_fn(|| reader.next_batch().unwrap()).map(|batch| batch.weight()).collect();
        assert_eq!(weights, [1, 1, 2, 4, 1]);
    }

    /// Every line of every source of a unit as batches hold them: (source, line, bytes), long ones by their length.
    fn read_all(folder: &Path, max_line: u64) -> (Vec<(usize, u64, String)>, Vec<usize>) {
        let sources = discover(&[folder.to_str().unwrap().to_owned()]).unwrap().sources;
        let (spool, buffers) = (tempfile::tempdir().unwrap(), Arc::default());
        let mut reader = BatchReader::new(&sources, max_line, spool.path(), &buffers);
        let (mut lines, mut sizes) = (Vec::new(), Vec::new());
        while let Some(batch) = reader.next_batch().unwrap() {
            sizes.push(batch.text_bytes());
            for piece in &batch.pieces {
                for (number, line) in batch.lines(piece) {
                    lines.push((piece.source, number, String::from_utf8(line.to_vec()).unwrap()));
                }
            }
            for long in &batch.long_lines {
                assert_eq!(
                    std::io::copy(&mut long.file.contents().unwrap(), &mut std::io::sink()).unwrap(),
                    long.bytes
                );
                lines.push((long.source, long.line, format!("long {}", long.bytes)));
            }
        }
        lines.sort();
        assert_eq!(fs::read_dir(spool.path()).unwrap().count(), 0, "no file is left behind");
        (lines, sizes)
    }

    #[test]
    fn lines_keep_their_numbers_over_batches_and_sources() {
        let folder = tempfile::tempdir().unwrap();
        let text = |lines: usize, width: usize| -> String {
            (1..=lines).map(|line| " ".repeat(width - line.to_string().len()) + &format!("{line}\n")).collect()
        };
        fs::write(folder.path().join("a.jsonl"), text(20_000, 999)).unwrap();
        fs::write(folder.path().join("b.jsonl"), "").unwrap();
        fs::write(folder.path().join("c.jsonl"), "one\n\ntwo").unwrap();
        fs::write(folder.path().join("d.jsonl"), text(3, 9_000_000)).unwrap();
        let (lines, sizes) = read_all(folder.path(), 1 << 26);
        let count = |source| lines.iter().filter(|line| line.0 == source).count();
        assert_eq!([0, 1, 2, 3].map(count), [20_000, 0, 3, 3]);
        for (source, number, line) in &lines {
            if *source == 0 || *source == 3 {
                assert_eq!(line.trim_start(), number.to_string());
            }
        }
        assert_eq!(
            lines.iter().filter(|line| line.0 == 2).map(|line| line.2.as_str()).collect::<Vec<_>>(),
            ["one", "", "two"]
        );
        // 20 MB in lines of 1000 bytes: two full batches; then the rest, `c` and the first line of `d`; then one line
        // each; then the end, which no read had reached before.
        let first = BLOCK_BYTES.div_ceil(1000) * 1000;
        assert_eq!(sizes, [first, first, 20_000_000 - 2 * first + 8 + 9_000_001, 9_000_001, 9_000_001, 0]);
    }

    #[test]
    fn a_long_line_is_put_aside_wherever_it_stands() {
        let folder = tempfile::tempdir().unwrap();
        let long = "x".repeat(3_000_000);
        fs::write(folder.path().join("a.jsonl"), format!("{long}\nshort\n{long}{long}\nlast\n{long}")).unwrap();
        fs::write(folder.path().join("b.jsonl"), "next\n").unwrap();
        let (lines, _) = read_all(folder.path(), 1_000_000);
        let expected = [
            (0, 1, "long 3000000"),
            (0, 2, "short"),
            (0, 3, "long 6000000"),
            (0, 4, "last"),
            (0, 5, "long 3000000"),
            (1, 1, "next"),
        ];
        assert_eq!(lines, expected.map(|(source, line, text)| (source, line, text.to_owned())));
    }

    /// The first line of each block of source `source`: where its pieces begin in each batch.
    fn block_starts(folder: &Path, name: &str, max_line: u64) -> Vec<u64> {
        let sources = discover(&[folder.to_str().unwrap().to_owned()]).unwrap().sources;
        let (spool, buffers) = (tempfile::tempdir().unwrap(), Arc::default());
        let mut reader = BatchReader::new(&sources, max_line, spool.path(), &buffers);
        let mut starts = Vec::new();
        while let Some(batch) = reader.next_batch().unwrap() {
            let held = batch.pieces.iter().map(|piece| (piece.source, piece.first_line));
            let aside = batch.long_lines.iter().map(|long| (long.source, long.line));
            starts.extend(
                held.chain(aside).filter(|(source, _)| sources[*source].name == name).map(|place| place.1).min(),
            );
        }
        starts
    }

    #[test]
    fn blocks_of_a_source_follow_from_it_alone() {
        // Lines of 1 to 3 MB, some moved into files at a limit of 2 MB; the source before it has more or less than a
        // block.
        let lines: String =
            (0..60_usize).map(|line| "x".repeat(1_000_000 + line * 119_191 % 2_000_000) + "\n").collect();
        let mut seen = Vec::new();
        for before in [0, 1, 5_000_000, 9_000_000] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("a.jsonl"), "y\n".repeat(before / 2)).unwrap();
            fs::write(folder.path().join("b.jsonl"), &lines).unwrap();
            for max_line in [2_000_000, 1 << 26] {
                seen.push(block_starts(folder.path(), "b.jsonl", max_line));
            }
        }
        let mut expected = vec![1];
        let mut bytes = 0;
        for (number, line) in (1_u64..).zip(lines.split_inclusive('\n')) {
            bytes += line.len();
            if bytes >= BLOCK_BYTES {
                expected.push(number + 1);
                bytes = 0;
            }
        }
        assert!(expected.len() > 8);
        for starts in seen {
            assert_eq!(starts, expected);
        }
    }

    #[test]
    fn a_source_that_is_shorter_than_planned_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        fs::write(&path, "{}\n").unwrap();
        let source = Source { bytes: 4, ..Source::found("a.jsonl", Location::Local(path)).unwrap() };
        let error = BatchReader::new(&[source], 100, folder.path(), &Arc::default()).next_batch().unwrap_err();
        assert_eq!(error.to_string(), "a.jsonl: the source has 3 bytes, but had 4 when this data set was begun");
    }
}
