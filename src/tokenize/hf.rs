//! A Hugging Face `tokenizer.json`, read by the `tokenizers` crate.
//!
//! Ids equal those of the Python package of that name for the same file (`add_special_tokens=False`,
//! `encode_special_tokens=True`, truncation and padding switched off) for every text whose ids hold no reserved one.
//!
//! Where they do – T5's Unigram file has `</s>` and its sentinels as pieces of the model, so the package turns the *text*
//! `</s>` into EOS – the text is encoded again by the same model without these pieces, as `SentencePiece` does with its control
//! symbols. Text stays text.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokenizers::models::unigram::Unigram;
use tokenizers::{AddedToken, ModelWrapper};

use super::fast::Fast;
use super::guard::guarded;
use super::{Scratch, TokenizeError, Tokenizer, TokenizerNames, TokenizerPath};
use crate::bounded;
use crate::denoise::{TokenSequence, TokenizerId, Vocabulary};

/// The version of the `tokenizers` crate; a test holds it to the lock file.
pub const LIBRARY: &str = "tokenizers 0.23.2";

/// A `tokenizer.json` that has been read.
pub struct TokenizerFile {
    tokenizer: Arc<tokenizers::Tokenizer>,
    /// The model's id of unknown text, which the crate does not show.
    unknown_id: Option<u32>,
    sha256: String,
    config: Config,
}

/// What is read from the file beside the crate.
#[derive(Deserialize)]
struct FileFields {
    model: ModelFields,
}

#[derive(Deserialize)]
struct ModelFields {
    unk_id: Option<u32>,
}

/// What `tokenizer_config.json` beside the file says.
#[derive(Debug, Default, Deserialize)]
struct Config {
    eos_token: Option<ConfigToken>,
    pad_token: Option<ConfigToken>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum ConfigToken {
    Name(String),
    Token { content: String },
}

/// Why a `tokenizer.json` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerFileError {
    /// The file or folder cannot be read. The message carries the path.
    #[error("cannot read the tokenizer")]
    Read(#[from] std::io::Error),
    /// A folder without `tokenizer.json`.
    #[error("no `tokenizer.json` in `{}`", .0.display())]
    NoFile(PathBuf),
    /// The library refuses the file.
    #[error("`{}` is no tokenizer that can be used: {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What the library says.
        reason: String,
    },
    /// The configuration beside the file is not JSON.
    #[error("`{}` cannot be read as JSON", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
}

/// Most bytes of a `tokenizer.json`. The largest that is in use, of 256,000 pieces, has 34 MB; the crate takes several times a file.
pub const MAX_FILE: u64 = 256 << 20;

/// Most bytes of a `tokenizer_config.json`.
pub const MAX_CONFIG: u64 = 64 << 20;

/// The name of the embedded tokenizer, which has no file.
pub const BYTES: &str = "bytes";

impl TokenizerFile {
    /// The file of a tokenizer by name or path; `None` for the embedded one.
    ///
    /// # Errors
    ///
    /// [`TokenizerFileError`] as for [`TokenizerFile::read`].
    pub fn named(name: &str) -> Result<Option<Self>, TokenizerFileError> {
        if name == BYTES { Ok(None) } else { Self::read(Path::new(name)).map(Some) }
    }

