//! Sources whose documents are masked more or less often than those of others.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::support::altered::alter;
use crate::support::{DataSet, Fixture, Row, record, text};

const WEIGHTS: &str = "--weight wiki/**=2.5 --weight zero.jsonl=0 --weight part.jsonl=0.25 --weight part.jsonl=9";

fn sources() -> Fixture {
    let fixture = Fixture::new();
    for (name, documents) in [("b.jsonl", 20), ("part.jsonl", 80), ("wiki/a.jsonl.zst", 80), ("zero.jsonl", 5)] {
        let lines: String = (0..documents).map(|number| record(&text(number, 700))).collect();
        fixture.write_source(&format!("in/{name}"), lines + "not JSON\n");
    }
    fixture
}

/// The epochs of each document, by source and line.
fn epochs(rows: &[Row]) -> BTreeMap<(&str, i64), BTreeSet<i32>> {
    let mut epochs: BTreeMap<(&str, i64), BTreeSet<i32>> = BTreeMap::new();
    for row in rows {
        epochs.entry((&row.source, row.line)).or_default().insert(row.epoch);
    }
    epochs
}

fn of<'a>(rows: &'a [Row], source: &str) -> Vec<&'a Row> {
    rows.iter().filter(|row| row.source == source).collect()
}

#[test]
fn a_weight_masks_every_document_so_many_times_and_a_share_of_them_once_more() {
    let fixture = sources();
    let data_set = fixture.run("masked", &format!("in --seed 3 {WEIGHTS}"));
    let rows = data_set.rows();
    let epochs = epochs(&rows);
    let in_epochs = |source: &str, wanted: &[i32]| {
        let wanted: BTreeSet<i32> = wanted.iter().copied().collect();
        epochs.iter().filter(|((name, _), found)| *name == source && **found == wanted).count()
    };
    assert_eq!((in_epochs("b.jsonl", &[0]), in_epochs("zero.jsonl", &[])), (20, 0));
    let (twice, thrice) = (in_epochs("wiki/a.jsonl.zst", &[0, 1]), in_epochs("wiki/a.jsonl.zst", &[0, 1, 2]));
    assert!(twice + thrice == 80 && (20..60).contains(&thrice), "{twice} and {thrice}");
    let some = in_epochs("part.jsonl", &[0]);
    assert!((8..36).contains(&some), "{some}");
    assert!(of(&rows, "zero.jsonl").is_empty());

    let manifest = data_set.manifest();
    assert_eq!(manifest["plan"]["left_out"], 1);
    let part = manifest["sources"].as_array().unwrap().iter().find(|source| source["name"] == "part.jsonl").unwrap();
    assert_eq!((&part["documents"], &part["unused_documents"]), (&json!(80), &json!(80 - some)));
    let expected = json!([
        {"sources": "wiki/**", "weight": 2.5}, {"sources": "zero.jsonl", "weight": 0.0},
        {"sources": "part.jsonl", "weight": 0.25}, {"sources": "part.jsonl", "weight": 9.0}
    ]);
    assert_eq!(manifest["spec"]["weights"], expected);
    fixture.ran("verify masked --sources in --reproduce").succeeded();
    fixture.ran("reproduce masked in --out again --quiet").succeeded();
    assert_eq!(fixture.data_set("again").digests().get("manifest.json"), data_set.digests().get("manifest.json"));
}

#[test]
fn a_weight_moves_no_row_of_the_maskings_that_both_sets_have() {
    let fixture = sources();
    let weighted = fixture.run("weighted", &format!("in --seed 3 {WEIGHTS}")).rows();
    let plain = fixture.run("plain", "in --seed 3 --epochs 3").rows();
    let plain: BTreeSet<&Row> = plain.iter().collect();
    assert!(!weighted.is_empty() && weighted.iter().all(|row| plain.contains(row)));
}

