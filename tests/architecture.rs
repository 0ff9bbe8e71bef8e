//! Holds the code to its dependency rules, by reading it.
//!
//! ```text
//! main -> cli -> settings -> pipeline -> input, tokenize, output
//!                   |           |
//!                   +-> denoise <-+
//! ```
//!
//! The rules are coarse on purpose: a name in the wrong file is found, a clever way round is not. Comments and the modules of unit tests
//! may name what they like. Two features of `serde_json` that a dependency could switch on for all of us are checked by what they do.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::{Path, PathBuf};

use fs_err as fs;
use support::repository;

/// A file of `src/`, by its path there, without comments and without its unit tests.
struct Code {
    file: String,
    lines: Vec<(usize, String)>,
}

fn code() -> Vec<Code> {
    let root = repository("src");
    let (mut folders, mut files) = (vec![root.clone()], Vec::<PathBuf>::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    let rust = files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let file = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        Code { file, lines: without_comments_and_tests(&text) }
    };
    let code: Vec<Code> = rust.map(read).collect();
    assert!(code.len() > 30, "{} files", code.len());
    code
}

fn without_comments_and_tests(text: &str) -> Vec<(usize, String)> {
    let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
    let line = |(number, line): (usize, &str)| {
        let line = line.split("//").next().unwrap().trim().to_owned();
        (!line.is_empty()).then_some((number, line))
    };
    (1..).zip(code.lines()).filter_map(line).collect()
}

/// Fails if a line of code holds `what`, in a file that is not `allowed`.
#[track_caller]
fn assert_only(allowed: impl Fn(&str) -> bool, what: impl Fn(&str) -> bool, rule: &str) {
    let mut broken = Vec::new();
    let mut kept = 0;
    for Code { file, lines } in code() {
        for (number, line) in lines.into_iter().filter(|(_, line)| what(line)) {
            if allowed(&file) {
                kept += 1;
            } else {
                broken.push(format!("src/{file}:{number}: {line}"));
            }
        }
    }
    assert!(broken.is_empty(), "{rule}:\n{}", broken.join("\n"));
    assert!(kept > 0, "{rule}: no file does so any more, and the rule tests nothing");
}

/// The modules of this crate that a line names: `crate::a`, and `use crate::{a, b}` as rustfmt writes it.
fn modules_named(line: &str) -> Vec<&str> {
    let mut modules = Vec::new();
    for rest in line.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(list) => {
                modules.extend(list.split(['{', '}', ',', ';']).map(first_word).filter(|name| !name.is_empty()));
            }
            None => modules.push(first_word(rest)),
        }
    }
    modules
}

fn first_word(text: &str) -> &str {
    let text = text.trim_start();
    let end = text.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(text.len());
    &text[..end]
}