    /// Reads a `tokenizer.json`, or the one in a folder, and `tokenizer_config.json` beside it.
    ///
    /// # Errors
    ///
    /// [`TokenizerFileError`] if there is none or it cannot be used.
    pub fn read(path: &Path) -> Result<Self, TokenizerFileError> {
        let folder = fs_err::metadata(path)?.is_dir();
        let file = if folder { path.join("tokenizer.json") } else { path.to_owned() };
        if folder && !file.exists() {
            return Err(TokenizerFileError::NoFile(path.to_owned()));
        }
        let json = bounded::read(&file, MAX_FILE)?;
        let invalid = |reason: String| TokenizerFileError::Invalid { path: file.clone(), reason };
        let parsed = guarded(|| tokenizers::Tokenizer::from_bytes(&json));
        let parsed = parsed.map_err(|message| invalid(format!("the library panicked: {message}")))?;
        let mut tokenizer = parsed.map_err(|error| invalid(error.to_string()))?;
        // Some files ship truncation and padding switched on: text would be lost, pads would become tokens.
        tokenizer.with_truncation(None).map_err(|error| invalid(error.to_string()))?;
        tokenizer.with_padding(None);
        tokenizer.set_encode_special_tokens(true);
        let config_path = file.with_file_name("tokenizer_config.json");
        let config = if config_path.exists() {
            serde_json::from_slice(&bounded::read(&config_path, MAX_CONFIG)?)
                .map_err(|source| TokenizerFileError::Config { path: config_path, source })?
        } else {
            Config::default()
        };
        let unknown_id = serde_json::from_slice::<FileFields>(&json).ok().and_then(|file| file.model.unk_id);
        let tokenizer = Arc::new(tokenizer);
        Ok(Self { tokenizer, unknown_id, sha256: crate::digest::hex(&Sha256::digest(&json)), config })
    }

    /// The tokenizer with the reserved ids of `vocabulary`.
    #[must_use]
    pub fn into_tokenizer(self, vocabulary: Vocabulary, path: TokenizerPath) -> HfTokenizer {
        let reserved = |id: u32| id < vocabulary.size() && !vocabulary.is_ordinary(id);
        let (fast, path) = match path {
            TokenizerPath::Oracle => (None, format!("{LIBRARY}, as asked for")),
            TokenizerPath::Auto => match guarded(|| Fast::new(&self.tokenizer, self.unknown_id, reserved)) {
                Ok(Ok(fast)) => {
                    let name = fast.name().to_owned();
                    (Some(fast), name)
                }
                Ok(Err(reason)) => (None, format!("{LIBRARY}: {reason}")),
                // The library has its own say on each text.
                Err(message) => (None, format!("{LIBRARY}: it panicked while the file was looked at: {message}")),
            },
        };
        let Self { tokenizer, unknown_id, .. } = self;
        HfTokenizer { tokenizer, unknown_id, without_reserved: OnceLock::new(), fast, path, vocabulary }
    }
}

impl TokenizerNames for TokenizerFile {
    fn size(&self) -> u32 {
        // Ids may have holes: the size is one more than the largest.
        let vocabulary = self.tokenizer.get_vocab(true);
        vocabulary.values().max().map_or(0, |&last| last.saturating_add(1))
    }

    fn id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    fn is_added(&self, token: &str) -> bool {
        self.tokenizer.get_added_vocabulary().get_vocab().contains_key(token)
    }

    fn added(&self, id: u32) -> bool {
        self.tokenizer.get_added_tokens_decoder().contains_key(&id)
    }

    fn pieces(&self, text: &str) -> Result<Vec<u32>, TokenizeError> {
        let encoded = guarded(|| self.tokenizer.encode_fast(text, false)).map_err(TokenizeError::Library)?;
        Ok(encoded.map_err(|error| library(&error))?.get_ids().to_vec())
    }

    fn shown(&self, ids: &[u32]) -> String {
        guarded(|| self.tokenizer.decode(ids, false).unwrap_or_default()).unwrap_or_default()
    }

    fn identity(&self) -> TokenizerId {
        TokenizerId { kind: "tokenizer.json".to_owned(), sha256: self.sha256.clone(), library: LIBRARY.to_owned() }
    }

    fn configured_eos(&self) -> Option<&str> {
        self.config.eos_token.as_ref().map(ConfigToken::name)
    }

    fn configured_pad(&self) -> Option<&str> {
        self.config.pad_token.as_ref().map(ConfigToken::name)
    }
}

impl ConfigToken {
    fn name(&self) -> &str {
        match self {
            Self::Name(name) | Self::Token { content: name } => name,
        }
    }
}

