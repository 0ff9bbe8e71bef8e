//! Reads a SentencePiece model file and encodes with this project's own code (`docs/internals/sentencepiece.md`,
//! SentencePiece models).
//!
//! Ids equal those of the Python package `sentencepiece` for every text that spells no reserved piece. The same model
//! as a `tokenizer.json` gives other ids for some texts: the `tokenizers` crate adds scores up in float64, word by
//! word, and normalizes grapheme clusters.

mod added;
mod bpe;
mod merge_table;
mod model;
mod normalizer;
mod unigram;
mod wire;
pub(crate) mod words;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::denoise::{TokenSequence, TokenizerId, Vocabulary};
use crate::tokenize::config::{self, Config};
use crate::tokenize::contents::contents;
use crate::tokenize::error::TokenizerFileError;
use crate::tokenize::sentencepiece::added::{Added, AddedConfig};
use crate::tokenize::sentencepiece::bpe::{Bpe, BpeState};
use crate::tokenize::sentencepiece::model::{Model, ModelType, PieceKind, SPACE};
pub(super) use crate::tokenize::sentencepiece::normalizer::{Charsmap, MAX_TIMES};
use crate::tokenize::sentencepiece::normalizer::{Normalizer, Symbols};
use crate::tokenize::sentencepiece::unigram::{Unigram, UnigramState};
use crate::tokenize::sentencepiece::words::Reserved;
use crate::tokenize::{Role, Scratch, TokenizeError, Tokenizer, TokenizerNames, mistaken};

/// Identifies the code that makes the ids. A change that makes other ids has another number.
pub(crate) const LIBRARY: &str = "ul2-prep sentencepiece 1";

/// The kind of tokenizer that the spec and the manifest name.
pub(crate) const KIND: &str = "spiece.model";

/// Whether a file is a SentencePiece model, by its name: it ends in `.model`, or in `.model` and a version as Mistral's
/// `tokenizer.model.v3` and `.v7m1`.
#[must_use]
pub(crate) fn is_model(file: &Path) -> bool {
    let name = file.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let is_version =
        |version: &str| version.starts_with(".v") && version[2..].chars().all(|x| x.is_ascii_alphanumeric());
    name.rsplit_once(".model").is_some_and(|(_, version)| version.is_empty() || is_version(version))
}

/// Names of SentencePiece models in a folder, in the order of the search.
pub(crate) const FILE_NAMES: [&str; 4] =
    ["spiece.model", "tokenizer.model", "sentencepiece.bpe.model", "tokenizer.model.v3"];

/// A model file, read.
pub struct SentencePieceFile {
    model: Arc<Model>,
    charsmap: Option<Arc<Charsmap>>,
    added: Added,
    config: Config,
    sha256: String,
    /// Encodes with no piece reserved. Built on first use.
    unreserved: OnceLock<Encoder>,
}

impl SentencePieceFile {
    /// Reads a model file, and `tokenizer_config.json` next to it.
    ///
    /// # Errors
    ///
    /// [`TokenizerFileError`] if it cannot be used.
    pub(crate) fn read(file: &Path) -> Result<Self, TokenizerFileError> {
        let bytes = contents(file)?;
        let invalid = |reason: String| TokenizerFileError::Invalid { path: file.to_owned(), reason };
        let model = Model::read(&bytes).map_err(|error| match mistaken::MistakenFile::not_sentencepiece(&bytes) {
            Some(kind) => TokenizerFileError::Mistaken { path: file.to_owned(), kind },
            None => invalid(error.to_string()),
        })?;
        let charsmap = match model.normalizer.charsmap.as_slice() {
            [] => None,
            charsmap => Some(Arc::new(Charsmap::new(charsmap).map_err(|error| invalid(error.to_string()))?)),
        };
        let added_config: AddedConfig = config::beside(file)?;
        let added = Added::new(&model, &added_config).map_err(invalid)?;
        let sha256 = crate::digest::sha256(&bytes);
        let unreserved = OnceLock::new();
        Ok(Self { model: Arc::new(model), charsmap, added, config: config::beside(file)?, sha256, unreserved })
    }

    /// The tokenizer with the reserved ids of `vocabulary`.
    #[must_use]
    pub(crate) fn tokenizer(&self, vocabulary: Vocabulary) -> SentencePieceTokenizer {
        let reserved = |id: u32| !vocabulary.is_ordinary(id);
        SentencePieceTokenizer { encoder: self.encoder(&reserved), vocabulary }
    }

