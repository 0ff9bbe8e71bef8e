//! What a worker does with one line: the record's way from bytes to rows.

use std::sync::{Mutex, PoisonError};

use super::UnitError;
use crate::denoise::{Cut, Masker, SourceKeys, Spec, TokenError, TokenSequence, encode};
use crate::input::batch::{Batch, LongLine, Piece};
use crate::input::jsonl::{self, FieldPath};
use crate::output::counts::{Counts, DenoiserCounts, SourceCounts};
use crate::output::rows::{Provenance, RowGroup, RowGroupBuilder, RowGroupEncoder};
use crate::reject::{KeptBytes, Reason, Reject, Rejected};
use crate::tokenize::{Scratch, TokenizeError, Tokenizer};

/// What all workers share. Nothing in it decides a byte but what does not change.
pub struct Shared {
    /// Everything that decides rows.
    pub spec: Spec,
    /// Where the text is in a record.
    pub text_field: FieldPath,
    /// Text to ids.
    pub tokenizer: Box<dyn Tokenizer>,
    /// Rows to row groups.
    pub encoder: RowGroupEncoder,
    /// Tokenizer memory that no worker has at the moment: at most one for each worker.
    pub scratches: Mutex<Vec<Scratch>>,
}

/// What a batch became.
pub struct Masked {
    /// The rows, if there are any.
    pub row_group: Option<RowGroup>,
    /// The rejects, in the order of sources and lines.
    pub rejects: Vec<Reject>,
    /// What was counted.
    pub counts: Counts,
}

/// Masks the lines of one batch.
pub struct BatchMasker<'a> {
    shared: &'a Shared,
    epoch: u16,
    masker: Masker,
    rows: RowGroupBuilder<'a>,
    denoisers: Vec<DenoiserCounts>,
    rejects: Vec<Reject>,
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
            masker: Masker::default(),
            rows: shared.encoder.start()?,
            denoisers: vec![DenoiserCounts::default(); shared.spec.denoisers().len()],
            rejects: Vec::new(),
        })
    }

    /// Makes the rows of a batch and encodes them. `names` are the sources of the unit.
    ///
    /// # Errors
    ///
    /// [`UnitError`] if the rows cannot be encoded.
    pub fn mask(mut self, batch: Batch, names: &[&str]) -> Result<Masked, UnitError> {
        let mut counts = Counts::default();
        let mut scratch = self.shared.take_scratch();
        for piece in &batch.pieces {
            let source = names[piece.source];
            *counts.source(source) += &self.mask_piece(source, &batch, piece, &mut scratch)?;
        }
        self.shared.give_back(scratch);
        for LongLine { source, line, bytes, file } in batch.long_lines {
            let source = names[source].to_owned();
            counts.source(&source).lines += 1;
            let rejected = too_long(bytes, &self.shared.spec);
            self.rejects.push(Reject { source, line, rejected, bytes: KeptBytes::File(file) });
        }
        self.rejects.sort_by(|a, b| (&a.source, a.line).cmp(&(&b.source, b.line)));
        for reject in &self.rejects {
            *counts.source(&reject.source).rejects.entry(reject.rejected.reason).or_default() += 1;
        }
        for (denoiser, counted) in self.shared.spec.denoisers().iter().zip(&self.denoisers) {
            if counted.rows > 0 {
                *counts.denoiser(&denoiser.name) += counted;
            }
        }
        Ok(Masked { row_group: self.rows.finish()?, rejects: self.rejects, counts })
    }

    /// The lines of one source.
    fn mask_piece(
        &mut self,
        source: &str,
        batch: &Batch,
        piece: &Piece,
        scratch: &mut Scratch,
    ) -> Result<SourceCounts, UnitError> {
        let keys = self.shared.spec.source_keys(source);
        let mut counts = SourceCounts { lines: piece.lines, ..SourceCounts::default() };
        for (line, bytes) in batch.lines(piece) {
            let is_short = bytes.len() as u64 <= self.shared.spec.fields().max_line;
            if is_short && jsonl::is_blank(bytes) {
                counts.blank_lines += 1;
                continue;
            }
            match self.shared.tokens(jsonl::without_mark(line, bytes), scratch) {
                Ok(tokens) => {
                    counts.documents += 1;
                    counts.tokens += u64::from(length(tokens));
                    let rows = self.mask_document(source, &keys, line, tokens)?;
                    counts.rows += rows;
                    if rows == 0 {
                        counts.short_documents += 1;
                        counts.short_tokens += u64::from(length(tokens));
                    }
                }
                Err(rejected) => {
                    let (source, bytes) = (source.to_owned(), KeptBytes::Inline(bytes.to_owned()));
                    self.rejects.push(Reject { source, line, rejected, bytes });
                }
            }
        }
        Ok(counts)
    }

    /// One document: cut into segments, draw each one's mask, encode each as a row. The number of rows.
    fn mask_document(
        &mut self,
        source: &str,
        keys: &SourceKeys,
        line: u64,
        tokens: TokenSequence<'_>,
    ) -> Result<u64, UnitError> {
        let spec = &self.shared.spec;
        let mut rows = 0;
        for segment in Cut::new(spec, keys, line, self.epoch, length(tokens)) {
            let denoiser = &spec.denoisers()[segment.denoiser];
            let mut stream = keys.denoise[segment.denoiser].stream(segment.address);
            let mask = self.masker.draw(&denoiser.pattern, segment.length, &mut stream);
            let window = &tokens.ids()[segment.range()];
            let form = spec.form(segment.denoiser);
            let from = Provenance { denoiser: &denoiser.name, source, address: segment.address };
            let size = self.rows.push(from, |inputs, labels| encode(window, mask, form, inputs, labels))?;
            rows += 1;
            self.denoisers[segment.denoiser] += &DenoiserCounts {
                rows: 1,
                tokens: u64::from(segment.length),
                noise_tokens: u64::from(mask.noise()),
                spans: mask.spans().len() as u64,
                input_ids: size.input_ids,
                labels: size.labels,
            };
        }
        Ok(rows)
    }
}

