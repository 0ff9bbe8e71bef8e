//! The fast paths give the ids of the `tokenizers` crate, for every file and every text: documents of the fixtures and generated ones.
//!
//! `every_document_of_a_corpus_…` does the same at length, over a folder of tokenizer files and one of shards (`just identity`). SentencePiece
//! models have one path; theirs are compared with the Python package alone, and in short in `tests/it/sentencepiece.rs`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use ul2_prep::denoise::Vocabulary;
use ul2_prep::digest::hex;
use ul2_prep::tokenize::file::TokenizerFile;
use ul2_prep::tokenize::{Tokenizer, TokenizerPath};

use crate::support::{adversarial, json_lines, repository};

/// Both paths of a file, with the reserved ids that it has by the usual names.
fn both(file: &Path) -> [Box<dyn Tokenizer>; 2] {
    [TokenizerPath::Auto, TokenizerPath::Oracle].map(|path| -> Box<dyn Tokenizer> {
        let file = TokenizerFile::read(file).unwrap();
        let names = file.names();
        let sentinels = (0..).map_while(|number: u32| names.id(&format!("<extra_id_{number}>"))).collect();
        let (eos, pad) = (names.id("</s>").or_else(|| names.id("<|endoftext|>")), names.id("<pad>"));
        let vocabulary = Vocabulary::new(names.size(), eos, pad, sentinels, vec![]).unwrap();
        file.tokenizer(vocabulary, path)
    })
}

/// What texts came to: `tests/identity.py` makes the same of the Python package's ids.
struct Compared {
    bytes: u64,
    /// SHA-256 of each text's number of ids and its ids, as little-endian `u32`; texts that spell a reserved token left out.
    sha256: String,
}

/// Reserved tokens that a text may spell, one of them as NFKC makes it. The tool reads them as text; the package gives the reserved id where
/// it is a piece of the model too.
const SPELLED: [&str; 4] = ["</s>", "＜/s＞", "<pad>", "<extra_id_"];

/// Fails at the first text that the paths give different ids.
fn assert_identical(file: &Path, texts: impl Iterator<Item = String>) -> Compared {
    let [fast, oracle] = both(file);
    let (mut first, mut second) = (fast.scratch(), oracle.scratch());
    let (mut bytes, mut digest) = (0, Sha256::new());
    for (number, text) in texts.enumerate() {
        let fast = fast.tokenize(&text, &mut first).map(|tokens| tokens.ids().to_vec());
        let oracle = oracle.tokenize(&text, &mut second).map(|tokens| tokens.ids().to_vec());
        match (fast, oracle) {
            (Ok(fast), Ok(oracle)) => {
                assert_eq!(fast, oracle, "{}: text {number}: {text:?}", file.display());
                if !SPELLED.iter().any(|spelled| text.contains(spelled)) {
                    digest.update(u32::try_from(fast.len()).unwrap().to_le_bytes());
                    fast.iter().copied().map(u32::to_le_bytes).for_each(|id| digest.update(id));
                }
            }
            (fast, oracle) => assert_eq!(fast.is_err(), oracle.is_err(), "{}: text {number}: {text:?}", file.display()),
        }
        bytes += text.len() as u64;
    }
    Compared { bytes, sha256: hex(&digest.finalize()) }
}

/// What the ids of a SentencePiece model come to. All texts count: a text that spells a control piece is text to the package too.
fn of_model(file: &Path, texts: impl Iterator<Item = String>) -> Compared {
    let [tokenizer, _] = both(file);
    let mut scratch = tokenizer.scratch();
    let (mut bytes, mut digest) = (0, Sha256::new());
    for text in texts {
        let tokens = tokenizer.tokenize(&text, &mut scratch).unwrap_or_else(|error| panic!("{error}: {text:?}"));
        digest.update(u32::try_from(tokens.ids().len()).unwrap().to_le_bytes());
        tokens.ids().iter().copied().map(u32::to_le_bytes).for_each(|id| digest.update(id));
        bytes += text.len() as u64;
    }
    Compared { bytes, sha256: hex(&digest.finalize()) }
}

/// The texts of the documents in a shard.
fn documents(shard: &Path) -> Vec<String> {
    let file = fs::File::open(shard).unwrap();
    let mut lines = String::new();
    match shard.extension().and_then(|extension| extension.to_str()) {
        Some("zst") => zstd::Decoder::new(file).unwrap().read_to_string(&mut lines).unwrap(),
        Some("gz") => flate2::read::MultiGzDecoder::new(file).read_to_string(&mut lines).unwrap(),
        _ => fs::File::open(shard).unwrap().read_to_string(&mut lines).unwrap(),
    };
    let text = |line: &str| -> Option<String> {
        let record: Value = serde_json::from_str(line).ok()?;
        Some(record["text"].as_str()?.to_owned())
    };
    lines.lines().filter_map(text).collect()
}

