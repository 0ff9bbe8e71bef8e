//! Reads `tokenizer_config.json` next to a tokenizer's file.

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::files::bounded;
use crate::tokenize::Role;
use crate::tokenize::error::TokenizerFileError;

/// The file next to a tokenizer's file.
pub(crate) const CONFIG_NAME: &str = "tokenizer_config.json";

/// Most bytes of a `tokenizer_config.json`.
pub(crate) const MAX_CONFIG: u64 = 64 << 20;

/// The tokens that the configuration of any kind of tokenizer may name.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Config {
    #[serde(rename = "bos_token")]
    bos: Option<ConfigToken>,
    #[serde(rename = "eos_token")]
    eos: Option<ConfigToken>,
    #[serde(rename = "pad_token")]
    pad: Option<ConfigToken>,
}

/// A token: its name, or an object that holds the name.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum ConfigToken {
    Name(String),
    Token { content: String, special: Option<bool> },
}

impl Config {
    /// The token of a role.
    pub(super) fn token(&self, role: Role) -> Option<&str> {
        match role {
            Role::Bos => self.bos.as_ref(),
            Role::Eos => self.eos.as_ref(),
            Role::Pad => self.pad.as_ref(),
        }
        .map(ConfigToken::name)
    }
}

impl ConfigToken {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Name(name) | Self::Token { content: name, .. } => name,
        }
    }

    /// Whether the configuration says that the token is special, or that it is not.
    pub(super) fn special(&self) -> Option<bool> {
        match self {
            Self::Name(_) => None,
            Self::Token { special, .. } => *special,
        }
    }
}

/// The configuration next to a file; the default, if there is none.
///
/// # Errors
///
/// [`TokenizerFileError`] if it cannot be read.
pub(super) fn beside<T: DeserializeOwned + Default>(file: &Path) -> Result<T, TokenizerFileError> {
    let path = file.with_file_name(CONFIG_NAME);
    if !path.exists() {
        return Ok(T::default());
    }
    serde_json::from_slice(&bounded::read(&path, MAX_CONFIG)?)
        .map_err(|source| TokenizerFileError::Config { path, source })
}
