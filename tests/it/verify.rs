//! `verify` finds nothing in what a run wrote, and everything that was changed.
//!
//! Most checks call the library, many thousand times: the binary itself is run for exit codes, for what it prints, and for sources.

use std::sync::LazyLock;

use fs_err as fs;
use insta::assert_snapshot;
use serde_json::Value;
use ul2_prep::denoise::IGNORED;
use ul2_prep::input::batch::BLOCK_BYTES;
use ul2_prep::output::data_set;
use ul2_prep::verify::{Opened, verify};

use crate::support::altered::{alter, alter_rejects, reseal_sums, rewrite};
use crate::support::{DataSet, Fixture, Row, record, repository, text};

static POOL: LazyLock<rayon::ThreadPool> = LazyLock::new(|| ul2_prep::settings::pool(1).unwrap());

/// What the library finds in a folder, without sources.
fn findings(data_set: &DataSet) -> Vec<String> {
    verify(Opened::new(data_set::DataSet::at(&data_set.path(""))), None, &POOL).lines()
}

/// Fails unless a finding holds each of the texts.
#[track_caller]
fn assert_found(data_set: &DataSet, texts: &[&str]) {
    let found = findings(data_set);
    for text in texts {
        assert!(found.iter().any(|line| line.contains(text)), "`{text}` is not among\n{}", found.join("\n"));
    }
}

/// A source of some documents, one of them short, with blank and bad lines.
fn source(documents: u64) -> String {
    let mut lines: String = (0..documents).map(|number| record(&text(number, 700))).collect();
    lines += "\n{\n{\"text\": 3}\n{\"text\": \"x\"}\n";
    lines + &record(&text(99, 3000))
}

/// A fixture with two small sources in `in/`.
pub(crate) fn small() -> Fixture {
    let fixture = Fixture::new();
    fixture.write_source("in/a.jsonl", source(3));
    fixture.write_source("in/b.jsonl.gz", source(2));
    fixture
}

// --- a run is clean ---

pub(crate) const WINDOW: &str = r#"
description = "windows"
inputs_length = 128
labels_length = 128
segmenting = { window = { tokens = 300, start = "random" } }

[[denoiser]]
name = "uniform"
mode = "R"
weight = 1
random_spans = { noise_density = 0.15, mean_span_length = 3, law = "uniform", roll = "always" }

[[denoiser]]
name = "normal"
mode = "X"
weight = 1
random_spans = { noise_density = 0.5, mean_span_length = 8, law = { normal = { std = 2 } } }

[[denoiser]]
name = "up-to"
mode = "S"
weight = 1
suffix = { split = { up_to = 0.5 } }
"#;

/// What `verify` prints for a run over `sources` with these arguments, and that it can be made again.
#[track_caller]
fn check_clean(fixture: &Fixture, sources: &str, arguments: &str) -> String {
    for out in ["masked", "again"] {
        let _ = fs::remove_dir_all(fixture.path(out));
    }
    fixture.run("masked", &format!("{sources} --max-rejects 100% --seed 5 {arguments}"));
    let tokenizer = arguments.split_once("--tokenizer ").map(|(_, rest)| rest.split(' ').next().unwrap());
    let tokenizer = tokenizer.map_or(String::new(), |tokenizer| format!("--tokenizer {tokenizer}"));
    fixture.ran("verify masked").succeeded();
    fixture.ran(&format!("verify masked --sources {sources} {tokenizer} --workers 1")).succeeded();
    fixture.ran(&format!("verify masked --sources {sources} {tokenizer} --reproduce 2")).succeeded();
    let ran = fixture.ran(&format!("verify masked --sources {sources} {tokenizer} --reproduce")).succeeded();
    let again = fixture.ran(&format!("reproduce masked {sources} {tokenizer} --out again --quiet")).succeeded();
    assert!(again.stdout.starts_with("equal: "), "{}", again.stdout);
    assert_eq!(fixture.data_set("again").digests(), fixture.data_set("masked").digests());
    ran.stdout
}

#[test]
fn a_run_with_any_recipe_and_options_is_clean_and_can_be_made_again() {
    let fixture = small();
    fixture.write("window.toml", WINDOW);
    let tokenizer = format!("--tokenizer {}", repository("fixtures/tokenizer").display());
    for arguments in [
        "--recipe ul2r",
        "--recipe ul2 --epochs 2",
        "--recipe t5 --pack --pad --shuffle",
        "--recipe ul2r --pack --epochs 2",
        "--recipe ul2r --layout causal",
        "--recipe ul2r --layout causal --pack --pad --shuffle",
        "--recipe text-denoising --pad",
        "--recipe causal-lm",
        "--recipe oslo-t5 --shuffle",
        "--recipe u-palm",
        "--recipe t5-iid --columns input_ids,labels,attention_mask,denoiser,source,line,segment",
        "--recipe window.toml",
        "--recipe window.toml --pack --epochs 3",
        &format!("--recipe flan-ul2 --inputs-length 128 --labels-length 128 {tokenizer}"),
    ] {
        let printed = check_clean(&fixture, "in", arguments);
        assert!(!printed.contains("not checked"), "{arguments}: {printed}");
        assert!(printed.contains("15 lines of sources"), "{arguments}: {printed}");
    }
}

