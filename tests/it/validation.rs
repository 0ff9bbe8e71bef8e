//! The validation split: whole documents, in shards of their own, whatever becomes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use arrow::array::AsArray as _;
use arrow::datatypes::Int32Type;
use fs_err as fs;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use crate::support::altered::alter;
use crate::support::{DataSet, Example, Fixture, Row, read_examples, read_rows, record, repository, text};

/// Documents that a row betrays: document N is one character, whose second byte no other document, prompt or mode token has.
const DOCUMENTS: u32 = 64;

fn betraying() -> String {
    let letter = |number| char::from_u32(0xC0 + number).unwrap().to_string();
    let line = |number: u32| {
        let text = letter(number).repeat(8 + 37 * number as usize % 300);
        format!("{}\n", json!({"text": text, "translation": {"src": text, "tgt": "yes"}}))
    };
    (0..DOCUMENTS).map(line).collect()
}

/// The documents whose tokens are in a file.
fn betrayed(path: &Path) -> BTreeSet<u32> {
    let mut documents = BTreeSet::new();
    let file = fs::File::open(path).unwrap().into_file();
    for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
        let batch = batch.unwrap();
        for name in ["input_ids", "labels"] {
            let ids = batch.column_by_name(name).unwrap().as_list::<i32>().values().as_primitive::<Int32Type>();
            // The tokenizer `bytes` gives byte B the id B + 3.
            let number = |id: &i32| u32::try_from(*id).ok()?.checked_sub(0x80 + 3).filter(|number| *number < DOCUMENTS);
            documents.extend(ids.values().iter().filter_map(number));
        }
    }
    documents
}

/// The files of a data set with the rows of a split.
fn files(data_set: &DataSet, split: &str) -> Vec<std::path::PathBuf> {
    let is_of = |path: &std::path::PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(split);
    data_set.shards().into_iter().filter(is_of).collect()
}

fn recipes() -> Vec<String> {
    let files = fs::read_dir(repository("src/recipe")).unwrap().map(|entry| entry.unwrap().file_name());
    let names = files.filter_map(|name| name.to_str().unwrap().strip_suffix(".toml").map(str::to_owned));
    let recipes: Vec<String> = names.collect();
    assert!(recipes.len() >= 20, "{recipes:?}");
    recipes
}

#[test]
fn no_document_is_in_both_splits_whatever_the_recipe_and_whether_rows_are_packed() {
    let fixture = Fixture::new();
    fixture.write_source("in/a.jsonl", betraying());
    for (number, recipe) in recipes().into_iter().enumerate() {
        for arrangement in ["", "--pack --shuffle --epochs 2"] {
            let out = format!("{number}-{}", arrangement.len());
            let data_set =
                fixture.run(&out, &format!("in --recipe {recipe} --validation 30% --seed {number} {arrangement}"));
            let [train, validation] = ["train", "validation"]
                .map(|split| files(&data_set, split).iter().flat_map(|path| betrayed(path)).collect::<BTreeSet<u32>>());
            assert!(train.is_disjoint(&validation), "{recipe} {arrangement}: {train:?} and {validation:?}");
            assert!(train.len() > 20 && validation.len() > 5, "{recipe} {arrangement}: {train:?} and {validation:?}");
            let of = &data_set.manifest()["validation"]["totals"];
            assert!(of["documents"].as_u64().unwrap() >= validation.len() as u64, "{recipe}: {of}");
            fs::remove_dir_all(data_set.path("")).unwrap();
        }
    }
}

fn many(fixture: &Fixture) {
    for (name, documents) in [("a.jsonl.zst", 60), ("b.jsonl", 7), ("c/d.jsonl.gz", 40)] {
        let lines: String = (0..documents).map(|number| record(&text(number, 900))).collect();
        fixture.write_source(&format!("in/{name}"), lines + "not JSON\n\n");
    }
}

fn examples(data_set: &DataSet, split: &str) -> Vec<Example> {
    let spec = data_set.spec();
    files(data_set, split).iter().flat_map(|path| read_examples(path, &spec)).collect()
}

/// By source, line, segment and epoch.
fn by_address(examples: Vec<Example>) -> BTreeMap<(String, i64, i32, i32), Example> {
    let count = examples.len();
    let address = |row: &Row| (row.source.clone(), row.line, row.segment, row.epoch);
    let sorted: BTreeMap<_, _> = examples.into_iter().map(|example| (address(&example.row), example)).collect();
    assert_eq!(sorted.len(), count, "each address once");
    sorted
}

#[test]
fn a_validation_split_changes_no_example_of_any_document_and_takes_all_its_epochs() {
    let fixture = Fixture::new();
    many(&fixture);
    for (out, arguments) in
        [("plain", "in --epochs 2 --seed 3"), ("packed", "in --epochs 2 --pack --recipe ul2 --layout causal")]
    {
        let whole = fixture.run(out, arguments);
        let split = fixture.run(&format!("{out}-split"), &format!("{arguments} --validation 20%"));
        let (train, validation) = (by_address(examples(&split, "train")), by_address(examples(&split, "validation")));
        let lines = |examples: &BTreeMap<(String, i64, i32, i32), Example>| -> BTreeSet<(String, i64)> {
            examples.keys().map(|(source, line, ..)| (source.clone(), *line)).collect()
        };
        assert!(lines(&train).is_disjoint(&lines(&validation)));
        assert!(lines(&validation).len() > 8, "{out}: {:?}", lines(&validation));
        let mut both = train;
        both.extend(validation);
        assert_eq!(both, by_address(whole.examples()), "{out}");
    }
}

