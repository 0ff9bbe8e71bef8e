//! Recognizes files that are mistaken for a tokenizer's: what each is, and what to do.

use std::fmt;

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MistakenFile {
    /// An empty file.
    Empty,
    /// The pointer that Git LFS leaves in a file's place.
    LfsPointer,
    /// A web page, often one that says why the file was not sent.
    WebPage,
    /// Tokens in base64 with their ranks.
    Tiktoken,
    /// The same as JSON, by Mistral.
    Tekken,
    /// `vocab.json`, `added_tokens.json`.
    Vocabulary,
    /// `merges.txt`.
    Merges,
    /// `vocab.txt`.
    WordPiece,
    /// `config.json` of a model.
    ModelConfig,
    /// `tokenizer_config.json`, `special_tokens_map.json`.
    TokenizerConfig,
    /// A SentencePiece model under another name.
    SentencePiece,
    /// A `tokenizer.json` under a model's name.
    Json,
}

impl MistakenFile {
    /// The kind of the file, judging by its first bytes.
    #[must_use]
    pub(crate) fn by_beginning(bytes: &[u8]) -> Option<Self> {
        let head = String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]).to_ascii_lowercase();
        let head = head.trim_start_matches('\u{FEFF}').trim_start();
        let first = head.lines().next().unwrap_or_default().trim_end();
        let is_rank = |line: &str| {
            line.split_once(' ').is_some_and(|(token, rank)| {
                let in_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
                token.len().is_multiple_of(4) && token.bytes().all(in_base64) && rank.parse::<u32>().is_ok()
            })
        };
        match first {
            _ if bytes.is_empty() => Some(Self::Empty),
            _ if first.starts_with("version https://git-lfs") => Some(Self::LfsPointer),
            _ if ["<!doctype html", "<html"].iter().any(|tag| first.starts_with(tag)) => Some(Self::WebPage),
            _ if first.starts_with("#version:") => Some(Self::Merges),
            "[pad]" | "[unk]" => Some(Self::WordPiece),
            _ if is_rank(first) => Some(Self::Tiktoken),
            _ => None,
        }
    }

    /// The kind of a file that is not a `tokenizer.json`.
    #[must_use]
    pub(crate) fn not_json(bytes: &[u8]) -> Option<Self> {
        if let Ok(keys) = serde_json::from_slice::<Keys>(bytes) {
            let is_vocabulary = || serde_json::from_slice::<Ids>(bytes).is_ok();
            return match keys {
                _ if is_vocabulary() => Some(Self::Vocabulary),
                Keys { config: Some(_), vocab: Some(_), model: None, .. } => Some(Self::Tekken),
                Keys { architectures: None, model_type: None, .. } if keys.is_of_tokenizer() => {
                    Some(Self::TokenizerConfig)
                }
                Keys { architectures: Some(_), .. } | Keys { model_type: Some(_), .. } => Some(Self::ModelConfig),
                _ => None,
            };
        }
        match bytes {
            [b'\n', ..] if std::str::from_utf8(bytes).is_err() || bytes.contains(&0) => Some(Self::SentencePiece),
            _ => is_merges(bytes).then_some(Self::Merges),
        }
    }

    /// The kind of a file that is not a SentencePiece model.
    #[must_use]
    pub(crate) fn not_sentencepiece(bytes: &[u8]) -> Option<Self> {
        bytes.trim_ascii_start().starts_with(b"{").then_some(Self::Json)
    }

    /// What to do.
    #[must_use]
    pub(crate) fn hint(self) -> &'static str {
        match self {
            Self::Empty => "fetch the file again",
            Self::LfsPointer => "`git lfs pull` in its repository fetches the file itself",
            Self::WebPage => {
                "fetch the file itself: its address on the Hugging Face Hub has `/resolve/` where that of its page has `/blob/`"
            }
            Self::Tiktoken | Self::Tekken => {
                "use the `tokenizer.json` of the same model: this file does not say how text is cut into words in a form that is read here"
            }
            Self::Vocabulary | Self::Merges | Self::WordPiece | Self::ModelConfig | Self::TokenizerConfig => {
                "name the `tokenizer.json` or the `.model` file beside it; if there is none, \
                 `transformers.AutoTokenizer.from_pretrained(FOLDER).save_pretrained(NEW)` writes a `tokenizer.json`"
            }
            Self::SentencePiece => "give the file a name that ends in `.model`",
            Self::Json => "give the file the name `tokenizer.json`",
        }
    }
}

impl fmt::Display for MistakenFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Empty => "an empty file",
            Self::LfsPointer => "a Git LFS pointer, not the file itself",
            Self::WebPage => "a web page",
            Self::Tiktoken => "a tiktoken vocabulary",
            Self::Tekken => "a Tekken vocabulary (`tekken.json`)",
            Self::Vocabulary => "a vocabulary alone (as `vocab.json`)",
            Self::Merges => "a list of merges alone (as `merges.txt`)",
            Self::WordPiece => "a WordPiece vocabulary alone (as `vocab.txt`)",
            Self::ModelConfig => "the configuration of a model",
            Self::TokenizerConfig => "the configuration of a tokenizer, without its vocabulary",
            Self::SentencePiece => "a SentencePiece model whose name does not end in `.model`",
            Self::Json => "JSON, though its name ends in `.model`",
        })
    }
}

/// Keys that identify the kind of a file.
#[derive(Deserialize)]
struct Keys {
    architectures: Option<IgnoredAny>,
    model_type: Option<IgnoredAny>,
    tokenizer_class: Option<IgnoredAny>,
    eos_token: Option<IgnoredAny>,
    unk_token: Option<IgnoredAny>,
    model: Option<IgnoredAny>,
    config: Option<IgnoredAny>,
    vocab: Option<IgnoredAny>,
}

impl Keys {
    fn is_of_tokenizer(&self) -> bool {
        self.model.is_none()
            && [&self.tokenizer_class, &self.eos_token, &self.unk_token].iter().any(|key| key.is_some())
    }
}

/// An object of names and ids, whose contents are skipped.
struct Ids;

impl<'de> Deserialize<'de> for Ids {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(IdsVisitor)
    }
}

struct IdsVisitor;

impl<'de> Visitor<'de> for IdsVisitor {
    type Value = Ids;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("names and ids")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ids, A::Error> {
        let mut count = 0_u64;
        while map.next_entry::<IgnoredAny, u32>()?.is_some() {
            count += 1;
        }
        if count > 1 { Ok(Ids) } else { Err(serde::de::Error::custom("too few ids")) }
    }
}

/// Whether the first lines are pairs of symbols.
fn is_merges(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4096)]);
    let mut lines = text.lines().take(8).peekable();
    lines.peek().is_some()
        && lines.all(|line| {
            let mut symbols = line.split(' ');
            symbols.by_ref().take(2).filter(|symbol| !symbol.is_empty()).count() == 2 && symbols.next().is_none()
        })
}