impl Shared {
    fn take_scratch(&self) -> Scratch {
        let free = self.scratches.lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.unwrap_or_else(|| self.tokenizer.scratch())
    }

    fn give_back(&self, scratch: Scratch) {
        self.scratches.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
    }

    /// The tokens of the document in a line.
    fn tokens<'ids>(&self, line: &[u8], scratch: &'ids mut Scratch) -> Result<TokenSequence<'ids>, Rejected> {
        if line.len() as u64 > self.spec.fields().max_line {
            return Err(too_long(line.len() as u64, &self.spec));
        }
        let text = jsonl::text(line, &self.text_field)?;
        let tokens = self.tokenizer.tokenize(&text, scratch).map_err(|error| rejected(&error))?;
        if tokens.ids().is_empty() {
            return Err(Rejected::new(Reason::EmptyText, "the text has no tokens"));
        }
        Ok(tokens)
    }
}

/// A line has at most 2^30 bytes, and a token at least one.
#[expect(clippy::cast_possible_truncation, reason = "at most 2^30 tokens")]
fn length(tokens: TokenSequence<'_>) -> u32 {
    tokens.ids().len() as u32
}

fn too_long(bytes: u64, spec: &Spec) -> Rejected {
    let most = spec.fields().max_line;
    Rejected::new(Reason::LineTooLong, format!("the line has {bytes} bytes, `--max-line` allows {most}"))
}

fn rejected(error: &TokenizeError) -> Rejected {
    let reason = match error {
        TokenizeError::Tokens(TokenError::Reserved { .. }) => Reason::ReservedToken,
        TokenizeError::Tokens(TokenError::OutOfVocabulary { .. }) | TokenizeError::Library(_) => {
            Reason::TokenizerFailed
        }
    };
    Rejected::new(reason, error.to_string())
}
