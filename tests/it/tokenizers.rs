//! What tokenizer files hold that no run may take as it is: names, chance, and what makes much of a text. What the tool says of such
//! files is in `bad_input`.

use serde_json::{Value, json};

use crate::support::{Fixture, record};

fn added(id: u32, content: &str, special: bool) -> Value {
    json!({ "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": special })
}

/// A BPE file over a few letters, changed.
fn file(change: impl Fn(&mut Value)) -> String {
    let mut file = json!({
        "version": "1.0",
        "added_tokens": [added(0, "<eos>", true), added(8, "<extra_id_0>", true), added(9, "<extra_id_1>", true)],
        "model": {
            "type": "BPE",
            "vocab": { "<eos>": 0, "a": 1, "b": 2, " ": 3, "ab": 4, "</s>": 5, "<pad>": 6, "<": 7 },
            "merges": ["a b"]
        }
    });
    change(&mut file);
    file.to_string()
}

/// A folder with sources and a tokenizer's file.
fn scene(change: impl Fn(&mut Value)) -> Fixture {
    let fixture = Fixture::new();
    fixture.write("a.jsonl", record("ab ab ab ab ab ab ab ab ab ab"));
    fixture.write("tokenizer.json", file(change));
    fixture
}

const RUN: &str = "run a.jsonl --recipe t5 --quiet --tokenizer tokenizer.json --out";
const PLAN: &str = "plan a.jsonl --recipe t5 --no-estimate --tokenizer tokenizer.json";

// --- names ---

#[test]
fn a_piece_that_is_not_a_special_token_is_not_eos() {
    // What is said without `--eos-token` is in `bad_input`, also of an added token that is not special: Gemma's `</s>` is a tag of HTML.
    let plan = scene(|_| {}).ran(&format!("{PLAN} --eos-token <eos>")).succeeded().stdout;
    assert!(plan.contains("eos 0 <eos>, pad none"), "{plan}");
    let fixture = scene(|file| file["added_tokens"].as_array_mut().unwrap().push(added(5, "</s>", true)));
    assert!(fixture.ran(PLAN).succeeded().stdout.contains("eos 5 </s>, pad none"));
    // In a file without special tokens any may be meant.
    let fixture = scene(|file| file["added_tokens"] = json!([added(8, "<extra_id_0>", false)]));
    assert!(fixture.ran(PLAN).succeeded().stdout.contains("eos 5 </s>, pad 6 <pad>"));
}

#[test]
fn a_token_that_only_the_configuration_has_is_overridden_by_its_flag() {
    let fixture = scene(|_| {});
    fixture.write("tokenizer_config.json", r#"{"eos_token":"<eos>","pad_token":{"content":"[PAD]"}}"#);
    assert!(fixture.ran(PLAN).failed(2).contains("`pad_token` of its `tokenizer_config.json`"));
    let plan = fixture.ran(&format!("{PLAN} --pad-token <eos>")).succeeded().stdout;
    assert!(plan.contains("eos 0 <eos>, pad 0 <eos>"), "{plan}");
}

#[test]
fn a_run_says_which_tokenizer_it_used() {
    let fixture = scene(|_| {});
    let said = fixture.ran("run a.jsonl --recipe t5 --quiet --out out").succeeded().stderr;
    assert!(said.contains("recipe t5, tokenizer bytes: each byte of a text is an id"), "{said}");
}

// --- chance ---

#[test]
fn dropout_is_switched_off_and_said() {
    let fixture = scene(|file| file["model"]["dropout"] = json!(0.5));
    let said = "note: the tokenizer's file asks for dropout of 0.5: switched off";
    assert!(fixture.ran(&format!("{PLAN} --eos-token <eos>")).succeeded().stdout.contains(said));
    fixture.ran(&format!("{RUN} out --eos-token <eos>")).succeeded();
    let without = scene(|_| {});
    without.ran(&format!("{RUN} out --eos-token <eos>")).succeeded();
    assert_eq!(fixture.data_set("out").rows(), without.data_set("out").rows());
}

// --- much of a text ---

fn split(pattern: &str) -> Value {
    json!({ "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false })
}

#[test]
fn an_expression_that_takes_too_many_steps_costs_the_line_and_is_named() {
    let replace = |pattern: &str| json!({ "type": "Replace", "pattern": { "Regex": pattern }, "content": "" });
    let many = |letter: &str| record(&(letter.repeat(20_000) + "!xb"));
    let lines = ["a", " ", "1"].map(many).concat();
    for (part, pattern) in [
        ("pre_tokenizer", r"\w*\w*(\d)x"),
        ("pre_tokenizer", "(a|aa)+$"),
        ("pre_tokenizer", r"\w++[?]|(?>a+)b"),
        ("normalizer", "(a+)+b[!?]"),
    ] {
        let value = if part == "normalizer" { replace(pattern) } else { split(pattern) };
        let fixture = scene(|file| file[part] = value.clone());
        fixture.write("a.jsonl", record("ab ab ab ab ab ab ab ab ab ab") + &lines + "{}\n");
        fixture.ran(&format!("{RUN} out --eos-token <eos>")).succeeded();
        let rejects = std::fs::read_to_string(fixture.path("out/rejects/train-00000-00000.jsonl")).unwrap();
        assert!(rejects.contains("takes too many steps for the text"), "{pattern}: {rejects}");
    }
}

// --- names of files ---

#[test]
fn a_name_of_the_hub_is_told_from_a_lost_file() {
    let fixture = Fixture::new();
    fixture.write("a.jsonl", record("a line"));
    let message = fixture.ran("plan a.jsonl --tokenizer google/t5-v1_1-xxl").failed(2);
    assert!(message.starts_with("error: no such file: `google/t5-v1_1-xxl`"), "{message}");
    assert!(message.contains("hf download google/t5-v1_1-xxl"), "{message}");
    let message = fixture.ran("plan a.jsonl --tokenizer lost/tokenizer.json").failed(2);
    assert!(message.contains("no such file") && !message.contains("hf download"), "{message}");
}
