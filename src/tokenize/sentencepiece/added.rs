//! Tokens in addition to the pieces of a model, mainly sentinels (`docs/internals/sentencepiece.md`, Tokens beside the
//! pieces).

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::tokenize::config::ConfigToken;
use crate::tokenize::sentencepiece::model::{Model, ModelType, PieceKind, SPACE};

/// Sentinels that T5's tokenizer adds after the pieces, if no configuration gives their number.
const T5_SENTINELS: u32 = 100;

/// The configuration's tokens that are not pieces.
#[derive(Debug, Default, Deserialize)]
pub(super) struct AddedConfig {
    added_tokens_decoder: Option<BTreeMap<String, ConfigToken>>,
    extra_ids: Option<u32>,
    additional_special_tokens: Option<Vec<ConfigToken>>,
}

/// Tokens in addition to the pieces, by id and by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Added {
    names: BTreeMap<u32, String>,
    ids: BTreeMap<String, u32>,
    /// Names of special tokens, including special pieces.
    special: BTreeSet<String>,
}

impl Added {
    /// The tokens of a model and its configuration.
    ///
    /// # Errors
    ///
    /// A contradiction between the two.
    pub(super) fn new(model: &Model, config: &AddedConfig) -> Result<Self, String> {
        let mut added = Self::default();
        let AddedConfig { added_tokens_decoder, extra_ids, additional_special_tokens } = config;
        if let Some(decoder) = added_tokens_decoder.as_ref().filter(|decoder| !decoder.is_empty()) {
            for (id, token) in decoder {
                let number: u32 = id.parse().map_err(|_| format!("`added_tokens_decoder` has the id `{id}`"))?;
                if token.special() == Some(true) {
                    added.special.insert(token.name().to_owned());
                }
                if number >= model.len() || model.name(number) != token.name().as_bytes() {
                    added.add(number, token.name());
                }
            }
            return Ok(added);
        }
        let special: Vec<&str> = additional_special_tokens.iter().flatten().map(ConfigToken::name).collect();
        let named = special.iter().filter(|name| is_sentinel(name)).count();
        let named = u32::try_from(named).map_err(|error| error.to_string())?;
        let sentinels = match extra_ids {
            Some(sentinels) if *sentinels > 0 && named > 0 && *sentinels != named => {
                return Err(format!(
                    "`extra_ids` is {sentinels}, but `additional_special_tokens` names {named} of them"
                ));
            }
            Some(sentinels) => *sentinels,
            None if named > 0 => named,
            None if is_t5(model) => T5_SENTINELS,
            None => 0,
        };
        let mut next = model.len();
        for number in (0..sentinels).rev() {
            added.add_special(next, &format!("<extra_id_{number}>"));
            next = next.checked_add(1).ok_or_else(|| format!("`extra_ids` is {sentinels}"))?;
        }
        for name in special.into_iter().filter(|name| !is_sentinel(name)) {
            if model.id(name.as_bytes()).is_none() && !added.ids.contains_key(name) {
                added.add_special(next, name);
                next = next.checked_add(1).ok_or_else(|| format!("`extra_ids` is {sentinels}"))?;
            }
        }
        Ok(added)
    }

    fn add(&mut self, id: u32, name: &str) {
        self.names.insert(id, name.to_owned());
        self.ids.insert(name.to_owned(), id);
    }

    fn add_special(&mut self, id: u32, name: &str) {
        self.add(id, name);
        self.special.insert(name.to_owned());
    }

    pub(super) fn is_special(&self, name: &str) -> bool {
        self.special.contains(name)
    }

    pub(super) fn has_special(&self) -> bool {
        !self.special.is_empty()
    }

    pub(super) fn id(&self, name: &str) -> Option<u32> {
        self.ids.get(name).copied()
    }

    pub(super) fn name(&self, id: u32) -> Option<&str> {
        self.names.get(&id).map(String::as_str)
    }

    /// One more than the largest id.
    pub(super) fn size(&self, pieces: u32) -> u32 {
        self.names.last_key_value().map_or(pieces, |(&last, _)| pieces.max(last.saturating_add(1)))
    }
}

/// Whether the name looks like `<extra_id_7>`.
fn is_sentinel(name: &str) -> bool {
    let number = name.strip_prefix("<extra_id_").and_then(|rest| rest.strip_suffix('>'));
    number.is_some_and(|number| number.parse::<u32>().is_ok_and(|parsed| parsed.to_string() == number))
}

/// Whether the model has T5's shape, and no sentinels in it.
fn is_t5(model: &Model) -> bool {
    let special = [(&b"<pad>"[..], PieceKind::Control), (b"</s>", PieceKind::Control), (b"<unk>", PieceKind::Unknown)];
    let is_special = |(id, (name, kind))| model.name(id) == name && model.kind(id) == kind;
    let names_sentinel = |id| {
        let name = model.name(id);
        str::from_utf8(name.strip_prefix(SPACE).unwrap_or(name)).is_ok_and(is_sentinel)
    };
    model.algorithm == ModelType::Unigram
        && model.len() >= 3
        && (0..).zip(special).all(is_special)
        && !model.ids().any(names_sentinel)
}
