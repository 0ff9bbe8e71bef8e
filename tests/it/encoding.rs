//! How the pages of shards are encoded and compressed: what a file then has, and that no row changes.

use std::collections::BTreeSet;
use std::path::Path;

use fs_err as fs;
use parquet::basic::{Compression, Encoding};
use parquet::column::page::Page;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use serde_json::Value;

use crate::support::{DataSet, Fixture, repository};

/// What the pages of a column have.
#[derive(Debug, PartialEq, Eq)]
struct Pages {
    column: String,
    physical: String,
    codec: Compression,
    /// Of the values; levels are always of another kind.
    encodings: BTreeSet<String>,
    has_statistics: bool,
    /// Whether all data pages are of version 1.
    are_first_version: bool,
}

fn pages(shard: &Path) -> Vec<Pages> {
    let reader = SerializedFileReader::new(fs::File::open(shard).unwrap().into_file()).unwrap();
    let row_group = reader.get_row_group(0).unwrap();
    let mut found = Vec::new();
    for column in 0..row_group.num_columns() {
        let metadata = row_group.metadata().column(column);
        let (mut encodings, mut are_first_version) = (BTreeSet::new(), true);
        for page in row_group.get_column_page_reader(column).unwrap() {
            let encoding = match page.unwrap() {
                Page::DataPage { encoding, .. } => encoding,
                Page::DataPageV2 { encoding, .. } => {
                    are_first_version = false;
                    encoding
                }
                // Its values are plain.
                Page::DictionaryPage { encoding, .. } => {
                    assert_eq!(encoding, Encoding::PLAIN);
                    continue;
                }
            };
            encodings.insert(encoding.to_string());
        }
        found.push(Pages {
            column: metadata.column_path().parts()[0].clone(),
            physical: metadata.column_type().to_string(),
            codec: metadata.compression(),
            encodings,
            has_statistics: metadata.statistics().is_some(),
            are_first_version,
        });
    }
    found
}

fn format_version(shard: &Path) -> i32 {
    let reader = SerializedFileReader::new(fs::File::open(shard).unwrap().into_file()).unwrap();
    reader.metadata().file_metadata().version()
}

const TOKENS: [&str; 2] = ["input_ids", "labels"];

/// Runs over the fixtures, with all columns that such rows can have.
const ROWS: [&str; 3] = ["", "--pack --pad", "--recipe ul2r --layout causal --pack"];

fn run(fixture: &Fixture, out: &str, arguments: &str) -> DataSet {
    let sources = repository("fixtures/shards/english-00000.jsonl.zst").display().to_string();
    fixture.run(out, &format!("{sources} --seed 7 {arguments}"))
}

#[test]
fn a_file_has_nothing_that_old_readers_cannot_read() {
    let fixture = Fixture::new();
    for (number, rows) in ROWS.into_iter().enumerate() {
        let data_set = run(&fixture, &number.to_string(), rows);
        for shard in data_set.shards() {
            assert_eq!(format_version(&shard), 1);
            for pages in pages(&shard) {
                let known = ["PLAIN", "RLE_DICTIONARY"];
                assert!(pages.encodings.iter().all(|encoding| known.contains(&encoding.as_str())), "{pages:?}");
                assert!(pages.are_first_version, "{pages:?}");
                assert!(matches!(pages.codec, Compression::ZSTD(_)), "{pages:?}");
                assert!(["INT32", "INT64", "BYTE_ARRAY"].contains(&pages.physical.as_str()), "{pages:?}");
            }
        }
    }
}

#[test]
fn each_encoding_and_compression_changes_the_file_and_no_row() {
    let fixture = Fixture::new();
    let default = run(&fixture, "default", "");
    let same = run(&fixture, "same", "--encoding plain --compression zstd");
    assert_eq!(default.digests(), same.digests(), "the defaults can be asked for");
    let choices = [
        ("--encoding dictionary", "RLE_DICTIONARY", "ZSTD"),
        ("--encoding byte-stream-split", "BYTE_STREAM_SPLIT", "ZSTD"),
        ("--compression zstd:9", "PLAIN", "ZSTD"),
        ("--compression snappy", "PLAIN", "SNAPPY"),
        ("--compression none", "PLAIN", "UNCOMPRESSED"),
    ];
    let sources = repository("fixtures/shards/english-00000.jsonl.zst").display().to_string();
    for (number, (arguments, encoding, codec)) in choices.into_iter().enumerate() {
        let out = number.to_string();
        let data_set = run(&fixture, &out, arguments);
        let (expected, found) = (default.manifest(), data_set.manifest());
        assert_eq!(found["totals"]["rows_digest"], expected["totals"]["rows_digest"], "{arguments}");
        assert_eq!(data_set.rows(), default.rows(), "{arguments}");
        assert_ne!(found["shards"][0]["sha256"], expected["shards"][0]["sha256"], "{arguments}");
        for pages in pages(&data_set.shards()[0]) {
            assert!(pages.codec.to_string().starts_with(codec), "{arguments}: {pages:?}");
            if TOKENS.contains(&pages.column.as_str()) {
                assert_eq!(pages.encodings, BTreeSet::from([encoding.to_owned()]), "{arguments}: {pages:?}");
            }
        }
        // What checks the data set or makes it again takes both from the manifest.
        fixture.ran(&format!("verify {out} --sources {sources} --reproduce")).succeeded();
        fixture.ran(&format!("reproduce {out} {sources} --out again-{out} --quiet")).succeeded();
        assert_eq!(fixture.data_set(&format!("again-{out}")).digests(), data_set.digests(), "{arguments}");
    }
}

