//! The core's view of a tokenizer: its size and its reserved ids.

use serde::{Deserialize, Serialize};

/// Size, EOS, pad, BOS and the ordered sentinels of a tokenizer, plus the mode tokens that are single ids.
///
/// Law: all reserved ids are below `size` and different from each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub struct Vocabulary {
    fields: Fields,
    /// One bit for each id: set if ordinary text may have it.
    ordinary: Vec<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    size: u32,
    eos: Option<u32>,
    pad: Option<u32>,
    sentinels: Vec<u32>,
    mode_tokens: Vec<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bos: Option<u32>,
}

/// Most ids of a vocabulary: sixteen million, sixty times as many as the largest in use. It bounds the memory for each
/// id.
pub(crate) const MAX_SIZE: u32 = 1 << 24;

/// Why ids are not a valid [`Vocabulary`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the message says it")]
pub enum VocabularyError {
    /// Too large an id, or too many.
    #[error("the largest id is {largest}, but a vocabulary has at most {MAX_SIZE} ids")]
    TooLarge { largest: u32 },
    /// A reserved id at or above the size.
    #[error("{what} has id {id}, but the vocabulary has {size} ids")]
    OutOfRange { what: String, id: u32, size: u32 },
    /// Two reserved tokens with one id.
    #[error("{what} and another reserved token are both id {id}")]
    Overlap { what: String, id: u32 },
}

impl Vocabulary {
    /// A vocabulary of `size` ids. `sentinels` are in their order of use; `mode_tokens` are the mode tokens that are a
    /// single reserved id, and may repeat.
    ///
    /// # Errors
    ///
    /// [`VocabularyError`] if a reserved id is out of range or occurs twice. EOS and pad may share one id, as in GPT-2.
    pub fn new(
        size: u32,
        eos: Option<u32>,
        pad: Option<u32>,
        sentinels: Vec<u32>,
        mut mode_tokens: Vec<u32>,
    ) -> Result<Self, VocabularyError> {
        mode_tokens.sort_unstable();
        mode_tokens.dedup();
        Self::try_from(Fields { size, eos, pad, sentinels, mode_tokens, bos: None })
    }

    /// The same vocabulary with an id that begins every example, or with none.
    ///
    /// # Errors
    ///
    /// [`VocabularyError`] if the id is out of range or reserved already. BOS and EOS may share one id, as in GPT-2.
    pub fn with_bos(self, bos: Option<u32>) -> Result<Self, VocabularyError> {
        Self::try_from(Fields { bos, ..self.fields })
    }

    /// Number of ids: every id is below it.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.fields.size
    }

    /// The end-of-sequence id.
    #[must_use]
    pub fn eos(&self) -> Option<u32> {
        self.fields.eos
    }

    /// The id that begins every example, if one does.
    #[must_use]
    pub fn bos(&self) -> Option<u32> {
        self.fields.bos
    }

    /// The padding id.
    #[must_use]
    pub fn pad(&self) -> Option<u32> {
        self.fields.pad
    }

    /// The sentinels in order: the first noise span of a row gets the first.
    #[must_use]
    pub fn sentinels(&self) -> &[u32] {
        &self.fields.sentinels
    }

    /// Whether ordinary text may have this id: in the vocabulary and not reserved.
    #[must_use]
    pub fn is_ordinary(&self, id: u32) -> bool {
        self.ordinary.get((id / 64) as usize).is_some_and(|word| word >> (id % 64) & 1 == 1)
    }
}

impl TryFrom<Fields> for Vocabulary {
    type Error = VocabularyError;

    fn try_from(fields: Fields) -> Result<Self, VocabularyError> {
        let size = fields.size;
        if size > MAX_SIZE {
            return Err(VocabularyError::TooLarge { largest: size - 1 });
        }
        let mut ordinary = vec![u64::MAX; size.div_ceil(64) as usize];
        if !size.is_multiple_of(64)
            && let Some(last) = ordinary.last_mut()
        {
            *last = (1 << (size % 64)) - 1;
        }
        let pad = fields.pad.filter(|_| fields.pad != fields.eos);
        let bos = fields.bos.filter(|_| fields.bos != fields.eos && fields.bos != pad);
        let reserved = (fields.eos.iter().map(|&id| ("the EOS token".to_owned(), id)))
            .chain(pad.iter().map(|&id| ("the pad token".to_owned(), id)))
            .chain(bos.iter().map(|&id| ("the BOS token".to_owned(), id)))
            .chain(fields.sentinels.iter().enumerate().map(|(k, &id)| (format!("sentinel {k}"), id)))
            .chain(fields.mode_tokens.iter().map(|&id| ("a mode token".to_owned(), id)));
        for (what, id) in reserved {
            if id >= size {
                return Err(VocabularyError::OutOfRange { what, id, size });
            }
            let word = &mut ordinary[(id / 64) as usize];
            let bit = 1 << (id % 64);
            if *word & bit == 0 {
                return Err(VocabularyError::Overlap { what, id });
            }
            *word &= !bit;
        }
        Ok(Self { fields, ordinary })
    }
}

impl From<Vocabulary> for Fields {
    fn from(vocabulary: Vocabulary) -> Self {
        vocabulary.fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_ids_and_ids_beyond_the_end_are_not_ordinary() {
        let vocabulary = Vocabulary::new(70, Some(1), Some(0), vec![69, 68], vec![5, 5]).unwrap();
        let not_ordinary: Vec<u32> = (0..200).filter(|&id| !vocabulary.is_ordinary(id)).collect();
        let expected: Vec<u32> = [0, 1, 5, 68, 69].into_iter().chain(70..200).collect();
        assert_eq!(not_ordinary, expected);
    }

    #[test]
    fn a_vocabulary_has_an_end() {
        assert_eq!(Vocabulary::new(MAX_SIZE, None, None, vec![], vec![]).unwrap().size(), MAX_SIZE);
        assert_eq!(
            Vocabulary::new(u32::MAX, None, None, vec![], vec![]).unwrap_err().to_string(),
            "the largest id is 4294967294, but a vocabulary has at most 16777216 ids"
        );
    }

    #[test]
    fn bos_is_reserved_and_may_be_eos() {
        let vocabulary = Vocabulary::new(10, Some(1), None, vec![2], vec![]).unwrap();
        let with_bos = vocabulary.clone().with_bos(Some(3)).unwrap();
        assert_eq!((with_bos.bos(), with_bos.is_ordinary(3)), (Some(3), false));
        assert_eq!(vocabulary.clone().with_bos(Some(1)).unwrap().bos(), Some(1));
        assert_eq!(
            vocabulary.with_bos(Some(2)).unwrap_err().to_string(),
            "sentinel 0 and another reserved token are both id 2"
        );
    }

    #[test]
    fn refuses_overlaps_but_lets_pad_be_eos() {
        assert!(Vocabulary::new(10, Some(1), Some(1), vec![2], vec![]).is_ok());
        assert_eq!(
            Vocabulary::new(10, Some(1), None, vec![2, 1], vec![]).unwrap_err().to_string(),
            "sentinel 1 and another reserved token are both id 1"
        );
        assert_eq!(
            Vocabulary::new(10, Some(10), None, vec![], vec![]).unwrap_err().to_string(),
            "the EOS token has id 10, but the vocabulary has 10 ids"
        );
    }
}
