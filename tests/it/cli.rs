//! The real binary, end to end: what it prints, where, with which exit code, and what it reads.
//!
//! Messages are compared whole, as snapshots in this file. Commands run in the fixture's folder with relative paths, so no message holds a
//! path of this machine. What a run may not do to its output is in `determinism.rs` and `faults.rs`.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use clap::Parser as _;
use fs_err as fs;
use insta::assert_snapshot;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use ul2_prep::cli::{Cli, Command as SubCommand};
use ul2_prep::denoise::{Spec, decode};
use ul2_prep::digest::hex;
use ul2_prep::settings::Settings;
use ul2_prep::tokenize::Tokenizer;

use crate::support::{Fixture, Ran, Row, json_lines, record, repository, text};

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

// --- a whole run ---

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

      tip: the same command again goes on where it stopped

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

// --- plan and recipes ---

#[test]
fn plan_says_what_a_run_would_do_and_writes_nothing() {
    let fixture = fixture();
    let plan = fixture.ran("plan fixtures/shards --no-estimate --workers 2 --out masked").succeeded();
    assert_eq!(plan.stderr, "");
    assert_snapshot!(plan.stdout, @"
    sources      5, 339.5 kB on disk
    units        1, of 5 sources
    recipe       ul2r, seed 0, epochs 1
    lengths      inputs 512, labels 512
    tokenizer    bytes: each byte of a text is an id, as in ByT5 (`--tokenizer` names another)
    path         bytes
    vocabulary   384 ids, eos 1, pad 0, 125 sentinels (259 to 383)
    workers      2
    memory       up to 419.5 MB beside the tokenizer, whatever the size of the sources; 1.19 GB if lines are as long as `--max-line` allows

    denoiser  mode   share       noise  segment  inputs  labels  sentinels        mode ids
    s            S  50.0 %      suffix      507     512     507          0  94 86 53 86 96
    r            R  25.0 %   (3, 0.15)      562     512     113         28  94 81 79 88 96
    x-32         X  12.5 %  (32, 0.15)      592     512      93          3  94 81 79 74 96
    x-dense      X  12.5 %    (3, 0.5)      753     508     502        125  94 81 79 74 96

    note: denoiser `x-dense` gets segments of 753 tokens instead of 759: these would need 127 sentinels, the vocabulary has 125
    ");
    assert!(!fixture.path("masked").exists());
}

#[test]
fn plan_names_the_tokenizer_and_its_reserved_ids() {
    let fixture = fixture();
    let plan = fixture
        .ran("plan fixtures/shards --no-estimate --workers 1 --tokenizer fixtures/tokenizer --recipe t5")
        .succeeded();
    let lines: Vec<&str> = plan.stdout.lines().filter(|line| line.starts_with("vocabulary")).collect();
    assert_eq!(lines, ["vocabulary   4000 ids, eos 1, pad 0, 100 sentinels (3999 to 3900)"]);
    let digest = hex(&Sha256::digest(fs::read(repository("fixtures/tokenizer/tokenizer.json")).unwrap()));
    assert!(plan.stdout.contains(&format!("sha256 {}…", &digest[..12])), "{}", plan.stdout);
}

#[test]
fn plan_says_whether_a_data_set_can_go_on() {
    let fixture = small();
    fixture.run("masked", "a.jsonl --seed 7");
    let plan = fixture.ran("plan a.jsonl --no-estimate --seed 7 --out masked").succeeded();
    assert_eq!(plan.stdout.lines().last(), Some("the data set in the folder can go on with these settings"));
    let other = "plan b.jsonl --no-estimate --seed 7 --out masked";
    fixture.write("b.jsonl", record("another source"));
    let plan = fixture.ran(&format!("{other} --extend")).succeeded();
    assert_eq!(plan.stdout.lines().last(), Some("the data set in the folder can go on with these settings"));
    fixture.ran(other).failed(2);
    fixture.ran("plan a.jsonl --no-estimate --seed 8 --out masked").failed(2);
}

#[test]
fn plan_refuses_what_run_refuses_with_the_same_words_and_code() {
    let fixture = small();
    fixture.write("thesis/chapter.tex", "");
    fixture.write("b.jsonl", record("another source"));
    fixture.run("masked", "a.jsonl");
    for arguments in
        ["a.jsonl --out thesis", "a.jsonl --out masked --seed 8", "b.jsonl --out masked", "a.jsonl --out new --extend"]
    {
        let plan = fixture.ran(&format!("plan {arguments} --no-estimate")).failed(2);
        assert_eq!(plan, fixture.ran(&format!("run {arguments} --quiet")).failed(2), "{arguments}");
    }
    assert!(!fixture.path("new").exists());
}

#[test]
fn an_empty_path_is_a_usage_error_and_touches_no_file_of_the_current_folder() {
    let fixture = small();
    fixture.write("README.md", "mine");
    fixture.run("masked", "a.jsonl");
    for line in [
        "run a.jsonl --out",
        "run a.jsonl --out masked --tokenizer",
        "run --plan",
        "run --out masked",
        "plan a.jsonl --out",
        "reproduce masked a.jsonl --out",
        "reproduce",
        "status",
        "finalize",
        "inspect",
        "stats",
        "stats masked --html",
        "verify",
        "verify masked --sources",
        "inspect a.jsonl:1 --name",
        "recipes",
    ] {
        let mut words: Vec<&str> = line.split(' ').collect();
        words.push("");
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_ul2-prep"))
            .args(&words)
            .current_dir(fixture.path(""))
            .output()
            .unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}: {message}");
        let said = ["is a variable of the shell not set?", "a value is required for '--html <FILE>'"];
        assert!(said.iter().any(|said| message.contains(said)), "{line}: {message}");
    }
    assert_eq!(fs::read_to_string(fixture.path("README.md")).unwrap(), "mine");
    assert!(!fixture.path(".ul2-prep").exists());
}

