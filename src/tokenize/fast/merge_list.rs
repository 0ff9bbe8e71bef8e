//! The merges of a BPE model, which the crate does not expose, as the file has them.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Error, SeqAccess, Visitor};
use tokenizers::Model as _;
use tokenizers::models::bpe::BPE;

use crate::tokenize::fast::merges::Merge;

/// A token of a merge.
pub(super) type Token<'a> = Cow<'a, str>;

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow)]
    model: Model<'a>,
}

#[derive(Deserialize)]
struct Model<'a> {
    #[serde(borrow)]
    merges: Vec<Pair<'a>>,
}

/// Two tokens: a list of them, or one text with a space in between.
struct Pair<'a>(Option<(Token<'a>, Token<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pair<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairVisitor;

        impl<'de> Visitor<'de> for PairVisitor {
            type Value = Pair<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("two tokens")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Pair<'de>, E> {
                if text.starts_with("#version") {
                    return Ok(Pair(None));
                }
                let (left, right) = text.split_once(' ').ok_or_else(|| E::custom("a merge of one token"))?;
                Ok(Pair(Some((left.into(), right.into()))))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Pair<'de>, E> {
                if text.starts_with("#version") {
                    return Ok(Pair(None));
                }
                let (left, right) = text.split_once(' ').ok_or_else(|| E::custom("a merge of one token"))?;
                Ok(Pair(Some((left.to_owned().into(), right.to_owned().into()))))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<Pair<'de>, A::Error> {
                #[derive(Deserialize)]
                struct One<'a>(#[serde(borrow)] Cow<'a, str>);
                let mut one =
                    || pair.next_element::<One<'de>>()?.ok_or_else(|| A::Error::custom("a merge of one token"));
                Ok(Pair(Some((one()?.0, one()?.0))))
            }
        }

        deserializer.deserialize_any(PairVisitor)
    }
}

/// The merges in the file, in the order of their ranks.
///
/// # Errors
///
/// The parser's error.
pub(super) fn of_file(json: &[u8]) -> Result<Vec<(Token<'_>, Token<'_>)>, String> {
    let file: File<'_> = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    Ok(file.model.merges.into_iter().filter_map(|Pair(pair)| pair).collect())
}

/// The ids of merges.
///
/// # Errors
///
/// A merge without a token: the file is not what the crate has read.
pub(super) fn ids(model: &BPE, merges: &[(Token<'_>, Token<'_>)]) -> Result<Vec<(u32, u32, Merge)>, String> {
    let prefix = model.continuing_subword_prefix.as_ref().map_or(0, String::len);
    let mut both = String::new();
    let merges = (0..).zip(merges).map(|(rank, (left, right))| {
        both.clear();
        both.push_str(left);
        both.push_str(right.get(prefix..)?);
        Some((model.token_to_id(left)?, model.token_to_id(right)?, Merge { rank, id: model.token_to_id(&both)? }))
    });
    merges.collect::<Option<_>>().ok_or_else(|| "a merge of the BPE model has no token".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_are_read_in_both_forms() {
        let read = |merges: &str| {
            let json = format!(r#"{{"model":{{"vocab":{{"a":0}},"merges":{merges}}}}}"#);
            of_file(json.as_bytes())
                .map(|merges| merges.into_iter().map(|(a, b)| format!("{a}+{b}")).collect::<Vec<_>>())
        };
        let expected = Ok(vec!["a+b".to_owned(), "\"+é".to_owned()]);
        assert_eq!(read(r#"["a b", "\" é"]"#), expected);
        assert_eq!(read(r##"["#version: 0.2", "a b", "\" \u00e9"]"##), expected);
        assert_eq!(read(r#"[["a", "b"], ["\"", "é"]]"#), expected);
        for bad in [r#"["ab"]"#, r#"[["a"]]"#, r#"[["a","b","c"]]"#, "[1]", "{}"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
