//! What the lines of a batch become: tokens, rejects, or nothing. A run masks the tokens ([`masker`]); `verify`
//! compares them with the rows.
//!
//! [`masker`]: crate::pipeline::masker

use std::ops::Range;

use crate::denoise::{Choices, Concat, LineStart, PerSplit, Record, Segmenting, SourceKeys, Spec, Window};
use crate::input::batch::{Batch, LongLine, Piece};
use crate::input::jsonl;
use crate::output::counts::{Counts, SourceCounts};
use crate::pipeline::documents::{Shared, too_long};
use crate::pipeline::error::UnitError;
use crate::reject::{Rejected, Rejects};
use crate::tokenize::Scratch;

/// A block: consecutive lines of one source, which alone decide its rows.
pub(crate) struct Block<'a> {
    /// Index of its source in the unit.
    pub(crate) index: usize,
    /// The name of its source.
    pub(crate) source: &'a str,
    /// The stream keys of its source.
    pub(crate) keys: SourceKeys,
    /// Its counts: [`Lines`] counts lines, documents and rejects; who takes the tokens counts what becomes of them.
    /// Lines that are not documents count as lines of the train split.
    pub(crate) counts: PerSplit<SourceCounts>,
    batch: &'a Batch,
    pieces: &'a [Piece],
}

/// The blocks of a batch. `names` are the sources of its unit.
pub(crate) fn blocks<'a>(spec: &Spec, batch: &'a Batch, names: &[&'a str]) -> impl Iterator<Item = Block<'a>> {
    // A full block ends its batch, so the pieces of one source are one block.
    batch.pieces.chunk_by(|a, b| a.source == b.source).map(|pieces| {
        let index = pieces[0].source;
        let lines = pieces.iter().map(|piece| piece.lines).sum();
        let train = SourceCounts { lines, ..SourceCounts::default() };
        let counts = PerSplit { train, validation: SourceCounts::default() };
        Block { index, source: names[index], keys: spec.source_keys(names[index]), counts, batch, pieces }
    })
}

impl<'a> Block<'a> {
    /// Its lines with their numbers.
    fn lines(&self) -> impl Iterator<Item = (u64, &'a [u8])> + use<'a> {
        let Self { batch, pieces, .. } = *self;
        pieces.iter().flat_map(|piece| batch.lines(piece))
    }
}

/// What a line becomes, or the lines of a block together.
pub(crate) enum Made<'t> {
    /// Nothing: the line with this number is blank.
    Blank(u64),
    /// A reject: the line with this number, and the reason.
    Reject(u64, &'t Rejected),
    /// The tokens of a document, of a window of it, or of the joined documents of a block that belong to one split.
    Sequence(Sequence<'t>),
    /// The records of a block, if they have two fields: one may be offered the labels of all others.
    Records(Records<'t>),
}

/// Tokens to cut into segments.
pub(crate) struct Sequence<'t> {
    /// The tokens.
    pub(crate) tokens: &'t [u32],
    /// Where the tokens of each of its lines begin, in order; there is at least one line.
    pub(crate) lines: &'t [LineStart],
    /// How many of the tokens are EOS between two documents.
    pub(crate) eos_between: u64,
}

/// The records of a block, if they have two fields.
pub(crate) struct Records<'t> {
    /// The different labels of the block.
    pub(crate) choices: &'t Choices,
    ids: &'t [u32],
    places: &'t [RecordPlace],
}

/// The documents of a block that belong to one split, joined.
#[derive(Default)]
struct Joined {
    tokens: Vec<u32>,
    lines: Vec<LineStart>,
    eos_between: u64,
}

/// Where a record's ids are among those of its block.
struct RecordPlace {
    line: u64,
    text: Range<usize>,
    label: Range<usize>,
    choice: usize,
}

impl<'t> Records<'t> {
    /// The records in order, each with its line.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, Record<'t>)> + use<'t> {
        let Self { ids, places, .. } = *self;
        places.iter().map(|RecordPlace { line, text, label, choice }| {
            let (text, label) = (&ids[text.clone()], &ids[label.clone()]);
            (*line, Record { text, label, choice: *choice })
        })
    }
}

/// Takes what the lines of a block become.
pub(crate) type Take<'t, 'a> = dyn FnMut(&mut Block<'a>, Made<'_>) -> Result<(), UnitError> + 't;

/// Turns the lines of one batch into tokens, and keeps its rejects.
pub(crate) struct Lines<'a, Room> {
    shared: &'a Shared,
    epoch: u16,
    scratch: Scratch,
    room: Room,
    /// How many more rejects of the current source to keep.
    left: u64,
    rejects: Rejects,
}

