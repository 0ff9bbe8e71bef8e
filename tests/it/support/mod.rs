//! What the tests share: a folder with sources and data sets in it, the command, and readers of what it wrote.
//!
//! [`Fixture`] is the one type for runs of the binary; the functions beside it make specs for tests of the library. A test
//! asks for what it needs and compares plain values, so nothing here asserts more than that files can be read.

pub(crate) mod adversarial;
pub(crate) mod altered;
pub(crate) mod chi_square;
pub(crate) mod forged;
mod specs;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use arrow::array::{Array as _, AsArray as _};
use arrow::datatypes::{Int32Type, Int64Type};
use assert_cmd::Command;
use clap::Parser as _;
use fs_err as fs;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::test_runner::{Config as ProptestConfig, RngSeed};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use ul2_prep::cli::{Cli, Command as SubCommand};
use ul2_prep::denoise::Spec;
use ul2_prep::digest::hex;
use ul2_prep::settings::Settings;

pub(crate) use specs::*;

/// A fixed seed, so that a suite gives the same verdict every time; `PROPTEST_RNG_SEED=N PROPTEST_CASES=M` looks elsewhere.
pub(crate) fn config(cases: u32) -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { cases },
        rng_seed: match default.rng_seed {
            RngSeed::Random => RngSeed::Fixed(7),
            fixed @ RngSeed::Fixed(_) => fixed,
        },
        ..default
    }
}

/// A JSON value a line.
pub(crate) fn json_lines(path: impl AsRef<Path>) -> Vec<Value> {
    let text = fs::read_to_string(path.as_ref()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The record `{"text": …}` as a line.
pub(crate) fn record(text: &str) -> String {
    format!("{}\n", serde_json::json!({ "text": text }))
}

/// Text of about `bytes` bytes that differs from line to line: `number` picks it.
pub(crate) fn text(number: u64, bytes: usize) -> String {
    const WORDS: [&str; 8] = ["river", "stone", "über", "a", "lantern", "of", "日本", "windward"];
    let mut text = format!("{number}:");
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    while text.len() < bytes {
        // An xorshift: any fixed variety will do, and it needs no history of the file.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.push(' ');
        text.push_str(WORDS[usize::try_from(state % 8).unwrap()]);
    }
    text
}

/// A row of a data set. Its order is that of the key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    pub(crate) source: String,
    pub(crate) line: i64,
    pub(crate) epoch: i32,
    pub(crate) segment: i32,
    pub(crate) denoiser: String,
    pub(crate) input_ids: Vec<i32>,
    pub(crate) labels: Vec<i32>,
}

/// A temporary folder that runs start in.
pub(crate) struct Fixture {
    folder: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// Writes a file, its folders too.
    pub(crate) fn write(&self, relative: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Writes a source, compressed as its name says: `.zst` in three frames and `.gz` in three members, cut without regard to lines.
    pub(crate) fn write_source(&self, relative: &str, lines: impl AsRef<[u8]>) -> PathBuf {
        self.write(relative, compressed(relative, lines.as_ref()))
    }

    /// The binary, in this folder, in an environment that does not depend on who runs the tests.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ul2-prep"));
        command.current_dir(self.folder.path()).env("COLUMNS", "120").env_remove("NO_COLOR");
        command
    }

    /// What `ul2-prep ARGUMENTS` did; arguments are separated by spaces.
    pub(crate) fn ran(&self, arguments: &str) -> Ran {
        Ran::new(self.command().args(arguments.split(' ').filter(|part| !part.is_empty())).output().unwrap())
    }

    /// A run that has to succeed, and what it wrote to `out`.
    pub(crate) fn run(&self, out: &str, arguments: &str) -> DataSet {
        self.ran(&format!("run {arguments} --out {out} --quiet")).succeeded();
        self.data_set(out)
    }

    pub(crate) fn data_set(&self, out: &str) -> DataSet {
        DataSet { folder: self.path(out) }
    }
}

/// Bytes in the compression that `name` asks for, in three parts.
pub(crate) fn compressed(name: &str, bytes: &[u8]) -> Vec<u8> {
    let parts = [&bytes[..bytes.len() / 3], &bytes[bytes.len() / 3..bytes.len() / 2], &bytes[bytes.len() / 2..]];
    match Path::new(name).extension().and_then(|extension| extension.to_str()) {
        Some("zst") => parts.iter().flat_map(|part| zstd::encode_all(*part, 1).unwrap()).collect(),
        Some("gz") => parts.iter().flat_map(|part| gzip(part)).collect(),
        _ => bytes.to_vec(),
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn new(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self
    }

    /// Standard error of a command that ended with `code`.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        assert_eq!(self.stdout, "", "nothing goes to standard output when a command fails");
        self.stderr
    }
}

/// The folder that a run wrote.
pub(crate) struct DataSet {
    folder: PathBuf,
}

impl DataSet {
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.folder.join(relative)
    }

    pub(crate) fn manifest(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path("manifest.json")).unwrap()).unwrap()
    }

    /// The spec that the manifest records.
    pub(crate) fn spec(&self) -> Spec {
        Spec::from_json(self.manifest()["spec"].clone()).unwrap()
    }

    /// The rows of all shards, in the order of files and rows.
    pub(crate) fn rows(&self) -> Vec<Row> {
        self.shards().iter().flat_map(|path| read_rows(path)).collect()
    }

    /// The examples of all shards.
    pub(crate) fn examples(&self) -> Vec<Example> {
        let spec = self.spec();
        self.shards().iter().flat_map(|path| read_examples(path, &spec)).collect()
    }

    /// The files of `data/`, sorted.
    pub(crate) fn shards(&self) -> Vec<PathBuf> {
        let folder = self.path("data");
        let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    /// Every commit record, in the order of names.
    pub(crate) fn commits(&self) -> Vec<Value> {
        let files = self.files();
        let commits = files.iter().filter(|(name, _)| name.starts_with(".ul2-prep/commits/"));
        commits.map(|(_, bytes)| serde_json::from_slice(bytes).unwrap()).collect()
    }

    /// The index of the rejects and the bytes it finds for each.
    pub(crate) fn rejects(&self) -> Vec<(Value, Vec<u8>)> {
        let mut found = Vec::new();
        for files in self.manifest()["rejects"].as_array().unwrap() {
            let lines = fs::read(self.path(files["lines"].as_str().unwrap())).unwrap();
            for entry in json_lines(self.path(files["index"].as_str().unwrap())) {
                let number = |key: &str| usize::try_from(entry[key].as_u64().unwrap()).unwrap();
                let bytes = lines[number("offset")..number("offset") + number("length")].to_vec();
                found.push((entry, bytes));
            }
        }
        found
    }

    /// Every file by its path in the folder, with its bytes.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.folder.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(&self.folder).unwrap().to_str().unwrap();
                    let name = name.replace(std::path::MAIN_SEPARATOR, "/");
                    files.insert(name, fs::read(&path).unwrap());
                }
            }
        }
        files
    }

    /// Every file by its path with the digest of its bytes: what a failed comparison can show.
    pub(crate) fn digests(&self) -> BTreeMap<String, String> {
        let decides = |name: &String| name != ".ul2-prep/inputs.json";
        let files = self.files().into_iter().filter(|(name, _)| decides(name));
        files.map(|(name, bytes)| (name, hex(&Sha256::digest(bytes)))).collect()
    }
}