fn files_below(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let (mut folders, mut files) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_str().unwrap().ends_with(ending) {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The files of all shapes: T5's, GPT-2's, and those of models of today.
fn fixtures() -> Vec<PathBuf> {
    let mut files = files_below(&repository("fixtures/shapes"), "tokenizer.json");
    files.extend(
        ["fixtures/tokenizer", "fixtures/tokenizer-bpe"].map(|folder| repository(folder).join("tokenizer.json")),
    );
    files
}

/// The added tokens of a file, and a few things that stand next to them.
fn added_tokens(file: &Path) -> Vec<String> {
    let json: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let added = json["added_tokens"].as_array().unwrap();
    let contents = added.iter().map(|token| token["content"].as_str().unwrap().to_owned());
    contents.chain(["  <", "> </", "\n\n", "a\u{301}\u{327}"].map(str::to_owned)).collect()
}

#[test]
fn documents_of_the_fixtures_have_the_same_ids_on_both_paths() {
    let shards = files_below(&repository("fixtures/shards"), "");
    let texts: Vec<String> = shards.iter().flat_map(|shard| documents(shard)).collect();
    let cases = json_lines(repository("fixtures/ids/unigram.jsonl"));
    let picked = cases.iter().map(|case| case["text"].as_str().unwrap().to_owned());
    let texts: Vec<String> = texts.into_iter().chain(picked).collect();
    assert_eq!(fixtures().len(), 11);
    for file in fixtures() {
        let path = both(&file)[0].path();
        assert!(path.starts_with("fast") && !path.contains("crate"), "{}: {path}", file.display());
        assert!(assert_identical(&file, texts.iter().cloned()).bytes > 1_000_000);
    }
}

#[test]
fn adversarial_texts_have_the_same_ids_on_both_paths() {
    for file in fixtures() {
        assert_identical(&file, (0..2_500).map(adversarial::text));
        let tokens = added_tokens(&file);
        assert_identical(&file, (0..2_500).map(|number| adversarial::text_with(number, &tokens)));
    }
}

/// Files of the fixtures, changed: a name, the folder, and the change.
type Changed = (&'static str, &'static str, fn(&mut Value));

const CHANGED: [Changed; 17] = [
    ("a word at each `▁`", "shapes/mistral", |file| {
        file["pre_tokenizer"]["split"] = json!(true);
        file["pre_tokenizer"]["prepend_scheme"] = json!("always");
    }),
    ("the same, with unknown characters and ignored merges", "shapes/mistral", |file| {
        file["pre_tokenizer"]["split"] = json!(true);
        file["model"]["byte_fallback"] = json!(false);
        file["model"]["ignore_merges"] = json!(true);
    }),
    ("unknown characters that grow together", "shapes/mistral", |file| file["model"]["byte_fallback"] = json!(false)),
    ("nothing splits", "shapes/mistral", |file| file["pre_tokenizer"] = Value::Null),
    ("tokens in normal text", "shapes/mistral", |file| {
        file["pre_tokenizer"] = Value::Null;
        let spaces = json!({ "type": "Replace", "pattern": { "String": " " }, "content": "▁" });
        file["normalizer"] =
            json!({ "type": "Sequence", "normalizers": [{ "type": "Prepend", "prepend": "▁" }, spaces] });
        add(file, &[("the", "normalized"), ("x y", "rstrip")]);
    }),
    ("Unigram with added tokens", "tokenizer", |file| {
        add(file, &[("the", ""), ("\n\n", "lstrip"), ("a", "single_word")]);
    }),
    ("matches alone", "shapes/o200k", |file| {
        let split = &mut file["pre_tokenizer"]["pretokenizers"][0];
        (split["behavior"], split["invert"]) = (json!("Removed"), json!(true));
    }),
    ("steps after bytes", "shapes/starcoder", |file| {
        let steps = file["pre_tokenizer"]["pretokenizers"].as_array_mut().unwrap();
        steps.reverse();
    }),
    ("punctuation", "shapes/starcoder", |file| {
        let steps = file["pre_tokenizer"]["pretokenizers"].as_array_mut().unwrap();
        steps.insert(0, json!({ "type": "Punctuation", "behavior": "Contiguous" }));
    }),
    ("a space in front", "tokenizer-bpe", |file| file["pre_tokenizer"]["add_prefix_space"] = json!(true)),
    ("NFKC", "tokenizer-bpe", |file| file["normalizer"] = json!({ "type": "NFKC" })),
    ("lower case", "tokenizer-bpe", |file| {
        let steps = json!([{ "type": "NFD" }, { "type": "Lowercase" }, { "type": "StripAccents" }]);
        file["normalizer"] = json!({ "type": "Sequence", "normalizers": steps });
    }),
    ("marked ends of words", "tokenizer-bpe", |file| {
        file["model"]["end_of_word_suffix"] = json!("</w>");
        file["model"]["unk_token"] = json!("a");
    }),
    ("WordPiece with capitals and accents", "shapes/bert", |file| {
        file["normalizer"] = json!({
            "type": "BertNormalizer", "clean_text": false, "handle_chinese_chars": true, "strip_accents": false, "lowercase": false
        });
    }),
    ("WordPiece, compatible characters, words by white space", "shapes/bert", |file| {
        file["normalizer"] =
            json!({ "type": "Sequence", "normalizers": [{ "type": "NFKC" }, { "type": "StripAccents" }] });
        file["pre_tokenizer"] = json!({ "type": "Whitespace" });
    }),
    ("WordPiece, words and digits", "shapes/bert", |file| {
        let steps = json!([{ "type": "WhitespaceSplit" }, { "type": "Digits", "individual_digits": true }]);
        file["normalizer"] = Value::Null;
        file["pre_tokenizer"] = json!({ "type": "Sequence", "pretokenizers": steps });
        file["model"]["max_input_chars_per_word"] = json!(5);
    }),
    ("words by white space", "tokenizer-bpe", |file| {
        file["pre_tokenizer"] = json!({ "type": "Whitespace" });
        file["model"]["unk_token"] = json!("a");
    }),
];

/// Adds tokens that are not special, each with a flag.
fn add(file: &mut Value, tokens: &[(&str, &str)]) {
    let largest = file["added_tokens"].as_array().unwrap().iter().map(|token| token["id"].as_u64().unwrap()).max();
    let pieces = file["model"]["vocab"].as_object().map_or(0, serde_json::Map::len) as u64;
    for (id, (content, flag)) in (largest.unwrap().max(pieces) + 1..).zip(tokens) {
        let mut token = json!({ "id": id, "content": content, "special": false });
        for name in ["single_word", "lstrip", "rstrip", "normalized"] {
            token[name] = json!(name == *flag);
        }
        file["added_tokens"].as_array_mut().unwrap().push(token);
    }
}

#[test]
fn changed_files_have_the_same_ids_on_both_paths() {
    let folder = tempfile::tempdir().unwrap();
    for (name, from, change) in CHANGED {
        let json = fs::read(repository("fixtures").join(from).join("tokenizer.json")).unwrap();
        let mut json: Value = serde_json::from_slice(&json).unwrap();
        change(&mut json);
        let file = folder.path().join("tokenizer.json");
        fs::write(&file, json.to_string()).unwrap();
        let path = both(&file)[0].path();
        assert!(path.starts_with("fast"), "{name}: {path}");
        let tokens = added_tokens(&file);
        assert_identical(&file, (0..600).map(|number| adversarial::text_with(number, &tokens)));
    }
}

/// `UL2_PREP_TOKENIZERS` and `UL2_PREP_SHARDS` are folders; `UL2_PREP_ADVERSARIAL` is a number of generated texts.
#[test]
#[ignore = "takes an hour of real tokenizers and shards"]
fn every_document_of_a_corpus_has_the_same_ids_on_both_paths() {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let number = std::env::var_os("UL2_PREP_ADVERSARIAL").and_then(|number| number.into_string().ok());
    let adversarial: u64 = number.map_or(100_000, |number| number.parse().expect("a number"));
    let shards = folder("UL2_PREP_SHARDS").map(|folder| files_below(&folder, ".jsonl.zst")).unwrap_or_default();
    let tokenizers = folder("UL2_PREP_TOKENIZERS").expect("the folder of tokenizers");
    // For the Python package, which the same texts are given to.
    let texts = Path::new(env!("CARGO_TARGET_TMPDIR")).join("adversarial.jsonl");
    let lines = (0..adversarial).map(|number| json!({ "text": adversarial::text(number) }).to_string() + "\n");
    fs::write(&texts, lines.collect::<String>()).unwrap();
    let compared = |what: &Path, Compared { bytes, sha256 }: Compared| {
        println!("{}", json!({ "shard": what, "bytes": bytes, "sha256": sha256 }));
    };
    for file in files_below(&tokenizers, "tokenizer.json") {
        println!("{}", json!({ "tokenizer": file, "path": both(&file)[0].path() }));
        compared(&texts, assert_identical(&file, (0..adversarial).map(adversarial::text)));
        let tokens = added_tokens(&file);
        assert_identical(&file, (0..adversarial).map(|number| adversarial::text_with(number, &tokens)));
        for shard in &shards {
            compared(shard, assert_identical(&file, documents(shard).into_iter()));
        }
    }
    for file in files_below(&tokenizers, ".model") {
        println!("{}", json!({ "tokenizer": file, "path": both(&file)[0].path() }));
        compared(&texts, of_model(&file, (0..adversarial).map(adversarial::text)));
        for shard in &shards {
            compared(shard, of_model(&file, documents(shard).into_iter()));
        }
    }
}