    fn encoder(&self, reserved: Reserved<'_>) -> Encoder {
        let model = &self.model;
        let symbols = || {
            let is_symbol = |id: &u32| model.kind(*id) == PieceKind::UserDefined && !reserved(*id);
            Symbols::new(model.ids().filter(is_symbol).map(|id| model.name(id)))
        };
        let normalizer = Normalizer::new(model, self.charsmap.clone(), symbols());
        let algorithm = match model.algorithm {
            ModelType::Unigram => Algorithm::Unigram(Unigram::new(model, reserved)),
            ModelType::Bpe => Algorithm::Bpe(Bpe::new(model, symbols(), reserved)),
        };
        Encoder { normalizer, algorithm }
    }

    fn unreserved(&self) -> &Encoder {
        self.unreserved.get_or_init(|| self.encoder(&|_| false))
    }

    /// The user-defined piece that a name means: the one with a `▁` before the name.
    fn behind_space(&self, token: &str) -> Option<u32> {
        let id = self.model.id(&[SPACE, token.as_bytes()].concat())?;
        (self.model.kind(id) == PieceKind::UserDefined).then_some(id)
    }
}

impl TokenizerNames for SentencePieceFile {
    fn size(&self) -> u32 {
        self.added.size(self.model.len())
    }

    fn id(&self, token: &str) -> Option<u32> {
        self.added.id(token).or_else(|| self.model.id(token.as_bytes())).or_else(|| self.behind_space(token))
    }

    fn token(&self, id: u32) -> Option<String> {
        let of_model = || (id < self.model.len()).then(|| String::from_utf8_lossy(self.model.name(id)).into_owned());
        self.added.name(id).map(str::to_owned).or_else(of_model)
    }

    fn is_added(&self, token: &str) -> bool {
        self.id(token).is_some_and(|id| self.added(id))
    }

    fn added(&self, id: u32) -> bool {
        let is_special =
            || matches!(self.model.kind(id), PieceKind::Unknown | PieceKind::Control | PieceKind::UserDefined);
        self.added.name(id).is_some() || (id < self.model.len() && is_special())
    }

    fn pieces(&self, text: &str) -> Result<Vec<u32>, TokenizeError> {
        let encoder = self.unreserved();
        let mut ids = Vec::new();
        encoder.encode(text, &mut encoder.state(), &mut ids)?;
        Ok(ids)
    }

    fn shown(&self, ids: &[u32]) -> String {
        let mut shown = Vec::new();
        for &id in ids {
            if let Some(name) = self.added.name(id) {
                shown.extend_from_slice(name.as_bytes());
            } else if id < self.model.len() {
                self.show_piece(id, &mut shown);
            } else {
                shown.extend_from_slice(format!("<id {id}>").as_bytes());
            }
        }
        let shown = String::from_utf8_lossy(&shown).replace('▁', " ");
        shown.strip_prefix(' ').map_or_else(|| shown.clone(), str::to_owned)
    }

    fn identity(&self) -> TokenizerId {
        TokenizerId { kind: KIND.to_owned(), sha256: self.sha256.clone(), library: LIBRARY.to_owned() }
    }

    fn configured(&self, role: Role) -> Option<&str> {
        self.config.token(role)
    }

    fn own(&self, role: Role) -> Option<&str> {
        Some(match role {
            Role::Bos => &self.model.bos_name,
            Role::Eos => &self.model.eos_name,
            Role::Pad => &self.model.pad_name,
        })
    }

    fn is_special(&self, token: &str) -> bool {
        let is_control = |id| id < self.model.len() && self.model.kind(id) == PieceKind::Control;
        self.added.is_special(token) || self.id(token).is_some_and(is_control)
    }

    fn has_special(&self) -> bool {
        self.added.has_special() || self.model.ids().any(|id| self.model.kind(id) == PieceKind::Control)
    }
}

impl SentencePieceFile {
    fn show_piece(&self, id: u32, shown: &mut Vec<u8>) {
        let name = self.model.name(id);
        let byte = || self.model.bytes.as_ref()?.iter().zip(0..=u8::MAX).find(|(piece, _)| **piece == id);
        match (self.model.kind(id), byte()) {
            (PieceKind::Byte, Some((_, byte))) => shown.push(byte),
            // A sentinel is named without the `▁` before it.
            (PieceKind::UserDefined, _) => shown.extend_from_slice(name.strip_prefix(SPACE).unwrap_or(name)),
            _ => shown.extend_from_slice(name),
        }
    }
}

/// The tokenizer of a SentencePiece model.
pub(crate) struct SentencePieceTokenizer {
    encoder: Encoder,
    vocabulary: Vocabulary,
}

impl Tokenizer for SentencePieceTokenizer {
    fn scratch(&self) -> Scratch {
        Scratch { sentencepiece: Some(Box::new(self.encoder.state())), ..Scratch::default() }
    }