#[test]
fn workers_units_and_the_way_to_the_end_change_no_byte_of_a_data_set_with_a_validation_split() {
    let fixture = Fixture::new();
    many(&fixture);
    let arguments = "in --validation 0.15 --seed 9 --epochs 2 --recipe oslo-t5";
    let one = fixture.run("one", &format!("{arguments} --workers 1")).digests();
    assert!(one.keys().filter(|name| name.starts_with("data/validation-")).count() >= 2, "{:?}", one.keys());
    assert_eq!(fixture.run("two", &format!("{arguments} --workers 2")).digests(), one);
    // Unit by unit, from the last one on.
    fixture.ran(&format!("plan {arguments} --out many --write")).succeeded();
    let units: Vec<String> =
        fixture.ran("status many --missing").succeeded().stdout.lines().map(str::to_owned).collect();
    for unit in units.iter().rev() {
        fixture.ran(&format!("run --plan many --unit {unit} --quiet")).succeeded();
    }
    fixture.ran("finalize many").succeeded();
    assert_eq!(fixture.data_set("many").digests(), one);
    // From the manifest.
    let ran = fixture.ran("reproduce one in --out again --quiet").succeeded();
    assert!(ran.stdout.contains("equal"), "{}", ran.stdout);
    assert_eq!(fixture.data_set("again").digests(), one);
    fixture.ran("verify one --sources in --reproduce").succeeded();
    fixture.ran("verify one --sources in --reproduce 1").succeeded();
}

#[test]
fn a_small_shard_size_bounds_the_files_of_both_splits() {
    let fixture = Fixture::new();
    let lines = |from: u64| (from..from + 9_000).map(|number| record(&text(number, 3000))).collect::<String>();
    fixture.write_source("in/held/large.jsonl.zst", lines(0));
    fixture.write_source("in/small.jsonl", record(&text(1, 900)));
    let data_set = fixture.run("masked", "in --recipe t5 --shard-size 1MiB --validation-source held/** --workers 2");
    let validation = files(&data_set, "validation");
    assert!(validation.len() > 1, "{validation:?}");
    let shards = data_set.manifest()["shards"].as_array().unwrap().clone();
    assert!(shards.iter().all(|shard| shard["row_groups"] == 1 || shard["bytes"].as_u64().unwrap() <= 1 << 20));
    let train: Vec<Row> = files(&data_set, "train").iter().flat_map(|path| read_rows(path)).collect();
    assert!(!train.is_empty() && train.iter().all(|row| row.source == "small.jsonl"));
    fixture.ran("verify masked --sources in --reproduce").succeeded();
}

#[test]
fn an_extension_splits_its_documents_as_a_run_with_all_sources_does() {
    let fixture = Fixture::new();
    many(&fixture);
    let more: String = (0..50).map(|number| record(&text(number, 700))).collect();
    fixture.write_source("more/z.jsonl", &more);
    fixture.write_source("all/z.jsonl", &more);
    for name in ["a.jsonl.zst", "b.jsonl", "c/d.jsonl.gz"] {
        fixture.write(&format!("all/{name}"), fs::read(fixture.path(&format!("in/{name}"))).unwrap());
    }
    let extended = fixture.run("masked", "in --validation 10% --seed 2");
    fixture.run("masked", "more --validation 10% --seed 2 --extend");
    let whole = fixture.run("whole", "all --validation 10% --seed 2");
    for split in ["train", "validation"] {
        assert_eq!(by_address(examples(&extended, split)), by_address(examples(&whole, split)), "{split}");
    }
    let [ours, theirs] = [&extended, &whole].map(|data_set| data_set.manifest()["validation"].clone());
    for key in ["sources", "denoisers"] {
        assert_eq!(ours[key], theirs[key]);
    }
    // The files are cut otherwise.
    assert_eq!(ours["totals"]["rows_digest"], theirs["totals"]["rows_digest"]);
    let refused = fixture.ran("run more --out masked --validation 20% --seed 2 --extend --quiet").failed(2);
    assert!(refused.contains("spec.validation"), "{refused}");
}

