//! A worker's part: turns the lines of a batch into rows.

use crate::denoise::record::{Choices, Composed, Record, compose, record_rows};
use crate::denoise::{
    Address, Concat, Cut, Denoiser, LineStart, Masker, Parts, Segmenting, SourceKeys, Stream, Window, encode,
};
use crate::input::batch::{Batch, LongLine, Piece};
use crate::input::jsonl;
use crate::output::counts::{Counts, DenoiserCounts, SourceCounts};
use crate::output::digest::Provenance;
use crate::output::encode::RowGroup;
use crate::pipeline::documents::{Shared, too_long};
use crate::pipeline::error::UnitError;
use crate::pipeline::row_order::Arranger;
use crate::reject::{Rejected, Rejects};
use crate::tokenize::Scratch;

/// The result of a batch.
pub struct Masked {
    /// The rows, if there are any.
    pub row_groups: Vec<RowGroup>,
    /// The rejects, at most as many of each source as there is room for.
    pub rejects: Rejects,
    /// The counts of the batch.
    pub counts: Counts,
}

/// Masks the lines of one batch.
pub struct BatchMasker<'a> {
    shared: &'a Shared,
    epoch: u16,
    scratch: Scratch,
    masker: Masker,
    rows: Arranger<'a>,
    denoisers: Vec<DenoiserCounts>,
    rejects: Rejects,
    /// How many more rejects of the current source to keep.
    room: u64,
}

/// A block: consecutive lines of one source, which alone decide its rows.
struct Block<'a> {
    /// Its index in the unit.
    index: usize,
    source: &'a str,
    keys: SourceKeys,
}

impl<'a> BatchMasker<'a> {
    /// A masker without rows.
    ///
    /// # Errors
    ///
    /// [`UnitError`] if a row group cannot be begun.
    pub fn new(shared: &'a Shared, epoch: u16) -> Result<Self, UnitError> {
        Ok(Self {
            shared,
            epoch,
            scratch: shared.take_scratch(),
            masker: Masker::default(),
            rows: Arranger::new(&shared.spec, &shared.encoder)?,
            denoisers: vec![DenoiserCounts::default(); shared.spec.denoisers().len()],
            rejects: Rejects::default(),
            room: 0,
        })
    }