/// The rows of one shard.
pub(crate) fn read_rows(path: &Path) -> Vec<Row> {
    let file = fs::File::open(path).unwrap().into_file();
    let mut rows = Vec::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
        let batch = batch.unwrap();
        let column = |name: &str| batch.column_by_name(name).unwrap();
        let ids = |name: &str, row: usize| -> Vec<i32> {
            column(name).as_list::<i32>().value(row).as_primitive::<Int32Type>().values().to_vec()
        };
        for row in 0..batch.num_rows() {
            rows.push(Row {
                source: column("source").as_string::<i32>().value(row).to_owned(),
                line: column("line").as_primitive::<Int64Type>().value(row),
                epoch: column("epoch").as_primitive::<Int32Type>().value(row),
                segment: column("segment").as_primitive::<Int32Type>().value(row),
                denoiser: column("denoiser").as_string::<i32>().value(row).to_owned(),
                input_ids: ids("input_ids", row),
                labels: ids("labels", row),
            });
        }
    }
    rows
}

/// An example of a data set, packed or not, without padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Example {
    pub(crate) row: Row,
    /// Ids that are given; of a causal row only.
    pub(crate) prefix_length: Option<u32>,
}

/// Where the runs of one segment id begin and end, padding left out.
fn runs(segment_ids: &[i32]) -> Vec<std::ops::Range<usize>> {
    let mut runs = Vec::new();
    for (number, run) in (1..).zip(segment_ids.chunk_by(|a, b| a == b).take_while(|run| run[0] != 0)) {
        assert_eq!(run[0], number, "segment ids count from 1");
        let start = runs.last().map_or(0, |last: &std::ops::Range<usize>| last.end);
        runs.push(start..start + run.len());
    }
    runs
}

