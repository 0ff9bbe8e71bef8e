//! Turns a line into tokens, or into the reason for its rejection.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use crate::denoise::{Spec, TokenError, label_fits};
use crate::input::batch::BLOCK_BYTES;
use crate::input::jsonl::{self, FieldPath};
use crate::numbers::exact;
use crate::output::encode::RowGroupEncoder;
use crate::reject::{Reason, Rejected};
use crate::tokenize::guard::guarded;
use crate::tokenize::{Scratch, TokenizeError, Tokenizer};

/// The fields of a record that hold the text and, if there is one, the label.
pub(crate) struct Fields {
    text: FieldPath,
    label: Option<FieldPath>,
    end_mark: Option<String>,
}

impl Fields {
    /// The fields that a spec names.
    #[must_use]
    pub(crate) fn new(spec: &Spec) -> Self {
        let fields = spec.fields();
        Self {
            text: FieldPath::new(&fields.text_field),
            label: fields.label_field.as_deref().map(FieldPath::new),
            end_mark: fields.end_mark.clone(),
        }
    }
}

/// Characters after which a text needs no end mark, as in label-aware pretraining's `load_data`.
const PUNCTUATION: [char; 5] = ['.', ';', '!', '?', ','];

impl Shared {
    /// Appends the tokens of a line's document, and after them the tokens of its label if there is one.
    ///
    /// # Errors
    ///
    /// The reason for rejecting the line; `ids` is unchanged.
    pub(crate) fn append_document(
        &self,
        line: u64,
        bytes: &[u8],
        scratch: &mut Scratch,
        ids: &mut Vec<u32>,
    ) -> Result<(), Rejected> {
        match self.fields.label {
            Some(_) => self.append_fields(line, bytes, scratch, ids).map(|_| ()),
            None => self.append_text(self.record(line, bytes)?, scratch, ids),
        }
    }

    /// Appends the tokens of a record of two fields: the text, then the label. Returns where the label begins.
    ///
    /// # Errors
    ///
    /// The reason for rejecting the line, such as a label that is too long; `ids` is unchanged.
    pub(crate) fn append_record(
        &self,
        line: u64,
        bytes: &[u8],
        scratch: &mut Scratch,
        ids: &mut Vec<u32>,
    ) -> Result<usize, Rejected> {
        let before = ids.len();
        let middle = self.append_fields(line, bytes, scratch, ids)?;
        if label_fits(&self.spec, &ids[middle..]) {
            return Ok(middle);
        }
        let detail = format!("the label has {}, more than fit into a row", exact((ids.len() - middle) as u64, "token"));
        ids.truncate(before);
        Err(Rejected::new(Reason::LabelTooLong, detail))
    }

    pub(super) fn append_fields(
        &self,
        line: u64,
        bytes: &[u8],
        scratch: &mut Scratch,
        ids: &mut Vec<u32>,
    ) -> Result<usize, Rejected> {
        let before = ids.len();
        let record = self.record(line, bytes)?;
        self.append_text(record, scratch, ids)?;
        let middle = ids.len();
        if let Err(rejected) = self.append_label(record, scratch, ids) {
            ids.truncate(before);
            return Err(rejected);
        }
        Ok(middle)
    }

    /// The bytes of the record on a line.
    pub(super) fn record<'a>(&self, line: u64, bytes: &'a [u8]) -> Result<&'a [u8], Rejected> {
        let most = self.spec.fields().max_line;
        if bytes.len() as u64 > most {
            Err(too_long(bytes.len() as u64, most))
        } else {
            Ok(jsonl::without_mark(line, bytes))
        }
    }

    pub(super) fn append_text(&self, record: &[u8], scratch: &mut Scratch, ids: &mut Vec<u32>) -> Result<(), Rejected> {
        let text = self.with_end_mark(jsonl::text(record, &self.fields.text)?);
        if text.is_empty() {
            return Err(Rejected::new(Reason::EmptyText, "the text is empty"));
        }
        append(self.tokenizer.as_ref(), &text, scratch, ids, Reason::EmptyText)
    }

    pub(super) fn append_label(
        &self,
        record: &[u8],
        scratch: &mut Scratch,
        ids: &mut Vec<u32>,
    ) -> Result<(), Rejected> {
        let Some(path) = &self.fields.label else { return Ok(()) };
        let of_label = |rejected: Rejected| Rejected { reason: of_label(rejected.reason), ..rejected };
        let label = self.with_end_mark(jsonl::text(record, path).map_err(of_label)?);
        if label.is_empty() {
            return Err(Rejected::new(Reason::EmptyLabel, "the label is empty"));
        }
        append(self.tokenizer.as_ref(), &label, scratch, ids, Reason::EmptyLabel)
    }

    pub(super) fn with_end_mark<'a>(&self, text: Cow<'a, str>) -> Cow<'a, str> {
        match &self.fields.end_mark {
            Some(mark) => Cow::Owned(with_end_mark(&text, mark)),
            None => text,
        }
    }
}

