//! Writes a `tokenizer.json` with more special tokens, such as sentinels and mode tokens for a model that has none.
//!
//! Only the list of added tokens changes: every other byte of the file stays, so text keeps its ids. The ids of the
//! new tokens are those that the `tokenizers` crate gives them when it reads the file.

use std::path::Path;

use serde::de::IgnoredAny;
use serde_json::json;
use tokenizers::AddedToken;

use crate::files::bounded;
use crate::tokenize::config::{CONFIG_NAME, MAX_CONFIG};
use crate::tokenize::contents::contents;
use crate::tokenize::error::TokenizerFileError;
use crate::tokenize::guard::guarded;
use crate::tokenize::names::{SentinelPattern, is_marked};

/// A tokenizer's files with more tokens.
#[derive(Debug)]
pub(crate) struct MoreTokens {
    /// The `tokenizer.json`.
    pub(crate) json: Vec<u8>,
    /// The `tokenizer_config.json`, if the tokenizer has one.
    pub(crate) config: Option<Vec<u8>>,
    /// The new tokens and their ids, by ascending id.
    pub(crate) added: Vec<(String, u32)>,
    /// Names that the file has as special tokens already, so nothing changes for them.
    pub(crate) already_there: Vec<String>,
    /// One more than the largest id.
    pub(crate) size: u32,
}

/// The names of a pattern: one name, or one for each number of a range with an end.
///
/// # Errors
///
/// What is wrong with the pattern.
pub(crate) fn names_of(pattern: &str) -> Result<Vec<String>, String> {
    match SentinelPattern::parse(pattern).map_err(|error| error.to_string())? {
        SentinelPattern::Name(name) => Ok(vec![name]),
        SentinelPattern::Range { prefix, suffix, first, last: Some(last) } => {
            Ok((first..=last).map(|number| format!("{prefix}{number}{suffix}")).collect())
        }
        SentinelPattern::Range { last: None, .. } | SentinelPattern::Counted { .. } | SentinelPattern::Ids { .. } => {
            Err(format!("`{pattern}`: expected a name, or a range with both ends, such as `<extra_id_{{0..127}}>`"))
        }
    }
}

impl MoreTokens {
    /// The tokenizer in `file`, a `tokenizer.json`, with `names` as special tokens.
    ///
    /// # Errors
    ///
    /// [`TokenizerFileError`] if the file or its configuration cannot be used.
    pub(crate) fn new(file: &Path, names: &[String]) -> Result<Self, TokenizerFileError> {
        let json = contents(file)?;
        let invalid = |reason: String| TokenizerFileError::Invalid { path: file.to_owned(), reason };
        let parsed = guarded(|| tokenizers::Tokenizer::from_bytes(&json)).map_err(invalid)?;
        let mut tokenizer = parsed.map_err(|error| invalid(error.to_string()))?;
        let before = tokenizer.get_vocab(true);
        let is_added = |name: &String| tokenizer.get_added_vocabulary().get_vocab().contains_key(name);
        if let Some(piece) = names.iter().find(|name| before.contains_key(*name) && !is_added(name) && !is_marked(name))
        {
            return Err(TokenizerFileError::Piece { path: file.to_owned(), name: piece.clone() });
        }
        let (already_there, new): (Vec<String>, Vec<String>) =
            names.iter().cloned().partition(|name| tokenizer.get_added_vocabulary().is_special_token(name));
        let tokens = new.iter().map(|name| AddedToken::from(name.clone(), true).normalized(false));
        let added = guarded(|| tokenizer.add_special_tokens(tokens.collect::<Vec<_>>())).map_err(invalid)?;
        added.map_err(|error| invalid(error.to_string()))?;
        let mut added: Vec<(String, u32)> =
            new.into_iter().filter_map(|name| tokenizer.token_to_id(&name).map(|id| (name, id))).collect();
        added.sort_by_key(|(_, id)| *id);
        added.dedup();
        let entries: Vec<(&str, String)> =
            added.iter().map(|(name, id)| (name.as_str(), entry(name, Some(*id)).to_string())).collect();
        let json = with_members(&json, "added_tokens", "[]", &entries).map_err(invalid)?;
        let after = guarded(|| tokenizers::Tokenizer::from_bytes(&json)).map_err(invalid)?;
        let after = after.map_err(|error| invalid(error.to_string()))?.get_vocab(true);
        let expected = before.iter().chain(added.iter().map(|(name, id)| (name, id)));
        if let Some((name, id)) = expected.into_iter().find(|(name, id)| after.get(*name) != Some(id)) {
            return Err(invalid(format!("with more tokens in its list, `{name}` would not be id {id}")));
        }
        let size = after.into_values().max().map_or(0, |last| last.saturating_add(1));
        let config = config_with(&file.with_file_name(CONFIG_NAME), &added)?;
        Ok(Self { json, config, added, already_there, size })
    }
}