/// The examples of one shard, in the order of rows; packed rows are taken apart and padding is left out.
pub(crate) fn read_examples(path: &Path, spec: &Spec) -> Vec<Example> {
    let file = fs::File::open(path).unwrap().into_file();
    let (packed, causal) = (spec.fields().pack, spec.fields().causal.is_some());
    let pad = spec.vocabulary().pad().filter(|_| spec.fields().pad).map(u32::cast_signed);
    let mut examples = Vec::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
        let batch = batch.unwrap();
        let column = |name: &str| batch.column_by_name(name).unwrap_or_else(|| panic!("no column {name}"));
        let ids = |name: &str, row: usize| -> Vec<i32> {
            column(name).as_list::<i32>().value(row).as_primitive::<Int32Type>().values().to_vec()
        };
        // What belongs to an example is a list where rows are packed.
        let of_examples = |name: &str, row: usize| {
            if packed { column(name).as_list::<i32>().value(row) } else { column(name).slice(row, 1) }
        };
        for row in 0..batch.num_rows() {
            let (input_ids, labels) = (ids("input_ids", row), ids("labels", row));
            let (inputs, targets) = if packed {
                let inputs = runs(&ids("input_segment_ids", row));
                let positions: Vec<i32> = inputs.iter().flat_map(|run| (0..).take(run.len())).collect();
                let name = if causal { "position_ids" } else { "input_positions" };
                assert_eq!(ids(name, row)[..positions.len()], positions);
                let targets = if causal { inputs.clone() } else { runs(&ids("label_segment_ids", row)) };
                (inputs, targets)
            } else {
                let used = match pad {
                    Some(_) => ids("attention_mask", row).iter().filter(|&&used| used == 1).count(),
                    None => input_ids.len(),
                };
                let labelled = labels.iter().rposition(|&label| label != -100).map_or(0, |last| last + 1);
                let labelled = if causal { used } else { labelled };
                let whole = |length: usize| std::iter::once(0..length).collect();
                (whole(used), whole(labelled))
            };
            if let Some(pad) = pad {
                let (used, labelled) = (inputs.last().unwrap().end, targets.last().unwrap().end);
                assert!(
                    input_ids[used..].iter().all(|&id| id == pad) && labels[labelled..].iter().all(|&id| id == -100)
                );
                let (most_inputs, most_labels) = spec.row_lengths();
                assert_eq!((input_ids.len(), labels.len()), (most_inputs as usize, most_labels as usize));
            }
            let (denoisers, lines, segments) =
                (of_examples("denoiser", row), of_examples("line", row), of_examples("segment", row));
            assert_eq!((inputs.len(), targets.len()), (denoisers.len(), denoisers.len()));
            for (index, (inputs, targets)) in inputs.into_iter().zip(targets).enumerate() {
                let prefix_length = causal.then(|| {
                    of_examples("prefix_length", row).as_primitive::<Int32Type>().value(index).cast_unsigned()
                });
                let row = Row {
                    source: column("source").as_string::<i32>().value(row).to_owned(),
                    line: lines.as_primitive::<Int64Type>().value(index),
                    epoch: column("epoch").as_primitive::<Int32Type>().value(row),
                    segment: segments.as_primitive::<Int32Type>().value(index),
                    denoiser: denoisers.as_string::<i32>().value(index).to_owned(),
                    input_ids: input_ids[inputs].to_vec(),
                    labels: labels[targets].to_vec(),
                };
                examples.push(Example { row, prefix_length });
            }
        }
    }
    examples
}

/// SHA-256 over rows, for comparing many at once.
pub(crate) fn rows_digest<'a>(rows: impl IntoIterator<Item = &'a Row>) -> String {
    let mut hash = Sha256::new();
    for row in rows {
        hash.update(format!("{row:?}\n"));
    }
    hex(&hash.finalize())
}

/// The digest of each source's rows.
pub(crate) fn digests_by_source(rows: &[Row]) -> BTreeMap<&str, String> {
    let mut by_source: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        by_source.entry(&row.source).or_default().push(row);
    }
    by_source.into_iter().map(|(source, rows)| (source, rows_digest(rows))).collect()
}

/// The spec that the binary makes of these arguments, with the source list of `fixtures/shards`.
pub(crate) fn spec_of_arguments(arguments: &str) -> Spec {
    let shards = repository("fixtures/shards");
    let command = ["ul2-prep", "plan", shards.to_str().unwrap()];
    let cli = Cli::parse_from(command.into_iter().chain(arguments.split(' ').filter(|part| !part.is_empty())));
    let SubCommand::Plan(args) = cli.command else { panic!("`plan` was asked for") };
    Settings::new(&args.masking).unwrap().masking.spec
}
