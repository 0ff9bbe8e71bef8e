//! SentencePiece models: ids of the Python package, sentinels, names, folders, and files that are none (`docs/internals/sentencepiece.md`).
//!
//! `fixtures/ids/sentencepiece.jsonl` holds what the package gives for two models and variants of them: the same file with bytes behind it, which
//! add pieces and change settings. The long form, real models over a corpus, is `tests/it/identity.rs`.

use std::path::PathBuf;

use fs_err as fs;
use proptest::prelude::*;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use ul2_prep::denoise::Vocabulary;
use ul2_prep::digest::hex;
use ul2_prep::tokenize::file::TokenizerFile;
use ul2_prep::tokenize::{Role, Tokenizer, TokenizerPath};

use crate::support::{Fixture, adversarial, json_lines, record, repository};

fn model(name: &str) -> PathBuf {
    repository("fixtures/sentencepiece").join(format!("{name}.model"))
}

/// A model with bytes behind it, in a folder of its own.
struct Written {
    folder: tempfile::TempDir,
}

impl Written {
    fn new(bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("spiece.model"), bytes).unwrap();
        Self { folder }
    }

    fn with(name: &str, behind: &[u8]) -> Self {
        Self::new(&[&fs::read(model(name)).unwrap(), behind].concat())
    }

    fn configured(self, config: &Value) -> Self {
        fs::write(self.folder.path().join("tokenizer_config.json"), config.to_string()).unwrap();
        self
    }

    fn file(&self) -> TokenizerFile {
        TokenizerFile::read(self.folder.path()).unwrap()
    }

    fn refused(&self) -> String {
        let error = TokenizerFile::read(self.folder.path()).err().expect("a refusal").to_string();
        error.replace(self.folder.path().to_str().unwrap(), "FOLDER")
    }
}

/// The tokenizer with nothing reserved.
fn unreserved(file: &TokenizerFile) -> Box<dyn Tokenizer> {
    let vocabulary = Vocabulary::new(file.names().size(), None, None, vec![], vec![]).unwrap();
    file.tokenizer(vocabulary, TokenizerPath::Auto)
}

/// The tokenizer with EOS, pad and the usual sentinels reserved.
fn reserved(file: &TokenizerFile) -> (Box<dyn Tokenizer>, Vocabulary) {
    let names = file.names();
    let sentinels = (0..).map_while(|number: u32| names.id(&format!("<extra_id_{number}>"))).collect();
    let vocabulary = Vocabulary::new(names.size(), names.id("</s>"), names.id("<pad>"), sentinels, vec![]).unwrap();
    (file.tokenizer(vocabulary.clone(), TokenizerPath::Auto), vocabulary)
}

fn ids(tokenizer: &dyn Tokenizer, text: &str) -> Vec<u32> {
    tokenizer.tokenize(text, &mut tokenizer.scratch()).unwrap().ids().to_vec()
}

fn digest(ids: &[u32]) -> String {
    let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    hex(&Sha256::digest(bytes))[..8].to_owned()
}

fn bytes(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|place| u8::from_str_radix(&digits[place..place + 2], 16).unwrap()).collect()
}

