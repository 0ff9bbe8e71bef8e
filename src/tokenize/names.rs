//! Reserved ids by name: EOS, pad, sentinels, mode tokens. Never `vocabulary size − k`.

use super::TokenizerNames;

/// Sentinel patterns tried when the recipe names none, in this order, all that are found: T5, `ByT5` and most others; then the
/// 28 that Flan-UL2 adds to T5's hundred.
pub const SENTINEL_PATTERNS: [&str; 2] = ["<extra_id_{n}>", "[new_id_{n}]"];

/// The place of the number in a sentinel pattern.
pub const NUMBER: &str = "{n}";

/// Names of an EOS token, if no configuration says one.
pub const EOS_NAMES: [&str; 2] = ["</s>", "<|endoftext|>"];

/// Names of a pad token, if no configuration says one.
pub const PAD_NAMES: [&str; 3] = ["<pad>", "[PAD]", "<|padding|>"];

/// The ids of the sentinels that the patterns name: pattern by pattern, by ascending number from 0 (or 1, where there is no
/// 0). A pattern without a number names one token.
pub fn sentinels<'a>(names: &dyn TokenizerNames, patterns: impl IntoIterator<Item = &'a str>) -> Vec<u32> {
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

/// The first of the names that the tokenizer has, with its id: the configured one, then the known ones.
pub fn first_known<'a>(
    names: &dyn TokenizerNames,
    configured: Option<&'a str>,
    known: &[&'a str],
) -> Option<(&'a str, u32)> {
    configured.into_iter().chain(known.iter().copied()).find_map(|name| Some((name, names.id(name)?)))
}