#[test]
fn manifest_card_and_commands_know_the_validation_split() {
    let fixture = Fixture::new();
    many(&fixture);
    let data_set = fixture.run("masked", "in --validation 20% --seed 1 --pack --epochs 2");
    let manifest = data_set.manifest();
    let examples = examples(&data_set, "validation");
    let totals = &manifest["validation"]["totals"];
    assert_eq!(totals["examples"], examples.len());
    let lines: BTreeSet<(&str, i64)> =
        examples.iter().map(|example| (example.row.source.as_str(), example.row.line)).collect();
    assert_eq!(totals["documents"], lines.len());
    let rows: usize = files(&data_set, "validation").iter().map(|path| rows_of(path)).sum();
    assert_eq!(totals["rows"], rows);
    let sum = |counts: &Value, key: &str| {
        counts.as_object().unwrap().values().map(|one| one[key].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!(totals["tokens"], sum(&manifest["validation"]["sources"], "tokens"));
    assert_eq!(totals["input_ids"], sum(&manifest["validation"]["denoisers"], "input_ids"));
    assert!(totals["tokens"].as_u64() < manifest["totals"]["tokens"].as_u64());

    let card = fs::read_to_string(data_set.path("README.md")).unwrap();
    let splits = "  data_files:\n  - split: train\n    path: data/train-*.parquet\n  - split: validation\n    path: data/validation-*.parquet\n";
    assert!(card.contains(splits), "{card}");
    assert!(!card.contains("/data\")"), "no code reads both splits at once: {card}");

    let stats = fixture.ran("stats masked").succeeded().stdout;
    assert!(stats.contains(&format!("of these for validation: {rows} rows from {} documents", lines.len())), "{stats}");
    let json: Value = serde_json::from_str(&fixture.ran("stats masked --json").succeeded().stdout).unwrap();
    assert_eq!(json["validation"]["rows"], rows);
    for (split, expected) in [("validation", true), ("train", false)] {
        let shown = fixture.ran(&format!("inspect masked --split {split} --rows 0 --json")).succeeded().stdout;
        let shown: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(shown.len() > 8);
        for example in &shown {
            assert_eq!(example["split"], split);
            let line = (example["source"].as_str().unwrap(), example["line"].as_i64().unwrap());
            assert_eq!(lines.contains(&line), expected, "{example}");
        }
    }
    let plan = fixture.ran("plan in --validation 20% --seed 1").succeeded().stdout;
    assert!(plan.contains("validation   20 % of the documents\n"), "{plan}");
    assert!(plan.contains("\nrows for validation: "), "{plan}");
    let line = lines.first().unwrap();
    let shown = fixture.ran(&format!("inspect in/{}:{} --name {} --validation 20% --seed 1", line.0, line.1, line.0));
    assert!(shown.succeeded().stdout.contains("  validation  "));
}

fn rows_of(path: &Path) -> usize {
    let file = fs::File::open(path).unwrap().into_file();
    ParquetRecordBatchReaderBuilder::try_new(file)
        .unwrap()
        .build()
        .unwrap()
        .map(|batch| batch.unwrap().num_rows())
        .sum()
}

#[test]
fn verify_finds_a_document_in_the_wrong_split() {
    let fixture = Fixture::new();
    many(&fixture);
    let data_set = fixture.run("masked", "in --validation 20% --seed 1");
    let leaked = read_rows(&files(&data_set, "validation")[0]).remove(0);
    let line = leaked.line;
    alter(&data_set, |rows| {
        rows.push(leaked);
        rows.sort();
    });
    let found = fixture.ran("verify masked");
    assert_eq!(found.code, Some(1));
    let expected = format!("line {line} belongs to the split `validation`");
    assert!(found.stdout.contains(&expected), "{}", found.stdout);
}

#[test]
fn a_validation_split_that_cannot_be_drawn_is_refused_with_a_way_out() {
    let fixture = Fixture::new();
    many(&fixture);
    for share in ["0", "0%", "100%", "1", "500", "-1%", "nan", "0.0000001", "x", "150%"] {
        let said = fixture.ran(&format!("plan in --validation={share}")).failed(2);
        assert!(said.contains("expected a share like `0.5%` or `0.005`, found"), "{share}: {said}");
    }
    let said = fixture.ran("plan in --validation 500").failed(2);
    assert!(said.contains("divide it by the number of documents that `ul2-prep plan` estimates"), "{said}");
    let said = fixture.ran("plan in --validation-source d.jsonl.gz").failed(2);
    assert!(
        said.contains("no source matches `d.jsonl.gz` (`--validation-source`)") && said.contains("hint: "),
        "{said}"
    );
    let said = fixture.ran("run in --out masked --validation-source ** --quiet").failed(2);
    assert!(said.contains("none is left to train on") && said.contains("hint: "), "{said}");
    assert!(!fixture.path("masked/data").exists());
    fixture.ran("plan in --validation 1% --validation-source b.jsonl").failed(2);
}

#[test]
fn a_split_without_rows_is_in_no_card() {
    let fixture = Fixture::new();
    fixture.write_source("in/a.jsonl", record(&text(1, 300)) + &record(&text(2, 300)));
    let data_set = fixture.run("masked", "in --validation 0.0001%");
    let card = fs::read_to_string(data_set.path("README.md")).unwrap();
    assert!(card.contains("split: train") && !card.contains("split: validation"), "{card}");
    assert_eq!(data_set.manifest()["validation"]["totals"]["rows"], 0);
    fixture.ran("verify masked --sources in").succeeded();
}