/// Fails if a file below `folder` names a module that is not in `allowed`.
#[track_caller]
fn assert_imports(folder: &str, allowed: &[&str]) {
    let mut broken = Vec::new();
    for Code { file, lines } in code() {
        if !Path::new(&file).starts_with(folder) {
            continue;
        }
        for (number, line) in lines {
            let foreign = modules_named(&line).into_iter().find(|name| *name != folder && !allowed.contains(name));
            if let Some(name) = foreign {
                broken.push(format!("src/{file}:{number}: `{folder}` names `{name}`: {line}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_core_imports_nothing_of_the_shell() {
    assert_imports("denoise", &[]);
}

#[test]
fn the_core_reaches_no_file_clock_thread_environment_or_random_order() {
    let forbidden = [
        "std::fs",
        "fs_err",
        "std::io",
        "std::env",
        "std::time",
        "std::thread",
        "std::process",
        "std::net",
        "HashMap",
        "HashSet",
        "println!",
        "eprintln!",
        "rayon",
    ];
    for Code { file, lines } in code().into_iter().filter(|code| code.file.starts_with("denoise/")) {
        for (number, line) in lines {
            assert!(!forbidden.iter().any(|name| line.contains(name)), "src/{file}:{number}: {line}");
        }
    }
}

#[test]
fn input_tokenize_and_output_do_not_import_one_another() {
    assert_imports("input", &["digest", "reject", "store"]);
    assert_imports("tokenize", &["bounded", "denoise", "digest"]);
    assert_imports("output", &["bounded", "denoise", "digest", "numbers", "reject", "spool", "store"]);
    assert_imports("store", &[]);
}

#[test]
fn the_pipeline_does_not_know_who_calls_it() {
    assert_imports(
        "pipeline",
        &["bounded", "denoise", "difference", "digest", "input", "numbers", "output", "reject", "tokenize"],
    );
}

#[test]
fn verify_does_not_know_who_calls_it() {
    let allowed = [
        "bounded",
        "denoise",
        "difference",
        "digest",
        "input",
        "numbers",
        "output",
        "pipeline",
        "reading",
        "reject",
        "tokenize",
        "verify",
    ];
    assert_imports("verify", &allowed);
}

#[test]
fn whoever_reads_a_data_set_back_knows_what_it_is_and_not_how_it_was_made() {
    assert_imports("reading", &["bounded", "denoise", "difference", "output"]);
}

#[test]
fn only_settings_reads_the_environment() {
    // A store's credentials are read by its library, and where the system keeps temporary files is asked where they are made.
    let readers = ["settings.rs", "spool.rs", "store/remote.rs"];
    for Code { file, lines } in code().into_iter().filter(|code| !readers.contains(&code.file.as_str())) {
        for (number, line) in lines {
            assert!(!line.contains("std::env") && !line.contains("env::var"), "src/{file}:{number}: {line}");
        }
    }
}

#[test]
fn only_stream_names_chacha() {
    let names = |line: &str| line.to_lowercase().contains("chacha");
    assert_only(|file| file == "denoise/stream.rs", names, "only `stream` names ChaCha");
}

#[test]
fn only_the_store_names_its_libraries() {
    let names = |line: &str| ["object_store::", "tokio::", "rustls::"].iter().any(|name| line.contains(name));
    assert_only(|file| file.starts_with("store/"), names, "only `store` names object stores and what waits for them");
}

#[test]
fn only_output_names_arrow_or_parquet() {
    let names = |line: &str| ["arrow::", "parquet::"].iter().any(|name| line.contains(name));
    assert_only(|file| file.starts_with("output/"), names, "only `output` names Arrow or Parquet");
}

#[test]
fn below_main_errors_are_typed() {
    let shell = ["main.rs", "app.rs", "again.rs", "look.rs", "planned.rs", "settings.rs", "preview.rs", "hint.rs"];
    assert_only(
        |file| shell.contains(&file),
        |line| line.contains("anyhow"),
        "only the outermost modules use `anyhow`",
    );
}

#[test]
fn only_report_prints() {
    let prints = |line: &str| {
        ["print!", "println!", "eprint", "io::stdout", "io::stderr"].iter().any(|name| line.contains(name))
    };
    assert_only(|file| ["report.rs", "report/progress.rs"].contains(&file), prints, "only `report` prints");
}

#[test]
fn only_schema_names_the_columns() {
    // `labels` and `denoiser` are words of messages and tables too; the column that is no word stands for all.
    assert_only(
        |file| file == "output/schema.rs",
        |line| line.contains("\"input_ids\""),
        "column names are written once",
    );
}

// --- what a dependency could change behind our back ---

#[test]
fn the_tokenizer_library_in_the_manifest_is_the_locked_one() {
    let lock = fs::read_to_string(repository("Cargo.lock")).unwrap();
    let package = lock.split("[[package]]").find(|package| package.contains("\nname = \"tokenizers\"\n")).unwrap();
    let version = package.lines().find_map(|line| line.strip_prefix("version = ")).unwrap();
    assert_eq!(ul2_prep::tokenize::hf::LIBRARY, format!("tokenizers {}", version.trim_matches('"')));
}

#[test]
fn numbers_are_read_as_the_python_package_reads_them() {
    // The scores of a Unigram file decide its ids. `serde_json` without `float_roundtrip` reads some in another last bit than the standard
    // library, and so does the Python package, whose ids are the reference. 583 of the fixture's scores tell.
    let file = fs::read_to_string(repository("fixtures/tokenizer/tokenizer.json")).unwrap();
    let vocabulary = &file[file.find("\"vocab\"").unwrap()..];
    let number = |text: &str| text.starts_with('-') && text.contains('.');
    let numbers = vocabulary.split([',', ']', '[', '\n', ' ']).filter(|text| number(text));
    let differs = |text: &&str| {
        let (ours, exact) = (serde_json::from_str::<f64>(text), text.parse::<f64>());
        matches!((ours, exact), (Ok(ours), Ok(exact)) if ours.to_bits() != exact.to_bits())
    };
    assert_eq!(numbers.filter(differs).count(), 583);
}

#[test]
fn objects_are_written_with_sorted_keys() {
    // `preserve_order` would keep the order of insertion: other bytes in every manifest, and another fingerprint of every spec.
    let value = serde_json::json!({"b": 1, "a": {"d": 2, "c": 3}});
    assert_eq!(value.to_string(), r#"{"a":{"c":3,"d":2},"b":1}"#);
}
