//! Which ids each kind of tokenizer gives: the same as the Python packages.

use std::path::Path;

use clap::Parser as _;
use fs_err as fs;
use serde_json::Value;
use ul2_prep::cli::{Cli, Command as SubCommand};
use ul2_prep::settings::Settings;
use ul2_prep::tokenize::Tokenizer;

use super::{fixture, segments};
use crate::support::{json_lines, record, repository, text};

fn settings(tokenizer: &str, path: &str) -> Settings {
    let (shards, tokenizer) = (repository("fixtures/shards"), repository(tokenizer));
    let [shards, tokenizer] = [&shards, &tokenizer].map(|path| path.to_str().unwrap());
    let arguments = ["ul2-prep", "plan", shards, "--tokenizer", tokenizer, "--tokenizer-path", path];
    let SubCommand::Plan(args) = Cli::parse_from(arguments).command else { panic!("`plan` was asked for") };
    Settings::new(&args.masking).unwrap()
}

fn tokenized(tokenizer: &dyn Tokenizer, text: &str) -> Vec<u32> {
    tokenizer.tokenize(text, &mut tokenizer.scratch()).unwrap().ids().to_vec()
}

/// Texts with the ids that the Python package gives.
fn published(kind: &str) -> Vec<(String, Vec<u32>)> {
    let case = |case: Value| {
        let ids = case["ids"].as_array().unwrap().iter().map(|id| u32::try_from(id.as_u64().unwrap()).unwrap());
        (case["text"].as_str().unwrap().to_owned(), ids.collect())
    };
    let cases: Vec<_> = json_lines(repository(&format!("fixtures/ids/{kind}.jsonl"))).into_iter().map(case).collect();
    assert_eq!(cases.len(), 82);
    cases
}

/// Compares every text; the number of texts that the package gives reserved ids for.
fn assert_ids_are_published(tokenizer: &str, path: &str, kind: &str) -> usize {
    let settings = settings(tokenizer, path);
    let vocabulary = settings.masking.spec.vocabulary();
    let (mut spelled, mut lengths) = (0, Vec::new());
    for (text, published) in published(kind) {
        let ids = tokenized(settings.masking.tokenizer.as_ref(), &text);
        assert!(ids.iter().all(|&id| vocabulary.is_ordinary(id)), "{text:?}");
        if published.iter().all(|&id| vocabulary.is_ordinary(id)) {
            assert_eq!(ids, published, "{text:?}");
            lengths.push(ids.len());
        } else {
            assert!(!ids.is_empty(), "text stays text: {text:?}");
            spelled += 1;
        }
    }
    // The files ask for truncation to 32 and padding to 48; neither may happen to the texts of a training set.
    assert!(lengths.iter().any(|&length| length > 48) && lengths.iter().any(|&length| (1..32).contains(&length)));
    spelled
}

#[test]
fn ids_of_a_unigram_file_are_those_of_the_python_package() {
    // By our own code and by the crate's; both have to give text for the texts that spell a reserved token.
    for path in ["auto", "oracle"] {
        assert!(assert_ids_are_published("fixtures/tokenizer", path, "unigram") > 0);
    }
}

#[test]
fn ids_of_a_byte_level_bpe_file_are_those_of_the_python_package() {
    for path in ["auto", "oracle"] {
        assert_eq!(assert_ids_are_published("fixtures/tokenizer-bpe", path, "bpe"), 0);
    }
}

#[test]
fn ids_of_bytes_are_those_of_byt5() {
    let shards = repository("fixtures/shards");
    let SubCommand::Plan(args) = Cli::parse_from(["ul2-prep", "plan", shards.to_str().unwrap()]).command else {
        panic!("`plan` was asked for")
    };
    let settings = Settings::new(&args.masking).unwrap();
    for (text, ids) in published("bytes") {
        assert_eq!(tokenized(settings.masking.tokenizer.as_ref(), &text), ids, "{text:?}");
    }
}

#[test]
fn rows_hold_the_ids_of_the_tokenizer_file_and_no_reserved_one() {
    for (tokenizer, kind) in [("fixtures/tokenizer", "unigram"), ("fixtures/tokenizer-bpe", "bpe")] {
        let fixture = fixture();
        let published = published(kind);
        fixture.write_source("a.jsonl.zst", published.iter().map(|(text, _)| record(text)).collect::<String>());
        let rows = fixture.run("masked", &format!("a.jsonl.zst --tokenizer {tokenizer} --max-rejects 100%")).rows();
        let spec = fixture.data_set("masked").spec();
        for (line, (text, ids)) in (1..).zip(&published) {
            let found = segments(&spec, &rows, "a.jsonl.zst", line);
            assert!(found.iter().all(|&id| spec.vocabulary().is_ordinary(id)), "{text:?}");
            if ids.iter().all(|&id| spec.vocabulary().is_ordinary(id)) {
                let expected: &[u32] = if ids.len() < 2 { &[] } else { ids };
                assert_eq!(found, expected, "{text:?}");
            } else {
                assert!(!found.is_empty(), "{text:?}");
            }
        }
    }
}

#[test]
fn the_code_that_makes_the_ids_does_not_change_a_byte_of_the_data_set() {
    let fixture = fixture();
    let run = |out: &str, path: &str| {
        let arguments = format!("fixtures/shards --tokenizer fixtures/tokenizer --tokenizer-path {path}");
        fixture.run(out, &arguments).digests()
    };
    let (mut fast, mut oracle) = (run("fast", "auto"), run("crate", "oracle"));
    // The manifest says which it was, and the sums have the manifest's digest.
    for name in ["manifest.json", "SHA256SUMS"] {
        assert_ne!(fast.remove(name), oracle.remove(name));
    }
    assert_eq!(fast, oracle);
    let manifest = |out: &str| {
        let mut manifest: Value =
            serde_json::from_slice(&fs::read(fixture.path(&format!("{out}/manifest.json"))).unwrap()).unwrap();
        let path = manifest.as_object_mut().unwrap().remove("tokenizer_path").unwrap();
        (path.as_str().unwrap().to_owned(), manifest)
    };
    let ((fast, rest), (oracle, same)) = (manifest("fast"), manifest("crate"));
    assert!(fast.starts_with("fast ") && oracle.ends_with(", as asked for"), "{fast}, {oracle}");
    assert_eq!(rest, same);
}

#[test]
fn a_tokenizer_is_named_by_its_folder_or_its_file() {
    let fixture = fixture();
    fixture.write_source("a.jsonl", record(&text(1, 300)));
    let folder = fixture.run("folder", "a.jsonl --tokenizer fixtures/tokenizer");
    let file = fixture.run("file", "a.jsonl --tokenizer fixtures/tokenizer/tokenizer.json");
    assert_eq!(folder.digests(), file.digests());
    assert!(Path::new(&fixture.path("file/manifest.json")).exists());
}
