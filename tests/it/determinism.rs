//! Law L1: the spec, the names and the bytes of the sources decide the rows, and with the shard size every byte of a data set.
//!
//! Runs differ in workers, order of arguments, folder and neighbours, and are compared file by file or row by row. Stops and resumes
//! are in `faults.rs`.

use std::sync::LazyLock;

use fs_err as fs;
use sha2::{Digest as _, Sha256};
use ul2_prep::digest::hex;
use ul2_prep::input::batch::BLOCK_BYTES;
use walkdir::WalkDir;

use crate::support::{Fixture, Row, compressed, digests_by_source, mask_document, record, repository, text};

/// More than three batches of text.
static LARGE: LazyLock<Vec<u8>> = LazyLock::new(|| source_of_more_than(3 * BLOCK_BYTES, 13_000));

/// A compressed source of that many documents of 2,000 bytes.
fn source_of_more_than(bytes: usize, documents: u64) -> Vec<u8> {
    let lines = (0..documents).map(|number| record(&text(number, 2000))).collect::<String>();
    assert!(lines.len() > bytes);
    compressed("large.jsonl.zst", lines.as_bytes())
}

/// One shard for each row group: the least that a run makes of a batch is more than this.
const SMALL_SHARDS: &str = "--shard-size 1MiB";

/// The large source between two small ones, which end in other batches than it does.
fn fixture_with_large_source() -> Fixture {
    let fixture = Fixture::new();
    fixture.write_source("in/first.jsonl", record(&text(1, 900)));
    fixture.write("in/large.jsonl.zst", &*LARGE);
    fixture.write_source("in/small.jsonl", record(&text(2, 900)));
    fixture
}

#[test]
fn workers_and_the_order_of_arguments_change_no_byte_of_any_file() {
    let fixture = fixture_with_large_source();
    let shards = repository("fixtures/shards");
    for entry in WalkDir::new(&shards).into_iter().map(Result::unwrap) {
        let copy = fixture.path("in/shards").join(entry.path().strip_prefix(&shards).unwrap());
        if entry.file_type().is_dir() {
            fs::create_dir(copy).unwrap();
        } else {
            fs::copy(entry.path(), copy).unwrap();
        }
    }
    let bad = (0..40).map(|number| if number % 4 == 0 { "{\n\n".to_owned() } else { record(&text(number, 100)) });
    fixture.write_source("in/with-rejects.jsonl.gz", bad.collect::<String>());
    let run = |out: &str, arguments: &str| {
        fixture.run(out, &format!("{arguments} {SMALL_SHARDS} --seed 7 --max-rejects 100%")).digests()
    };
    let one = run("one", "in --workers 1");
    assert!(one.keys().any(|name| name.starts_with("rejects/")), "{:?}", one.keys());
    assert!(one.keys().filter(|name| name.starts_with("data/")).count() >= 4, "{:?}", one.keys());
    assert_eq!(run("two", "in --workers 2"), one);
    assert_eq!(run("five", "in --workers 5"), one);
    // A glob, a folder and the same again, in another order.
    assert_eq!(run("listed", "in/* in --workers 2"), one);
}

#[test]
fn the_rows_of_a_large_source_come_in_order_in_shards_of_the_size_asked_for() {
    let fixture = fixture_with_large_source();
    let data_set = fixture.run("masked", &format!("in {SMALL_SHARDS} --seed 7"));
    let all = data_set.rows();
    assert!(
        all.is_sorted_by(|a, b| (&a.source, a.line, a.segment) < (&b.source, b.line, b.segment)),
        "rows are in order"
    );
    let rows: Vec<&Row> = all.iter().filter(|row| row.source == "large.jsonl.zst").collect();
    let spec = data_set.spec();
    for number in (0..13_000).step_by(997) {
        let tokens: Vec<u32> = text(number, 2000).bytes().map(|byte| u32::from(byte) + 3).collect();
        let line = number + 1;
        let expected: Vec<_> = mask_document(&spec, "large.jsonl.zst", line, 0, &tokens)
            .into_iter()
            .map(|row| (row.input_ids, row.labels))
            .collect();
        let of_line = rows.iter().filter(|row| row.line.cast_unsigned() == line);
        let found: Vec<_> = of_line.map(|row| (row.input_ids.clone(), row.labels.clone())).collect();
        assert_eq!(found, expected, "line {line}");
    }
    // A shard is no larger than asked for, unless one row group alone is.
    let commits = data_set.commits();
    assert!(commits.len() >= 4);
    for commit in &commits {
        assert!(commit["file"]["row_groups"] == 1 || commit["file"]["bytes"].as_u64().unwrap() <= 1 << 20, "{commit}");
    }
    // The same rows in one shard.
    let whole = fixture.run("whole", "in --seed 7");
    assert_eq!(whole.shards().len(), 1);
    assert!(whole.rows() == all);
    let (whole, parts) = (whole.manifest(), data_set.manifest());
    for key in ["sources", "denoisers"] {
        assert_eq!(whole[key], parts[key]);
    }
    assert_eq!(whole["sources"].as_array().unwrap().len(), 3);
    assert_eq!(whole["totals"]["rows_digest"], parts["totals"]["rows_digest"]);
}