#[test]
fn a_data_set_goes_on_with_its_own_encoding_alone() {
    let fixture = Fixture::new();
    fixture.write_source("a.jsonl", crate::support::record("one text of some words"));
    fixture.write_source("b.jsonl", crate::support::record("another text of some words"));
    fixture.run("masked", "a.jsonl --compression snappy");
    let message = fixture.ran("run a.jsonl --out masked --encoding dictionary --quiet").failed(2);
    assert!(message.contains("`compression` is \"snappy\" in the data set, but \"zstd:"), "{message}");
    assert!(message.contains("`encoding` is \"plain\" in the data set, but \"dictionary\" asked for"), "{message}");
    assert_eq!(fixture.ran("run a.jsonl b.jsonl --out masked --extend --quiet").code, Some(2));
    let extended = fixture.run("masked", "a.jsonl b.jsonl --extend --compression snappy");
    for shard in extended.shards() {
        assert!(pages(&shard).iter().all(|pages| pages.codec == Compression::SNAPPY), "{}", shard.display());
    }
}

/// Versions that encoded all token columns as byte stream split said nothing of it.
#[test]
fn a_data_set_that_does_not_say_how_it_is_encoded_is_byte_stream_split_with_zstandard_1() {
    let fixture = Fixture::new();
    fixture.write_source("a.jsonl", crate::support::record("one text of some words"));
    fixture.write_source("b.jsonl", crate::support::record("another text of some words"));
    let before = "--encoding byte-stream-split --compression zstd:1";
    let data_set = fixture.run("masked", &format!("a.jsonl {before}"));
    let plan: Value = serde_json::from_slice(&data_set.files()[".ul2-prep/plan.json"]).unwrap();
    for said in [&data_set.manifest()["plan"], &plan] {
        assert!(said.get("encoding").is_none() && said.get("compression").is_none(), "{said}");
    }
    for pages in pages(&data_set.shards()[0]).iter().filter(|pages| TOKENS.contains(&pages.column.as_str())) {
        assert_eq!(pages.encodings, BTreeSet::from(["BYTE_STREAM_SPLIT".to_owned()]));
    }
    fixture.ran("verify masked --sources a.jsonl --reproduce").succeeded();
    fixture.ran("reproduce masked a.jsonl --out again --quiet").succeeded();
    assert_eq!(fixture.data_set("again").digests(), data_set.digests());
    let message = fixture.ran("run a.jsonl --out masked --quiet").failed(2);
    assert!(
        message.contains("`encoding` is \"byte-stream-split\" in the data set, but \"plain\" asked for"),
        "{message}"
    );
    fixture.run("masked", &format!("a.jsonl b.jsonl --extend {before}"));
}

#[test]
fn a_unit_is_encoded_as_its_plan_says_and_not_as_a_flag_does() {
    let fixture = Fixture::new();
    fixture.write_source("a.jsonl", crate::support::record("one text of some words"));
    fixture
        .ran("plan a.jsonl --out planned --write --no-estimate --encoding dictionary --compression none")
        .succeeded();
    for flag in ["--encoding plain", "--compression snappy"] {
        let message = fixture.ran(&format!("run --plan planned {flag}")).failed(2);
        assert!(message.contains("cannot be used with"), "{message}");
    }
    fixture.ran("run --plan planned --quiet").succeeded();
    let alone = fixture.run("alone", "a.jsonl --encoding dictionary --compression none");
    let shard = |data_set: &DataSet| data_set.manifest()["shards"][0]["sha256"].clone();
    assert_eq!(shard(&fixture.data_set("planned")), shard(&alone));
}

