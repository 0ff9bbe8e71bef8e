//! What the tool says of every bad file there is: `fixtures/bad` (sources) and `fixtures/bad/more`, a line each.
//!
//! A line is `kind: message`, or `kind: rows …` where the file is odd but good. No file may make the tool panic, hang or die. The messages
//! are in `snapshots/`; read the difference when one changes.

use std::fmt::Write as _;
use std::path::PathBuf;

use fs_err as fs;
use serde_json::Value;
use ul2_prep::denoise::Spec;

use crate::support::{Fixture, Ran, record, repository};

/// The files of a folder of `fixtures/bad`, by name, without the page and the list of outcomes.
fn files(folder: &str) -> Vec<(String, PathBuf)> {
    let mut files = entries(folder);
    files.retain(|(_, path)| path.is_file());
    files
}

/// The files and the folders of a folder of `fixtures/bad`.
fn entries(folder: &str) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(repository("fixtures/bad").join(folder)).unwrap();
    let mut files: Vec<(String, PathBuf)> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path))
        .filter(|(name, _)| name != "README.md" && name != "expected.json")
        .collect();
    files.sort();
    files
}

/// What a command says, in one line without what differs from machine to machine.
fn said(ran: &Ran, fixture: &Fixture) -> String {
    let here = [(repository("fixtures/bad"), "BAD"), (fixture.path(""), "HERE")];
    let mut text = ran.stderr.trim_end().replace("\n\n", "  ").replace('\n', "  ");
    for (path, name) in here {
        text = text.replace(path.to_str().unwrap().trim_end_matches('/'), name);
    }
    assert!(!text.contains(char::is_control), "{text:?}");
    assert!(!text.contains("panicked at"), "{text}");
    match ran.code {
        Some(0) => text,
        Some(code @ (1 | 2)) => format!("{code} {text}"),
        code => panic!("ended with {code:?}: {text}"),
    }
}

/// The same, or what was made if all went well.
fn outcome(ran: &Ran, fixture: &Fixture, out: &str) -> String {
    if ran.code != Some(0) {
        return said(ran, fixture);
    }
    let totals = &fixture.data_set(out).manifest()["totals"];
    format!("rows {}, lines {}, blank lines {}", totals["rows"], totals["lines"], totals["blank_lines"])
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(400) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}

#[test]
fn what_the_tool_says() {
    let mut page = String::new();
    let mut kinds = 0;
    let mut line = |folder: &str, name: &str, said: &str| {
        kinds += 1;
        writeln!(page, "{folder}/{name}: {}", shortened(said)).unwrap();
    };
    let fixture = Fixture::new();
    for (folder, shown) in [("", "sources"), ("more/sources", "more")] {
        for (name, path) in files(folder) {
            let out = format!("{shown}-{name}");
            let ran = fixture.ran(&format!("run {} --out {out} --max-rejects 0 --quiet", path.display()));
            line(shown, &name, &outcome(&ran, &fixture, &out));
        }
    }
    // Much to replace, and much to try an expression on.
    fixture.write("a.jsonl", record(&format!("a line of some length, a b ab {} b !", "a".repeat(2000))));
    for (name, path) in entries("more/tokenizers") {
        let out = format!("tokenizer-{name}");
        let tokenizer = path.display();
        let ran = fixture.ran(&format!("run a.jsonl --out {out} --tokenizer {tokenizer} --max-rejects 0 --quiet"));
        let mut made = outcome(&ran, &fixture, &out);
        if let Some(code) = ran.code.filter(|&code| code != 0) {
            // Without the warnings about mode tokens, which most of these files lack.
            made = format!("{code} {}", &made[made.find("error: ").unwrap()..]);
        }
        for note in ran.stderr.lines().filter(|line| line.ends_with("switched off")) {
            write!(made, "  {note}").unwrap();
        }
        line("tokenizers", &name, &made);
    }
    fixture.write("a.jsonl", record("a line of some length, a b ab"));
    for (name, path) in files("more/recipes") {
        let out = format!("recipe-{name}");
        let recipe = path.display();
        let ran = fixture.ran(&format!("run a.jsonl --out {out} --recipe {recipe} --max-rejects 0 --quiet"));
        line("recipes", &name, &outcome(&ran, &fixture, &out));
    }
    let whole = fixture.run("whole", "a.jsonl");
    let plan = fs::read(whole.path(".ul2-prep/plan.json")).unwrap();
    for (name, path) in files("more/plans") {
        let out = format!("plan-{name}");
        fixture.write(&format!("{out}/.ul2-prep/plan.json"), fs::read(path).unwrap());
        line("plans", &name, &said(&fixture.ran(&format!("run a.jsonl --out {out} --quiet")), &fixture));
        line(
            "plans",
            &format!("{name} (plan)"),
            &said(&fixture.ran(&format!("plan a.jsonl --no-estimate --out {out}")), &fixture),
        );
    }
    let fingerprint = whole.commits()[0]["plan"].as_str().unwrap().to_owned();
    for (name, path) in files("more/commits") {
        let out = format!("commit-{name}");
        fixture.write(&format!("{out}/.ul2-prep/plan.json"), &plan);
        let record = String::from_utf8(fs::read(path).unwrap()).unwrap().replace("PLAN", &fingerprint);
        fixture.write(&format!("{out}/.ul2-prep/commits/00000-00000.json"), record);
        let ran = fixture.ran(&format!("run a.jsonl --out {out} --quiet"));
        line("commits", &name, &outcome(&ran, &fixture, &out).replace(&fingerprint, "PLAN"));
    }
    assert!(kinds > 200, "{kinds} kinds");
    insta::assert_snapshot!("what_the_tool_says", page);
}

/// No reader of a spec takes what no run has written.
#[test]
fn a_spec_of_hostile_shape_is_an_error() {
    let fixture = Fixture::new();
    fixture.write("a.jsonl", record("a line of some length"));
    let spec = fixture.run("whole", "a.jsonl").manifest()["spec"].clone();
    assert!(Spec::from_json(spec.clone()).is_ok());
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut spec = spec.clone();
        change(&mut spec);
        Spec::from_json(spec).unwrap_err().to_string()
    };
    let mut page = String::new();
    for (name, change) in [
        ("size", &(|spec: &mut Value| spec["vocabulary"]["size"] = u32::MAX.into()) as &dyn Fn(&mut Value)),
        ("sentinel", &|spec| spec["vocabulary"]["sentinels"][0] = u32::MAX.into()),
        ("denoisers", &|spec| spec["denoisers"] = Value::Array(Vec::new())),
        ("epochs", &|spec| spec["epochs"] = u32::MAX.into()),
        ("length", &|spec| spec["inputs_length"] = u32::MAX.into()),
        ("max_line", &|spec| spec["max_line"] = u64::MAX.into()),
        ("weight", &|spec| spec["denoisers"][0]["weight"] = 0.into()),
        ("kind", &|spec| *spec = Value::Null),
    ] {
        writeln!(page, "{name}: {}", shortened(&refused(change))).unwrap();
    }
    insta::assert_snapshot!("a_spec_of_hostile_shape", page);
}

/// Found by `fuzz/fuzz_targets/manifest.rs`.
#[test]
fn a_spec_that_is_no_object_is_an_error_and_no_panic() {
    for value in ["0", "\"denoisers\"", "[]", "true", "null", "{\"denoisers\":0}", "{\"denoisers\":[0]}"] {
        assert!(Spec::from_json(serde_json::from_str(value).unwrap()).is_err(), "{value}");
    }
}
