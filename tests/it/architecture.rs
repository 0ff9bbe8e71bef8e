//! Holds the code to its dependency rules, by reading it.
//!
//! The rules are coarse on purpose: a name in the wrong file is found, a clever way round is not. Comments and the modules of unit tests
//! may name what they like. Two features of `serde_json` that a dependency could switch on for all of us are checked by what they do.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use fs_err as fs;

use crate::support::repository;

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

/// The floors of the house, from the roof down: a module imports modules of lower floors alone. Modules of one floor do not know each other.
const FLOORS: [&[&str]; 11] = [
    &["commands"],
    &["report"],
    &["settings"],
    &["cli", "inspect", "stats", "verify"],
    &["pipeline"],
    &["plan", "reading"],
    &["input", "output"],
    &["tokenize", "recipe"],
    &["reject"],
    &["denoise", "store", "files", "json", "digest", "numbers"],
    &["guidance", "system"],
];

fn floor(module: &str) -> usize {
    let floor = FLOORS.iter().position(|floor| floor.contains(&module));
    floor.unwrap_or_else(|| panic!("`{module}` stands on no floor of `tests/it/architecture.rs`"))
}

#[test]
fn no_arrow_runs_up() {
    let mut broken = Vec::new();
    let shell = ["main.rs", "lib.rs"];
    for Code { file, lines } in code().into_iter().filter(|code| !shell.contains(&code.file.as_str())) {
        let module = first_word(&file);
        for (number, line) in lines {
            for name in modules_named(&line).into_iter().filter(|name| *name != module && *name != "documentation") {
                if floor(name) <= floor(module) {
                    broken.push(format!("src/{file}:{number}: `{module}` names `{name}`: {line}"));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_pictures_of_the_floors_are_those_of_the_code() {
    let table: Vec<String> = FLOORS.iter().map(|floor| floor.join("  ")).collect();
    let folders = fs::read_dir(repository("src")).unwrap().map(|entry| entry.unwrap().file_name());
    let modules = folders.map(|name| name.to_str().unwrap().trim_end_matches(".rs").to_owned());
    let mut modules: Vec<String> = modules.filter(|name| name != "lib" && name != "main").collect();
    let mut on_floors: Vec<&str> = FLOORS.concat();
    modules.sort();
    on_floors.sort_unstable();
    assert_eq!(modules, on_floors);
    for page in ["src/lib.rs", "docs/internals/design.md"] {
        let text = fs::read_to_string(repository(page)).unwrap();
        let lines = text.lines().map(|line| line.trim_start_matches("//!").trim());
        let picture = lines.skip_while(|line| *line != "```text floors").skip(1).take_while(|line| *line != "```");
        assert_eq!(picture.collect::<Vec<_>>(), table, "{page}");
    }
}

/// The paths of a use tree: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn expanded(tree: &str) -> Vec<String> {
    let Some(open) = tree.find('{') else { return vec![tree.trim().to_owned()] };
    let (prefix, inner) = (tree[..open].trim(), tree[open + 1..].trim_end().trim_end_matches('}'));
    let (mut parts, mut depth, mut begin) = (Vec::new(), 0, 0);
    for (place, letter) in inner.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inner[begin..place]);
                begin = place + 1;
            }
            _ => {}
        }
    }
    parts.push(&inner[begin..]);
    let parts = parts.into_iter().map(str::trim).filter(|part| !part.is_empty());
    parts.flat_map(expanded).map(|part| format!("{prefix}{part}")).collect()
}

