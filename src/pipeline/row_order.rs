//! Arranges examples in rows: one each, or packed and shuffled (`docs/reference/masking.md`, sections 9 and 10).

use std::ops::Range;

use crate::denoise::{Address, FirstFit, Spec};
use crate::output::OutputError;
use crate::output::digest::Provenance;
use crate::output::encode::{ExampleSize, RowGroup, RowGroupBuilder, RowGroupEncoder};

/// Ids at which a run of examples ends before its block does: a bound on memory for blocks with very many.
const RUN_IDS: u64 = 1 << 25;

/// Takes the examples of a batch in order and makes its row groups: one, unless a run ends early.
///
/// Rows of one example, in order, go straight into the row group. Where an example's place is known only after its run
/// or its row group has ended, the arranger holds examples until then.
pub(crate) struct Arranger<'a> {
    spec: &'a Spec,
    encoder: &'a RowGroupEncoder,
    rows: RowGroupBuilder<'a>,
    held: Option<Held<'a>>,
    /// Ids of the current run.
    run_ids: u64,
    /// Rows of the current block, as far as they are known.
    block_rows: u64,
    finished: Vec<RowGroup>,
}

/// Examples whose place is not known yet.
#[derive(Default)]
struct Held<'a> {
    examples: Vec<Example<'a>>,
    /// Examples before the current run.
    before_run: usize,
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
    /// An arranger without examples.
    ///
    /// # Errors
    ///
    /// [`OutputError`] if a row group cannot be begun.
    pub(crate) fn new(spec: &'a Spec, encoder: &'a RowGroupEncoder) -> Result<Self, OutputError> {
        let holds = spec.fields().pack || spec.fields().shuffle;
        let (rows, held) = (encoder.start()?, holds.then(Held::default));
        Ok(Self { spec, encoder, rows, held, run_ids: 0, block_rows: 0, finished: Vec::new() })
    }

    /// Takes an example; `encode` appends its ids and returns the number of given ids.
    ///
    /// # Errors
    ///
    /// [`OutputError`] if its row cannot be encoded.
    pub(crate) fn add(
        &mut self,
        from: Provenance<'a>,
        encode: impl FnOnce(&mut Vec<i32>, &mut Vec<i32>) -> u32,
    ) -> Result<ExampleSize, OutputError> {
        let size = if let Some(held) = &mut self.held {
            held.add(from, encode)
        } else {
            self.block_rows += 1;
            let size = self.rows.add(from, encode);
            self.rows.end_row()?;
            size
        };
        self.run_ids += size.input_ids + size.labels;
        if self.run_ids >= RUN_IDS {
            self.end_run();
            self.end_row_group()?;
        }
        Ok(size)
    }

    /// Ends a block. Returns the number of its rows.
    pub(crate) fn end_block(&mut self) -> u64 {
        self.end_run();
        std::mem::take(&mut self.block_rows)
    }

    /// The row groups of the batch, in order.
    ///
    /// # Errors
    ///
    /// [`OutputError`] if a row cannot be encoded.
    pub(crate) fn finish(mut self) -> Result<Vec<RowGroup>, OutputError> {
        self.end_row_group()?;
        Ok(self.finished)
    }

    fn end_run(&mut self) {
        self.run_ids = 0;
        if let Some(held) = &mut self.held {
            self.block_rows += held.end_run(self.spec);
        }
    }

    fn end_row_group(&mut self) -> Result<(), OutputError> {
        if let Some(held) = &mut self.held {
            let mut held = std::mem::take(held);
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
        let rows = std::mem::replace(&mut self.rows, self.encoder.start()?);
        self.finished.extend(rows.finish()?);
        Ok(())
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

    /// Gives the examples of a run their rows. Returns the number of rows.
    fn end_run(&mut self, spec: &Spec) -> u64 {
        let run = self.before_run..self.examples.len();
        let rows_before = self.rows.len();
        self.before_run = run.end;
        if !spec.fields().pack {
            self.rows.extend(run.map(|example| vec![example]));
            return (self.rows.len() - rows_before) as u64;
        }
        let (inputs_length, labels_length) = spec.row_lengths();
        let mut first_fit = FirstFit::new(inputs_length, labels_length);
        for index in run {
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
