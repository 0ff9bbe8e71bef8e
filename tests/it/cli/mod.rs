//! The real binary, end to end: what it prints, where, with which exit code, and what it reads.
//!
//! Messages are compared whole, as snapshots in these files. Commands run in the fixture's folder with relative paths, so no message holds a
//! path of this machine. What a run may not do to its output is in `determinism.rs` and `faults.rs`.

mod ids;
mod plan;
mod recipe_files;
mod refusals;
mod sources;

use std::os::unix::fs::MetadataExt as _;

use fs_err as fs;
use insta::assert_snapshot;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use ul2_prep::cli::Cli;
use ul2_prep::denoise::{Spec, decode};
use ul2_prep::digest::hex;

use crate::support::{Fixture, Row, record, repository};

/// A fixture with the repository's `fixtures/` reachable under a relative name.
fn fixture() -> Fixture {
    let fixture = Fixture::new();
    std::os::unix::fs::symlink(repository("fixtures"), fixture.path("fixtures")).unwrap();
    fixture
}

/// A fixture with one small source, `a.jsonl`.
fn small() -> Fixture {
    let fixture = Fixture::new();
    fixture.write_source("a.jsonl", record("A small text of some fifty bytes, to be masked.").repeat(3));
    fixture
}

fn names(manifest: &Value) -> Vec<&str> {
    manifest["sources"].as_array().unwrap().iter().map(|source| source["name"].as_str().unwrap()).collect()
}