/// The modules of the crate, each with those that it imports; a name that a folder hands on counts as that of the file it stands in.
fn graph() -> BTreeMap<String, BTreeSet<String>> {
    let module = |file: &str| file.trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::");
    let code = code();
    let modules: BTreeSet<String> = code.iter().map(|code| module(&code.file)).collect();
    let (mut imports, mut handed_on) = (Vec::new(), BTreeMap::new());
    for Code { file, lines } in code.iter().filter(|code| !["main.rs", "lib.rs"].contains(&code.file.as_str())) {
        let name = module(file);
        let text: Vec<&str> = lines.iter().map(|(_, line)| line.as_str()).collect();
        // What a folder hands on, to all or within the crate, it does not import.
        let text = text.join(" ").replace("pub(crate) use crate::", "pub use crate::");
        for statement in text.split(';') {
            let (rest, is_public) = match statement.split_once("pub use crate::") {
                Some((_, rest)) => (rest, true),
                None => (statement, false),
            };
            let trees = if is_public {
                expanded(rest)
            } else if let Some((_, tree)) = rest.split_once("use crate::") {
                expanded(tree)
            } else {
                rest.split("crate::")
                    .skip(1)
                    .map(|path| {
                        path.split(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != ':')
                            .next()
                            .unwrap()
                            .to_owned()
                    })
                    .collect()
            };
            for path in trees {
                let path =
                    path.split(" as ").next().unwrap().trim_end_matches("::self").trim_end_matches(':').to_owned();
                if is_public {
                    handed_on.insert(format!("{name}::{}", path.rsplit("::").next().unwrap()), path);
                } else {
                    imports.push((name.clone(), path));
                }
            }
        }
    }
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, mut path) in imports {
        while let Some(origin) = handed_on.get(&path) {
            path.clone_from(origin);
        }
        while !path.is_empty() && !modules.contains(&path) {
            path = path.rsplit_once("::").map(|(path, _)| path.to_owned()).unwrap_or_default();
        }
        if !path.is_empty() && path != name {
            graph.entry(name).or_default().insert(path);
        }
    }
    assert!(graph.values().map(BTreeSet::len).sum::<usize>() > 300, "few imports are found");
    graph
}

#[test]
fn no_circle_is_among_the_modules() {
    let mut graph = graph();
    // What imports nothing that is left is on no circle.
    while let Some(leaf) = {
        let left: BTreeSet<String> = graph.keys().cloned().collect();
        graph.iter().find(|(_, imports)| imports.is_disjoint(&left)).map(|(name, _)| name.clone())
    } {
        graph.remove(&leaf);
    }
    assert!(graph.is_empty(), "circles among {:?}", graph.keys().collect::<Vec<_>>());
}

#[test]
fn no_command_imports_another() {
    let verbs = ["generate", "inspect", "plan", "recipes", "reproduce", "run", "stats", "tokenizer", "units", "verify"];
    for (name, imports) in graph() {
        for verb in verbs.iter().filter(|_| name.starts_with("commands::")) {
            assert!(!imports.contains(&format!("commands::{verb}")), "`{name}` imports `commands::{verb}`");
        }
    }
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
fn few_files_read_the_environment() {
    // A store's credentials are read by its library, and where the system keeps temporary files is asked where they are made.
    let readers = ["settings/environment.rs", "report/terminal.rs", "files/private.rs", "store/remote/connection.rs"];
    for Code { file, lines } in code().into_iter().filter(|code| !readers.contains(&code.file.as_str())) {
        for (number, line) in lines {
            assert!(!line.contains("std::env") && !line.contains("env::var"), "src/{file}:{number}: {line}");
        }
    }
}

#[test]
fn only_system_asks_which_system_it_runs_on() {
    let names = [
        "std::os::",
        "fs_err::os::",
        "cfg(unix",
        "cfg!(unix",
        "cfg!(windows",
        "cfg(windows",
        "cfg(not(unix",
        "cfg(not(windows",
        "target_os",
        "target_family",
        "target_vendor",
        "libc::",
        "rustix::",
        "signal_hook::",
        "ctrlc::",
        "same_file::",
        "tempfile::",
        "anstyle_query::",
    ];
    assert_only(
        |file| file.starts_with("system/"),
        |line| names.iter().any(|name| line.contains(name)),
        "only `system` asks which system it runs on",
    );
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
fn below_settings_errors_are_typed() {
    assert_only(
        |file| file == "main.rs" || file.starts_with("commands/") || file.starts_with("settings/"),
        |line| line.contains("anyhow"),
        "only commands and settings use `anyhow`",
    );
}

#[test]
fn only_report_prints() {
    let prints = |line: &str| {
        ["print!", "println!", "eprint", "io::stdout", "io::stderr"].iter().any(|name| line.contains(name))
    };
    assert_only(
        |file| ["report/mod.rs", "report/progress.rs", "report/terminal.rs"].contains(&file),
        prints,
        "only `report` prints",
    );
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
