//! The head of the data set card: what Hugging Face `datasets` knows before it reads a shard, and what only a person knows.

use fs_err as fs;
use serde_json::{Value, json};

use crate::support::{DataSet, Fixture, record, text};

fn sources() -> Fixture {
    let fixture = Fixture::new();
    fixture.write_source("in/a.jsonl", (0..40).map(|number| record(&text(number, 900))).collect::<String>());
    fixture.write_source("more/b.jsonl", record(&text(77, 500)));
    fixture
}

/// The YAML between the two lines of hyphens.
fn head(data_set: &DataSet) -> String {
    let card = fs::read_to_string(data_set.path("README.md")).unwrap();
    let rest = card.strip_prefix("---\n").unwrap();
    rest.split_once("---\n").unwrap().0.to_owned()
}

const GIVEN: [&str; 8] =
    ["--title", "Wörter: \"a\"", "--license", "cc-by-4.0", "--language", "no,de", "--language", "pt-BR"];
const SAID: &str =
    "pretty_name: \"Wörter: \\\"a\\\"\"\nlicense: \"cc-by-4.0\"\nlanguage:\n- \"no\"\n- \"de\"\n- \"pt-BR\"\n";

#[test]
fn title_license_and_languages_stand_in_the_card_whichever_way_it_is_made() {
    let fixture = sources();
    let ran = |arguments: &str, more: &[&str]| {
        let output = fixture.command().args(arguments.split(' ')).args(more).output().unwrap();
        crate::support::Ran::new(output).succeeded()
    };
    ran("run in --out one --seed 3 --quiet", &GIVEN);
    let one = fixture.data_set("one");
    assert!(head(&one).contains(SAID), "{}", head(&one));
    let card = fs::read_to_string(one.path("README.md")).unwrap();
    assert!(card.contains("\n# Wörter: \"a\"\n"), "{card}");
    let fields = json!({"title": "Wörter: \"a\"", "license": "cc-by-4.0", "languages": ["no", "de", "pt-BR"]});
    assert_eq!(one.manifest()["card"], fields);
    fixture.ran("verify one --sources in --reproduce").succeeded();
    // Unit by unit; the plan's flags hold, and so do those of `finalize`.
    ran("plan in --out many --seed 3 --write", &GIVEN);
    fixture.ran("run --plan many --unit 0 --quiet").succeeded();
    fixture.ran("finalize many").succeeded();
    let many = fixture.data_set("many");
    assert_eq!(head(&many), head(&one));
    // From the manifest.
    fixture.ran("reproduce one in --out again --quiet").succeeded();
    assert_eq!(head(&fixture.data_set("again")), head(&one));
    // The rows say nothing of it: another license later, and the same command without flags, keep the shards.
    let shards = |data_set: &DataSet| -> Value { data_set.manifest()["shards"].clone() };
    fixture.ran("finalize many --license mit").succeeded();
    assert!(head(&many).contains("license: \"mit\"\n") && head(&many).contains("- \"no\"\n"), "{}", head(&many));
    assert_eq!(shards(&many), shards(&one));
    fixture.ran("verify many").succeeded();
    fixture.ran("run in --out one --seed 3 --quiet").succeeded();
    assert!(head(&one).contains(SAID));
    // An extension keeps them.
    fixture.ran("run more --out one --seed 3 --extend --quiet").succeeded();
    assert!(head(&one).contains(SAID));
    fixture.ran("verify one").succeeded();
}

#[test]
fn what_a_card_cannot_hold_is_refused_and_so_is_a_flag_that_would_do_nothing() {
    let fixture = sources();
    for (flag, said) in [
        ("--language=English", "expected the code of a language like `en` or `pt-BR`"),
        ("--license=MIT", "expected a name of the Hub like `apache-2.0`"),
        ("--title=", "expected a line of text"),
    ] {
        let refused = fixture.ran(&format!("run in --out masked {flag}")).failed(2);
        assert!(refused.contains(said), "{refused}");
    }
    let refused = fixture.ran("plan in --license mit").failed(2);
    assert!(refused.contains("--write"), "{refused}");
    let refused = fixture.ran("run --plan masked --license mit").failed(2);
    assert!(refused.contains("cannot be used with"), "{refused}");
}

#[test]
fn a_plan_that_gives_way_takes_its_title_with_it() {
    let fixture = sources();
    fixture.ran("plan in --out masked --seed 3 --write --title First").succeeded();
    let second = fixture.run("masked", "in --seed 4");
    assert!(second.manifest().get("card").is_none() && !head(&second).contains("pretty_name"));
}

#[test]
fn the_card_says_features_splits_and_sizes() {
    let fixture = sources();
    let data_set = fixture.run("masked", "in --seed 3 --validation 20% --layout causal --pack");
    let (head, manifest) = (head(&data_set), data_set.manifest());
    let features = "dataset_info:\n  config_name: default\n  features:\n  - name: input_ids\n    sequence: int32\n  - name: labels\n    sequence: int32\n  - name: prefix_length\n    sequence: int32\n  - name: input_segment_ids\n    sequence: int32\n  - name: position_ids\n    sequence: int32\n  - name: denoiser\n    sequence: string\n  - name: source\n    dtype: string\n  - name: line\n    sequence: int64\n  - name: segment\n    sequence: int32\n  - name: epoch\n    dtype: int32\n  splits:\n  - name: train\n";
    assert!(head.contains(features), "{head}");
    let validation = manifest["validation"]["totals"]["rows"].as_u64().unwrap();
    let train = manifest["totals"]["rows"].as_u64().unwrap() - validation;
    for rows in [train, validation] {
        assert!(head.contains(&format!("    num_examples: {rows}\n")), "{head}");
    }
    assert!(head.contains(&format!("  download_size: {}\n", manifest["totals"]["shard_bytes"])), "{head}");
    let number = |key: &str| -> Vec<u64> {
        let lines = head.lines().filter_map(|line| line.trim().strip_prefix(key));
        lines.map(|value| value.trim_start_matches(": ").parse().unwrap()).collect()
    };
    assert_eq!(number("num_bytes").iter().sum::<u64>(), number("dataset_size")[0]);
    let card = fs::read_to_string(data_set.path("README.md")).unwrap();
    assert!(card.contains("1 shard of the train split can feed 1 loader worker:"), "{card}");
}