/// The text without white space at its ends, and with the mark at its end if it needs one.
#[must_use]
pub(crate) fn with_end_mark(text: &str, mark: &str) -> String {
    let trimmed = text.trim();
    if trimmed.is_empty() || trimmed.ends_with(PUNCTUATION) { trimmed.to_owned() } else { format!("{trimmed}{mark}") }
}

fn append(
    tokenizer: &dyn Tokenizer,
    text: &str,
    scratch: &mut Scratch,
    ids: &mut Vec<u32>,
    empty: Reason,
) -> Result<(), Rejected> {
    let before = ids.len();
    let appended = guarded(|| {
        let tokens = tokenizer.tokenize(text, scratch).map_err(|error| rejected(&error))?;
        if tokens.ids().is_empty() {
            return Err(Rejected::new(empty, "the text has no tokens"));
        }
        ids.extend_from_slice(tokens.ids());
        Ok(())
    });
    if text.len() > BLOCK_BYTES {
        // The scratch memory would stay as large as this text made it, in addition to the texts of all later batches.
        *scratch = tokenizer.scratch();
    }
    appended.unwrap_or_else(|message| {
        // After a panic the scratch memory may be half changed, and could give the next document other ids.
        *scratch = tokenizer.scratch();
        ids.truncate(before);
        Err(Rejected::new(Reason::TokenizerFailed, format!("the tokenizer panicked: {message}")))
    })
}

/// The reason as it applies to a label instead of a text.
fn of_label(reason: Reason) -> Reason {
    match reason {
        Reason::MissingText => Reason::MissingLabel,
        Reason::TextNotAString => Reason::LabelNotAString,
        Reason::EmptyText => Reason::EmptyLabel,
        other => other,
    }
}

/// Rejects a line of `bytes` bytes, where only `most` are allowed.
#[must_use]
pub(crate) fn too_long(bytes: u64, most: u64) -> Rejected {
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

/// The state that all workers share. Only what never changes decides bytes.
pub struct Shared {
    /// Everything that decides rows.
    pub spec: Spec,
    /// The fields that hold the text and the label.
    pub(crate) fields: Fields,
    /// Turns text into ids.
    pub tokenizer: Box<dyn Tokenizer>,
    /// Encodes rows as row groups.
    pub encoder: RowGroupEncoder,
    /// Tokenizer memory that no worker is using: at most one for each worker.
    pub(crate) scratches: Mutex<Vec<Scratch>>,
}

impl Shared {
    pub(super) fn take_scratch(&self) -> Scratch {
        let free = self.scratches.lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.unwrap_or_else(|| self.tokenizer.scratch())
    }

    pub(super) fn give_back(&self, scratch: Scratch) {
        self.scratches.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::denoise::{TokenSequence, Vocabulary};
    use crate::tokenize::Tokenizer;
    use crate::tokenize::bytes::ByteTokenizer;

    /// Panics at a certain word, in the middle of its work.
    struct Panics(ByteTokenizer);

    impl Tokenizer for Panics {
        fn scratch(&self) -> Scratch {
            self.0.scratch()
        }

        fn tokenize<'a>(&self, text: &str, scratch: &'a mut Scratch) -> Result<TokenSequence<'a>, TokenizeError> {
            let tokens = self.0.tokenize(text, scratch)?;
            assert!(!text.contains("panic"), "no idea what {text:?} is");
            Ok(tokens)
        }

        fn path(&self) -> String {
            String::new()
        }
    }

    #[test]
    fn a_tokenizer_that_panics_rejects_the_document_and_goes_on() {
        crate::tokenize::guard::silence_guarded_panics();
        let vocabulary = Vocabulary::new(384, Some(1), Some(0), (259..384).collect(), vec![]).unwrap();
        let tokenizer = Panics(ByteTokenizer::new(vocabulary));
        let (mut scratch, mut ids) = (tokenizer.scratch(), vec![7]);
        let mut add = |text, ids: &mut Vec<u32>| append(&tokenizer, text, &mut scratch, ids, Reason::EmptyText);
        add("a", &mut ids).unwrap();
        let rejected = add("do not panic", &mut ids).unwrap_err();
        assert_eq!(rejected.reason, Reason::TokenizerFailed);
        assert_eq!(rejected.detail, "the tokenizer panicked: no idea what \"do not panic\" is");
        add("b", &mut ids).unwrap();
        assert_eq!(ids, [7, 100, 101]);
    }
}