#[test]
fn rows_of_labels_are_clean_and_only_made_again_compared_with_the_sources() {
    let fixture = Fixture::new();
    let source = repository("fixtures/records");
    let source = source.to_str().unwrap();
    let tokenizer = format!("--tokenizer {}", repository("fixtures/tokenizer").display());
    for recipe in ["concat", "full-label", "multiple-choice", "separate", "permute"] {
        let printed = check_clean(&fixture, source, &format!("--recipe label-aware-{recipe} {tokenizer}"));
        assert!(printed.ends_with(" 1 batch made again\n"), "{recipe}: {printed}");
    }
    let ran = fixture.ran(&format!("verify masked --sources {source} {tokenizer}")).succeeded();
    assert!(ran.stdout.starts_with("not checked: tokens of records of two fields: "), "{}", ran.stdout);
}

#[test]
fn what_columns_leave_out_is_said_and_the_rest_is_checked() {
    let fixture = small();
    let printed = check_clean(&fixture, "in", "--recipe ul2r --pack --columns input_ids,labels,input_segment_ids");
    assert_snapshot!(printed, @r"
    not checked: layout, tokens, lengths of segments, density and counts of examples, since there is no column `label_segment_ids`, `denoiser`
    not checked: order and uniqueness of rows, since there is no column `source`, `line`, `segment`
    not checked: digests of rows, since there is no column `label_segment_ids`, `denoiser`, `source`, `line`, `segment`
    not checked: tokens of the rows, since they do not say whose they are
    no finding in 8 files and 16 rows, 15 lines of sources, 1 batch made again
    ");
    let printed = check_clean(&fixture, "in", "--recipe t5 --columns input_ids,labels");
    assert_snapshot!(printed, @r"
    not checked: order and uniqueness of rows, since there is no column `source`, `line`, `segment`
    not checked: digests of rows, since there is no column `source`, `line`, `segment`
    not checked: tokens of the rows, since they do not say whose they are
    no finding in 8 files and 22 rows, 15 lines of sources, 1 batch made again
    ");
}

#[test]
fn a_source_of_many_batches_and_shards_is_compared_in_step() {
    let fixture = Fixture::new();
    let lines: String = (0..4_600).map(|number| record(&text(number, 3800))).collect();
    assert!(lines.len() > 2 * BLOCK_BYTES);
    fixture.write_source("in/large.jsonl.zst", &lines);
    fixture.write_source("in/small.jsonl", source(3));
    for arguments in ["--recipe t5 --shard-size 1MiB", "--recipe oslo-t5 --pack --shuffle"] {
        let printed = check_clean(&fixture, "in", arguments);
        assert!(printed.contains(" 4,608 lines of sources, 3 batches made again"), "{printed}");
    }
    // One of three batches, whichever it is, is one.
    let ran = fixture.ran("verify masked --sources in --reproduce 1").succeeded();
    assert!(ran.stdout.ends_with(" 1 batch made again\n"), "{}", ran.stdout);
}

#[test]
fn only_the_public_part_is_enough() {
    let fixture = small();
    let data_set = fixture.run("masked", "in --recipe t5");
    fs::remove_dir_all(data_set.path(".ul2-prep")).unwrap();
    assert_eq!(findings(&data_set), [] as [&str; 0]);
    let ran = fixture.ran("verify masked --sources in --reproduce").succeeded();
    // What nothing is left of to compare it with is said: plan and commit record.
    let said = "not checked: 2 files under .ul2-prep/, which is not here\n";
    assert!(ran.stdout.starts_with(said), "{}", ran.stdout);
}

// --- a byte ---

#[test]
fn a_byte_that_changed_anywhere_is_found() {
    let fixture = Fixture::new();
    fixture.write_source("in/a.jsonl", source(1));
    let data_set = fixture.run("masked", "in --recipe t5");
    assert_eq!(findings(&data_set), [] as [&str; 0]);
    let mut flipped = 0;
    for (name, bytes) in data_set.files() {
        // All bytes of the small files, and a spread of those of shards and rejects.
        let step = if name.starts_with("data/") { 97 } else { 1 };
        for offset in (0..bytes.len()).step_by(step).chain(bytes.len().checked_sub(1)) {
            let mut changed = bytes.clone();
            changed[offset] ^= 1 << (offset % 8);
            fs::write(data_set.path(&name), &changed).unwrap();
            assert_ne!(findings(&data_set), [] as [&str; 0], "{name}: byte {offset}");
            flipped += 1;
        }
        fs::write(data_set.path(&name), bytes).unwrap();
    }
    assert_eq!(findings(&data_set), [] as [&str; 0]);
    assert!(flipped > 5_000, "{flipped} bytes");
}

#[test]
fn a_file_that_is_missing_cut_or_one_too_many_is_found_whatever_it_is() {
    let fixture = small();
    let data_set = fixture.run("masked", "in --recipe t5 --epochs 2");
    for (name, bytes) in data_set.files() {
        fs::remove_file(data_set.path(&name)).unwrap();
        assert_found(&data_set, &[&format!("{name}: is missing")]);
        // Half of nothing is nothing: of an empty file, a longer one.
        let other = if bytes.is_empty() { b"x" } else { &bytes[..bytes.len() / 2] };
        fs::write(data_set.path(&name), other).unwrap();
        assert_ne!(findings(&data_set), [] as [&str; 0], "{name}");
        fs::write(data_set.path(&name), bytes).unwrap();
    }
    for extra in ["data/train-00009-00000.parquet", "data/notes.txt", "rejects/x", ".ul2-prep/commits/00009-00000.json"]
    {
        fixture.write(&format!("masked/{extra}"), "");
        assert_found(&data_set, &[&format!("{extra}: is in no list of the data set")]);
        fs::remove_file(data_set.path(extra)).unwrap();
    }
    assert_eq!(findings(&data_set), [] as [&str; 0]);
}

#[test]
fn the_plan_of_an_extension_is_a_file_as_any_other() {
    let fixture = Fixture::new();
    fixture.write_source("in/a.jsonl", source(1));
    fixture.run("masked", "in --recipe t5 --max-rejects 100%");
    fixture.write_source("more/b.jsonl", source(1));
    let data_set = fixture.run("masked", "more --recipe t5 --max-rejects 100% --extend");
    assert_eq!(findings(&data_set), [] as [&str; 0]);
    fixture.write("masked/.ul2-prep/plan-00002.json", fs::read(data_set.path(".ul2-prep/plan-00001.json")).unwrap());
    assert_found(&data_set, &[".ul2-prep/plan-00002.json: is in no list of the data set"]);
    fs::remove_file(data_set.path(".ul2-prep/plan-00002.json")).unwrap();
    let sums = fs::read_to_string(data_set.path("SHA256SUMS")).unwrap();
    let without: Vec<&str> = sums.split_inclusive('\n').filter(|line| !line.contains("plan-00001")).collect();
    fs::write(data_set.path("SHA256SUMS"), without.concat()).unwrap();
    assert_found(&data_set, &[".ul2-prep/plan-00001.json: is in no list of the data set"]);
}

/// Nobody waits for a pipe, and nobody walks in a circle.
#[cfg(unix)]
#[test]
fn what_is_neither_a_file_nor_a_folder_is_found_and_not_opened() {
    use fs_err::os::unix::fs::symlink;
    let fixture = small();
    let data_set = fixture.run("masked", "in --recipe t5");
    let pipe = |name: &str| {
        let made = std::process::Command::new("mkfifo").arg(data_set.path(name)).status().unwrap();
        assert!(made.success(), "{name}");
    };
    pipe("data/pipe");
    symlink(".", data_set.path("data/circle")).unwrap();
    let found: Vec<String> =
        ["circle", "pipe"].map(|name| format!("data/{name}: cannot be read: it is not a plain file")).into();
    assert_eq!(findings(&data_set), found);
    for name in ["data/pipe", "data/circle"] {
        fs::remove_file(data_set.path(name)).unwrap();
    }
    // A download cache has links to files that lie elsewhere.
    let (shard, blob) = (data_set.path("data/train-00000-00000.parquet"), fixture.path("blob"));
    fs::rename(&shard, &blob).unwrap();
    symlink(&blob, &shard).unwrap();
    fixture.ran("verify masked").succeeded();
    fs::remove_file(&shard).unwrap();
    fs::rename(&blob, &shard).unwrap();
    // In the place of each file.
    for (name, bytes) in data_set.files() {
        fs::remove_file(data_set.path(&name)).unwrap();
        pipe(&name);
        assert_found(&data_set, &[&format!("{name}: cannot be read: it is not a plain file")]);
        fs::remove_file(data_set.path(&name)).unwrap();
        fs::write(data_set.path(&name), bytes).unwrap();
    }
    // Too large, but without blocks on the disk.
    fs::OpenOptions::new().write(true).open(data_set.path("manifest.json")).unwrap().file().set_len(1 << 31).unwrap();
    let opened = Opened::new(data_set::DataSet::at(&data_set.path("")));
    assert!(opened.described().is_none(), "2 GiB were read");
}

// --- rows that were altered, with digests that agree ---

/// The first sentinel of the `bytes` tokenizer.
const SENTINEL: i32 = 259;

fn place(ids: &[i32], id: i32) -> usize {
    ids.iter().position(|other| *other == id).unwrap()
}

/// Runs `ul2r` or another recipe over one source, alters rows, and looks for findings.
#[track_caller]
fn assert_altered_is_found(recipe: &str, change: impl FnOnce(&mut Vec<Row>), texts: &[&str]) {
    let fixture = Fixture::new();
    fixture.write_source("in/a.jsonl", source(3));
    let data_set = fixture.run("masked", &format!("in --recipe {recipe} --seed 5"));
    // Written again as it is, it is clean: what is found is the change.
    alter(&data_set, |_| ());
    assert_eq!(findings(&data_set), [] as [&str; 0]);
    alter(&data_set, change);
    let found = findings(&data_set);
    assert!(!found.iter().any(|line| line.contains("SHA-256")), "{}", found.join("\n"));
    assert_found(&data_set, texts);
    let ran = fixture.ran("verify masked");
    assert_eq!(ran.code, Some(1));
}

#[test]
fn the_tools_shard_written_by_another_writer_has_the_same_rows_but_not_the_same_bytes() {
    let fixture = Fixture::new();
    fixture.write_source("in/a.jsonl", source(3));
    let data_set = fixture.run("masked", "in --recipe t5");
    alter(&data_set, |_| ());
    fixture.ran("verify masked --sources in").succeeded();
    // `ArrowWriter` cuts pages elsewhere or not; only the rows are sure to be equal.
    let ran = fixture.ran("verify masked --sources in --reproduce");
    assert!(!ran.stdout.contains("other rows"), "{}", ran.stdout);
}

#[test]
fn sentinels_out_of_order_are_found() {
    let swap = |rows: &mut Vec<Row>| {
        let ids = &mut rows[2].input_ids;
        let (first, second) = (place(ids, SENTINEL), place(ids, SENTINEL + 1));
        ids.swap(first, second);
    };
    assert_altered_is_found(
        "t5",
        swap,
        &["data/train-00000-00000.parquet:row 2: sentinel 0 is missing or out of order"],
    );
}

#[test]
fn a_sentinel_that_is_missing_in_the_labels_is_found() {
    let lose = |rows: &mut Vec<Row>| {
        let sentinel = place(&rows[1].labels, SENTINEL + 2);
        rows[1].labels.remove(sentinel);
    };
    assert_altered_is_found("t5", lose, &["parquet:row 1: sentinel 2 is missing or out of order"]);
}

#[test]
fn an_id_out_of_the_vocabulary_is_found() {
    let change = |id: i32| move |rows: &mut Vec<Row>| rows[0].input_ids[3] = id;
    assert_altered_is_found(
        "t5",
        change(384),
        &["row 0: `input_ids` has 384 at 3, the ids of the vocabulary are those below 384"],
    );
    assert_altered_is_found("t5", change(-1), &["row 0: `input_ids` has -1 at 3"]);
    // Reserved ids are no tokens.
    assert_altered_is_found("t5", change(0), &[" of the segment is the reserved id 0"]);
}

#[test]
fn an_ignored_label_in_a_row_without_padding_is_found() {
    let ignore = |rows: &mut Vec<Row>| rows[0].labels[1] = -100;
    assert_altered_is_found("t5", ignore, &["row 0: `labels` has -100 at 1"]);
}

/// The columns that [`Row`] has.
const COLUMNS: &str = "--columns input_ids,labels,denoiser,source,line,segment,epoch";

#[test]
fn labels_of_a_causal_row_that_stand_at_other_places_are_found() {
    let recipe = format!("t5 --layout causal {COLUMNS}");
    let ignore = |rows: &mut Vec<Row>| {
        let labels = &mut rows[1].labels;
        let last = labels.len() - 1;
        labels[last - 1] = IGNORED;
    };
    assert_altered_is_found(&recipe, ignore, &["row 1: label ", " is neither ignored nor the id at its place"]);
    let ask = |rows: &mut Vec<Row>| rows[0].labels[2] = rows[0].input_ids[2];
    assert_altered_is_found(&recipe, ask, &["row 0: label 3 is neither ignored nor the id at its place"]);
    let shorter = |rows: &mut Vec<Row>| {
        rows[0].labels.pop();
    };
    assert_altered_is_found(&recipe, shorter, &["row 0: `labels` has "]);
}

#[test]
fn padding_that_is_none_is_found() {
    let recipe = format!("t5 --pad {COLUMNS}");
    // The last document's last segment is short: its row has padding in both columns.
    let inputs = |rows: &mut Vec<Row>| *rows.last_mut().unwrap().input_ids.last_mut().unwrap() = 70;
    assert_altered_is_found(&recipe, inputs, &["the inputs do not end with EOS"]);
    let labels = |rows: &mut Vec<Row>| *rows.last_mut().unwrap().labels.last_mut().unwrap() = 1;
    assert_altered_is_found(&recipe, labels, &["negative id -100"]);
    let shorter = |rows: &mut Vec<Row>| {
        rows[0].labels.pop();
    };
    assert_altered_is_found(&recipe, shorter, &["row 0: `labels` has 511 items, not 512"]);
}

#[test]
fn a_wrong_density_is_found() {
    // The first token becomes the last of the noise.
    let move_token = |rows: &mut Vec<Row>| {
        let Row { input_ids, labels, .. } = &mut rows[0];
        let token = input_ids.remove(0);
        labels.insert(labels.len() - 1, token);
    };
    assert_altered_is_found("t5", move_token, &["row 0: `r` makes ", "`denoisers.r.noise_tokens` is "]);
}

#[test]
fn a_row_without_its_mode_token_or_its_eos_is_found() {
    let no_mode = |rows: &mut Vec<Row>| rows[0].input_ids[0] += 1;
    assert_altered_is_found("ul2r", no_mode, &["row 0: the inputs do not start with the mode token"]);
    let no_eos = |rows: &mut Vec<Row>| {
        rows[0].labels.pop();
    };
    assert_altered_is_found("t5", no_eos, &["row 0: the labels do not end with EOS"]);
}

#[test]
fn provenance_that_cannot_be_is_found() {
    let change = |change: fn(&mut Row)| move |rows: &mut Vec<Row>| change(&mut rows[0]);
    let denoiser = change(|row| row.denoiser = "x".to_owned());
    assert_altered_is_found("t5", denoiser, &["row 0: the denoiser is \"x\", the spec has none of that name"]);
    let source = change(|row| row.source = "b.jsonl".to_owned());
    assert_altered_is_found("t5", source, &["row 0: the source is \"b.jsonl\", which is none of the unit's"]);
    assert_altered_is_found("t5", change(|row| row.line = 100), &["row 0: the line is 100, the source has 8"]);
    assert_altered_is_found("t5", change(|row| row.epoch = 1), &["row 0: the epoch is 1, the unit is of epoch 0"]);
    assert_altered_is_found("t5", change(|row| row.segment = -1), &["row 0: the segment is -1"]);
}

#[test]
fn another_denoisers_name_on_a_row_is_found() {
    let rename = |rows: &mut Vec<Row>| {
        let other = rows.iter().map(|row| row.denoiser.clone()).find(|name| *name != rows[0].denoiser).unwrap();
        rows[0].denoiser = other;
    };
    assert_altered_is_found("ul2r", rename, &["row 0: ", "`denoisers."]);
}

#[test]
fn a_row_twice_or_lost_or_out_of_order_is_found() {
    let twice = |rows: &mut Vec<Row>| rows.insert(1, rows[0].clone());
    assert_altered_is_found("t5", twice, &["row 1: line 1, segment 0 comes twice", "`denoisers.r.examples`"]);
    let first = |rows: &mut Vec<Row>| drop(rows.remove(0));
    assert_altered_is_found(
        "t5",
        first,
        &["parquet: the first row: segments before it are missing", "`denoisers.r.examples`"],
    );
    let lost = |rows: &mut Vec<Row>| drop(rows.remove(rows.len() - 3));
    assert_altered_is_found("t5", lost, &[" comes where segment ", "`sources[a.jsonl].rows`"]);
    let swapped = |rows: &mut Vec<Row>| rows.swap(0, 1);
    assert_altered_is_found("t5", swapped, &["row 1: line 1, segment 0 comes after line 1, segment 1"]);
}

#[test]
fn a_row_that_keeps_every_law_but_not_its_tokens_is_found_with_the_sources() {
    let fixture = Fixture::new();
    fixture.write_source("in/a.jsonl", source(3));
    let data_set = fixture.run("masked", "in --recipe t5 --seed 5");
    alter(&data_set, |rows| {
        let ids = &mut rows[0].input_ids;
        ids[2] = if ids[2] == 100 { 101 } else { 100 };
    });
    assert_eq!(findings(&data_set), [] as [&str; 0]);
    let ran = fixture.ran("verify masked --sources in");
    assert_eq!(ran.code, Some(1));
    assert_snapshot!(ran.stdout, @r"
    a.jsonl:1: the rows hold 703 tokens, the source gives 703; they differ from token 2 on
    1 finding in 8 files and 12 rows, 8 lines of sources
    ");
}

#[test]
fn a_mask_that_keeps_every_law_but_is_not_the_streams_is_found_when_it_is_made_again() {
    let fixture = Fixture::new();
    fixture.write_source("in/a.jsonl", source(3));
    let data_set = fixture.run("masked", "in --recipe prefix-lm --seed 5");
    // The split one token later: the noise keeps within its bounds, and the counts are rewritten.
    alter(&data_set, |rows| {
        let Row { input_ids, labels, .. } = &mut rows[0];
        let token = labels.remove(0);
        input_ids.insert(input_ids.len() - 1, token);
    });
    let counts = |counts: &mut Value| {
        let name = counts.as_object().unwrap().keys().next().unwrap().clone();
        for (key, change) in [("noise_tokens", -1), ("labels", -1), ("input_ids", 1)] {
            counts[&name][key] = (counts[&name][key].as_i64().unwrap() + change).into();
        }
    };
    rewrite(&data_set, ".ul2-prep/commits/00000-00000.json", |record| counts(&mut record["counts"]["denoisers"]));
    rewrite(&data_set, "manifest.json", |manifest| {
        counts(&mut manifest["denoisers"]);
        for (key, change) in [("labels", -1), ("input_ids", 1)] {
            manifest["totals"][key] = (manifest["totals"][key].as_i64().unwrap() + change).into();
        }
    });
    assert_eq!(findings(&data_set), [] as [&str; 0]);
    fixture.ran("verify masked --sources in").succeeded();
    for sample in ["", "1"] {
        let ran = fixture.ran(&format!("verify masked --sources in --reproduce {sample}"));
        assert_eq!(ran.code, Some(1));
        let finding = "data/train-00000-00000.parquet: row group 0 has other rows than those made again\n";
        assert!(ran.stdout.contains(finding), "{}", ran.stdout);
    }
}

// --- the manifest ---

#[test]
fn a_damaged_manifest_is_named_by_what_is_wrong_with_it() {
    let fixture = small();
    let damaged = |change: &dyn Fn(&mut Value)| {
        let _ = fs::remove_dir_all(fixture.path("masked"));
        let data_set = fixture.run("masked", "in --recipe t5");
        rewrite(&data_set, "manifest.json", change);
        // Where in the file is not the point here.
        let said = findings(&data_set).join("\n");
        said.split(" at line ").next().unwrap_or_default().to_owned()
    };
    assert_snapshot!(damaged(&|json| json["manifest_version"] = 9.into()), @"manifest.json: `manifest_version` is 9, this tool reads 1");
    assert_snapshot!(damaged(&|json| json["masking_version"] = 2.into()), @"manifest.json: `masking_version` is 2, this tool makes rows of version 1");
    assert_snapshot!(damaged(&|json| drop(json.as_object_mut().unwrap().remove("plan"))), @"manifest.json: cannot be read: missing field `plan`");
    assert_snapshot!(damaged(&|json| json["shards"][0]["rows"] = "many".into()), @r#"manifest.json: cannot be read: invalid type: string "many", expected u64"#);
    assert_snapshot!(damaged(&|json| json["spec"]["seed"] = 8.into()), @r#"
    manifest.json: `spec_fingerprint` is b01df191142f3220256d19840b6c9c633e64df7dfdee68e7275d40b8e80d2469, the spec has 885e16f9078babf8041ed2f7758454b8135d33d27f628f4ed9e5ed658aabea87
    manifest.json: `spec`: `seed` is 0 in the plan, but 8 in the manifest
    manifest.json: `spec_fingerprint` is "b01df191142f3220256d19840b6c9c633e64df7dfdee68e7275d40b8e80d2469" in the manifest, but "885e16f9078babf8041ed2f7758454b8135d33d27f628f4ed9e5ed658aabea87" by plan and commit records
    data/train-00000-00000.parquet: the footer has another version or spec than the manifest
    "#);
    assert_snapshot!(damaged(&|json| json["spec"]["denoisers"][0]["segment_length"] = 8.into()), @"manifest.json: `spec`: the recorded segment length of `r` is 8, but the spec gives 568");
    assert_snapshot!(damaged(&|json| json["spec"]["inputs_length"] = 1.into()), @"manifest.json: `spec`: `inputs_length` must be between 2 and 131072, found 1");
    assert_snapshot!(damaged(&|json| json["plan"]["columns"][0] = "ids".into()), @"manifest.json: `plan.columns` names `ids`, which is not a column");
    assert_snapshot!(damaged(&|json| json["plan"]["units"][0]["sources"] = 1.into()), @"manifest.json: `plan.units[1]` is not the next group of sources of its epoch");
    assert_snapshot!(damaged(&|json| json["plan"]["shard_bytes"] = 7.into()), @"manifest.json: `plan.shard_bytes` is 7 in the manifest, but 268435456 by plan and commit records");
    assert_snapshot!(damaged(&|json| json["shards"][0]["path"] = "../secret.parquet".into()), @"manifest.json: `../secret.parquet` is not a path of a shard or of rejects");
    assert_snapshot!(damaged(&|json| json["totals"]["tokens"] = 7.into()), @r"
    manifest.json: `totals` are not the sums over `sources`
    manifest.json: `totals.tokens` is 7 in the manifest, but 9520 by plan and commit records
    ");
    assert_snapshot!(damaged(&|json| json["denoisers"]["r"]["spans"] = 7.into()), @r"
    manifest.json: `denoisers.r.spans` is 7 in the manifest, but 471 by plan and commit records
    manifest.json: `denoisers.r.spans` is 7, the rows give 471
    ");
    assert_snapshot!(damaged(&|json| json["sources"][0]["rejects"] = serde_json::json!({"invalid-json": 2})), @r"
    manifest.json: `totals` are not the sums over `sources`
    manifest.json: `sources[a.jsonl].rejects.invalid-json` is 2 in the manifest, but 1 by plan and commit records
    manifest.json: `sources[a.jsonl].rejects.text-not-a-string` is not in the manifest, but by plan and commit records
    manifest.json: `sources[a.jsonl].rejects.invalid-json` is 2, kept are 1
    manifest.json: `sources[a.jsonl].rejects.text-not-a-string` is 0, kept are 1
    ");
    assert_snapshot!(damaged(&|json| json["sources"][0]["sha256"] = "00".into()), @r#"manifest.json: `sources[a.jsonl].sha256` is "00" in the manifest, but "f9256df2190deb09034a237c2944e22ccc08a70b25fe827c014a01ccfe587277" by plan and commit records"#);
    assert_snapshot!(damaged(&|json| json["tool_version"] = "0.0.9".into()), @r#"
    manifest.json: `tool_version` is "0.0.9" in the manifest, but "0.1.0" by plan and commit records
    data/train-00000-00000.parquet: the footer has another version or spec than the manifest
    "#);
}

#[test]
fn a_manifest_that_is_no_json_or_a_folder_that_is_no_data_set_is_said_so() {
    let fixture = small();
    let data_set = fixture.run("masked", "in --recipe t5");
    fs::write(data_set.path("manifest.json"), "{\n").unwrap();
    reseal_sums(&data_set);
    let ran = fixture.ran("verify masked --sources in");
    assert_eq!(ran.code, Some(1));
    assert_snapshot!(ran.stdout, @r"
    manifest.json: cannot be read: EOF while parsing an object at line 2 column 0
    not checked: rows, since the manifest cannot be read
    not checked: the sources, since the manifest cannot be read
    1 finding in 8 files and 0 rows
    ");
    assert_snapshot!(fixture.ran("verify in").failed(2), @r"
    error: `in` holds no data set of `ul2-prep`

    hint: DIR is what `--out` of `ul2-prep run` was
    ");
    assert_snapshot!(fixture.ran("verify nowhere").failed(2), @"error: failed to read directory `nowhere`: No such file or directory (os error 2)");
}

// --- the sources ---

#[test]
fn sources_that_changed_are_found() {
    let fixture = small();
    fixture.run("masked", "in --recipe t5");
    let changed = |arguments: &str| {
        let ran = fixture.ran(&format!("verify masked --sources {arguments}"));
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        ran.stdout
    };
    let same_size = fs::read_to_string(fixture.path("in/a.jsonl")).unwrap().replacen("0:", "9:", 1);
    fixture.write("same-size/a.jsonl", &same_size);
    fs::copy(fixture.path("in/b.jsonl.gz"), fixture.path("same-size/b.jsonl.gz")).unwrap();
    assert_snapshot!(changed("same-size"), @r"
    a.jsonl:1: the rows hold 703 tokens, the source gives 703; they differ from token 0 on
    a.jsonl: has SHA-256 025295698a39bba7945b5e191d2812992f9be36c5dd43fc11a65692861aa19b2, the manifest says f9256df2190deb09034a237c2944e22ccc08a70b25fe827c014a01ccfe587277
    2 findings in 8 files and 22 rows, 15 lines of sources
    ");
    // A line more, a line less.
    fixture.write("longer/a.jsonl", same_size.clone() + "\n");
    fs::copy(fixture.path("in/b.jsonl.gz"), fixture.path("longer/b.jsonl.gz")).unwrap();
    assert_snapshot!(changed("longer"), @r"
    a.jsonl: has 5188 bytes, the manifest says 5187
    not checked: unit 0 against the sources, since one is not as it was
    1 finding in 8 files and 22 rows
    ");
    assert_snapshot!(changed("in/b.jsonl.gz"), @r"
    a.jsonl: is not among the sources
    not checked: unit 0 against the sources, since one is not as it was
    1 finding in 8 files and 22 rows
    ");
    // Damaged on the way.
    let mut bytes = fs::read(fixture.path("in/b.jsonl.gz")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fixture.write("damaged/b.jsonl.gz", bytes);
    fs::copy(fixture.path("in/a.jsonl"), fixture.path("damaged/a.jsonl")).unwrap();
    assert!(changed("damaged").contains("b.jsonl.gz: cannot be read after line "), "{}", changed("damaged"));
    // One too many is no finding.
    fixture.write_source("in/c.jsonl", source(1));
    let ran = fixture.ran("verify masked --sources in").succeeded();
    assert!(ran.stdout.contains("not checked: `c.jsonl`, which the manifest does not name\n"), "{}", ran.stdout);
}

/// What is done to the entries of the index and to the lines.
type RejectsChange = dyn Fn(&mut Vec<Value>, &mut Vec<Vec<u8>>);

#[test]
fn rejects_that_are_not_the_sources_are_found_with_them() {
    let found = |change: &RejectsChange| {
        let fixture = small();
        let long = format!("{}\n{}", "x".repeat(5_000), record("a last line"));
        fixture.write_source("in/c.jsonl", long);
        let data_set = fixture.run("masked", "in --recipe t5 --epochs 2 --max-line 4kB --max-rejects 100%");
        // Written again as they are, they are clean.
        alter_rejects(&data_set, |_, _| ());
        fixture.ran("verify masked --sources in").succeeded();
        alter_rejects(&data_set, change);
        let alone = findings(&data_set).join("\n");
        let ran = fixture.ran("verify masked --sources in");
        assert_eq!(ran.code, Some(1), "{}", ran.stdout);
        (alone, ran.stdout)
    };
    let changes: [(&RejectsChange, &str); 4] = [
        (&|_, texts| texts[0] = b"[".to_vec(), ".jsonl:1: its bytes are not those of a.jsonl:5"),
        (&|_, texts| texts[1].truncate(10), ".jsonl:2: `length` is 10, a.jsonl:6 has 11 bytes"),
        // The line that was put aside in a file.
        (&|_, texts| texts[4][4_000] = b'y', ".jsonl:5: its bytes are not those of c.jsonl:1"),
        (&|_, texts| texts[4].truncate(4_500), ".jsonl:5: `length` is 4500, c.jsonl:1 has 5000 bytes"),
    ];
    for (change, finding) in changes {
        let (alone, stdout) = found(change);
        assert_eq!(alone, "");
        assert!(stdout.starts_with(&format!("rejects/train-00000-00000{finding}\n1 finding in ")), "{stdout}");
    }
    let (_, stdout) = found(&|entries, _| entries[0]["reason"] = "not-an-object".into());
    assert!(stdout.contains(".jsonl:1: `reason` is not-an-object, made again it is invalid-json\n"), "{stdout}");
    let (_, stdout) = found(&|entries, texts| drop((entries.remove(0), texts.remove(0))));
    assert!(stdout.contains(".jsonl:1: is a.jsonl:6, the next reject is a.jsonl:5\n"), "{stdout}");
    let (_, stdout) = found(&|entries, texts| drop((entries.pop(), texts.pop())));
    assert!(stdout.contains("c.jsonl:1: is a reject (`line-too-long`), but none that is kept\n"), "{stdout}");
    let (_, stdout) = found(&|entries, texts| {
        let mut entry = entries[4].clone();
        entry["line"] = 2.into();
        entries.push(entry);
        texts.push(b"x".to_vec());
    });
    assert!(stdout.contains(".jsonl:6: is c.jsonl:2, the sources give no more rejects\n"), "{stdout}");
}

#[test]
fn flags_that_would_change_nothing_are_refused() {
    let fixture = small();
    fixture.run("masked", "in --recipe t5");
    for arguments in ["--max-window 1GiB", "--max-expansion 7", "--tokenizer bytes", "--reproduce", "--reproduce 3"] {
        let message = fixture.ran(&format!("verify masked {arguments}")).failed(2);
        assert!(message.contains("--sources <SOURCE>..."), "{arguments}: {message}");
        fixture.ran(&format!("verify masked --sources in {arguments}")).succeeded();
    }
    // All are asked for by no number.
    let message = fixture.ran("verify masked --sources in --reproduce 0").failed(2);
    assert!(message.contains("0 is not in 1.."), "{message}");
}

#[test]
fn another_tokenizer_is_refused() {
    let fixture = small();
    fixture.run("masked", "in --recipe t5");
    let tokenizer = repository("fixtures/tokenizer");
    let message = fixture.ran(&format!("verify masked --sources in --tokenizer {}", tokenizer.display())).failed(2);
    assert!(
        message.contains("was made with the tokenizer `bytes`, not with `tokenizer.json` of SHA-256 "),
        "{message}"
    );
}
