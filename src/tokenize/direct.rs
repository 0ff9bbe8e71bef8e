//! Reads a `tokenizer.json` into the crate's types without the copies that the crate makes of a model of any kind.
//!
//! The crate reads a model whose kind it does not know yet: it keeps the model as a tree, then as another one, and only
//! then as itself. With 262,000 tokens that is most of the start-up. A file that names its kind is read as that kind.

use serde::Deserialize;
use tokenizers::models::bpe::BPE;
use tokenizers::models::unigram::Unigram;
use tokenizers::{
    DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, Tokenizer, TokenizerImpl,
};

/// A tokenizer of one kind of model.
type Of<Model> = TokenizerImpl<Model, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;

/// Fields of the file that the crate does not expose.
#[derive(Deserialize)]
struct FileFields {
    model: ModelFields,
}

/// Fields of the model that the crate does not expose.
#[derive(Default, Deserialize)]
pub(crate) struct ModelFields {
    /// The kind of the model.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// The model's id of unknown text.
    pub(crate) unk_id: Option<u32>,
}

impl ModelFields {
    /// The fields of a file; none of what is not one.
    pub(crate) fn of_file(json: &[u8]) -> Self {
        serde_json::from_slice::<FileFields>(json).map(|file| file.model).unwrap_or_default()
    }
}

/// The tokenizer of a file whose model has these fields.
///
/// # Errors
///
/// The crate's error.
pub(crate) fn tokenizer(json: &[u8], model: &ModelFields) -> Result<Tokenizer, tokenizers::Error> {
    let of_kind = match model.kind.as_deref() {
        Some("BPE") => serde_json::from_slice::<Of<BPE>>(json).ok().map(Tokenizer::from),
        Some("Unigram") => serde_json::from_slice::<Of<Unigram>>(json).ok().map(Tokenizer::from),
        _ => None,
    };
    // What is wrong with a file is the crate's to say, and so is what a file of unusual fields means.
    of_kind.map_or_else(|| Tokenizer::from_bytes(json), Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_directly(json: &str) -> Tokenizer {
        let model = ModelFields::of_file(json.as_bytes());
        tokenizer(json.as_bytes(), &model).unwrap()
    }

    #[test]
    fn a_file_is_read_as_the_crate_reads_it() {
        let bpe =
            r#"{"type":"BPE","dropout":0.5,"unk_token":"u","ignore_merges":true,"vocab":{"a":0,"b":1,"ab":2,"u":3},"#;
        let rest = r#""added_tokens":[{"id":9,"content":"x","single_word":false,"lstrip":true,"rstrip":false,"normalized":true,"special":false}]"#;
        let models = [
            format!(r#"{bpe}"merges":[["a","b"]]}}"#),
            format!(r#"{bpe}"merges":["a b"]}}"#),
            // A field that the crate passes over, and a file without a kind.
            format!(r#"{bpe}"merges":["a b"],"other":1}}"#),
            format!(r#"{bpe}"merges":["a b"]}}"#).replace(r#""type":"BPE","#, ""),
            r#"{"unk_id":0,"vocab":[["u",-1.5],["a",0.1]],"type":"Unigram","byte_fallback":true}"#.to_owned(),
            r#"{"vocab":[["u",-1.5],["a",0.1]],"unk_id":null}"#.to_owned(),
            r#"{"type":"WordLevel","vocab":{"a":0,"u":1},"unk_token":"u"}"#.to_owned(),
        ];
        for model in models {
            let json = format!(r#"{{"version":"1.0",{rest},"normalizer":{{"type":"NFC"}},"model":{model}}}"#);
            let expected = Tokenizer::from_bytes(&json).unwrap();
            assert_eq!(read_directly(&json).to_string(false).unwrap(), expected.to_string(false).unwrap(), "{model}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_as_the_crate_says_it() {
        for model in [r#"{"type":"BPE","vocab":{"a":0},"merges":[["a","b"]]}"#, r#"{"type":"Unigram","vocab":3}"#] {
            let json = format!(r#"{{"version":"1.0","model":{model}}}"#);
            let expected = Tokenizer::from_bytes(&json).map(|_| ()).unwrap_err().to_string();
            let found = tokenizer(json.as_bytes(), &ModelFields::of_file(json.as_bytes())).map(|_| ()).unwrap_err();
            assert_eq!(found.to_string(), expected);
        }
    }
}