#[test]
fn ids_are_those_of_the_package_for_models_of_all_settings() {
    let lines = json_lines(repository("fixtures/ids/sentencepiece.jsonl"));
    let texts: Vec<&str> = lines[0]["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let mut differ = Vec::new();
    for case in &lines[1..] {
        let (name, variant) = (case["model"].as_str().unwrap(), case["variant"].as_str().unwrap());
        let written = Written::with(name, &bytes(case["append"].as_str().unwrap()));
        let tokenizer = unreserved(&written.file());
        let mut scratch = tokenizer.scratch();
        // Twice with one memory: what it keeps must not matter.
        for round in 0..2 {
            for (number, text) in texts.iter().enumerate() {
                let found = tokenizer.tokenize(text, &mut scratch).unwrap().ids();
                if case["digests"][number] != digest(found) {
                    let expected = &case["ids"][number];
                    differ.push(format!("{name}, {variant}, round {round}: {text:?}: {found:?}, not {expected}"));
                }
            }
        }
    }
    assert!(lines.len() > 30 && texts.len() > 100);
    assert!(differ.is_empty(), "{} differ:\n{}", differ.len(), differ[..differ.len().min(20)].join("\n"));
}

#[test]
fn the_digests_are_those_of_the_ids() {
    let lines = json_lines(repository("fixtures/ids/sentencepiece.jsonl"));
    let plain = lines[1..].iter().filter(|case| case["variant"] == "plain");
    for case in plain {
        for (ids, expected) in case["ids"].as_array().unwrap().iter().zip(case["digests"].as_array().unwrap()) {
            let ids: Vec<u32> = serde_json::from_value(ids.clone()).unwrap();
            assert_eq!(digest(&ids), expected.as_str().unwrap());
        }
    }
}

// --- reserved tokens ---

#[test]
fn t5_shaped_models_get_a_hundred_sentinels_behind_their_pieces() {
    let file = TokenizerFile::read(&model("unigram")).unwrap();
    let names = file.names();
    let pieces = names.size() - 100;
    assert_eq!(names.id("<extra_id_99>"), Some(pieces));
    assert_eq!(names.id("<extra_id_0>"), Some(pieces + 99));
    assert_eq!((names.id("<pad>"), names.id("</s>"), names.id("<unk>")), (Some(0), Some(1), Some(2)));
    assert_eq!(names.id("<extra_id_100>"), None);
    assert!(names.is_added("<extra_id_7>") && names.is_added("</s>") && !names.is_added("▁the"));
    assert_eq!((names.own(Role::Eos), names.own(Role::Pad)), (Some("</s>"), Some("<pad>")));
    assert!(names.is_special("</s>") && names.is_special("<extra_id_7>") && !names.is_special("▁the"));
    // Llama-2's shape: none.
    let file = TokenizerFile::read(&model("bpe")).unwrap();
    assert_eq!(file.names().id("<extra_id_0>"), None);
    assert_eq!(file.names().id("</s>"), Some(2));
}

#[test]
fn the_configuration_beside_a_model_says_which_tokens_it_has() {
    let pieces = TokenizerFile::read(&model("unigram")).unwrap().names().size() - 100;
    let id = |config: Value, name: &str| Written::with("unigram", b"").configured(&config).file().names().id(name);
    assert_eq!(id(serde_json::json!({ "extra_ids": 0 }), "<extra_id_0>"), None);
    assert_eq!(id(serde_json::json!({ "extra_ids": 5 }), "<extra_id_0>"), Some(pieces + 4));
    assert_eq!(id(serde_json::json!({}), "<extra_id_0>"), Some(pieces + 99));
    let special =
        serde_json::json!({ "additional_special_tokens": ["<extra_id_0>", { "content": "<extra_id_1>" }, "[S]"] });
    assert_eq!(id(special.clone(), "<extra_id_0>"), Some(pieces + 1));
    assert_eq!(id(special, "[S]"), Some(pieces + 2));
    let decoder =
        serde_json::json!({ "added_tokens_decoder": { "0": "<pad>", "5": { "content": "[S]" }, "4000": "<far>" } });
    assert_eq!(id(decoder.clone(), "[S]"), Some(5));
    assert_eq!(id(decoder.clone(), "<far>"), Some(4000));
    assert_eq!(id(decoder.clone(), "<extra_id_0>"), None);
    assert_eq!(Written::with("unigram", b"").configured(&decoder).file().names().size(), 4001);
    let eos = Written::with("unigram", b"").configured(&serde_json::json!({ "eos_token": "▁the" })).file();
    assert_eq!(eos.names().configured(Role::Eos), Some("▁the"));
    let both = serde_json::json!({ "extra_ids": 7, "additional_special_tokens": ["<extra_id_0>"] });
    assert_eq!(
        Written::with("unigram", b"").configured(&both).refused(),
        "`FOLDER/spiece.model` is not a usable tokenizer: `extra_ids` is 7, but `additional_special_tokens` names 1 of them"
    );
}

/// The bytes that give the models mT5's sentinels: user-defined symbols behind a `▁`.
fn mt5_sentinels() -> Vec<u8> {
    let lines = json_lines(repository("fixtures/ids/sentencepiece.jsonl"));
    let case = lines[1..].iter().find(|case| case["variant"] == "sentinels").unwrap();
    bytes(case["append"].as_str().unwrap())
}

#[test]
fn text_that_spells_a_reserved_token_stays_text() {
    let spelled = [
        "</s>",
        "a </s>",
        "<extra_id_0>",
        "x <extra_id_1> y",
        "▁<extra_id_0>",
        "<pad><unk>",
        "<0x0A>",
        "＜/s＞",
        "<extra_id_2><extra_id_2>",
    ];
    for name in ["unigram", "bpe"] {
        for behind in [Vec::new(), mt5_sentinels()] {
            let (tokenizer, vocabulary) = reserved(&Written::with(name, &behind).file());
            assert_eq!(
                vocabulary.sentinels().len(),
                if behind.is_empty() { if name == "bpe" { 0 } else { 100 } } else { 3 }
            );
            let letters = ids(tokenizer.as_ref(), "extra");
            assert!(!letters.is_empty());
            for text in spelled {
                let found = ids(tokenizer.as_ref(), text);
                assert!(found.len() > 2 && found.iter().all(|&id| vocabulary.is_ordinary(id)), "{text}: {found:?}");
            }
        }
    }
    // Without them being reserved, the package's ids: symbols.
    let free = unreserved(&Written::with("unigram", &mt5_sentinels()).file());
    assert_eq!(ids(free.as_ref(), "<extra_id_0>").len(), 1);
}

// --- the command line ---

#[test]
fn a_run_takes_a_model_a_folder_with_one_and_says_so() {
    let fixture = Fixture::new();
    fixture.write(
        "a.jsonl",
        record("The quick brown fox jumps over the lazy dog — and the other way round ----").repeat(40),
    );
    fixture.write("folder/tokenizer.model", fs::read(model("unigram")).unwrap());
    let by_file = fixture.run("one", &format!("a.jsonl --tokenizer {}", model("unigram").display()));
    let by_folder = fixture.run("two", "a.jsonl --tokenizer folder");
    assert_eq!(by_file.manifest()["spec"], by_folder.manifest()["spec"]);
    let tokenizer = &by_file.manifest()["spec"]["tokenizer"];
    assert_eq!(tokenizer["kind"], "spiece.model");
    assert_eq!(tokenizer["library"], "ul2-prep sentencepiece 1");
    assert_eq!(by_file.manifest()["tokenizer_path"], "SentencePiece Unigram, word by word");
    for command in [
        "verify one --sources a.jsonl --tokenizer folder --reproduce",
        "reproduce one/manifest.json a.jsonl --tokenizer folder --out three --quiet",
        "recipes --tokenizer folder",
        "recipes ul2r --tokenizer folder --example abc",
    ] {
        assert_eq!(fixture.ran(command).code, Some(0), "{command}: {}", fixture.ran(command).stderr);
    }
    // A tokenizer.json wins.
    fixture.write("folder/tokenizer.json", fs::read(repository("fixtures/tokenizer/tokenizer.json")).unwrap());
    let json = fixture.run("four", "a.jsonl --tokenizer folder");
    assert_eq!(json.manifest()["spec"]["tokenizer"]["kind"], "tokenizer.json");
}

#[test]
fn what_a_model_cannot_do_is_said() {
    let fixture = Fixture::new();
    fixture.write("a.jsonl", record("a line of some length"));
    let said = |arguments: &str| fixture.ran(&format!("run a.jsonl --out out {arguments} --quiet")).stderr;
    let unigram = model("unigram").display().to_string();
    insta::assert_snapshot!(said(&format!("--tokenizer {unigram} --tokenizer-path oracle")), @"
    error: `--tokenizer-path oracle` is for a `tokenizer.json`: only the tool itself reads a SentencePiece model

    hint: leave `--tokenizer-path` out, or name a `tokenizer.json`
    ");
    let bpe = model("bpe").display().to_string();
    insta::assert_snapshot!(said(&format!("--tokenizer {bpe}")), @"
    error: the tokenizer has no sentinels: none of its tokens is named `<extra_id_{n}>`, `[new_id_{n}]` (`sentinels` in ul2r:32)

    hint: `--sentinels 'ids 1500..1627'` takes ids after the vocabulary, for a model with a larger embedding
    ");
    fixture.write("empty/other.txt", "");
    insta::assert_snapshot!(said("--tokenizer empty"), @"
    error: no `tokenizer.json` in `empty`, nor a SentencePiece model

    hint: `--tokenizer` takes a Hugging Face `tokenizer.json` or a SentencePiece model, whose name ends in `.model`
    ");
}

// --- files that are no models ---

proptest! {
    #![proptest_config(crate::support::config(300))]

    /// No file makes the tool panic, and whatever it takes for a model gives ids of its vocabulary.
    #[test]
    fn a_mutated_model_is_refused_or_used(
        name in prop::sample::select(vec!["unigram", "bpe"]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        near_the_end in any::<bool>(),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
        text in 0_u64..1_000_000,
    ) {
        let mut bytes = fs::read(model(name)).unwrap();
        let first = if near_the_end { bytes.len() - 400 } else { 0 };
        for (place, byte) in changes {
            let place = first + place.index(bytes.len() - first);
            bytes[place] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let written = Written::new(&bytes);
        if let Ok(file) = TokenizerFile::read(written.folder.path()) {
            let size = file.names().size();
            let shown = file.names().shown(&(0..size).step_by(7).collect::<Vec<_>>());
            prop_assert!(!shown.is_empty());
            let tokenizer = unreserved(&file);
            let mut scratch = tokenizer.scratch();
            for number in text..text + 5 {
                if let Ok(tokens) = tokenizer.tokenize(&adversarial::text(number), &mut scratch) {
                    prop_assert!(tokens.ids().iter().all(|&id| id < size));
                }
            }
        }
    }
}

#[test]
fn a_model_is_known_by_its_name_whatever_version_stands_after_it() {
    let fixture = Fixture::new();
    fixture.write("a.jsonl", record("some words of a text, and some more of them"));
    let path = |name: &str| {
        fixture.write(name, fs::read(model("unigram")).unwrap());
        let plan = fixture.ran(&format!("plan a.jsonl --recipe prefix-lm --no-estimate --tokenizer {name}"));
        plan.stdout.lines().find_map(|line| line.strip_prefix("path ")).map(|path| path.trim().to_owned())
    };
    for name in ["x.model", "tokenizer.model.v3", "m/tokenizer.model.v7m1"] {
        assert!(path(name).unwrap().starts_with("SentencePiece Unigram"), "{name}");
    }
    assert_eq!(path("x.model.bak"), None);
}