    fn tokenize<'a>(&self, text: &str, scratch: &'a mut Scratch) -> Result<TokenSequence<'a>, TokenizeError> {
        let Scratch { ids, sentencepiece, .. } = scratch;
        ids.clear();
        self.encoder.encode(text, sentencepiece.get_or_insert_with(|| Box::new(self.encoder.state())), ids)?;
        Ok(TokenSequence::new(ids, &self.vocabulary)?)
    }

    fn path(&self) -> String {
        let (name, words_are_apart, reason) = match &self.encoder.algorithm {
            Algorithm::Unigram(unigram) => ("Unigram", unigram.words_are_apart(), "a piece may reach over words"),
            Algorithm::Bpe(bpe) => {
                ("BPE", bpe.words_are_apart(), "unused pieces are split again, or a piece is not text")
            }
        };
        if words_are_apart {
            format!("SentencePiece {name}, word by word")
        } else {
            format!("SentencePiece {name}, whole texts: {reason}")
        }
    }
}

/// Encodes text as ids, with some pieces reserved.
struct Encoder {
    normalizer: Normalizer,
    algorithm: Algorithm,
}

enum Algorithm {
    Unigram(Unigram),
    Bpe(Bpe),
}

/// A worker's state between documents.
pub(crate) struct State {
    normalized: Vec<u8>,
    algorithm: AlgorithmState,
}

enum AlgorithmState {
    Unigram(UnigramState),
    Bpe(BpeState),
}

impl Encoder {
    fn state(&self) -> State {
        let algorithm = match &self.algorithm {
            Algorithm::Unigram(unigram) => AlgorithmState::Unigram(unigram.state()),
            Algorithm::Bpe(bpe) => AlgorithmState::Bpe(bpe.state()),
        };
        State { normalized: Vec::new(), algorithm }
    }

    fn encode(&self, text: &str, state: &mut State, ids: &mut Vec<u32>) -> Result<(), TokenizeError> {
        let State { normalized, algorithm } = state;
        self.normalizer.normalize(text, normalized)?;
        match (&self.algorithm, algorithm) {
            (Algorithm::Unigram(unigram), AlgorithmState::Unigram(state)) => unigram.encode(normalized, state, ids),
            (Algorithm::Bpe(bpe), AlgorithmState::Bpe(state)) => bpe.encode(normalized, state, ids),
            _ => return Err(TokenizeError::Library("the state of another tokenizer".to_owned())),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::words::{key, merge_unknown, words};
    use super::*;

    /// Fragments that are hard for models.
    pub(super) const TEXTS: [&str; 12] = [
        "the",
        "",
        "▁▁",
        "quick",
        "—————————————————————————————————————",
        "--------------------------------------------------------------------------------",
        "internationalization",
        "naïve",
        "漢字かな",
        "ab-ab-ab-=-=-=====",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "x,",
    ];

    /// A model of the fixtures, followed by more bytes.
    pub(super) fn model(name: &str, behind: &[u8]) -> Model {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/sentencepiece/{name}.model"));
        Model::read(&[&fs_err::read(file).unwrap(), behind].concat()).unwrap()
    }

    #[test]
    fn words_begin_where_a_space_stands_behind_something_else() {
        let parts = |text: &'static str| -> Vec<&str> {
            words(text.as_bytes()).map(|(start, end)| &text[start..end]).collect()
        };
        assert_eq!(parts("▁the▁▁cat"), ["▁the", "▁▁cat"]);
        assert_eq!(parts("a▁"), ["a", "▁"]);
        assert_eq!(parts("▁"), ["▁"]);
        assert_eq!(parts("é▂"), ["é▂"]);
        assert!(parts("").is_empty());
    }

    #[test]
    fn keys_of_words_differ_as_the_words_do() {
        let words = [
            "▁",
            "▁▁",
            "▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁",
            "▁a",
            "a",
            "▁▁a",
            "a▁▁",
            "▁▁é",
            "é",
            "▁a▁",
            "aaaaaaaaaaaaaaaaaaaaaaa",
        ];
        let key = |word: &str| key(format!("{word} and more").as_bytes(), (0, word.len()));
        for (place, word) in words.iter().enumerate() {
            assert!(key(word).is_some(), "{word}");
            assert!(words[..place].iter().all(|other| key(other) != key(word)), "{word}");
        }
        for word in ["▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁", "▁▁aaaaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaaaaaa"]
        {
            assert!(key(word).is_none(), "{word}");
        }
    }

    #[test]
    fn neighbouring_unknowns_become_one() {
        let mut ids = vec![0, 0, 5, 0, 0, 0, 6, 0];
        merge_unknown(&mut ids, 1, 0);
        assert_eq!(ids, [0, 0, 5, 0, 6, 0]);
    }
}
