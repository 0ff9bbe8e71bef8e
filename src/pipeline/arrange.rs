//! From examples to rows: one each, or packed and shuffled (`docs/masking.md`, sections 9 and 10).

use std::ops::Range;

use crate::denoise::{Address, FirstFit, Spec};
use crate::output::OutputError;
use crate::output::rows::{ExampleSize, Provenance, RowGroup, RowGroupBuilder};

/// Takes the examples of a batch in order and makes its row group.
///
/// Rows of one example, in order, go straight into the row group. Where the place of an example is not known before its block or its
/// batch has ended, examples are held until then.
pub struct Arranger<'a> {
    spec: &'a Spec,
    rows: RowGroupBuilder<'a>,
    held: Option<Held<'a>>,
}

/// Examples whose place is not known yet.
#[derive(Default)]
struct Held<'a> {
    examples: Vec<Example<'a>>,
    /// Examples before the block at hand.
    before_block: usize,
    input_ids: Vec<i32>,
    labels: Vec<i32>,
    /// The examples of each row.
    rows: Vec<Vec<usize>>,
}

#[derive(Clone)]
struct Example<'a> {
    from: Provenance<'a>,
    prefix_length: u32,
    input_ids: Range<usize>,
    labels: Range<usize>,
}

impl<'a> Arranger<'a> {
    /// No examples yet.
    #[must_use]
    pub fn new(spec: &'a Spec, rows: RowGroupBuilder<'a>) -> Self {
        let holds = spec.fields().pack || spec.fields().shuffle;
        Self { spec, rows, held: holds.then(Held::default) }
    }

    /// Takes an example; `encode` appends its ids and says how many are given.
    ///
    /// # Errors
    ///
    /// [`OutputError`] if its row cannot be encoded.
    pub fn add(
        &mut self,
        from: Provenance<'a>,
        encode: impl FnOnce(&mut Vec<i32>, &mut Vec<i32>) -> u32,
    ) -> Result<ExampleSize, OutputError> {
        if let Some(held) = &mut self.held {
            return Ok(held.add(from, encode));
        }
        let size = self.rows.add(from, encode);
        self.rows.end_row()?;
        Ok(size)
    }

    /// Ends a block of which `examples` examples were taken. The number of its rows.
    pub fn end_block(&mut self, examples: u64) -> u64 {
        match &mut self.held {
            Some(held) => held.end_block(self.spec),
            None => examples,
        }
    }

    /// The row group of the batch, if it has rows.
    ///
    /// # Errors
    ///
    /// [`OutputError`] if a row cannot be encoded.
    pub fn finish(mut self) -> Result<Option<RowGroup>, OutputError> {
        if let Some(mut held) = self.held {
            if self.spec.fields().shuffle {
                held.shuffle(self.spec);
            }
            for row in &held.rows {
                for &example in row {
                    let Example { from, prefix_length, input_ids, labels } = held.examples[example].clone();
                    self.rows.add(from, |inputs, targets| {
                        inputs.extend_from_slice(&held.input_ids[input_ids]);
                        targets.extend_from_slice(&held.labels[labels]);
                        prefix_length
                    });
                }
                self.rows.end_row()?;
            }
        }
        self.rows.finish()
    }
}

impl<'a> Held<'a> {
    fn add(&mut self, from: Provenance<'a>, encode: impl FnOnce(&mut Vec<i32>, &mut Vec<i32>) -> u32) -> ExampleSize {
        let (inputs_from, labels_from) = (self.input_ids.len(), self.labels.len());
        let prefix_length = encode(&mut self.input_ids, &mut self.labels);
        let input_ids = inputs_from..self.input_ids.len();
        let labels = labels_from..self.labels.len();
        let size = ExampleSize { input_ids: input_ids.len() as u64, labels: labels.len() as u64 };
        self.examples.push(Example { from, prefix_length, input_ids, labels });
        size
    }

    fn end_block(&mut self, spec: &Spec) -> u64 {
        let block = self.before_block..self.examples.len();
        let rows_before = self.rows.len();
        self.before_block = block.end;
        if !spec.fields().pack {
            self.rows.extend(block.map(|example| vec![example]));
            return (self.rows.len() - rows_before) as u64;
        }
        let (inputs_length, labels_length) = spec.row_lengths();
        let mut first_fit = FirstFit::new(inputs_length, labels_length);
        for index in block {
            let example = &self.examples[index];
            let row = rows_before + first_fit.place(count(&example.input_ids), count(&example.labels));
            if row == self.rows.len() {
                self.rows.push(Vec::new());
            }
            self.rows[row].push(index);
        }
        first_fit.rows() as u64
    }

    fn shuffle(&mut self, spec: &Spec) {
        let Some(first) = self.rows.first().and_then(|row| row.first()) else { return };
        let Provenance { source, address: Address { line, epoch, segment: _ }, .. } = self.examples[*first].from;
        let key = spec.fields().seed.shuffle_key(source);
        key.stream(Address { line, epoch, segment: 0 }).shuffle(&mut self.rows);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a row has at most 2^18 ids")]
fn count(ids: &Range<usize>) -> u32 {
    ids.len() as u32
}
