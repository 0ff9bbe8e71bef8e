//! What a worker does with one line: the record's way from bytes to rows.

use super::UnitError;
use crate::denoise::{Cut, Masker, SourceKeys, Spec, TokenError, encode};
use crate::input::batch::{Batch, LongLine};
use crate::input::jsonl::{self, FieldPath};
use crate::output::counts::Counts;
use crate::output::rows::{Provenance, RowGroup, RowGroupEncoder, Rows};
use crate::reject::{KeptBytes, Reason, Reject, Rejected};
use crate::tokenize::{TokenizeError, Tokenizer};

/// What all workers share. Nothing in it changes.
pub struct Shared {
    /// Everything that decides rows.
    pub spec: Spec,
    /// Where the text is in a record.
    pub text_field: FieldPath,
    /// Text to ids.
    pub tokenizer: Box<dyn Tokenizer>,
    /// Rows to row groups.
    pub encoder: RowGroupEncoder,
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
    ids: Vec<u32>,
    rows: Rows,
    counts: Counts,
}

impl<'a> BatchMasker<'a> {
    /// A masker without rows.
    #[must_use]
    pub fn new(shared: &'a Shared, epoch: u16) -> Self {
        Self {
            shared,
            epoch,
            masker: Masker::default(),
            ids: Vec::new(),
            rows: Rows::default(),
            counts: Counts::default(),
        }
    }

    /// Makes the rows of a batch and encodes them. `names` are the sources of the unit.
    ///
    /// # Errors
    ///
    /// [`UnitError`] if the rows cannot be encoded.
    pub fn mask(mut self, batch: Batch, names: &[&str]) -> Result<Masked, UnitError> {
        let mut rejects = Vec::new();
        for piece in &batch.pieces {
            let source = names[piece.source];
            let keys = self.shared.spec.source_keys(source);
            for (line, bytes) in batch.lines(piece) {
                self.counts.source(source).lines += 1;
                if jsonl::is_blank(bytes) {
                    self.counts.source(source).blank_lines += 1;
                } else if let Err(rejected) = self.mask_line(source, &keys, line, bytes) {
                    rejects.push(Reject {
                        source: source.to_owned(),
                        line,
                        rejected,
                        bytes: KeptBytes::Inline(bytes.to_owned()),
                    });
                }
            }
        }
        for long in batch.long_lines {
            self.counts.source(names[long.source]).lines += 1;
            rejects.push(self.reject_long_line(names[long.source], long));
        }
        rejects.sort_by(|a, b| (&a.source, a.line).cmp(&(&b.source, b.line)));
        for reject in &rejects {
            *self.counts.source(&reject.source).rejects.entry(reject.rejected.reason).or_default() += 1;
        }
        let row_group = self.shared.encoder.encode(self.rows)?;
        Ok(Masked { row_group, rejects, counts: self.counts })
    }

    /// One line: read, tokenize, cut into segments, mask, encode.
    fn mask_line(&mut self, source: &str, keys: &SourceKeys, line: u64, bytes: &[u8]) -> Result<(), Rejected> {
        let Shared { spec, text_field, tokenizer, encoder: _ } = self.shared;
        if bytes.len() as u64 > spec.fields().max_line {
            return Err(too_long(bytes.len() as u64, spec));
        }
        let text = jsonl::text(bytes, text_field)?;
        let tokens = tokenizer.tokenize(&text, &mut self.ids).map_err(rejected)?.ids();
        if tokens.is_empty() {
            return Err(Rejected::new(Reason::EmptyText, "the text has no tokens"));
        }
        let length =
            u32::try_from(tokens.len()).map_err(|_| Rejected::new(Reason::TokenizerFailed, "more than 2^32 tokens"))?;
        let counts = self.counts.source(source);
        counts.documents += 1;
        counts.tokens += u64::from(length);
        if length < spec.min_segment() {
            counts.short_documents += 1;
            counts.short_tokens += u64::from(length);
        }
        for segment in Cut::new(spec, keys, line, self.epoch, length) {
            let denoiser = &spec.denoisers()[segment.denoiser];
            let mut stream = keys.denoise[segment.denoiser].stream(segment.address);
            let mask = self.masker.draw(&denoiser.pattern, segment.length, &mut stream);
            let window = &tokens[segment.start as usize..(segment.start + segment.length) as usize];
            let from = Provenance { denoiser: &denoiser.name, source, address: segment.address };
            let form = spec.form(segment.denoiser);
            let size = self.rows.push(from, |inputs, labels| encode(window, mask, form, inputs, labels));
            self.counts.source(source).rows += 1;
            let counts = self.counts.denoiser(&denoiser.name);
            counts.rows += 1;
            counts.tokens += u64::from(segment.length);
            counts.noise_tokens += u64::from(mask.noise());
            counts.spans += mask.spans().len() as u64;
            counts.input_ids += size.input_ids;
            counts.labels += size.labels;
        }
        Ok(())
    }

    fn reject_long_line(&self, source: &str, long: LongLine) -> Reject {
        let LongLine { source: _, line, bytes, file } = long;
        let rejected = too_long(bytes, &self.shared.spec);
        Reject { source: source.to_owned(), line, rejected, bytes: KeptBytes::File(file) }
    }
}

fn too_long(bytes: u64, spec: &Spec) -> Rejected {
    let most = spec.fields().max_line;
    Rejected::new(Reason::LineTooLong, format!("the line has {bytes} bytes, `--max-line` allows {most}"))
}

fn rejected(error: TokenizeError) -> Rejected {
    let reason = match error {
        TokenizeError::Tokens(TokenError::Reserved { .. }) => Reason::ReservedToken,
        TokenizeError::Tokens(TokenError::OutOfVocabulary { .. }) | TokenizeError::Library(_) => {
            Reason::TokenizerFailed
        }
    };
    Rejected::new(reason, error.to_string())
}
