//! The embedded tokenizer: `ByT5`'s vocabulary (Xue et al. 2021), the UTF-8 bytes plus three.

use crate::denoise::{TokenSequence, TokenizerId, Vocabulary};
use crate::tokenize::{Role, Scratch, TokenizeError, Tokenizer, TokenizerNames};

const PAD: u32 = 0;
const EOS: u32 = 1;
const UNKNOWN: u32 = 2;
/// Id of byte 0.
const FIRST_BYTE: u32 = 3;
/// `<extra_id_0>` = 259 up to `<extra_id_124>` = 383.
const FIRST_SENTINEL: u32 = FIRST_BYTE + 256;
const SENTINELS: u32 = 125;

/// The names and ids of the embedded tokenizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteNames;

/// Byte `b` is id `b + 3`; pad 0, EOS 1, unknown 2, 125 sentinels from 259 up.
#[derive(Debug, Clone)]
pub(crate) struct ByteTokenizer {
    vocabulary: Vocabulary,
}

impl ByteTokenizer {
    /// The tokenizer with the reserved ids of `vocabulary`.
    #[must_use]
    pub(crate) fn new(vocabulary: Vocabulary) -> Self {
        Self { vocabulary }
    }
}

impl TokenizerNames for ByteNames {
    fn size(&self) -> u32 {
        FIRST_SENTINEL + SENTINELS
    }

    fn id(&self, token: &str) -> Option<u32> {
        match token {
            "<pad>" => Some(PAD),
            "</s>" => Some(EOS),
            "<unk>" => Some(UNKNOWN),
            _ => {
                let number = token.strip_prefix("<extra_id_")?.strip_suffix('>')?;
                let index = number.parse().ok().filter(|&index: &u32| index < SENTINELS)?;
                (index.to_string() == number).then_some(FIRST_SENTINEL + index)
            }
        }
    }

    fn token(&self, id: u32) -> Option<String> {
        match id {
            PAD => Some("<pad>".to_owned()),
            EOS => Some("</s>".to_owned()),
            UNKNOWN => Some("<unk>".to_owned()),
            id => {
                let sentinel = id.checked_sub(FIRST_SENTINEL).filter(|number| *number < SENTINELS);
                sentinel.map(|number| format!("<extra_id_{number}>"))
            }
        }
    }

    fn is_added(&self, token: &str) -> bool {
        self.id(token).is_some()
    }

    fn added(&self, id: u32) -> bool {
        id < FIRST_BYTE || (FIRST_SENTINEL..self.size()).contains(&id)
    }

    fn pieces(&self, text: &str) -> Result<Vec<u32>, TokenizeError> {
        Ok(text.bytes().map(id_of).collect())
    }

    fn shown(&self, ids: &[u32]) -> String {
        let byte = |id: u32| id.checked_sub(FIRST_BYTE).and_then(|byte| u8::try_from(byte).ok());
        let special = |id: u32| match id {
            PAD => "<pad>".to_owned(),
            EOS => "</s>".to_owned(),
            id if id >= FIRST_SENTINEL + SENTINELS => format!("<id {id}>"),
            id if id >= FIRST_SENTINEL => format!("<extra_id_{}>", id - FIRST_SENTINEL),
            _ => "<unk>".to_owned(),
        };
        let runs = ids.chunk_by(|a, b| byte(*a).is_some() && byte(*b).is_some());
        runs.map(|run| match byte(run[0]) {
            Some(_) => String::from_utf8_lossy(&run.iter().filter_map(|&id| byte(id)).collect::<Vec<_>>()).into_owned(),
            None => special(run[0]),
        })
        .collect()
    }

    fn identity(&self) -> TokenizerId {
        TokenizerId { kind: "bytes".to_owned(), sha256: String::new(), library: String::new() }
    }

    fn configured(&self, _: Role) -> Option<&str> {
        None
    }

    fn own(&self, role: Role) -> Option<&str> {
        match role {
            Role::Bos => None,
            Role::Eos => Some("</s>"),
            Role::Pad => Some("<pad>"),
        }
    }

    fn is_special(&self, token: &str) -> bool {
        self.id(token).is_some()
    }

    fn has_special(&self) -> bool {
        true
    }
}

impl Tokenizer for ByteTokenizer {
    fn scratch(&self) -> Scratch {
        Scratch::default()
    }

    fn tokenize<'a>(&self, text: &str, scratch: &'a mut Scratch) -> Result<TokenSequence<'a>, TokenizeError> {
        let ids = &mut scratch.ids;
        ids.clear();
        ids.extend(text.bytes().map(id_of));
        Ok(TokenSequence::new(ids, &self.vocabulary)?)
    }

    fn path(&self) -> String {
        "bytes".to_owned()
    }
}

fn id_of(byte: u8) -> u32 {
    FIRST_BYTE + u32::from(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_byt5() {
        let names = ByteNames;
        assert_eq!(names.size(), 384);
        assert_eq!(names.id("<extra_id_0>"), Some(259));
        assert_eq!(names.id("<extra_id_124>"), Some(383));
        for unknown in ["<extra_id_125>", "<extra_id_01>", "<extra_id_+1>", "<extra_id_>", "a", ""] {
            assert_eq!(names.id(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn text_that_spells_a_sentinel_stays_text() {
        let vocabulary = Vocabulary::new(384, Some(1), Some(0), (259..384).collect(), vec![]).unwrap();
        let tokenizer = ByteTokenizer::new(vocabulary);
        let mut scratch = tokenizer.scratch();
        let tokens = tokenizer.tokenize("</s>é", &mut scratch).unwrap();
        assert_eq!(tokens.ids(), [63, 50, 118, 65, 198, 172]);
    }
}
