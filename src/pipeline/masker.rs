//! A worker's part: masks the lines of a batch and makes rows of them.

use crate::denoise::{
    Address, Choices, Composed, Cut, DataSplit, Denoiser, Masker, Parts, PerSplit, Record, Stream, compose, encode,
    record_rows,
};
use crate::input::batch::Batch;
use crate::output::counts::{Counts, DenoiserCounts, SourceCounts};
use crate::output::digest::Provenance;
use crate::output::encode::RowGroup;
use crate::pipeline::documents::Shared;
use crate::pipeline::error::UnitError;
use crate::pipeline::lines::{Block, Lines, Made, Sequence, blocks, length};
use crate::pipeline::row_order::Arranger;
use crate::reject::Rejects;

/// The result of a batch.
pub struct Masked {
    /// The rows of each split, if there are any.
    pub(crate) row_groups: PerSplit<Vec<RowGroup>>,
    /// The rejects, at most as many of each source as there is room for.
    pub(crate) rejects: Rejects,
    /// The counts of the batch.
    pub(crate) counts: Counts,
}

/// Masks the lines of one batch.
pub struct BatchMasker<'a> {
    shared: &'a Shared,
    epoch: u16,
    masker: Masker,
    rows: PerSplit<Arranger<'a>>,
    denoisers: PerSplit<Vec<DenoiserCounts>>,
}

/// One mask to draw.
struct Draw {
    /// The split that its document belongs to.
    split: DataSplit,
    address: Address,
    /// Index of the denoiser in the spec.
    denoiser: usize,
    parts: Parts,
    stream: Stream,
}

impl<'a> BatchMasker<'a> {
    /// A masker without rows.
    ///
    /// # Errors
    ///
    /// [`UnitError`] if a row group cannot be begun.
    pub fn new(shared: &'a Shared, epoch: u16) -> Result<Self, UnitError> {
        let rows = || Arranger::new(&shared.spec, &shared.encoder);
        let denoisers = || vec![DenoiserCounts::default(); shared.spec.denoisers().len()];
        Ok(Self {
            shared,
            epoch,
            masker: Masker::default(),
            rows: PerSplit { train: rows()?, validation: rows()? },
            denoisers: PerSplit { train: denoisers(), validation: denoisers() },
        })
    }

    /// Makes the rows of a batch and encodes them. `names` are the sources of the unit; at most `room` rejects of each
    /// are kept, and all are counted.
    ///
    /// # Errors
    ///
    /// [`UnitError`] if the rows cannot be encoded.
    pub fn mask(
        mut self,
        batch: &'a Batch,
        names: &[&'a str],
        room: impl Fn(usize) -> u64,
    ) -> Result<Masked, UnitError> {
        let mut counts = Counts::default();
        let mut lines = Lines::new(self.shared, self.epoch, room);
        for mut block in blocks(&self.shared.spec, batch, names) {
            lines.read(&mut block, &mut |block, made| self.mask_made(block, made))?;
            for split in DataSplit::ALL {
                block.counts.of_mut(split).rows = self.rows.of_mut(split).end_block();
            }
            counts.add_block(block.source, &block.counts);
        }
        let rejects = lines.finish(batch, names, &mut counts);
        for split in DataSplit::ALL {
            for (denoiser, counted) in self.shared.spec.denoisers().iter().zip(self.denoisers.of(split)) {
                if counted.examples > 0 {
                    counts.add_denoiser(&denoiser.name, split, counted);
                }
            }
        }
        let PerSplit { train, validation } = self.rows;
        let row_groups = PerSplit { train: train.finish()?, validation: validation.finish()? };
        Ok(Masked { row_groups, rejects, counts })
    }

    fn mask_made(&mut self, block: &mut Block<'a>, made: Made<'_>) -> Result<(), UnitError> {
        match made {
            Made::Sequence(sequence) => self.mask_sequence(block, &sequence),
            Made::Records(records) => {
                let mut segment = Vec::new();
                for (line, record) in records.iter() {
                    self.mask_record(block, line, record, records.choices, &mut segment)?;
                }
                Ok(())
            }
            Made::Blank(_) | Made::Reject(..) => Ok(()),
        }
    }

    /// Masks the segments of a sequence of tokens.
    fn mask_sequence(&mut self, block: &mut Block<'a>, sequence: &Sequence<'_>) -> Result<(), UnitError> {
        let Sequence { tokens, lines, eos_between } = *sequence;
        let keys = &block.keys;
        // The documents of a sequence belong to one split.
        let split = keys.split.of(lines[0].line);
        let counts = block.counts.of_mut(split);
        let before = counts.examples;
        for segment in Cut::joined(&self.shared.spec, keys, lines, self.epoch, length(tokens)) {
            let stream = keys.denoise[segment.denoiser].stream(segment.address);
            let parts = segment.length.into();
            let draw = Draw { split, address: segment.address, denoiser: segment.denoiser, parts, stream };
            self.mask_segment(block.source, draw, &tokens[segment.range()], counts)?;
        }
        if counts.examples == before {
            counts.short_documents += lines.len() as u64;
            counts.short_tokens += tokens.len() as u64 - eos_between;
        } else {
            counts.eos_between += eos_between;
        }
        Ok(())
    }

    /// Makes the rows of one record. `segment` is memory for its tokens.
    fn mask_record(
        &mut self,
        block: &mut Block<'a>,
        line: u64,
        record: Record<'_>,
        choices: &Choices,
        segment: &mut Vec<u32>,
    ) -> Result<(), UnitError> {
        let spec = &self.shared.spec;
        let first = Address { line, epoch: self.epoch, segment: 0 };
        let denoiser = spec.choose(&mut block.keys.choose.stream(first));
        let split = block.keys.split.of(line);
        let counts = block.counts.of_mut(split);
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
            let draw = Draw { split, address, denoiser, parts: Parts { row, ..parts }, stream };
            self.mask_segment(block.source, draw, segment, counts)?;
        }
        Ok(())
    }

    /// One segment: draw its mask, encode it as an example.
    fn mask_segment(
        &mut self,
        source: &'a str,
        draw: Draw,
        tokens: &[u32],
        counts: &mut SourceCounts,
    ) -> Result<(), UnitError> {
        let Draw { split, address, denoiser, parts, mut stream } = draw;
        let Denoiser { name, pattern, .. } = &self.shared.spec.denoisers()[denoiser];
        let mask = self.masker.draw(pattern, parts, &mut stream);
        let form = self.shared.spec.form(denoiser);
        let from = Provenance { denoiser: name, source, address };
        let size = self.rows.of_mut(split).add(from, |inputs, labels| encode(tokens, mask, form, inputs, labels))?;
        counts.examples += 1;
        self.denoisers.of_mut(split)[denoiser] += &DenoiserCounts {
            examples: 1,
            tokens: tokens.len() as u64,
            noise_tokens: u64::from(mask.noise()),
            spans: mask.spans().len() as u64,
            input_ids: size.input_ids,
            labels: size.labels,
        };
        Ok(())
    }
}