#[test]
fn a_compression_that_there_is_not_is_refused_with_those_that_there_are() {
    let fixture = Fixture::new();
    fixture.write_source("a.jsonl", crate::support::record("a text"));
    for (asked, expected) in [
        ("gzip", "expected `zstd`, `zstd:LEVEL`, `snappy` or `none`, found `gzip`"),
        ("zstd:0", "expected a level from 1 to 22, found `0`"),
        ("zstd:23", "expected a level from 1 to 22, found `23`"),
    ] {
        let message = fixture.ran(&format!("run a.jsonl --out masked --compression {asked}")).failed(2);
        assert!(message.contains(expected), "{message}");
    }
    let data_set = fixture.run("masked", "a.jsonl");
    let manifest = String::from_utf8(data_set.files()["manifest.json"].clone()).unwrap();
    fixture.write("masked/manifest.json", manifest.replace("\"encoding\": \"plain\"", "\"encoding\": \"delta\""));
    let message = fixture.ran("inspect masked").failed(2);
    assert!(message.contains("unknown variant `delta`"), "{message}");
}

/// The first table of a page whose head begins with `column`, as rows of cells.
fn table(page: &str, column: &str) -> Vec<Vec<String>> {
    let head = format!("| {column} |");
    let rows =
        page.lines().skip_while(|line| !line.starts_with(&head)).skip(2).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    rows.map(cells).collect()
}

#[test]
fn the_page_of_the_format_says_what_a_file_has() {
    let page = fs::read_to_string(repository("docs/reference/format.md")).unwrap();
    let said: Vec<(String, String)> =
        table(&page, "Parquet").into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let cell = |key: &str| {
        let found = said.iter().find(|(name, _)| name == key);
        found.unwrap_or_else(|| panic!("no row `{key}`")).1.clone()
    };
    // Which type the page gives a column that is no list in packed rows.
    let types: Vec<(String, String)> = table(&page, "column")
        .into_iter()
        .flat_map(|row| {
            let names = row[0].split(", ").map(|name| name.trim_matches('`').to_owned()).collect::<Vec<_>>();
            names.into_iter().map(move |name| (name, row[1].trim_matches('`').to_owned()))
        })
        .collect();
    let fixture = Fixture::new();
    let mut seen = BTreeSet::new();
    for (number, rows) in ROWS.into_iter().enumerate() {
        let data_set = run(&fixture, &number.to_string(), rows);
        let shard = &data_set.shards()[0];
        let reader = SerializedFileReader::new(fs::File::open(shard).unwrap().into_file()).unwrap();
        let metadata = reader.metadata();
        assert_eq!(cell("format version"), metadata.file_metadata().version().to_string());
        assert!(metadata.file_metadata().created_by().unwrap().starts_with("ul2-prep version"));
        assert!(cell("`created_by`").starts_with("`ul2-prep version`"));
        assert_eq!(cell("page index"), "offsets, no column index");
        for (pages, column) in pages(shard).iter().zip(metadata.row_group(0).columns()) {
            let (name, path) = (pages.column.as_str(), column.column_path().parts());
            seen.insert(name.to_owned());
            let is_list = path.len() > 1;
            assert!(!is_list || path == [name, "list", "element"], "{path:?}");
            let type_said = &types.iter().find(|(said, _)| said == name).unwrap_or_else(|| panic!("{name}")).1;
            let item = type_said.trim_start_matches("list<").trim_end_matches('>');
            let physical = match item {
                "int32" => "INT32",
                "int64" => "INT64",
                "string" => "BYTE_ARRAY",
                other => panic!("{other}"),
            };
            assert_eq!(pages.physical, physical, "{name}");
            let of_examples =
                ["denoiser", "line", "segment", "prefix_length"].contains(&name) && rows.contains("--pack");
            assert_eq!(is_list, type_said.starts_with("list<") || of_examples, "{name}");
            let level = ul2_prep::output::encoding::Compression::LEVEL;
            assert_eq!(cell("compression"), format!("Zstandard, level {level}, all columns; `--compression`"));
            assert!(matches!(pages.codec, Compression::ZSTD(_)), "{pages:?}");
            assert!(cell("data pages").starts_with("version 1"));
            assert!(pages.are_first_version, "{pages:?}");
            assert!(column.offset_index_offset().is_some() && column.column_index_offset().is_none(), "{name}");
            let is_of_ids = type_said.starts_with("list<");
            let row = match name {
                "input_ids" | "labels" => cell("token columns"),
                _ if is_of_ids => cell("other columns of lists of ids"),
                _ => cell("other columns"),
            };
            let expected = if row.starts_with("plain encoding, no dictionary") { "PLAIN" } else { "RLE_DICTIONARY" };
            assert!(expected == "PLAIN" || row.starts_with("dictionary"), "{name}: {row}");
            assert_eq!(pages.encodings, BTreeSet::from([expected.to_owned()]), "{name}");
            assert_eq!(pages.has_statistics, !row.contains("no statistics"), "{name}");
        }
    }
    assert_eq!(seen, types.into_iter().map(|(name, _)| name).collect(), "the columns of the page");
}
