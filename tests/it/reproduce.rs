//! `reproduce` makes a data set again, or says what differs.

use fs_err as fs;
use insta::assert_snapshot;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use ul2_prep::denoise::Spec;
use ul2_prep::digest::hex;

use crate::support::{record, repository};
use crate::verify::{WINDOW, small};

#[test]
fn what_differs_is_named_before_anything_is_made() {
    let fixture = small();
    let data_set = fixture.run("masked", "in --recipe t5");
    let differs = |manifest: &str, arguments: &str| {
        let ran = fixture.ran(&format!("reproduce {manifest} {arguments} --out again --quiet"));
        assert_eq!((ran.code, fixture.path("again").exists()), (Some(1), false), "{}", ran.stderr);
        ran.stdout
    };
    let tokenizer = format!("in --tokenizer {}", repository("fixtures/tokenizer").display());
    let digest = hex(&Sha256::digest(fs::read(repository("fixtures/tokenizer/tokenizer.json")).unwrap()));
    assert_snapshot!(differs("masked", &tokenizer).replace(&digest, "[digest]"), @r"
    differs: the data set was made with the tokenizer `bytes`, not with `tokenizer.json` of SHA-256 [digest]
    1 difference
    ");
    assert_snapshot!(differs("masked/manifest.json", "in/b.jsonl.gz"), @r"
    differs: the source `a.jsonl` of the manifest is not among those given
    1 difference
    ");
    let edited = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut manifest = data_set.manifest();
        change(&mut manifest);
        fixture.write(name, manifest.to_string());
    };
    edited("sizes.json", &|json| json["sources"][0]["bytes"] = 7.into());
    assert_snapshot!(differs("sizes.json", "in"), @r"
    differs: the source `a.jsonl` has 7 bytes in the manifest, but 5187 here
    1 difference
    ");
    edited("masking.json", &|json| json["masking_version"] = 2.into());
    assert_snapshot!(differs("masking.json", "in"), @r"
    differs: `masking_version` is 2, this tool makes rows of version 1
    1 difference
    ");
    edited("batches.json", &|json| json["plan"]["batch_bytes"] = 7.into());
    assert_snapshot!(differs("batches.json", "in"), @r"
    differs: batches end at 7 bytes in the manifest, but at 8388608 in this tool
    1 difference
    ");
    // What is no manifest at all is another matter.
    let same = fixture.ran("reproduce masked in --out masked").failed(2);
    assert_snapshot!(same, @r"
    error: `masked` is the data set to be made again

    hint: name a new or an empty folder with `--out`
    ");
    assert_snapshot!(fixture.ran("reproduce in/a.jsonl in --out again").failed(2), @"error: `in/a.jsonl`: cannot be read: trailing characters at line 2 column 1");
}

#[test]
fn what_differs_is_named_when_it_has_been_made() {
    let fixture = small();
    let data_set = fixture.run("masked", "in --recipe t5");
    let made = |name: &str, change: &dyn Fn(&mut Value), sources: &str| {
        let mut manifest = data_set.manifest();
        change(&mut manifest);
        fixture.write(name, manifest.to_string());
        let ran = fixture.ran(&format!("reproduce {name} {sources} --out again-{name} --quiet"));
        (ran.code, ran.stdout, ran.stderr)
    };
    let (code, stdout, _) = made("rows.json", &|json| json["totals"]["rows_digest"] = "00".into(), "in");
    assert_eq!(code, Some(1));
    assert!(stdout.starts_with("differs: `totals.rows_digest` is \"00\" in the manifest, but \""), "{stdout}");
    assert!(stdout.ends_with("\n1 difference\n"), "{stdout}");
    // Another version of the tool is a warning, and its bytes are not compared.
    let other = |json: &mut Value| {
        json["tool_version"] = "0.0.9".into();
        json["shards"][0]["sha256"] = "00".into();
    };
    let (code, stdout, stderr) = made("version.json", &other, "in");
    assert_eq!(code, Some(0));
    assert_snapshot!(stdout, @"equal: 22 rows; their bytes are not compared, since version 0.0.9 of the tool wrote them");
    assert_snapshot!(stderr, @"warning: the data set was made by version 0.0.9 of the tool, this is 0.1.0: bytes may differ");
    // A source of the same size with other bytes: its digest comes first.
    let source = fs::read_to_string(fixture.path("in/a.jsonl")).unwrap().replacen("0:", "9:", 1);
    fixture.write("other/a.jsonl", source);
    fs::copy(fixture.path("in/b.jsonl.gz"), fixture.path("other/b.jsonl.gz")).unwrap();
    let (code, stdout, _) = made("source.json", &|_| (), "other");
    assert_eq!(code, Some(1));
    assert!(stdout.starts_with("differs: `sources[a.jsonl].sha256` is "), "{stdout}");
    assert!(stdout.contains("differs: `totals.rows_digest` is "), "{stdout}");
    // A source that the manifest does not name is left out.
    fixture.write_source("in/c.jsonl", source_of_one_line());
    let (code, _, stderr) = made("more.json", &|_| (), "in");
    assert_eq!(code, Some(0));
    assert_snapshot!(stderr, @"warning: the manifest does not name `c.jsonl`: it is left out");
}

fn source_of_one_line() -> String {
    record("one line")
}

/// The spec is used as it stands: a recipe's file is not needed, nor does its name matter.
#[test]
fn a_data_set_is_made_again_without_its_recipe() {
    let fixture = small();
    fixture.write("window.toml", WINDOW);
    let data_set = fixture.run("masked", "in --recipe window.toml --columns labels,input_ids --shard-size 2kB");
    fs::remove_file(fixture.path("window.toml")).unwrap();
    let ran = fixture.ran("reproduce masked/manifest.json in --out again --quiet --workers 2").succeeded();
    assert!(ran.stdout.starts_with("equal: "), "{}", ran.stdout);
    assert_eq!(fixture.data_set("again").digests(), data_set.digests());
    let _: Spec = data_set.spec();
}
