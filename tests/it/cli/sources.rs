//! Which files are sources, by which names, and what is read of them.

use fs_err as fs;
use insta::assert_snapshot;
use sha2::{Digest as _, Sha256};
use ul2_prep::digest::hex;

use super::{names, segments, small};
use crate::support::{Fixture, Ran, record};

/// Names of the sources that a run over `sources` reads, each time into a new folder.
fn found(fixture: &Fixture, sources: &str) -> Vec<String> {
    let out = format!("out-{}", hex(&Sha256::digest(sources)));
    let manifest = fixture.run(&out, sources).manifest();
    names(&manifest).into_iter().map(str::to_owned).collect()
}

#[test]
fn a_source_is_named_below_the_folder_glob_or_file_that_found_it() {
    let fixture = Fixture::new();
    for name in ["in/a.jsonl", "in/deep/er/b.ndjson.gz", "in/deep/c.json.zst", "in/.hidden/d.jsonl", "in/notes.txt"] {
        fixture.write_source(name, record("some text"));
    }
    let all = ["a.jsonl", "deep/c.json.zst", "deep/er/b.ndjson.gz"];
    assert_eq!(found(&fixture, "in"), all);
    assert_eq!(found(&fixture, "in/deep/er/b.ndjson.gz"), ["b.ndjson.gz"]);
    assert_eq!(found(&fixture, "in/*.jsonl"), ["a.jsonl"]);
    assert_eq!(found(&fixture, "in/de?p"), ["deep/c.json.zst", "deep/er/b.ndjson.gz"]);
    assert_eq!(found(&fixture, "in/[b-z]*/*/*"), ["deep/er/b.ndjson.gz"]);
    assert_eq!(found(&fixture, "in ./in/a.jsonl in/"), all, "each counts once");
}

#[test]
fn a_source_has_one_name_however_its_folder_is_spelled() {
    // The name decides the rows, so these have to agree.
    let fixture = Fixture::new();
    fixture.write_source("in/a.jsonl", record("some text"));
    let absolute = fixture.path("in/*.jsonl");
    for spelled in ["in", "./in", "in/.", "in/*.jsonl", "in//*.jsonl", "in/../in/*.jsonl", absolute.to_str().unwrap()] {
        assert_eq!(found(&fixture, spelled), ["a.jsonl"], "{spelled}");
    }
    assert_eq!(found(&fixture, "./in/*.jsonl"), ["a.jsonl"], "./in/*.jsonl");
}

#[test]
fn the_data_set_may_lie_in_the_folder_of_its_sources() {
    // Its manifest and its rejects end in `.json` and `.jsonl`, but are no sources: the same command again has to go on.
    let fixture = Fixture::new();
    fixture.write_source("a.jsonl", record("some text") + "{\n");
    let first = fixture.run("masked", ".");
    assert_eq!(names(&first.manifest()), ["a.jsonl"]);
    let digests = first.digests();
    assert_eq!(fixture.run("masked", ".").digests(), digests);
    assert_eq!(names(&fixture.run("another", ".").manifest()), ["a.jsonl"]);
}

#[test]
fn a_glob_leaves_hidden_entries_out_as_a_folder_does() {
    let fixture = Fixture::new();
    for name in ["in/a.jsonl", "in/.b.jsonl", "in/.cache/c.jsonl", "in/deep/d.jsonl", "in/deep/.e.jsonl"] {
        fixture.write_source(name, record("some text"));
    }
    assert_eq!(found(&fixture, "in"), ["a.jsonl", "deep/d.jsonl"]);
    assert_eq!(found(&fixture, "in/*.jsonl"), ["a.jsonl"]);
    assert_eq!(found(&fixture, "in/*"), ["a.jsonl", "deep/d.jsonl"]);
    assert_eq!(found(&fixture, "in/**/*.jsonl"), ["a.jsonl", "deep/d.jsonl"]);
    // A name that is spelled out is meant.
    assert_eq!(found(&fixture, "in/.b.jsonl"), [".b.jsonl"]);
    assert_eq!(found(&fixture, "in/.c*/*.jsonl"), [".cache/c.jsonl"]);
}