impl<'a, Room: Fn(usize) -> u64> Lines<'a, Room> {
    /// The lines of a batch in this epoch. All rejects are counted; of each source at most `room` are kept, besides
    /// lines in files, which are kept if there is any room.
    pub(crate) fn new(shared: &'a Shared, epoch: u16, room: Room) -> Self {
        Self { shared, epoch, scratch: shared.take_scratch(), room, left: 0, rejects: Rejects::default() }
    }

    /// Passes to `take` what the lines of a block become: in their order, and joined tokens and records at the end.
    ///
    /// # Errors
    ///
    /// Those of `take`.
    pub(crate) fn read(&mut self, block: &mut Block<'a>, take: &mut Take<'_, 'a>) -> Result<(), UnitError> {
        self.left = (self.room)(block.index);
        let spec = &self.shared.spec;
        match spec.fields().segmenting {
            Segmenting::Document if spec.is_of_labels() => self.read_records(block, take),
            Segmenting::Document => self.read_documents(block, None, take),
            Segmenting::Window(window) => self.read_documents(block, Some(window), take),
            Segmenting::Concat(concat) => self.read_joined(block, concat, take),
        }
    }

    /// Ends the batch: counts and keeps the lines that were moved into files. Returns all rejects.
    pub(crate) fn finish(mut self, batch: &Batch, names: &[&str], counts: &mut Counts) -> Rejects {
        self.shared.give_back(self.scratch);
        for LongLine { source, line, bytes, file } in &batch.long_lines {
            let of_source = counts.source(names[*source]);
            of_source.lines += 1;
            let rejected = too_long(*bytes, self.shared.spec.fields().max_line);
            *of_source.rejects.entry(rejected.reason).or_default() += 1;
            if (self.room)(*source) > 0 {
                self.rejects.push_aside(*source, names[*source], *line, rejected, file.clone());
            }
        }
        self.rejects
    }

    /// Each document, or a window of it, by itself.
    fn read_documents(
        &mut self,
        block: &mut Block<'a>,
        window: Option<Window>,
        take: &mut Take<'_, 'a>,
    ) -> Result<(), UnitError> {
        let spec = &self.shared.spec;
        let mut tokens = Vec::new();
        for (line, bytes) in block.lines() {
            tokens.clear();
            let append = |scratch: &mut _, ids: &mut _| self.shared.append_document(line, bytes, scratch, ids);
            let is_document = self.read_line(block, line, bytes, append, &mut tokens, take)?.is_some();
            if !is_document || !self.is_masked(block, line, tokens.len()) {
                continue;
            }
            let used = match window {
                None => &tokens[..],
                Some(window) => {
                    let place = window.place(spec, &block.keys, line, self.epoch, length(&tokens));
                    &tokens[place.start as usize..place.end as usize]
                }
            };
            let counts = block.counts.of_mut(block.keys.split.of(line));
            counts.left_out_tokens += (tokens.len() - used.len()) as u64;
            let lines = &[LineStart { start: 0, line }];
            take(block, Made::Sequence(Sequence { tokens: used, lines, eos_between: 0 }))?;
        }
        Ok(())
    }