fn entry(name: &str, id: Option<u32>) -> serde_json::Value {
    let mut entry = json!({
        "content": name, "lstrip": false, "normalized": false, "rstrip": false, "single_word": false, "special": true
    });
    if let Some(id) = id {
        entry["id"] = id.into();
    }
    entry
}

/// The configuration with the tokens in `added_tokens_decoder`, if it has such a list.
fn config_with(path: &Path, added: &[(String, u32)]) -> Result<Option<Vec<u8>>, TokenizerFileError> {
    if !path.exists() {
        return Ok(None);
    }
    let json = bounded::read(path, MAX_CONFIG)?;
    let unreadable = |source| TokenizerFileError::Config { path: path.to_owned(), source };
    serde_json::from_slice::<IgnoredAny>(&json).map_err(unreadable)?;
    if value_of(&json, "added_tokens_decoder").is_none() {
        return Ok(Some(json));
    }
    let of_id = |(name, id): &(String, u32)| ("", format!("\"{id}\":{}", entry(name, None)));
    let entries: Vec<(&str, String)> = added.iter().map(of_id).collect();
    let invalid = |reason: String| TokenizerFileError::Invalid { path: path.to_owned(), reason };
    Ok(Some(with_members(&json, "added_tokens_decoder", "{}", &entries).map_err(invalid)?))
}

/// The JSON object with more members in the list or object of a key, whose brackets are `brackets`. A member of a list
/// whose `content` has a new one's name gives its place to the new one: the order of the list decides ids.
fn with_members(json: &[u8], key: &str, brackets: &str, members: &[(&str, String)]) -> Result<Vec<u8>, String> {
    if members.is_empty() {
        return Ok(json.to_vec());
    }
    let (open, close) = brackets.split_at(1);
    let joined = |members: &[String]| members.join(",");
    let all: Vec<String> = members.iter().map(|(_, member)| member.clone()).collect();
    let Some(range) = value_of(json, key) else {
        let start = json.iter().position(|&byte| byte == b'{').ok_or("the file is not a JSON object")?;
        let first = format!("\"{key}\":{open}{}{close},", joined(&all));
        return Ok([&json[..=start], first.as_bytes(), &json[start + 1..]].concat());
    };
    let value = &json[range.clone()];
    let new = match serde_json::from_slice::<serde_json::Value>(value) {
        Ok(serde_json::Value::Null) => format!("{open}{}{close}", joined(&all)).into_bytes(),
        Ok(serde_json::Value::Array(list)) if open == "[" && list.iter().any(|old| named(old, members).is_some()) => {
            let kept = list.iter().map(|old| named(old, members).map_or_else(|| old.to_string(), str::to_owned));
            let is_new = |name: &str| !list.iter().any(|old| old["content"].as_str() == Some(name));
            let more = members.iter().filter(|(name, _)| is_new(name)).map(|(_, member)| member.clone());
            format!("[{}]", joined(&kept.chain(more).collect::<Vec<_>>())).into_bytes()
        }
        Ok(_) if value.starts_with(open.as_bytes()) => {
            let kept = value[..value.len() - 1].trim_ascii_end();
            let comma = if kept.len() > 1 { "," } else { "" };
            [kept, format!("{comma}{}{close}", joined(&all)).as_bytes()].concat()
        }
        _ => return Err(format!("`{key}` is not in `{brackets}`")),
    };
    Ok([&json[..range.start], &new, &json[range.end..]].concat())
}

