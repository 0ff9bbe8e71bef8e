//! A Hugging Face `tokenizer.json`, read by the `tokenizers` crate.
//!
//! Ids equal those of the Python package with the same name for the same file (`add_special_tokens=False`,
//! `encode_special_tokens=True`, truncation and padding switched off) for every text whose ids hold no reserved one.
//!
//! Where they do (T5's Unigram file has `</s>` and its sentinels as pieces of the model, so the package turns the
//! *text* `</s>` into EOS), the same model without these pieces encodes the text again, as `SentencePiece` does with
//! its control symbols. Text stays text.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use tokenizers::models::unigram::Unigram;
use tokenizers::{AddedToken, ModelWrapper};

use crate::denoise::{TokenSequence, TokenizerId, Vocabulary};
use crate::tokenize::config::{self, Config};
use crate::tokenize::contents::contents;
use crate::tokenize::direct::{self, ModelFields};
use crate::tokenize::error::TokenizerFileError;
use crate::tokenize::fast::Fast;
use crate::tokenize::guard::guarded;
use crate::tokenize::limits::Care;
use crate::tokenize::mistaken::MistakenFile;
use crate::tokenize::{Role, Scratch, TokenizeError, Tokenizer, TokenizerNames, TokenizerPath};

/// The version of the `tokenizers` crate; a test holds it to the lock file.
pub const LIBRARY: &str = "tokenizers 0.23.2";

/// A `tokenizer.json`, read.
pub struct JsonFile {
    /// The file's bytes: the crate does not expose all that they say.
    json: Vec<u8>,
    tokenizer: Arc<tokenizers::Tokenizer>,
    /// The model's id of unknown text, which the crate does not expose.
    unknown_id: Option<u32>,
    sha256: String,
    config: Config,
    /// Settings of the file that are switched off.
    switched_off: Vec<String>,
    /// The check that each text has to pass first, if the file may do too much.
    care: Option<Arc<Care>>,
}

impl JsonFile {
    /// Reads a `tokenizer.json`, and `tokenizer_config.json` next to it.
    ///
    /// # Errors
    ///
    /// [`TokenizerFileError`] if it cannot be used.
    pub(crate) fn read(file: &Path) -> Result<Self, TokenizerFileError> {
        let json = contents(file)?;
        let invalid = |reason: String| TokenizerFileError::Invalid { path: file.to_owned(), reason };
        let care = guarded(|| Care::of_normalizer(&json));
        let care = care.unwrap_or_else(|message| Err(format!("the library panicked: {message}"))).map_err(invalid)?;
        let model = ModelFields::of_file(&json);
        let parsed = guarded(|| direct::tokenizer(&json, &model));
        let parsed = parsed.map_err(|message| invalid(format!("the library panicked: {message}")))?;
        let mut tokenizer = parsed.map_err(|error| match MistakenFile::not_json(&json) {
            Some(kind) => TokenizerFileError::Mistaken { path: file.to_owned(), kind },
            None => invalid(error.to_string()),
        })?;
        let switched_off = switch_off(&mut tokenizer).map_err(|error| invalid(error.to_string()))?;
        tokenizer.set_encode_special_tokens(true);
        let care = care.of_file(&tokenizer).map_err(invalid)?.map(Arc::new);
        let config = config::beside(file)?;
        let tokenizer = Arc::new(tokenizer);
        let sha256 = crate::digest::sha256(&json);
        Ok(Self { json, tokenizer, unknown_id: model.unk_id, sha256, config, switched_off, care })
    }

    /// The tokenizer with the reserved ids of `vocabulary`.
    #[must_use]
    pub(crate) fn tokenizer(&self, vocabulary: Vocabulary, path: TokenizerPath) -> HfTokenizer {
        let reserved = |id: u32| id < vocabulary.size() && !vocabulary.is_ordinary(id);
        let (fast, path) = match path {
            TokenizerPath::Oracle => (None, format!("{LIBRARY}, as asked for")),
            TokenizerPath::Auto if self.care.is_some() => {
                (None, format!("{LIBRARY}: the file may make much of a text, so each is looked at first"))
            }
            TokenizerPath::Auto => {
                match guarded(|| Fast::new(&self.tokenizer, &self.json, self.unknown_id, reserved)) {
                    Ok(Ok(fast)) => {
                        let name = fast.name();
                        (Some(fast), name)
                    }
                    Ok(Err(reason)) => (None, format!("{LIBRARY}: {reason}")),
                    // The library still decides on each text.
                    Err(message) => (None, format!("{LIBRARY}: it panicked while the file was looked at: {message}")),
                }
            }
        };
        HfTokenizer {
            tokenizer: self.tokenizer.clone(),
            unknown_id: self.unknown_id,
            without_reserved: OnceLock::new(),
            fast,
            care: self.care.clone(),
            path,
            vocabulary,
        }
    }
}

impl TokenizerNames for JsonFile {
    fn size(&self) -> u32 {
        // Ids may have holes: the size is one more than the largest.
        let vocabulary = self.tokenizer.get_vocab(true);
        vocabulary.values().max().map_or(0, |&last| last.saturating_add(1))
    }