    /// The documents of a block, joined: those of each split by themselves.
    fn read_joined(&mut self, block: &mut Block<'a>, concat: Concat, take: &mut Take<'_, 'a>) -> Result<(), UnitError> {
        let between = self.shared.spec.vocabulary().eos().filter(|_| concat.eos_between);
        let mut joined = PerSplit::<Joined>::default();
        for (line, bytes) in block.lines() {
            let Joined { tokens, lines, eos_between } = joined.of_mut(block.keys.split.of(line));
            let end = tokens.len();
            tokens.extend(between.filter(|_| end > 0));
            let start = length(tokens);
            let append = |scratch: &mut _, ids: &mut _| self.shared.append_document(line, bytes, scratch, ids);
            let is_document = self.read_line(block, line, bytes, append, tokens, take)?.is_some();
            if is_document && self.is_masked(block, line, tokens.len() - start as usize) {
                lines.push(LineStart { start, line });
                *eos_between += u64::from(start) - end as u64;
            } else {
                tokens.truncate(end);
            }
        }
        for Joined { tokens, lines, eos_between } in joined.iter().filter(|joined| !joined.lines.is_empty()) {
            take(block, Made::Sequence(Sequence { tokens, lines, eos_between: *eos_between }))?;
        }
        Ok(())
    }

    /// The records of two fields of a block.
    fn read_records(&mut self, block: &mut Block<'a>, take: &mut Take<'_, 'a>) -> Result<(), UnitError> {
        let (mut ids, mut places, mut choices) = (Vec::new(), Vec::new(), Choices::default());
        for (line, bytes) in block.lines() {
            let start = ids.len();
            let append = |scratch: &mut _, ids: &mut _| self.shared.append_record(line, bytes, scratch, ids);
            if let Some(middle) = self.read_line(block, line, bytes, append, &mut ids, take)? {
                let choice = choices.add(&ids[middle..]);
                if !self.is_masked(block, line, ids.len() - start) {
                    continue;
                }
                places.push(RecordPlace { line, text: start..middle, label: middle..ids.len(), choice });
            }
        }
        take(block, Made::Records(Records { choices: &choices, ids: &ids, places: &places }))
    }

    /// Whether the document on a line is masked in this epoch. One that a weight leaves out of all epochs is counted.
    fn is_masked(&self, block: &mut Block<'a>, line: u64, tokens: usize) -> bool {
        let is_masked = block.keys.maskings.has(line, self.epoch);
        if !is_masked && self.epoch == 0 {
            let counts = block.counts.of_mut(block.keys.split.of(line));
            counts.unused_documents += 1;
            counts.unused_tokens += tokens as u64;
        }
        is_masked
    }

    /// Has the ids of a line appended, unless it is blank. Returns what `append` returns; `None` if the line gives no
    /// ids, which `take` has been told then.
    fn read_line<T>(
        &mut self,
        block: &mut Block<'a>,
        line: u64,
        bytes: &[u8],
        append: impl FnOnce(&mut Scratch, &mut Vec<u32>) -> Result<T, Rejected>,
        ids: &mut Vec<u32>,
        take: &mut Take<'_, 'a>,
    ) -> Result<Option<T>, UnitError> {
        // A line that is too long always counts as a record.
        if bytes.len() as u64 <= self.shared.spec.fields().max_line && jsonl::is_blank(bytes) {
            block.counts.train.blank_lines += 1;
            take(block, Made::Blank(line))?;
            return Ok(None);
        }
        let before = ids.len();
        match append(&mut self.scratch, ids) {
            Ok(appended) => {
                let counts = block.counts.of_mut(block.keys.split.of(line));
                counts.documents += 1;
                counts.tokens += (ids.len() - before) as u64;
                Ok(Some(appended))
            }
            Err(rejected) => {
                *block.counts.train.rejects.entry(rejected.reason).or_default() += 1;
                take(block, Made::Reject(line, &rejected))?;
                if let Some(left) = self.left.checked_sub(1) {
                    self.left = left;
                    self.rejects.push(block.index, block.source, line, rejected, bytes);
                }
                Ok(None)
            }
        }
    }
}

/// The number of tokens of a sequence. A line has at most 2^30 bytes, and a token at least one.
#[expect(clippy::cast_possible_truncation, reason = "a block has fewer than 2^31 tokens")]
#[must_use]
pub(crate) fn length(tokens: &[u32]) -> u32 {
    tokens.len() as u32
}