/// The new member that takes the place of an old one, by its name.
fn named<'a>(old: &serde_json::Value, members: &'a [(&str, String)]) -> Option<&'a str> {
    let name = old["content"].as_str()?;
    members.iter().find(|(new, _)| *new == name).map(|(_, member)| member.as_str())
}

/// Where the value of a key of the outermost object stands, in valid JSON.
fn value_of(json: &[u8], key: &str) -> Option<std::ops::Range<usize>> {
    let (mut depth, mut at) = (0_u32, 0);
    let mut start = None;
    while at < json.len() {
        match json[at] {
            b'"' => {
                let end = string_end(json, at)?;
                let after = end + json[end..].iter().position(|byte| !byte.is_ascii_whitespace())?;
                let is_key = depth == 1 && start.is_none() && json[after] == b':';
                if is_key && serde_json::from_slice::<String>(&json[at..end]).is_ok_and(|name| name == key) {
                    start = Some(after + 1 + json[after + 1..].iter().position(|byte| !byte.is_ascii_whitespace())?);
                }
                at = end;
                continue;
            }
            b'[' | b'{' => depth += 1,
            b',' | b']' | b'}' if depth == 1 && start.is_some_and(|start| start < at) => {
                let start = start?;
                return Some(start..start + json[start..at].trim_ascii_end().len());
            }
            b']' | b'}' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        at += 1;
    }
    None
}

/// The end of the string that starts at `at`, after its quote.
fn string_end(json: &[u8], at: usize) -> Option<usize> {
    let mut place = at + 1;
    loop {
        match json.get(place)? {
            b'"' => return Some(place + 1),
            b'\\' => place += 2,
            _ => place += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(json: &str, key: &str, brackets: &str, more: &[(&str, &str)]) -> String {
        let more: Vec<(&str, String)> = more.iter().map(|(name, member)| (*name, (*member).to_owned())).collect();
        String::from_utf8(with_members(json.as_bytes(), key, brackets, &more).unwrap()).unwrap()
    }

    #[test]
    fn members_go_to_the_end_of_the_list_of_the_outermost_object() {
        for (json, expected) in [
            (r#"{"b":{"a":[7]},"a":[1, 2 ],"c":"a"}"#, r#"{"b":{"a":[7]},"a":[1, 2,3],"c":"a"}"#),
            (r#"{"a" : [ ] }"#, r#"{"a" : [3] }"#),
            (r#"{"c":"\"a\":[","a":null}"#, r#"{"c":"\"a\":[","a":[3]}"#),
            (r#"{"\u0061":[{"x":"]"}]}"#, r#"{"\u0061":[{"x":"]"},3]}"#),
            (r#"{"c":"a","d":1}"#, r#"{"a":[3],"c":"a","d":1}"#),
        ] {
            assert_eq!(members(json, "a", "[]", &[("", "3")]), expected);
        }
        assert_eq!(members(r#"{"a":{"1":2}}"#, "a", "{}", &[("", r#""3":4"#)]), r#"{"a":{"1":2,"3":4}}"#);
        assert_eq!(members(r#"{"a":null}"#, "a", "{}", &[("", r#""3":4"#)]), r#"{"a":{"3":4}}"#);
        assert!(with_members(br#"{"a":[]}"#, "a", "{}", &[("", "3".to_owned())]).is_err());
    }

    #[test]
    fn a_token_that_becomes_special_keeps_its_place_in_the_list() {
        let json = r#"{"a":[{"content":"x"},{"content":"y"}],"b":0.10}"#;
        let more = [("x", r#"{"content":"x","new":1}"#), ("z", "3")];
        let expected = r#"{"a":[{"content":"x","new":1},{"content":"y"},3],"b":0.10}"#;
        assert_eq!(members(json, "a", "[]", &more), expected);
    }

    #[test]
    fn names_are_counted_from_both_ends_of_a_range() {
        assert_eq!(names_of("<m{8..10}>").unwrap(), ["<m8>", "<m9>", "<m10>"]);
        assert_eq!(names_of("[S2S]").unwrap(), ["[S2S]"]);
        for pattern in ["<m{n}>", "<m{3..}>", "ids 1..2", "<m{3..1}>", "<m{0..99999999}>"] {
            assert!(names_of(pattern).unwrap_err().starts_with(&format!("`{pattern}`")), "{pattern}");
        }
    }
}