#[test]
fn an_extension_of_nothing_is_an_error() {
    let fixture = small();
    let message = fixture.ran("run a.jsonl --out new --extend").failed(2);
    assert_snapshot!(message, @r"
    error: `new/` holds no data set that could be extended

    hint: without `--extend` the run begins one
    ");
    assert!(!fixture.path("new").exists());
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
fn recipes_are_listed_and_printed_as_the_files_they_are() {
    let fixture = Fixture::new();
    let list = fixture.ran("recipes").succeeded();
    assert_snapshot!(list.stdout, @"
    t5                           T5 span corruption: 15 % noise in spans of mean length 3
    t5-iid                       T5's baseline: 15 % noise in tokens drawn independently
    prefix-lm                    T5's prefix language modelling: split at a uniform place
    causal-lm                    causal language modelling: documents joined with EOS, every token a target
    ul2                          UL2: two R, one S and four X denoisers, weight 1/7 each, with the paper's mode tokens
    ul2-20b                      UL2 20B: the seven denoisers of `ul2` with the checkpoint's mode tokens
    flan-ul2                     Flan-UL2: the seven denoisers of `ul2` without mode tokens, 128 sentinels
    ul2r                         UL2R: 50 % S, 25 % R, 25 % X, with U-PaLM's mode tokens
    u-palm                       U-PaLM: UL2R in the causal layout, 1,024 + 1,024 ids, packed
    text-denoising               text-denoising: 50 % S with a half split, 25 % R, 25 % X from two masks united
    oslo-t5                      OSLO's T5: span corruption of documents joined with EOS
    fairseq-t5                   fairseq's span_masked_lm: span corruption of 1,022 tokens, EOS in the labels only
    label-aware-concat           label-aware: text and label joined, T5 span corruption of both
    label-aware-full-label       label-aware: the label is the noise, the text is kept
    label-aware-multiple-choice  label-aware: choose the label among 2 to 18 others
    label-aware-separate         label-aware: 15 % of the text and 50 % of the label
    label-aware-permute          label-aware: a row for each way to mask the label's tokens
    openmoe                      OpenMoE: 50 % S, 20 % R, 30 % X in the causal layout, 1,024 + 1,024 ids
    improved-t5-ul2              improved-t5's pile_ul2: one third each of R, S and X with (32, .5), no mode tokens
    garcia-ul2                   Garcia et al.: 60 % causal, 20 % prefix language modelling, 20 % span corruption

    recipe                         denoiser  mode    share                           noise  density  realised      segment  sentinels
    t5                                    r     R  100.0 %                       (3, 0.15)    0.150     0.150          568         28
    t5-iid                              iid     R  100.0 %                     tokens 0.15    0.150     0.151          511         77
    prefix-lm                             s     S  100.0 %                          suffix    0.500     0.503          512          0
    causal-lm                             c     S  100.0 %                           whole    1.000     1.000          512          0
    ul2                                 r-3     R   14.3 %                       (3, 0.15)    0.150     0.150          565         28
    ul2                                 r-8     R   14.3 %                       (8, 0.15)    0.150     0.150          585         11
    ul2                                   s     S   14.3 %                          suffix    0.500     0.503          509          0
    ul2                           x-3-dense     X   14.3 %                        (3, 0.5)    0.500     0.499   753 of 763        127
    ul2                           x-8-dense     X   14.3 %                        (8, 0.5)    0.500     0.500          904         56
    ul2                                x-64     X   14.3 %                      (64, 0.15)    0.150     0.150          595          2
    ul2                          x-64-dense     X   14.3 %                       (64, 0.5)    0.500     0.500         1000          8
    ul2-20b                             r-3     R   14.3 %                       (3, 0.15)    0.150     0.149          562         28
    ul2-20b                             r-8     R   14.3 %                       (8, 0.15)    0.150     0.149          582         11
    ul2-20b                               s     S   14.3 %                          suffix    0.500     0.503          507          0
    ul2-20b                       x-3-dense     X   14.3 %                        (3, 0.5)    0.500     0.499   753 of 759        127
    ul2-20b                       x-8-dense     X   14.3 %                        (8, 0.5)    0.500     0.500          900         56
    ul2-20b                            x-64     X   14.3 %                      (64, 0.15)    0.150     0.150          593          2
    ul2-20b                      x-64-dense     X   14.3 %                       (64, 0.5)    0.500     0.500          996          8
    flan-ul2                            r-3     R   14.3 %                       (3, 0.15)    0.150     0.150          568         28
    flan-ul2                            r-8     R   14.3 %                       (8, 0.15)    0.150     0.150          588         11
    flan-ul2                              s     S   14.3 %                          suffix    0.500     0.503          512          0
    flan-ul2                      x-3-dense     X   14.3 %                        (3, 0.5)    0.500     0.499   753 of 766        128
    flan-ul2                      x-8-dense     X   14.3 %                        (8, 0.5)    0.500     0.500          908         57
    flan-ul2                           x-64     X   14.3 %                      (64, 0.15)    0.150     0.150          599          2
    flan-ul2                     x-64-dense     X   14.3 %                       (64, 0.5)    0.500     0.500         1006          8
    ul2r                                  s     S   50.0 %                          suffix    0.500     0.503          507          0
    ul2r                                  r     R   25.0 %                       (3, 0.15)    0.150     0.149          562         28
    ul2r                               x-32     X   12.5 %                      (32, 0.15)    0.150     0.150          592          3
    ul2r                            x-dense     X   12.5 %                        (3, 0.5)    0.500     0.499   753 of 759        127
    u-palm                                s     S   50.0 %                          suffix    0.500     0.503         1020          0
    u-palm                                r     R   25.0 %               (3, 0.15) uniform    0.150     0.150         1097         87
    u-palm                             x-32     X   12.5 %                      (32, 0.15)    0.150     0.150         1192          6
    u-palm                          x-dense     X   12.5 %                        (3, 0.5)    0.500     0.499  753 of 1528        255
    text-denoising                        r     R   25.0 %                       (3, 0.15)    0.150     0.150          667         33
    text-denoising                        s     S   50.0 %                      suffix 0.5    0.500     0.500         1198          0
    text-denoising                        x     X   25.0 %           (32, 0.5) ∪ (64, 0.2)    0.600     0.592          833         16
    oslo-t5                               r     R  100.0 %                       (3, 0.15)    0.150     0.150          568         28
    fairseq-t5                            r     R  100.0 %                       (3, 0.15)    0.150     0.150         1022         51
    label-aware-concat               concat     R  100.0 %                       (3, 0.15)    0.150     0.150          568         28
    label-aware-full-label            label     S  100.0 %                           label        -         -          511          1
    label-aware-multiple-choice      choice     S  100.0 %            label beside 2 to 18        -         -          512          0
    label-aware-separate           separate     R  100.0 %  text (3, 0.15), label (3, 0.5)        -         -          568         29
    label-aware-permute             permute     R  100.0 %           label, up to 255 rows        -         -          511          1
    openmoe                             r-3     R   10.0 %                       (3, 0.15)    0.150     0.150         1131         57
    openmoe                             r-8     R   10.0 %                       (8, 0.15)    0.150     0.150         1172         22
    openmoe                       x-3-dense     X   10.0 %                        (3, 0.5)    0.500     0.499  753 of 1527        255
    openmoe                       x-8-dense     X   10.0 %                        (8, 0.5)    0.500     0.500         1811        113
    openmoe                      x-64-dense     X   10.0 %                       (64, 0.5)    0.500     0.500         2004         16
    openmoe                               s     S   50.0 %                          suffix    0.500     0.503         1019          0
    improved-t5-ul2                       r     R   33.3 %                       (3, 0.15)    0.150     0.150          568         28
    improved-t5-ul2                       s     S   33.3 %                          suffix    0.500     0.503          512          0
    improved-t5-ul2                       x     X   33.3 %                       (32, 0.5)    0.500     0.500          990         15
    garcia-ul2                            c     S   60.0 %                           whole    1.000     1.000         1023          0
    garcia-ul2                            s     S   20.0 %                          suffix    0.500     0.503         1023          0
    garcia-ul2                            r     R   10.0 %                       (3, 0.15)    0.150     0.150          929         46
    garcia-ul2                            x     X   10.0 %                       (32, 0.5)    0.500     0.501          991         16
    ");
    for recipe in ["t5", "ul2", "ul2r"] {
        let printed = fixture.ran(&format!("recipes {recipe}")).succeeded();
        let file = fs::read_to_string(repository(&format!("src/recipe/{recipe}.toml"))).unwrap();
        assert_eq!((printed.stdout, printed.stderr), (file, String::new()));
    }
}

#[test]
fn a_printed_recipe_is_a_recipe_file_that_gives_the_same_rows() {
    let fixture = small();
    let printed = fixture.ran("recipes ul2r").succeeded().stdout;
    fixture.write("mine.toml", printed);
    let (built_in, file) = (fixture.run("built-in", "a.jsonl"), fixture.run("file", "a.jsonl --recipe mine.toml"));
    assert_eq!(built_in.rows(), file.rows());
    assert_eq!(file.manifest()["spec"]["recipe"], "mine");
}

// --- which files are sources ---

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
    assert_snapshot!(fixture.ran("run empty/notes.txt --out masked").failed(2), @"error: `empty/notes.txt` is no source: its name has none of the endings `.jsonl`, `.json`, `.ndjson`, plain or with `.zst`, `.zstd` or `.gz` after it");
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
    assert!(plan.contains("\npassed over  6 files beside them that cannot be read: `f.jsonl.bz2`, "), "{plan}");
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

// --- what is read ---

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

// --- what is refused ---

#[test]
fn an_unknown_recipe_gets_the_nearest_name() {
    let fixture = small();
    assert_snapshot!(fixture.ran("run a.jsonl --out masked --recipe ul2R").failed(2), @r"
    error: there is no recipe `ul2R`

    hint: there is a recipe `ul2r`
    ");
    assert_snapshot!(fixture.ran("run a.jsonl --out masked --recipe bert").failed(2), @r"
    error: there is no recipe `bert`

    hint: `ul2-prep recipes` lists the built-in ones; a file's name ends in `.toml`
    ");
    assert_snapshot!(fixture.ran("run a.jsonl --out masked --recipe none.toml").failed(2), @"error: cannot read the recipe: failed to open file `none.toml`: No such file or directory (os error 2)");
    assert_snapshot!(fixture.ran("recipes ul").failed(2), @r"
    error: there is no recipe `ul`

    hint: there is a recipe `ul2`
    ");
}

#[test]
fn columns_are_chosen_by_name_and_refused_where_rows_have_none() {
    let fixture = small();
    let refused = |options: &str| fixture.ran(&format!("run a.jsonl --out masked {options}")).failed(2);
    assert_snapshot!(refused("--columns input_ids,label"), @"
    error: invalid value 'label' for '--columns <NAME,…>': there is no column `label`; there is `labels`

    For more information, try '--help'.
    ");
    assert_snapshot!(refused("--columns input_ids,prefix_length"), @"
    error: only rows of the causal layout have a column `prefix_length`

    hint: `--layout causal` makes rows for decoder-only models
    ");
    assert_snapshot!(refused("--columns input_segment_ids"), @"
    error: only packed rows have a column `input_segment_ids`

    hint: `--pack` puts several examples into a row
    ");
    assert_snapshot!(refused("--layout causal --pack --columns label_positions"), @"
    error: rows of the causal layout have no column `label_positions`: labels stand at the places of their ids

    hint: use `input_segment_ids` and `input_positions` for the labels as well
    ");
    assert_snapshot!(refused("--columns labels,labels"), @"error: the column `labels` is asked for twice");
    let chosen = fixture.run("chosen", "a.jsonl --columns attention_mask,labels,input_ids");
    let shard = fs::File::open(&chosen.shards()[0]).unwrap().into_file();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(shard).unwrap();
    let names: Vec<&str> = reader.schema().fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["attention_mask", "labels", "input_ids"]);
    // Columns are of the plan: the same command goes on, one with other columns does not.
    let other = fixture.ran("run a.jsonl --out chosen").failed(2);
    assert!(other.contains("`columns`"), "{other}");
}

#[test]
fn a_recipe_with_something_wrong_is_refused_with_its_line() {
    let fixture = small();
    let refused = |recipe: &str| {
        fixture.write("mine.toml", recipe);
        let message = fixture.ran("run a.jsonl --out masked --recipe mine.toml").failed(2);
        assert!(!fixture.path("masked").exists());
        message
    };
    let denoiser = "[[denoiser]]\nname = \"a\"\nmode = \"R\"\nweight = 1\n";
    let spans = |density: &str, mean: &str| {
        format!("{denoiser}random_spans = {{ noise_density = {density}, mean_span_length = {mean} }}\n")
    };
    assert_snapshot!(refused(&format!("{}noise = 3\n", spans("0.15", "3"))), @"
    error: mine.toml:6: unknown field `noise`, expected one of `name`, `mode`, `weight`, `mode_token`, `layout`, `s_sentinel`, `closing_sentinel`, `random_spans`, `independent_tokens`, `union`, `suffix`, `whole`, `label`, `separate`, `permute`, `multiple_choice`

    hint: `ul2-prep recipes ul2r` prints a recipe with every key explained
    ");
    assert_snapshot!(refused(&spans("1.5", "3")), @"
    error: mine.toml:1: denoiser `a`: `noise_density` must lie between 0 and 1, both excluded, found 1.5

    hint: `ul2-prep recipes ul2r` prints a recipe with every key explained
    ");
    assert_snapshot!(refused(&spans("0.9", "1")), @"
    error: mine.toml:1: denoiser `a`: noise of density 0.9 in spans of mean length 1 needs more spans than there are kept tokens to separate them

    hint: `ul2-prep recipes ul2r` prints a recipe with every key explained
    ");
    assert_snapshot!(refused(&spans("0.15", "0.5")), @"
    error: mine.toml:1: denoiser `a`: `mean_span_length` must be at least 1 token, found 0.5

    hint: `ul2-prep recipes ul2r` prints a recipe with every key explained
    ");
    assert_snapshot!(refused(&format!("{}layout = \"split\"\n", spans("0.15", "3"))), @"
    error: mine.toml:1: denoiser `a`: layout `split` needs noise that is a suffix

    hint: `ul2-prep recipes ul2r` prints a recipe with every key explained
    ");
    assert_snapshot!(refused(&format!("{}{}", spans("0.15", "3"), spans("0.5", "3"))), @"
    error: mine.toml:6: two denoisers are named `a`: the name addresses the random stream and must be unique

    hint: `ul2-prep recipes ul2r` prints a recipe with every key explained
    ");
    let mode = |token: &str| spans("0.15", "3").replace("weight", &format!("mode_token = {token}\nweight"));
    assert_snapshot!(refused(&mode("\"<extra_id_3>\"")), @"
    error: mine.toml:1: denoiser `a`: id 262 of its mode token is sentinel 3 already

    hint: `ul2-prep recipes ul2r` prints a recipe with every key explained
    ");
    assert_snapshot!(refused(&mode("1")), @"
    error: mine.toml:1: denoiser `a`: id 1 of its mode token is EOS already

    hint: `ul2-prep recipes ul2r` prints a recipe with every key explained
    ");
    assert_snapshot!(refused(&mode("384")), @"
    error: mine.toml:1: denoiser `a`: its mode token is id 384, but the vocabulary has 384 ids

    hint: `ul2-prep recipes ul2r` prints a recipe with every key explained
    ");
    assert_snapshot!(refused(&mode("[1]")), @"
    error: mine.toml:4: expected a text or an id

    hint: `ul2-prep recipes ul2r` prints a recipe with every key explained
    ");
    assert_snapshot!(refused(&format!("{denoiser}label = {{}}\n")), @"
    error: mine.toml:1: denoiser `a`: its noise is that of a label, but records have one field

    hint: name the label's field with `--label-field`, or `label_field` in the recipe
    ");
    assert_snapshot!(refused(&format!("label_field = \"b\"\nsegmenting = {{ concat = {{ eos_between = true }} }}\n{denoiser}label = {{}}\n")), @r#"error: mine.toml:3: denoiser `a`: a pattern of labels needs `segmenting = "document"`"#);
    assert_snapshot!(refused(&format!("layout = \"causal\"\nseparator = \"<extra_id_7>\"\n{}", spans("0.15", "3"))), @"
    error: the separator `<extra_id_7>` is sentinel 7 already

    hint: a separator is a token that nothing else uses, or EOS
    ");
    assert_snapshot!(refused(&format!("layout = \"causal\"\nseparator = \"<sep>\"\n{}", spans("0.15", "3"))), @"
    error: the tokenizer has no token `<sep>` (`separator`)

    hint: tokens are looked up by their exact name in the tokenizer file
    ");
    assert_snapshot!(refused(&format!("layout = \"causal\"\nsequence_length = 2000\n{}", spans("0.15", "3"))), @"
    error: mine.toml:2: `sequence_length` must be at least 2 and at most `inputs_length` and `labels_length` together, 1024, found 2000

    hint: `--sequence-length` alone lets inputs and labels be as long as the row
    ");
    assert_snapshot!(refused(&format!("segmenting = {{ window = {{ tokens = 2 }} }}\n{}", spans("0.15", "3"))), @"error: mine.toml:1: a window of 2 tokens is too short for `min_segment = 2`, which needs 3");
    assert_snapshot!(refused(&format!("segmenting = \"sentence\"\n{}", spans("0.15", "3"))), @"
    error: mine.toml:1: unknown variant `sentence`, expected one of `document`, `concat`, `window`

    hint: `ul2-prep recipes ul2r` prints a recipe with every key explained
    ");
    assert_snapshot!(refused(&format!("{denoiser}permute = {{ rows = 0 }}\n")), @"
    error: mine.toml:1: denoiser `a`: `rows` must be between 1 and 65536, found 0

    hint: `ul2-prep recipes ul2r` prints a recipe with every key explained
    ");
    assert_snapshot!(refused(&format!("{denoiser}multiple_choice = {{ least = 3, most = 2 }}\n")), @"
    error: mine.toml:1: denoiser `a`: `least` and `most` must be numbers of other labels with least ≤ most ≤ 1000, found 3 and 2

    hint: `ul2-prep recipes ul2r` prints a recipe with every key explained
    ");
    assert_snapshot!(refused(&format!("inputs_length = 4\nmin_segment = 40\n{}", spans("0.15", "3"))), @"
    error: mine.toml:3: denoiser `a` fits segments of at most 3 tokens into inputs of 4 and labels of 512 with 125 sentinels, but `min_segment = 40` needs 79

    hint: raise `--inputs-length` and `--labels-length`, or use a tokenizer with more sentinels
    ");
    assert_snapshot!(refused(&format!("sentinels = [\"<mask_{{n}}>\"]\n{}", spans("0.15", "3"))), @r#"
    error: the tokenizer has no token that the recipe's `sentinels` name: `<mask_{n}>`

    hint: `sentinels = ["<extra_id_{n}>"]` in a recipe names `<extra_id_0>`, `<extra_id_1>`, …
    "#);
}

#[test]
fn a_tokenizer_that_is_none_is_refused() {
    let fixture = fixture();
    fixture.write_source("a.jsonl", record("some text"));
    fixture.write("broken.json", "{\"model\": 3}");
    assert_snapshot!(fixture.ran("run a.jsonl --out masked --tokenizer missing").failed(2), @r#"
    error: no such file: `missing` (`--tokenizer`)

    hint: `--tokenizer` takes a file, a folder, or `bytes`; if `missing` is a name of the Hugging Face Hub, `hf download missing --include "tokenizer*" "*.model" --local-dir FOLDER` fetches its files
    "#);
    assert_snapshot!(fixture.ran("run a.jsonl --out masked --tokenizer fixtures/shards").failed(2), @r"
    error: no `tokenizer.json` in `fixtures/shards`, nor a SentencePiece model

    hint: `--tokenizer` takes a Hugging Face `tokenizer.json` or a SentencePiece model, whose name ends in `.model`
    ");
    let broken = fixture.ran("run a.jsonl --out masked --tokenizer broken.json").failed(2);
    // The reason is the library's.
    assert!(broken.starts_with("error: `broken.json` is no tokenizer that can be used: "), "{broken}");
    assert!(!fixture.path("masked").exists());
}

#[test]
fn a_token_that_the_tokenizer_has_not_is_refused() {
    let fixture = small();
    assert_snapshot!(fixture.ran("run a.jsonl --out masked --eos-token <eos>").failed(2), @r"
    error: the tokenizer has no token `<eos>` (`--eos-token`)

    hint: tokens are looked up by their exact name in the tokenizer file
    ");
    assert_snapshot!(fixture.ran("run a.jsonl --out masked --eos-token <extra_id_0>").failed(2), @"error: the tokenizer's ids cannot be used: sentinel 0 and another reserved token are both id 259");
}

#[test]
fn numbers_out_of_range_are_refused() {
    let fixture = small();
    assert_snapshot!(fixture.ran("run a.jsonl --out masked --workers 0").failed(2), @"error: `--workers` must be at least 1");
    assert_snapshot!(fixture.ran("run a.jsonl --out masked --epochs 0").failed(2), @"error: recipe `ul2r` cannot be used: `epochs` must be between 1 and 65536, found 0");
    assert_snapshot!(fixture.ran("run a.jsonl --out masked --inputs-length 200000").failed(2), @"error: recipe `ul2r` cannot be used: `inputs_length` must be between 2 and 131072, found 200000");
    assert_snapshot!(fixture.ran("run a.jsonl --out masked --inputs-length 8").failed(2), @"
    error: ul2r:79: denoiser `r` fits segments of at most 2 tokens into inputs of 8 and labels of 512 with 125 sentinels, but `min_segment = 2` needs 3

    hint: raise `--inputs-length` and `--labels-length`, or use a tokenizer with more sentinels
    ");
    assert_snapshot!(fixture.ran("run a.jsonl --out masked --max-rejects few").failed(2), @r"
    error: invalid value 'few' for '--max-rejects <N|SHARE%>': expected a number of lines or a share like `0.1%`, found `few`

    For more information, try '--help'.
    ");
    assert_snapshot!(fixture.ran("run a.jsonl --out masked --shard-size big").failed(2), @r"
    error: invalid value 'big' for '--shard-size <SIZE>': expected a size like `256MiB`, found `big`

    For more information, try '--help'.
    ");
    assert!(!fixture.path("masked").exists());
}

#[test]
fn too_few_sentinels_are_refused_if_asked_to() {
    let fixture = small();
    assert_snapshot!(fixture.ran("run a.jsonl --out masked --strict-sentinels").failed(2), @r"
    error: denoiser `x-dense` needs 127 sentinels for segments of 759 tokens, but the vocabulary has 125

    hint: leave `--strict-sentinels` out to shorten the segments, or use a tokenizer with more sentinels
    ");
    assert!(!fixture.path("masked").exists());
    fixture.ran("run a.jsonl --out masked --strict-sentinels --recipe t5").succeeded();
}

#[test]
fn mode_tokens_that_are_alike_are_a_warning() {
    let fixture = small();
    let denoiser = |name: &str, mode: &str, noise: &str| {
        format!("[[denoiser]]\nname = \"{name}\"\nmode = \"{mode}\"\nweight = 1\nmode_token = \"[M]\"\n{noise}\n")
    };
    let recipe = denoiser("one", "S", "suffix = {}")
        + &denoiser("two", "R", "random_spans = { noise_density = 0.15, mean_span_length = 3 }");
    fixture.write("mine.toml", recipe);
    let ran = fixture.ran("run a.jsonl --out masked --recipe mine.toml --quiet").succeeded();
    assert_snapshot!(ran.stderr.lines().next().unwrap(), @"warning: the mode tokens of `one` (S) and `two` (R) are the same ids [94, 80, 96]");
}

#[test]
fn a_folder_with_something_else_in_it_is_left_alone() {
    let fixture = small();
    fixture.write("thesis/chapter.tex", "");
    assert_snapshot!(fixture.ran("run a.jsonl --out thesis").failed(2), @r"
    error: `thesis` is not empty and holds no data set of `ul2-prep`

    hint: name a new or an empty folder with `--out`
    ");
    assert_eq!(fs::read_dir(fixture.path("thesis")).unwrap().count(), 1);
}

#[test]
fn other_settings_in_the_same_folder_are_refused_by_name() {
    let fixture = small();
    let before = fixture.run("masked", "a.jsonl --seed 7").digests();
    assert_snapshot!(fixture.ran("run a.jsonl --out masked --seed 8").failed(2), @r"
    error: the data set in `masked/` was begun with other settings: `spec.seed` is 7 in the data set, but 8 asked for

    hint: use the same settings, or name another folder with `--out`
    ");
    assert_snapshot!(fixture.ran("run a.jsonl --out masked --seed 7 --shard-size 1MiB --epochs 2").failed(2), @r"
    error: the data set in `masked/` was begun with other settings: `shard_bytes` is 268435456 in the data set, but 1048576 asked for; `spec.epochs` is 1 in the data set, but 2 asked for

    hint: use the same settings, or name another folder with `--out`
    ");
    fixture.write_source("b.jsonl", record("another"));
    assert_snapshot!(fixture.ran("run *.jsonl --out masked --seed 7").failed(2), @r"
    error: the data set in `masked/` was begun with other settings: `sources[b.jsonl]` is not in the data set, but asked for

    hint: `--extend` adds the new sources to the data set
    ");
    assert_eq!(fixture.data_set("masked").digests(), before);
}

// --- tokenizers ---

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

// --- estimates ---

/// The numbers of the line of a table that begins with `name`, without separators and marks.
fn numbers(text: &str, name: &str) -> Vec<f64> {
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no `{name}` in\n{text}"));
    let digits = line[name.len()..].replace([',', '~', '%'], "");
    digits.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

#[test]
#[expect(clippy::float_cmp, reason = "whole numbers")]
fn a_plan_of_small_sources_says_exactly_what_a_run_makes() {
    let fixture = Fixture::new();
    let lines = |first: u64| -> String { (first..first + 40).map(|number| record(&text(number, 900))).collect() };
    fixture.write_source("in/a.jsonl", lines(0) + "{\n");
    fixture.write_source("in/b.jsonl.zst", lines(50));
    let arguments = "in --recipe ul2 --epochs 1 --seed 3";
    let plan = fixture.ran(&format!("plan {arguments} --workers 1")).succeeded().stdout;
    let manifest = fixture.run("out", &format!("{arguments} --max-rejects 10")).manifest();
    let totals = &manifest["totals"];
    let of_all = numbers(&plan, "all 2 sources");
    for (place, key) in [(2, "documents"), (3, "tokens"), (4, "rows")] {
        assert_eq!(of_all[place], totals[key].as_f64().unwrap(), "{key}\n{plan}");
    }
    for (name, counts) in manifest["denoisers"].as_object().unwrap() {
        // The table of what the recipe asks for names them first.
        let made = &plan[plan.find("what would be made").unwrap()..];
        let of_denoiser = numbers(made, &format!("{name} "));
        assert_eq!(of_denoiser[0], counts["examples"].as_f64().unwrap(), "{name}\n{plan}");
        assert_eq!(of_denoiser[2], counts["tokens"].as_f64().unwrap(), "{name}\n{plan}");
    }
    assert!(plan.contains("\nlines that would be rejected: 1\n"), "{plan}");
    assert!(plan.contains("with 1 worker\n"), "{plan}");
    assert!(!fixture.path("masked").exists());
}

#[test]
fn an_estimate_from_beginnings_is_near_what_a_run_makes() {
    let fixture = Fixture::new();
    for source in 0..20 {
        let lines: String = (0..150).map(|number| record(&text(1000 * source + number, 4000))).collect();
        fixture.write_source(&format!("in/{source:02}.jsonl.zst"), lines.repeat(3));
    }
    let plan = fixture.ran("plan in --epochs 2 --tokenizer bytes").succeeded().stdout;
    assert!(
        plan.contains("what would be made, estimated from the beginning of 16 sources, rows of 2 epochs"),
        "{plan}"
    );
    let manifest = fixture.run("out", "in --epochs 2").manifest();
    let totals = &manifest["totals"];
    let of_all = numbers(&plan, "all 20 sources");
    for (place, key) in [(2, "documents"), (3, "tokens"), (4, "rows")] {
        let ratio = of_all[place] / totals[key].as_f64().unwrap();
        assert!((ratio - 1.0).abs() < 0.05, "{key}: {ratio}\n{plan}");
    }
}

#[test]
fn an_estimate_is_no_guess_about_compression_or_the_first_lines() {
    let fixture = Fixture::new();
    // A thousand times smaller on disk; a first line of megabytes; lines that are too long.
    fixture.write_source("same/a.jsonl.zst", record(&text(1, 1000)).repeat(60_000));
    fixture.write_source("long/a.jsonl", record(&text(1, 3_000_000)) + &record(&text(2, 1000)).repeat(20_000));
    fixture
        .write_source("rejects/a.jsonl", (record(&text(1, 200_000)) + &record(&text(2, 1000)).repeat(500)).repeat(40));
    for (folder, arguments) in [("same", ""), ("long", ""), ("rejects", "--max-line 100kB")] {
        let plan = fixture.ran(&format!("plan {folder} {arguments}")).succeeded().stdout;
        let manifest =
            fixture.run(&format!("made-{folder}"), &format!("{folder} {arguments} --max-rejects 100")).manifest();
        let made = &plan[plan.find("what would be made").unwrap()..];
        let found = numbers(made, "a.jsonl");
        let found = &found[found.len() - 4..];
        for (place, key) in [(0, "documents"), (1, "tokens"), (2, "rows")] {
            let ratio = found[place] / manifest["totals"][key].as_f64().unwrap();
            assert!((ratio - 1.0).abs() < 0.1, "{folder} {key}: {ratio}\n{plan}");
        }
    }
    // Of several epochs one is looked at.
    let plan = fixture.ran("plan same --epochs 2").succeeded().stdout;
    assert!(
        plan.contains("what would be made, estimated from the beginning of one source, rows of 2 epochs"),
        "{plan}"
    );
}

// --- what shells and `man` are told ---

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