    fn id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    fn token(&self, id: u32) -> Option<String> {
        // A file may have a piece of another name for the id of an added token.
        let added = self.tokenizer.get_added_vocabulary().get_added_tokens_decoder().get(&id);
        added.map(|token| token.content.clone()).or_else(|| self.tokenizer.id_to_token(id))
    }

    fn is_added(&self, token: &str) -> bool {
        self.tokenizer.get_added_vocabulary().get_vocab().contains_key(token)
    }

    fn added(&self, id: u32) -> bool {
        self.tokenizer.get_added_tokens_decoder().contains_key(&id)
    }

    fn pieces(&self, text: &str) -> Result<Vec<u32>, TokenizeError> {
        let checked = guarded(|| self.care.as_ref().map_or(Ok(()), |care| care.check(&self.tokenizer, text)));
        checked.map_err(TokenizeError::Library)??;
        let encoded = guarded(|| self.tokenizer.encode_fast(text, false)).map_err(TokenizeError::Library)?;
        Ok(encoded.map_err(|error| library(&error))?.get_ids().to_vec())
    }

    fn shown(&self, ids: &[u32]) -> String {
        let decoded =
            |ids: &[u32]| guarded(|| self.tokenizer.decode(ids, false).unwrap_or_default()).unwrap_or_default();
        // The library leaves out ids that it does not have, such as sentinels of a larger embedding.
        let is_known = |id: &u32| self.tokenizer.id_to_token(*id).is_some();
        let runs = ids.chunk_by(|a, b| is_known(a) == is_known(b));
        let shown = |run: &[u32]| match run {
            [first, ..] if !is_known(first) => {
                run.iter().flat_map(|id| ["<id ".to_owned(), id.to_string(), ">".to_owned()]).collect()
            }
            _ => decoded(run),
        };
        runs.map(shown).collect()
    }

    fn identity(&self) -> TokenizerId {
        TokenizerId { kind: "tokenizer.json".to_owned(), sha256: self.sha256.clone(), library: LIBRARY.to_owned() }
    }

    fn configured(&self, role: Role) -> Option<&str> {
        self.config.token(role)
    }

    fn own(&self, _: Role) -> Option<&str> {
        None
    }

    fn is_special(&self, token: &str) -> bool {
        self.tokenizer.get_added_vocabulary().is_special_token(token)
    }

    fn has_special(&self) -> bool {
        self.tokenizer.get_added_vocabulary().get_added_tokens_decoder().values().any(|token| token.special)
    }

    fn switched_off(&self) -> &[String] {
        &self.switched_off
    }
}

/// Switches off what some files ship switched on, and returns what it was. Truncation loses text, padding adds tokens,
/// dropout gives the same text different ids each time.
fn switch_off(tokenizer: &mut tokenizers::Tokenizer) -> Result<Vec<String>, tokenizers::Error> {
    let mut switched_off = Vec::new();
    if let Some(truncation) = tokenizer.get_truncation() {
        switched_off.push(format!("truncation to {} tokens", truncation.max_length));
        tokenizer.with_truncation(None)?;
    }
    if tokenizer.get_padding().is_some() {
        switched_off.push("padding".to_owned());
        tokenizer.with_padding(None);
    }
    if let ModelWrapper::BPE(model) = tokenizer.get_model()
        && let Some(dropout) = model.dropout
    {
        let mut model = model.clone();
        model.dropout = None;
        tokenizer.with_model(model);
        if dropout > 0.0 {
            switched_off.push(format!("dropout of {dropout}"));
        }
    }
    Ok(switched_off)
}

/// The tokenizer of a `tokenizer.json`.
pub(crate) struct HfTokenizer {
    tokenizer: Arc<tokenizers::Tokenizer>,
    unknown_id: Option<u32>,
    /// The same tokenizer without the reserved tokens, for texts that spell one. Built when the first such text comes.
    without_reserved: OnceLock<Result<tokenizers::Tokenizer, String>>,
    fast: Option<Fast>,
    care: Option<Arc<Care>>,
    /// The path of texts, and the reason.
    path: String,
    vocabulary: Vocabulary,
}

impl Tokenizer for HfTokenizer {
    fn scratch(&self) -> Scratch {
        Scratch { fast: self.fast.as_ref().map(|fast| Box::new(fast.state())), ..Scratch::default() }
    }

    fn tokenize<'a>(&self, text: &str, scratch: &'a mut Scratch) -> Result<TokenSequence<'a>, TokenizeError> {
        let Scratch { ids, fast: state, .. } = scratch;
        ids.clear();
        let is_encoded = match (&self.fast, state) {
            (Some(fast), Some(state)) => {
                fast.encode(text, state, ids).map_err(|error| library(&error))?;
                // A Unigram path has no reserved pieces. A BPE path has all, like the crate.
                ids.iter().all(|&id| self.vocabulary.is_ordinary(id))
            }
            _ => false,
        };
        if !is_encoded {
            if let Some(care) = &self.care {
                care.check(&self.tokenizer, text)?;
            }
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

/// The same tokenizer, but no text gives a reserved id: reserved added tokens are special (and special ones are encoded
/// as text), and reserved pieces of a Unigram model get names that no text spells.
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