#[test]
fn epochs_multiply_weights_and_workers_units_and_extensions_change_nothing() {
    let fixture = sources();
    let arguments = format!("in --seed 3 --epochs 2 {WEIGHTS} --recipe oslo-t5 --validation 20%");
    let one = fixture.run("one", &format!("{arguments} --workers 1"));
    assert_eq!(fixture.run("two", &format!("{arguments} --workers 2")).digests(), one.digests());
    let last = one.manifest()["plan"]["units"].as_array().unwrap().iter().map(|unit| unit["epoch"].as_u64()).max();
    assert_eq!(last, Some(Some(4)), "2.5 times 2 maskings");
    fixture.ran(&format!("plan {arguments} --out many --write")).succeeded();
    let units: Vec<String> = lines(&fixture, "status many --missing");
    for unit in units.iter().rev() {
        fixture.ran(&format!("run --plan many --unit {unit} --quiet")).succeeded();
    }
    fixture.ran("finalize many").succeeded();
    assert_eq!(fixture.data_set("many").digests(), one.digests());
    fixture.ran("verify one --sources in --reproduce").succeeded();

    let rows = |data_set: &DataSet| data_set.rows().into_iter().collect::<BTreeSet<Row>>();
    let before = rows(&fixture.run("extended", &format!("in --seed 3 {WEIGHTS}")));
    fixture.write_source("more/wiki/c.jsonl", (0..30).map(|number| record(&text(number, 500))).collect::<String>());
    let extended = fixture.run("extended", &format!("more --seed 3 {WEIGHTS} --extend"));
    let after = rows(&extended);
    assert!(before.is_subset(&after));
    let new: Vec<Row> = after.into_iter().filter(|row| row.source == "wiki/c.jsonl").collect();
    let epochs = epochs(&new);
    assert!(epochs.values().all(|epochs| epochs.len() == 2 || epochs.len() == 3) && epochs.len() == 30);
    fixture.ran("verify extended").succeeded();
}

fn lines(fixture: &Fixture, arguments: &str) -> Vec<String> {
    fixture.ran(arguments).succeeded().stdout.lines().map(str::to_owned).collect()
}

#[test]
fn verify_finds_a_document_in_an_epoch_that_is_not_its_own() {
    let fixture = sources();
    let all = fixture.run("all", "in --seed 3").rows();
    let data_set = fixture.run("masked", &format!("in --seed 3 {WEIGHTS}"));
    let rows = data_set.rows();
    let used: BTreeSet<i64> = of(&rows, "part.jsonl").into_iter().map(|row| row.line).collect();
    let foreign = of(&all, "part.jsonl").into_iter().find(|row| !used.contains(&row.line)).unwrap().clone();
    let line = foreign.line;
    alter(&data_set, |rows| {
        rows.push(foreign);
        rows.sort();
    });
    let found = fixture.ran("verify masked");
    assert_eq!(found.code, Some(1));
    assert!(found.stdout.contains(&format!("line {line} is not masked in epoch 0")), "{}", found.stdout);
}

#[test]
fn plan_shows_weights_with_tokens_and_shares_and_refuses_those_that_say_nothing() {
    let fixture = sources();
    let plan = fixture.ran(&format!("plan in --seed 3 {WEIGHTS}")).succeeded().stdout;
    for said in ["weight       2.5: wiki/**\n", "left out     1 source of weight 0: `zero.jsonl`\n", "masked tokens"] {
        assert!(plan.contains(said), "{said}: {plan}");
    }
    for (arguments, said) in [
        ("--weight wiki=2", "no source matches `wiki` (`--weight`)"),
        ("--weight **=0", "all sources have weight 0"),
        ("--weight wiki/**", "expected a pattern and a number like `wiki/**=2.5`"),
        ("--weight wiki/**=x", "expected a pattern and a number"),
        ("--weight wiki/**=-1", "expected a number between 0 and"),
        ("--weight wiki/**=0.0000001", "at most six decimals"),
        ("--weight wiki/**=70000", "must be between 0 and 65536"),
    ] {
        let refused = fixture.ran(&format!("run in --out masked {arguments}")).failed(2);
        assert!(refused.contains(said), "{arguments}: {refused}");
    }
    assert!(!fixture.path("masked/data").exists());
    fixture.ran("inspect in/b.jsonl:1 --weight b.jsonl=2").failed(2);
}