    /// Makes the rows of a batch and encodes them. `names` are the sources of the unit; at most `room` rejects of each
    /// are kept, and all are counted.
    ///
    /// # Errors
    ///
    /// [`UnitError`] if the rows cannot be encoded.
    pub fn mask(mut self, batch: Batch, names: &[&'a str], room: impl Fn(usize) -> u64) -> Result<Masked, UnitError> {
        let mut counts = Counts::default();
        // A full block ends its batch, so the pieces of one source are one block.
        for pieces in batch.pieces.chunk_by(|a, b| a.source == b.source) {
            let source = names[pieces[0].source];
            self.room = room(pieces[0].source);
            *counts.source(source) += &self.mask_block(source, &batch, pieces)?;
        }
        self.shared.give_back(self.scratch);
        for LongLine { source, line, bytes, file } in batch.long_lines {
            let of_source = counts.source(names[source]);
            of_source.lines += 1;
            let rejected = too_long(bytes, self.shared.spec.fields().max_line);
            *of_source.rejects.entry(rejected.reason).or_default() += 1;
            if room(source) > 0 {
                self.rejects.push_aside(source, names[source], line, rejected, file);
            }
        }
        for (denoiser, counted) in self.shared.spec.denoisers().iter().zip(&self.denoisers) {
            if counted.examples > 0 {
                *counts.denoiser(&denoiser.name) += counted;
            }
        }
        Ok(Masked { row_groups: self.rows.finish()?, rejects: self.rejects, counts })
    }

    /// Masks the lines of one block: document by document, or all of them together.
    fn mask_block(&mut self, source: &'a str, batch: &Batch, pieces: &[Piece]) -> Result<SourceCounts, UnitError> {
        let spec = &self.shared.spec;
        let block = Block { index: pieces[0].source, source, keys: spec.source_keys(source) };
        let mut counts =
            SourceCounts { lines: pieces.iter().map(|piece| piece.lines).sum(), ..SourceCounts::default() };
        let lines = pieces.iter().flat_map(|piece| batch.lines(piece));
        match spec.fields().segmenting {
            Segmenting::Document if spec.is_of_labels() => self.mask_records(&block, lines, &mut counts)?,
            Segmenting::Document => self.mask_documents(&block, lines, None, &mut counts)?,
            Segmenting::Window(window) => self.mask_documents(&block, lines, Some(window), &mut counts)?,
            Segmenting::Concat(concat) => self.mask_joined(&block, lines, concat, &mut counts)?,
        }
        counts.rows = self.rows.end_block();
        Ok(counts)
    }

    /// Masks each document, or a window of it, by itself.
    fn mask_documents<'b>(
        &mut self,
        block: &Block<'a>,
        lines: impl Iterator<Item = (u64, &'b [u8])>,
        window: Option<Window>,
        counts: &mut SourceCounts,
    ) -> Result<(), UnitError> {
        let spec = &self.shared.spec;
        let mut tokens = Vec::new();
        for (line, bytes) in lines {
            tokens.clear();
            if !self.take_document(block, line, bytes, &mut tokens, counts) {
                continue;
            }
            let used = match window {
                None => &tokens[..],
                Some(window) => {
                    let place = window.place(spec, &block.keys, line, self.epoch, length(&tokens));
                    &tokens[place.start as usize..place.end as usize]
                }
            };
            counts.left_out_tokens += (tokens.len() - used.len()) as u64;
            let cut = Cut::new(spec, &block.keys, line, self.epoch, length(used));
            if self.mask_segments(block, cut, used, counts)? == 0 {
                counts.short_documents += 1;
                counts.short_tokens += used.len() as u64;
            }
        }
        Ok(())
    }

    /// Masks the joined documents of a block.
    fn mask_joined<'b>(
        &mut self,
        block: &Block<'a>,
        lines: impl Iterator<Item = (u64, &'b [u8])>,
        concat: Concat,
        counts: &mut SourceCounts,
    ) -> Result<(), UnitError> {
        let spec = &self.shared.spec;
        let between = spec.vocabulary().eos().filter(|_| concat.eos_between);
        let (mut tokens, mut starts) = (Vec::new(), Vec::new());
        for (line, bytes) in lines {
            let end = tokens.len();
            tokens.extend(between.filter(|_| end > 0));
            let start = length(&tokens);
            if self.take_document(block, line, bytes, &mut tokens, counts) {
                starts.push(LineStart { start, line });
            } else {
                tokens.truncate(end);
            }
        }
        let eos_between = if between.is_some() { starts.len().saturating_sub(1) } else { 0 };
        let cut = Cut::joined(spec, &block.keys, &starts, self.epoch, length(&tokens));
        if self.mask_segments(block, cut, &tokens, counts)? == 0 {
            counts.short_documents += starts.len() as u64;
            counts.short_tokens += (tokens.len() - eos_between) as u64;
        } else {
            counts.eos_between += eos_between as u64;
        }
        Ok(())
    }

    /// Masks records of two fields. The masker tokenizes all records of a block first: one may be offered the labels of
    /// all others.
    fn mask_records<'b>(
        &mut self,
        block: &Block<'a>,
        lines: impl Iterator<Item = (u64, &'b [u8])>,
        counts: &mut SourceCounts,
    ) -> Result<(), UnitError> {
        let (mut ids, mut records, mut choices) = (Vec::new(), Vec::new(), Choices::default());
        for (line, bytes) in lines {
            if self.is_blank(bytes) {
                counts.blank_lines += 1;
                continue;
            }
            let start = ids.len();
            match self.shared.append_record(line, bytes, &mut self.scratch, &mut ids) {
                Ok(middle) => {
                    let choice = choices.add(&ids[middle..]);
                    counts.documents += 1;
                    counts.tokens += (ids.len() - start) as u64;
                    records.push((line, start..middle, middle..ids.len(), choice));
                }
                Err(rejected) => self.reject(block, line, bytes, rejected, counts),
            }
        }
        let mut segment = Vec::new();
        for (line, text, label, choice) in records {
            let record = Record { text: &ids[text], label: &ids[label], choice };
            self.mask_record(block, line, record, &choices, &mut segment, counts)?;
        }
        Ok(())
    }

    /// Makes the rows of one record.
    fn mask_record(
        &mut self,
        block: &Block<'a>,
        line: u64,
        record: Record<'_>,
        choices: &Choices,
        segment: &mut Vec<u32>,
        counts: &mut SourceCounts,
    ) -> Result<(), UnitError> {
        let spec = &self.shared.spec;
        let first = Address { line, epoch: self.epoch, segment: 0 };
        let denoiser = spec.choose(&mut block.keys.choose.stream(first));
        for row in 0..record_rows(&spec.denoisers()[denoiser].pattern, record.label.len()) {
            let address = Address { segment: row, ..first };
            let mut stream = block.keys.denoise[denoiser].stream(address);
            // Other records have been rejected before.
            let Some(Composed { parts, left_out }) = compose(spec, denoiser, record, choices, &mut stream, segment)
            else {
                continue;
            };
            if row == 0 {
                counts.left_out_tokens += u64::from(left_out);
            }
            self.mask_segment(block, address, denoiser, Parts { row, ..parts }, segment, stream, counts)?;
        }
        Ok(())
    }

    /// Masks the segments of a sequence of tokens. Returns their number.
    fn mask_segments(
        &mut self,
        block: &Block<'a>,
        cut: Cut<'_>,
        tokens: &[u32],
        counts: &mut SourceCounts,
    ) -> Result<u64, UnitError> {
        let before = counts.examples;
        for segment in cut {
            let stream = block.keys.denoise[segment.denoiser].stream(segment.address);
            let (parts, window) = (segment.length.into(), &tokens[segment.range()]);
            self.mask_segment(block, segment.address, segment.denoiser, parts, window, stream, counts)?;
        }
        Ok(counts.examples - before)
    }

    /// One segment: draw its mask, encode it as an example.
    #[expect(clippy::too_many_arguments, reason = "what, whose, where; a type for them would be used once")]
    fn mask_segment(
        &mut self,
        block: &Block<'a>,
        address: Address,
        denoiser: usize,
        parts: Parts,
        tokens: &[u32],
        mut stream: Stream,
        counts: &mut SourceCounts,
    ) -> Result<(), UnitError> {
        let Denoiser { name, pattern, .. } = &self.shared.spec.denoisers()[denoiser];
        let mask = self.masker.draw(pattern, parts, &mut stream);
        let form = self.shared.spec.form(denoiser);
        let from = Provenance { denoiser: name, source: block.source, address };
        let size = self.rows.add(from, |inputs, labels| encode(tokens, mask, form, inputs, labels))?;
        counts.examples += 1;
        self.denoisers[denoiser] += &DenoiserCounts {
            examples: 1,
            tokens: tokens.len() as u64,
            noise_tokens: u64::from(mask.noise()),
            spans: mask.spans().len() as u64,
            input_ids: size.input_ids,
            labels: size.labels,
        };
        Ok(())
    }

    /// Appends the tokens of the document on a line. Returns whether it has any: a line may be blank, or a reject.
    fn take_document(
        &mut self,
        block: &Block<'a>,
        line: u64,
        bytes: &[u8],
        tokens: &mut Vec<u32>,
        counts: &mut SourceCounts,
    ) -> bool {
        if self.is_blank(bytes) {
            counts.blank_lines += 1;
            return false;
        }
        let before = tokens.len();
        match self.shared.append_document(line, bytes, &mut self.scratch, tokens) {
            Ok(()) => {
                counts.documents += 1;
                counts.tokens += (tokens.len() - before) as u64;
                true
            }
            Err(rejected) => {
                self.reject(block, line, bytes, rejected, counts);
                false
            }
        }
    }

    /// Whether a line is blank rather than a record. A line that is too long always counts as a record.
    fn is_blank(&self, bytes: &[u8]) -> bool {
        bytes.len() as u64 <= self.shared.spec.fields().max_line && jsonl::is_blank(bytes)
    }

    fn reject(&mut self, block: &Block<'a>, line: u64, bytes: &[u8], rejected: Rejected, counts: &mut SourceCounts) {
        *counts.rejects.entry(rejected.reason).or_default() += 1;
        if let Some(room) = self.room.checked_sub(1) {
            self.room = room;
            self.rejects.push(block.index, block.source, line, rejected, bytes);
        }
    }
}

/// A line has at most 2^30 bytes, and a token at least one.
#[expect(clippy::cast_possible_truncation, reason = "a block has fewer than 2^31 tokens")]
fn length(tokens: &[u32]) -> u32 {
    tokens.len() as u32
}
