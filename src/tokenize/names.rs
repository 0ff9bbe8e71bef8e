//! Reserved ids by name: EOS, pad, sentinels, mode tokens. Never `vocabulary size − k`.

use crate::tokenize::{Role, TokenizerNames};

/// Sentinel patterns to try when the recipe names none, in this order; all matches count: T5, `ByT5` and most others;
/// then the 28 that Flan-UL2 adds to T5's hundred.
pub(crate) const SENTINEL_PATTERNS: [&str; 2] = ["<extra_id_{n}>", "[new_id_{n}]"];

/// The place of the number in a sentinel pattern.
pub(crate) const NUMBER: &str = "{n}";

/// Names of an EOS token, if no configuration names one.
pub(crate) const EOS_NAMES: [&str; 2] = ["</s>", "<|endoftext|>"];

/// Names of a pad token, if no configuration names one.
pub(crate) const PAD_NAMES: [&str; 3] = ["<pad>", "[PAD]", "<|padding|>"];

/// The ids of the sentinels that the patterns name: pattern by pattern, by ascending number from 0 (or 1, where there is no
/// 0). A pattern without a number names one token.
pub(crate) fn sentinels<'a>(names: &dyn TokenizerNames, patterns: impl IntoIterator<Item = &'a str>) -> Vec<u32> {
    let mut ids = Vec::new();
    for pattern in patterns {
        if !pattern.contains(NUMBER) {
            ids.extend(names.id(pattern)); // one sentinel, by its whole name
            continue;
        }
        let id = |number: u32| names.id(&pattern.replace(NUMBER, &number.to_string()));
        let first = u32::from(id(0).is_none());
        ids.extend((first..).map_while(id));
    }
    ids
}

impl Role {
    /// Names of its token, if neither the configuration nor the file names one.
    #[must_use]
    pub(crate) fn known_names(self) -> &'static [&'static str] {
        match self {
            Self::Eos => &EOS_NAMES,
            Self::Pad => &PAD_NAMES,
        }
    }
}

/// The id of a role's token, if one is known: the configured one, or else the first special token among the file's own
/// and the usual names. Gemma's `</s>` is an HTML tag, Qwen's a piece of text: only in a file without special tokens
/// may any token be meant.
///
/// # Errors
///
/// The configured name, if the file does not have it.
pub(crate) fn of_role(names: &dyn TokenizerNames, role: Role) -> Result<Option<u32>, &str> {
    if let Some(name) = names.configured(role) {
        return names.id(name).map(Some).ok_or(name);
    }
    let counts = |name: &&str| names.is_special(name) || !names.has_special();
    let usual = role.known_names().iter().copied();
    Ok(names.own(role).into_iter().chain(usual).filter(counts).find_map(|name| names.id(name)))
}