/// The tokenizer of a `tokenizer.json`.
pub struct HfTokenizer {
    tokenizer: Arc<tokenizers::Tokenizer>,
    unknown_id: Option<u32>,
    /// The same without the reserved tokens, for texts that spell one. Made when the first such text comes.
    without_reserved: OnceLock<Result<tokenizers::Tokenizer, String>>,
    fast: Option<Fast>,
    /// Which path texts take, and why.
    path: String,
    vocabulary: Vocabulary,
}

impl Tokenizer for HfTokenizer {
    fn scratch(&self) -> Scratch {
        Scratch { ids: Vec::new(), fast: self.fast.as_ref().map(|fast| Box::new(fast.state())) }
    }

    fn tokenize<'a>(&self, text: &str, scratch: &'a mut Scratch) -> Result<TokenSequence<'a>, TokenizeError> {
        let Scratch { ids, fast: state } = scratch;
        ids.clear();
        let is_encoded = match (&self.fast, state) {
            (Some(fast), Some(state)) => {
                fast.encode(text, state, ids).map_err(|error| library(&error))?;
                // A Unigram path has no reserved pieces. A BPE path has all, as the crate.
                ids.iter().all(|&id| self.vocabulary.is_ordinary(id))
            }
            _ => false,
        };
        if !is_encoded {
            encode(&self.tokenizer, text, ids)?;
            if !ids.iter().all(|&id| self.vocabulary.is_ordinary(id)) {
                let again = self.without_reserved.get_or_init(|| {
                    without_reserved(&self.tokenizer, self.unknown_id, &self.vocabulary)
                        .map_err(|error| error.to_string())
                });
                encode(again.as_ref().map_err(|error| TokenizeError::Library(error.clone()))?, text, ids)?;
            }
        }
        Ok(TokenSequence::new(ids, &self.vocabulary)?)
    }

    fn path(&self) -> String {
        self.path.clone()
    }
}

fn encode(tokenizer: &tokenizers::Tokenizer, text: &str, ids: &mut Vec<u32>) -> Result<(), TokenizeError> {
    let encoding = tokenizer.encode_fast(text, false).map_err(|error| library(&error))?;
    ids.clear();
    ids.extend_from_slice(encoding.get_ids());
    Ok(())
}

fn library(error: &tokenizers::Error) -> TokenizeError {
    TokenizeError::Library(error.to_string())
}

/// The same tokenizer, but no text gives a reserved id: reserved added tokens are special (and special ones are encoded as
/// text), reserved pieces of a Unigram model have names that no text spells.
fn without_reserved(
    tokenizer: &tokenizers::Tokenizer,
    unknown_id: Option<u32>,
    vocabulary: &Vocabulary,
) -> Result<tokenizers::Tokenizer, TokenizeError> {
    let mut copy = tokenizer.clone();
    let reserved = |id: u32| id < vocabulary.size() && !vocabulary.is_ordinary(id);
    let added = tokenizer.get_added_tokens_decoder().into_iter();
    let made_special = added
        .filter(|(id, token)| reserved(*id) && !token.special)
        .map(|(_, token)| AddedToken { special: true, ..token });
    copy.add_special_tokens(made_special.collect::<Vec<_>>()).map_err(|error| library(&error))?;
    if let ModelWrapper::Unigram(model) = tokenizer.get_model() {
        let mut ids = 0..;
        let pieces = model.iter().map(|(piece, score)| {
            let unspellable = ids.next().is_some_and(reserved);
            // Two noncharacters: Unicode forbids them in interchanged text, and each name is different.
            let name = if unspellable { format!("\u{FDD0}\u{FDD1}{piece}") } else { piece.clone() };
            (name, *score)
        });
        let unknown = unknown_id.map(|id| id as usize);
        let model = Unigram::from(pieces.collect(), unknown, model.byte_fallback()).map_err(|error| library(&error))?;
        copy.with_model(model);
    }
    Ok(copy)
}