#[test]
fn a_source_has_the_same_rows_in_another_folder_and_with_others_beside_it() {
    let fixture = Fixture::new();
    let source = |number: u64| (0..30).map(|line| record(&text(100 * number + line, 700))).collect::<String>();
    for (number, name) in (1..).zip(["a.jsonl", "b/c.jsonl.zst", "ü.json.gz"]) {
        fixture.write_source(&format!("alone/{name}"), source(number));
        fixture.write_source(&format!("some/where/else/{name}"), source(number));
    }
    for (number, name) in (10..).zip(["0.jsonl", "aa.jsonl", "b/b.jsonl.zst", "b/d.jsonl", "z/z/z.ndjson"]) {
        fixture.write_source(&format!("some/where/else/{name}"), source(number));
    }
    let alone = fixture.run("masked-alone", "alone --seed 7 --workers 1").rows();
    let beside = fixture.run("masked-beside", "some/where/else --seed 7 --workers 5").rows();
    let (alone, beside) = (digests_by_source(&alone), digests_by_source(&beside));
    assert_eq!((alone.len(), beside.len()), (3, 8));
    for (source, digest) in alone {
        assert_eq!(beside[source], digest, "{source}");
    }
}

#[test]
fn a_source_that_is_larger_than_a_unit_leaves_the_rows_of_the_others_alone() {
    let fixture = Fixture::new();
    fixture.write_source("in/a.jsonl", record(&text(1, 3000)));
    fixture.write_source("in/z.jsonl", record(&text(2, 3000)));
    let alone = fixture.run("alone", "in").rows();
    // 70 MB of blank lines: cheap to read, and more than the 64 MiB at which a unit is closed.
    fixture.write("in/m.jsonl", vec![b'\n'; 70_000_000]);
    let data_set = fixture.run("beside", "in --workers 5");
    assert!(data_set.commits().iter().any(|commit| commit["unit"] == 1), "two units");
    assert_eq!(digests_by_source(&data_set.rows()), digests_by_source(&alone));
}

#[test]
fn a_thousand_small_sources_are_one_unit_and_the_same_for_any_number_of_workers() {
    let fixture = Fixture::new();
    for number in 0..1000 {
        let lines = record(&text(number, 60)) + &record(&text(number + 5000, 90));
        fixture.write(&format!("in/{}/{number}.jsonl", number % 7), lines);
    }
    let one = fixture.run("one", "in --workers 1");
    assert_eq!(one.shards().len(), 1);
    assert_eq!(one.manifest()["sources"].as_array().unwrap().len(), 1000);
    let rows = one.rows();
    assert_eq!(rows.len(), 2000);
    assert!(rows.is_sorted_by(|a, b| (&a.source, a.line) < (&b.source, b.line)));
    assert_eq!(fixture.run("five", "in --workers 5").digests(), one.digests());
}

#[test]
fn epochs_are_units_of_their_own_and_the_same_for_any_number_of_workers() {
    let fixture = Fixture::new();
    fixture.write("in/large.jsonl.zst", source_of_more_than(BLOCK_BYTES, 4_200));
    fixture.write_source("in/a.jsonl", record(&text(1, 5000)) + "not json\n");
    let run =
        |out: &str, arguments: &str| fixture.run(out, &format!("in {SMALL_SHARDS} --seed 7 --recipe t5 {arguments}"));
    let one = run("one", "--epochs 2 --workers 1");
    assert_eq!(run("five", "--epochs 2 --workers 5").digests(), one.digests());
    let rows = one.rows();
    let of_epoch = |epoch| rows.iter().filter(|row| row.epoch == epoch).cloned().collect::<Vec<Row>>();
    let single = run("single", "--epochs 1");
    assert!(of_epoch(0) == single.rows(), "the first epoch is a run of one epoch");
    // Rejects are kept once, and lines are counted once: an epoch reads the same lines again.
    assert_eq!(one.rejects(), single.rejects());
    assert_eq!(one.manifest()["totals"]["lines"], single.manifest()["totals"]["lines"]);
    let masked_alike = of_epoch(0).iter().zip(of_epoch(1)).filter(|(a, b)| a.input_ids == b.input_ids).count();
    assert_eq!(masked_alike, 0);
}

#[test]
fn another_order_of_the_lines_in_a_source_gives_other_rows() {
    // The line number is part of a stream's name. Asserted, so that nobody relies on the opposite.
    let fixture = Fixture::new();
    let (first, second) = (record(&text(1, 900)), record(&text(2, 900)));
    fixture.write_source("in/a.jsonl", format!("{first}{second}"));
    fixture.write_source("swapped/a.jsonl", format!("{second}{first}"));
    let (rows, swapped) = (fixture.run("one", "in").rows(), fixture.run("two", "swapped").rows());
    let ids = |rows: &[Row]| {
        let mut ids: Vec<_> = rows.iter().map(|row| row.input_ids.clone()).collect();
        ids.sort();
        ids
    };
    assert_ne!(ids(&rows), ids(&swapped));
}

#[test]
fn the_digest_in_the_manifest_is_that_of_the_rows_read_back() {
    let fixture = Fixture::new();
    let lines: String = (0..50).map(|number| record(&text(number, 1500))).collect();
    fixture.write_source("in/é.jsonl.zst", lines);
    let data_set = fixture.run("masked", "in --epochs 2 --recipe ul2");
    // The sum of the rows' SHA-256 as 256-bit little-endian numbers: no order, no shards.
    let mut sum = [0_u8; 32];
    for row in data_set.rows() {
        let mut hash = Sha256::new();
        for text in [&row.source, &row.denoiser] {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        for number in [row.line, row.segment.into(), row.epoch.into()] {
            hash.update(number.to_le_bytes());
        }
        for ids in [&row.input_ids, &row.labels] {
            hash.update((ids.len() as u64).to_le_bytes());
            for id in ids {
                hash.update(id.to_le_bytes());
            }
        }
        let mut carry = 0;
        for (byte, more) in sum.iter_mut().zip(hash.finalize()) {
            let total = u16::from(*byte) + u16::from(more) + carry;
            [*byte, _] = total.to_le_bytes();
            carry = total >> 8;
        }
    }
    assert_eq!(data_set.manifest()["totals"]["rows_digest"], hex(&sum));
}