#[test]
fn two_sources_of_one_name_are_refused() {
    let fixture = Fixture::new();
    fixture.write_source("in/x/a.jsonl", record("one"));
    fixture.write_source("in/y/a.jsonl", record("two"));
    assert_snapshot!(fixture.ran("run in/x in/y/a.jsonl --out masked").failed(2), @r"
    error: two sources are named `a.jsonl`: `in/x/a.jsonl` and `in/y/a.jsonl`

    hint: a source's name is its path below the SOURCE that found it: name a folder above both
    ");
    assert!(!fixture.path("masked").exists());
    assert_eq!(names(&fixture.run("masked", "in").manifest()), ["x/a.jsonl", "y/a.jsonl"], "as the hint says");
}

#[test]
fn a_source_that_is_none_is_refused() {
    let fixture = small();
    fixture.write("empty/notes.txt", "");
    assert_snapshot!(fixture.ran("run missing --out masked").failed(2), @"error: no such file or folder: `missing`");
    assert_snapshot!(fixture.ran("run empty --out masked").failed(2), @r"
    error: no source in `empty`; passed over: `notes.txt`

    hint: sources end in `.jsonl`, `.json`, `.ndjson`, plain or with `.zst`, `.zstd` or `.gz` after it
    ");
    assert_snapshot!(fixture.ran("run a.jsonl empty/*.jsonl --out masked").failed(2), @r"
    error: no source in `empty/*.jsonl`

    hint: sources end in `.jsonl`, `.json`, `.ndjson`, plain or with `.zst`, `.zstd` or `.gz` after it
    ");
    assert_snapshot!(fixture.ran("run empty/notes.txt --out masked").failed(2), @"error: `empty/notes.txt` is not a source: its name has none of the endings `.jsonl`, `.json`, `.ndjson`, plain or with `.zst`, `.zstd` or `.gz` after it");
    assert_snapshot!(fixture.ran("run --out masked").failed(2), @r"
    error: the following required arguments were not provided:
      <SOURCE>...

    Usage: ul2-prep run --out <DIR> <SOURCE>...

    For more information, try '--help'.
    ");
    assert!(!fixture.path("masked").exists());
}

#[test]
fn files_that_look_like_sources_are_never_passed_over_without_a_word() {
    let fixture = Fixture::new();
    for name in ["A.JSONL", "b.jsonl.ZST", "c.jsonl.zstd", "d.Json.Gz"] {
        let text = record(&format!("what {name} says"));
        fixture.write(
            &format!("in/{name}"),
            crate::support::compressed(&name.to_lowercase().replace("zstd", "zst"), text.as_bytes()),
        );
    }
    let manifest = fixture.run("good", "in").manifest();
    assert_eq!(names(&manifest), ["A.JSONL", "b.jsonl.ZST", "c.jsonl.zstd", "d.Json.Gz"]);
    assert_eq!(manifest["plan"].get("passed_over"), None);
    // What cannot be read is named beside them, what is no corpus is not.
    for name in [
        "sub/e.jsonl.xz",
        "f.jsonl.bz2",
        "g.parquet",
        "h.jsonl.zst.part",
        "i.csv",
        "j.txt",
        "README.md",
        "A.JSONL.sha256",
    ] {
        fixture.write(&format!("in/{name}"), "x");
    }
    fixture.write("in/.hidden.txt", "x");
    let listed = "6 files passed over: `f.jsonl.bz2`, `g.parquet`, `h.jsonl.zst.part`, `i.csv`, `j.txt` and 1 more";
    let ran = fixture.ran("run in --out masked --quiet").succeeded();
    assert!(ran.stderr.contains(listed), "{}", ran.stderr);
    let data_set = fixture.data_set("masked");
    assert_eq!(data_set.manifest()["plan"]["passed_over"], 6);
    assert_eq!(data_set.manifest()["totals"]["rows_digest"], manifest["totals"]["rows_digest"]);
    let plan = fixture.ran("plan in/* --no-estimate").succeeded().stdout;
    assert!(plan.contains("\npassed over  6 files next to them that cannot be read: `f.jsonl.bz2`, "), "{plan}");
    assert!(
        fixture.ran("plan in/*.jsonl* --no-estimate").succeeded().stdout.contains("passed over  2 files "),
        "a glob says what is meant"
    );
    // Another stray file is no other data set: the run goes on, `verify` and `reproduce` find it equal.
    fixture.write("in/k.csv", "x");
    let before = data_set.digests();
    fixture.ran("run in --out masked --quiet").succeeded();
    assert_eq!(data_set.digests(), before);
    assert!(fixture.ran("verify masked --sources in").succeeded().stdout.starts_with("no finding"));
    fixture.ran("reproduce masked in --out again --quiet").succeeded();
    assert_eq!(fixture.data_set("again").digests(), before);
    // The same sources named by a glob are the same plan: records and shards are equal.
    let by_glob = fixture.run("by-glob", "in/*.[jJ]*").digests();
    let differ: Vec<&String> = before.keys().filter(|name| by_glob.get(*name) != before.get(*name)).collect();
    assert_eq!(differ, [".ul2-prep/plan.json", "SHA256SUMS", "manifest.json"]);
    // Many machines count them once.
    fixture.ran("plan in --out units --write").succeeded();
    fs::remove_file(fixture.path("in/k.csv")).unwrap();
    fixture.ran("run --plan units --unit 0 --quiet").succeeded();
    let said = fixture.ran("finalize units").succeeded().stderr;
    assert!(said.contains("7 files passed over when the sources were listed: `ul2-prep plan` names them"), "{said}");
    assert_eq!(fixture.data_set("units").manifest()["plan"]["passed_over"], 7);
    // A forged number is found.
    let path = data_set.path("manifest.json");
    let manifest = fs::read_to_string(&path).unwrap();
    fs::write(&path, manifest.replace("\"passed_over\": 6", "\"passed_over\": 5")).unwrap();
    assert!(fixture.ran("verify masked").stdout.contains("passed_over"));
}

#[test]
fn a_folder_of_nothing_but_other_files_says_what_they_are() {
    let fixture = Fixture::new();
    fixture.write("in/a.jsonl.xz", "x");
    assert_snapshot!(fixture.ran("run in --out masked").failed(2), @r"
    error: no source in `in`; passed over: `a.jsonl.xz`

    hint: sources end in `.jsonl`, `.json`, `.ndjson`, plain or with `.zst`, `.zstd` or `.gz` after it
    ");
}

#[test]
fn a_name_with_a_control_character_is_refused() {
    let fixture = Fixture::new();
    fixture.write_source("in/a\nb.jsonl", record("some text"));
    assert_snapshot!(fixture.ran("run in --out masked").failed(2), @r#"
    error: the source name "a\nb.jsonl" has a control character

    hint: rename the file: its name stands in lists that have a name on each line
    "#);
}

#[test]
fn the_text_may_be_in_a_nested_field() {
    let fixture = Fixture::new();
    fixture.write_source("a.jsonl", "{\"text\":\"wrong\",\"a\":{\"b\":\"right\",\"c\":1}}\n");
    let rows = fixture.run("masked", "a.jsonl --text-field a.b").rows();
    let spec = fixture.data_set("masked").spec();
    assert_eq!(
        segments(&spec, &rows, "a.jsonl", 1),
        "right".bytes().map(|byte| u32::from(byte) + 3).collect::<Vec<_>>()
    );
}

#[test]
fn a_field_that_is_nowhere_stops_the_run_with_the_keys_that_are_there() {
    let fixture = small();
    fixture.write_source("b.jsonl", "{\"id\":1,\"body\":\"x\"}\n".repeat(11));
    assert_snapshot!(fixture.ran("run b.jsonl --out masked --quiet").failed(1), @r"
    error: b.jsonl: no document in its 11 lines; the first reject is b.jsonl:1: missing-text: no field `text`, the record has the keys `id`, `body`

    hint: name the field that holds the text with `--text-field`
    ");
}

#[test]
fn a_source_that_gives_no_document_is_an_error_in_run_and_plan() {
    let fixture = small();
    for (name, text) in [
        ("bad/field.jsonl", "\n{\"body\":\"x\"}\n{\"body\":\"y\"}\n"),
        ("bad/label.jsonl", "{\"text\":\"x\",\"class\":\"y\"}\n"),
        ("bad/array.json", "[{\"text\":\"some text\"},{\"text\":\"more text\"}]"),
        ("bad/lines.json", "[\n{\"text\":\"some text\"},\n{\"text\":\"more text\"}\n]\n"),
        ("bad/pretty o.json", "{\n  \"text\": \"some text\"\n}\n"),
        ("bad/other.jsonl", "[1]\n[2]\n"),
        ("good/blank.jsonl", "\n \n"),
        ("good/empty.jsonl", ""),
    ] {
        fixture.write(name, text);
    }
    let mut said = String::new();
    for (file, more) in [
        ("field.jsonl", ""),
        ("field.jsonl", "--max-rejects 1000"),
        ("label.jsonl", "--recipe label-aware-permute"),
        ("array.json", ""),
        ("lines.json", ""),
        ("pretty o.json", ""),
        ("other.jsonl", ""),
    ] {
        let path = format!("bad/{file}");
        let ran = |command: &[&str]| {
            let more =
                more.split(' ').filter(|part| !part.is_empty() && (command[0] == "run" || !more.contains("rejects")));
            Ran::new(fixture.command().args(command).arg(&path).args(more).output().unwrap())
        };
        let message = ran(&["run", "--quiet", "--out", "masked"]).failed(1);
        assert!(!fixture.path("masked/manifest.json").exists());
        fs::remove_dir_all(fixture.path("masked")).unwrap();
        let planned = ran(&["plan"]);
        assert_eq!((planned.code, &planned.stderr), (Some(1), &message), "plan says the same");
        said.push_str(&message);
        if let Some(command) = message.split('`').find(|part| part.starts_with("jq ")) {
            // What the hint says works where there is `jq`.
            let jq =
                std::process::Command::new("sh").args(["-c", command]).current_dir(fixture.path("")).status().unwrap();
            let lines = command.rsplit_once("> ").unwrap().1.trim_matches('\'');
            assert!(jq.success() || jq.code() == Some(127), "{command}");
            if jq.success() {
                let run = ["run", lines, "--out", "converted", "--quiet"];
                Ran::new(fixture.command().args(run).output().unwrap()).succeeded();
                assert!(!fixture.data_set("converted").rows().is_empty());
                fs::remove_dir_all(fixture.path("converted")).unwrap();
            }
        }
    }
    assert_snapshot!(said, @r"
    error: field.jsonl: no document in its 3 lines; the first reject is field.jsonl:2: missing-text: no field `text`, the record has the keys `body`

    hint: name the field that holds the text with `--text-field`
    error: field.jsonl: no document in its 3 lines; the first reject is field.jsonl:2: missing-text: no field `text`, the record has the keys `body`

    hint: name the field that holds the text with `--text-field`
    error: label.jsonl: no document in its only line; the first reject is label.jsonl:1: missing-text: no field `translation.src`, the record has the keys `text`, `class`

    hint: name the field that holds the text with `--text-field`
    error: array.json: the source is one JSON document, not JSON lines; the first reject is array.json:1: not-an-object: the line is an array

    hint: `jq -c '.[]' bad/array.json > array.lines.jsonl` writes one record a line: give that file instead
    error: lines.json: the source is one JSON document, not JSON lines; the first reject is lines.json:1: invalid-json: EOF while parsing a list at byte 1

    hint: `jq -c '.[]' bad/lines.json > lines.lines.jsonl` writes one record a line: give that file instead
    error: pretty o.json: the source is one JSON document, not JSON lines; the first reject is pretty o.json:1: invalid-json: EOF while parsing an object at byte 1

    hint: `jq -c . 'bad/pretty o.json' > 'pretty o.lines.jsonl'` writes one record a line: give that file instead
    error: other.jsonl: no document in its 2 lines; the first reject is other.jsonl:1: not-an-object: the line is an array

    hint: a source holds one JSON object a line
    ");
    // Among others as well, but not where all of a source may be rejected; blank lines are no records.
    fixture.write("good/a.jsonl", record("some text"));
    fixture.run("good-alone", "good");
    assert!(
        fixture
            .ran("run good bad/field.jsonl --out masked --quiet")
            .failed(1)
            .starts_with("error: field.jsonl: no document in its 3 lines")
    );
    fs::remove_dir_all(fixture.path("masked")).unwrap();
    let manifest = fixture.run("masked", "good bad/field.jsonl --max-rejects 100%").manifest();
    assert_eq!(manifest["totals"]["rejects"]["missing-text"], 2);
    fixture.ran("reproduce masked good bad/field.jsonl --out again --quiet").succeeded();
    // On many machines each unit says it.
    fixture.ran("plan bad/field.jsonl --out units --write").succeeded();
    assert!(fixture.ran("run --plan units --unit 0 --quiet").failed(64).contains("no document in its 3 lines"));
}

#[test]
fn a_source_in_parts_is_asked_for_documents_as_a_whole() {
    let fixture = Fixture::new();
    let line = |key: &str| format!("{{\"{key}\":\"{}\"}}\n", "x".repeat(5_000_000));
    fixture.write("bad/a.jsonl", line("body").repeat(8));
    fixture.write("good/a.jsonl", line("body").repeat(6) + &line("text").repeat(2));
    let message = fixture.ran("run bad --out masked --quiet --split 10MB").failed(1);
    assert!(
        message.starts_with("error: a.jsonl: no document in its 8 lines; the first reject is in an earlier shard"),
        "{message}"
    );
    assert!(!fixture.path("masked/manifest.json").exists());
    fixture.run("good-masked", "good --split 10MB");
}

#[test]
fn a_source_of_nothing_but_lines_that_are_too_long_fails_in_plan_as_in_run() {
    let fixture = Fixture::new();
    fixture.write("a.jsonl", record(&"long ".repeat(1000)).repeat(2));
    let arguments = "a.jsonl --max-line 1KiB";
    let message = fixture.ran(&format!("run {arguments} --out masked --quiet")).failed(1);
    assert!(
        message
            .starts_with("error: a.jsonl: no document in its 2 lines; the first reject is a.jsonl:1: line-too-long: ")
    );
    let plan = fixture.ran(&format!("plan {arguments}"));
    assert_eq!((plan.code, plan.stderr), (Some(1), message));
    // One that is not the whole source is counted once.
    fixture.write("b.jsonl", record(&"long ".repeat(1000)) + &record("short"));
    let plan = fixture.ran("plan b.jsonl --max-line 1KiB").succeeded().stdout;
    assert!(plan.contains("\nlines that would be rejected: 1\n"), "{plan}");
}

#[test]
fn documents_shorter_than_min_segment_are_counted() {
    let fixture = Fixture::new();
    fixture.write_source("a.jsonl", ["a", "ab", "abc"].map(record).concat());
    let manifest = fixture.run("masked", "a.jsonl").manifest();
    let count = |key: &str| manifest["totals"][key].as_u64().unwrap();
    assert_eq!([count("documents"), count("rows"), count("short_documents"), count("short_tokens")], [3, 2, 1, 1]);
}

#[test]
fn epochs_mask_every_document_anew() {
    let fixture = small();
    let rows = fixture.run("masked", "a.jsonl --epochs 3").rows();
    assert_eq!(rows.len(), 9);
    let epoch = |epoch| rows.iter().filter(move |row| row.epoch == epoch).map(|row| (&row.denoiser, &row.input_ids));
    assert!(epoch(0).ne(epoch(1)) && epoch(1).ne(epoch(2)) && epoch(0).ne(epoch(2)));
    // The first epoch is the data set of one epoch.
    let single = fixture.run("single", "a.jsonl").rows();
    assert_eq!(rows.iter().filter(|row| row.epoch == 0).collect::<Vec<_>>(), single.iter().collect::<Vec<_>>());
}