#[test]
fn a_run_over_the_shards_writes_what_the_manifest_says_and_prints_nothing_to_standard_output() {
    let fixture = fixture();
    let ran = fixture.ran("run fixtures/shards --out masked --seed 7 --workers 2").succeeded();
    assert_eq!(ran.stdout, "");
    let (summary, seconds) = ran.stderr.split_once(", in ").unwrap();
    assert_snapshot!(summary, @"2,353 rows from 379 documents (1,214,456 tokens) in 1 shard, 1.2 MB");
    assert_snapshot!(seconds.split_once('\n').unwrap().1, @r"
    recipe ul2r, tokenizer bytes: each byte of a text is an id, as in ByT5 (`--tokenizer` names another)
    note: denoiser `x-dense` gets segments of 753 tokens instead of 759: these would need 127 sentinels, the vocabulary has 125
    ");

    let data_set = fixture.data_set("masked");
    let manifest = data_set.manifest();
    assert_eq!(
        names(&manifest),
        [
            "english-00000.jsonl.zst",
            "english-00001.jsonl.zst",
            "multilingual-00000.jsonl.zst",
            "nested/code-00000.jsonl.zst",
            "nested/small.jsonl.gz"
        ]
    );
    // Value stability: these rows are those of masking version 1. Another digest here is a value-breaking change.
    assert_eq!(manifest["totals"]["rows_digest"], "08a5368a111f1c7639654e5153faff98c6b96d7d72a5367c3cc97bfbf52db4bc");
    for shard in manifest["shards"].as_array().unwrap() {
        let path = data_set.path(shard["path"].as_str().unwrap());
        let bytes = fs::read(&path).unwrap();
        assert_eq!(shard["bytes"], bytes.len());
        assert_eq!(shard["sha256"], hex(&Sha256::digest(&bytes)));
        assert_eq!(shard["rows"], crate::support::read_rows(&path).len());
    }
    let rows = data_set.rows();
    for source in manifest["sources"].as_array().unwrap() {
        let name = source["name"].as_str().unwrap();
        let bytes = fs::read(repository("fixtures/shards").join(name)).unwrap();
        assert_eq!((&source["bytes"], &source["sha256"]), (&bytes.len().into(), &hex(&Sha256::digest(bytes)).into()));
        assert_eq!(source["rows"], rows.iter().filter(|row| row.source == name).count());
    }
    let sum = |key: &str| manifest["totals"][key].as_u64().unwrap();
    let ids = |ids: fn(&Row) -> &Vec<i32>| rows.iter().map(|row| ids(row).len() as u64).sum::<u64>();
    assert_eq!(sum("rows"), rows.len() as u64);
    assert_eq!((sum("input_ids"), sum("labels")), (ids(|row| &row.input_ids), ids(|row| &row.labels)));
    assert_eq!(sum("lines"), sum("documents") + sum("blank_lines"));
}

#[test]
fn rows_give_the_text_of_every_line_back() {
    let fixture = fixture();
    let rows = fixture.run("masked", "fixtures/shards --recipe ul2 --seed 1").rows();
    let spec = fixture.data_set("masked").spec();
    let mut reader = flate2::read::MultiGzDecoder::new(
        fs::File::open(repository("fixtures/shards/nested/small.jsonl.gz")).unwrap().into_file(),
    );
    let mut lines = String::new();
    std::io::Read::read_to_string(&mut reader, &mut lines).unwrap();
    for (number, line) in (1..).zip(lines.lines()) {
        let record: Value = serde_json::from_str(line).unwrap();
        let bytes: Vec<u8> = segments(&spec, &rows, "nested/small.jsonl.gz", number)
            .into_iter()
            .map(|id| u8::try_from(id - 3).unwrap())
            .collect();
        assert_eq!(String::from_utf8(bytes).unwrap(), record["text"], "line {number}");
    }
}

/// The tokens of a document, from its rows.
fn segments(spec: &Spec, rows: &[Row], source: &str, line: i64) -> Vec<u32> {
    let of_line = rows.iter().filter(|row| row.source == source && row.line == line && row.epoch == 0);
    let mut tokens = Vec::new();
    for row in of_line {
        let denoiser = spec.denoisers().iter().position(|denoiser| denoiser.name == row.denoiser).unwrap();
        tokens.extend(decode(&row.input_ids, &row.labels, spec.form(denoiser)).unwrap().segment);
    }
    tokens
}

#[test]
fn the_same_command_again_does_nothing_and_leaves_every_byte() {
    let fixture = fixture();
    let first = fixture.run("masked", "fixtures/shards --seed 7 --workers 2");
    let (before, shard) = (first.digests(), fs::metadata(&first.shards()[0]).unwrap().ino());
    let again = fixture.run("masked", "fixtures/shards --seed 7 --workers 1");
    assert_eq!(again.digests(), before);
    assert_eq!(fs::metadata(&again.shards()[0]).unwrap().ino(), shard, "the shard was not written again");
}

#[test]
fn a_flag_of_other_tools_is_answered_with_what_does_the_same_here() {
    let fixture = small();
    let refused = |flag: &str| fixture.ran(&format!("run a.jsonl --out masked {flag}")).failed(2);
    assert_snapshot!(refused("--resume"), @r"
    error: unexpected argument '--resume' found

      tip: the same command again resumes where it stopped

    For more information, try '--help'.
    ");
    assert!(refused("--overwrite").contains("the tool never replaces a data set: name a new folder with `--out`"));
    assert!(refused("--limit=5").contains("sources are read whole"));
    assert!(refused("--num-workers 4").contains("`--workers N`"));
    for flag in ["--force", "--limit 5", "--restart", "-f", "--unheard-of", "-1"] {
        let message = refused(flag);
        assert!(!message.contains("'-- ") && !message.contains("--recipe"), "{message}");
    }
    assert!(refused("--reciep ul2").contains("a similar argument exists: '--recipe'"));
    for seed in ["-1", "1.5", "18446744073709551616"] {
        let message = refused(&format!("--seed {seed}"));
        assert!(message.contains("seeds are whole numbers from 0 to 18446744073709551615"), "{message}");
    }
    assert!(refused("--workers -1").contains("invalid value '-1' for '--workers <N>'"));
    assert!(!fixture.path("masked").exists());
}

#[test]
fn after_an_extension_the_first_command_says_what_is_there_and_changes_nothing() {
    let fixture = small();
    fixture.write("b.jsonl", record("another source"));
    fixture.run("masked", "a.jsonl --seed 7");
    fixture.run("masked", "b.jsonl --seed 7 --extend");
    let before = fixture.data_set("masked").digests();
    let ran = fixture.ran("run a.jsonl --seed 7 --out masked").succeeded();
    assert_snapshot!(ran.stderr, @"note: the data set in `masked` has these sources, finished, and 1 source by `--extend`: nothing to do");
    fixture.ran("plan a.jsonl --seed 7 --out masked").succeeded();
    assert_eq!(fixture.data_set("masked").digests(), before);
    // Other settings are others still.
    fixture.ran("run a.jsonl --seed 8 --out masked").failed(2);
}

#[test]
fn completions_and_the_man_page_know_every_command_and_flag() {
    use clap::CommandFactory as _;
    let fixture = Fixture::new();
    let of = |what: &str| fixture.ran(&format!("generate {what}")).succeeded().stdout;
    let texts = ["man", "bash", "zsh", "fish", "powershell", "elvish"].map(|what| (what, of(what)));
    for command in Cli::command().get_subcommands() {
        for (what, text) in &texts {
            assert!(text.contains(command.get_name()), "{what}: {}", command.get_name());
            for flag in command.get_arguments().filter_map(clap::Arg::get_long) {
                let flag = if *what == "man" { flag.replace('-', "\\-") } else { flag.to_owned() };
                assert!(text.contains(&flag), "{what}: {} --{flag}", command.get_name());
            }
        }
    }
    assert!(!texts[0].1.contains("(1)\n"), "the man page names pages that do not exist");
    // A shell reads what was made for it.
    let script = fixture.write("completions", &texts[1].1);
    assert!(std::process::Command::new("bash").arg("-n").arg(script).status().unwrap().success());
}
