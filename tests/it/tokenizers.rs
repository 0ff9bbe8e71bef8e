//! What tokenizer files hold that no run may take as it is: names, chance, and what makes much of a text.

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
    let fixture = scene(|_| {});
    let message = fixture.ran(&format!("{RUN} out")).failed(2);
    assert!(message.contains("no EOS token is known"), "{message}");
    assert!(message.contains("hint: name it with `--eos-token`"), "{message}");
    let plan = fixture.ran(&format!("{PLAN} --eos-token <eos>")).succeeded().stdout;
    assert!(plan.contains("eos 0, pad none"), "{plan}");
    // Neither is an added token that is not special: Gemma's `</s>` is a tag of HTML.
    let fixture = scene(|file| file["added_tokens"].as_array_mut().unwrap().push(added(5, "</s>", false)));
    assert!(fixture.ran(&format!("{RUN} out")).failed(2).contains("no EOS token is known"));
    let fixture = scene(|file| file["added_tokens"].as_array_mut().unwrap().push(added(5, "</s>", true)));
    assert!(fixture.ran(PLAN).succeeded().stdout.contains("eos 5, pad none"));
    // In a file without special tokens any may be meant.
    let fixture = scene(|file| file["added_tokens"] = json!([added(8, "<extra_id_0>", false)]));
    assert!(fixture.ran(PLAN).succeeded().stdout.contains("eos 5, pad 6"));
}

#[test]
fn a_token_that_only_the_configuration_has_is_an_error() {
    let fixture = scene(|_| {});
    fixture.write("tokenizer_config.json", r#"{"eos_token":"<|end|>"}"#);
    let message = fixture.ran(PLAN).failed(2);
    assert!(
        message
            .contains("the tokenizer has no token `<|end|>`, which `eos_token` of its `tokenizer_config.json` names"),
        "{message}"
    );
    fixture.write("tokenizer_config.json", r#"{"eos_token":"<eos>","pad_token":{"content":"[PAD]"}}"#);
    assert!(fixture.ran(PLAN).failed(2).contains("`pad_token` of its `tokenizer_config.json`"));
    let plan = fixture.ran(&format!("{PLAN} --pad-token <eos>")).succeeded().stdout;
    assert!(plan.contains("eos 0, pad 0"), "{plan}");
}

#[test]
fn a_mode_token_that_the_tokenizer_does_not_have_is_told_of() {
    let fixture = scene(|file| file["added_tokens"].as_array_mut().unwrap().push(added(10, "<m>", true)));
    let recipe = |token: &str| {
        format!(
            "[[denoiser]]\nname = \"r\"\nmode = \"R\"\nweight = 1\nmode_token = \"{token}\"\n[denoiser.random_spans]\nmean_span_length = 3\nnoise_density = 0.15\n"
        )
    };
    let said = |token: &str| {
        let text = recipe(token);
        fixture.write("r.toml", text);
        let plan =
            fixture.ran("plan a.jsonl --recipe r.toml --no-estimate --tokenizer tokenizer.json --eos-token <eos>");
        plan.succeeded().stdout
    };
    let text = said("<ab>");
    assert!(
        text.contains(
            "\nwarning: mode tokens that are not tokens of the tokenizer are spelled as text: `<ab>` becomes 2 ids\n"
        ),
        "{text}"
    );
    assert!(text.contains("mode ids\n") && text.contains("  7 4\n"), "{text}");
    let text = said("[ab b]");
    assert!(text.contains("\nnote: mode tokens"), "{text}");
    let text = said("<m>");
    assert!(!text.contains("mode tokens that"), "{text}");
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
    let ran = fixture.ran(&format!("{RUN} out --eos-token <eos>")).succeeded();
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    let without = scene(|_| {});
    without.ran(&format!("{RUN} out --eos-token <eos>")).succeeded();
    assert_eq!(fixture.data_set("out").rows(), without.data_set("out").rows());
}

// --- much of a text ---

fn split(pattern: &str) -> Value {
    json!({ "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false })
}

#[test]
fn a_text_that_a_file_makes_too_much_of_is_rejected() {
    let replace =
        |pattern: Value, content: String| json!({ "type": "Replace", "pattern": pattern, "content": content });
    let times = "the normalized text has more than 32 times the bytes of the text";
    let steps = "takes too many steps for the text";
    for (part, value, reason) in [
        ("normalizer", replace(json!({ "String": "a" }), "b".repeat(128_000)), times),
        ("normalizer", replace(json!({ "Regex": "." }), "b".repeat(1000)), times),
        ("normalizer", replace(json!({ "Regex": "x*" }), "b".repeat(1000)), times),
        (
            "normalizer",
            json!({ "type": "Sequence", "normalizers": vec![replace(json!({ "String": "a" }), "aa".to_owned()); 40] }),
            times,
        ),
        ("pre_tokenizer", split(&("a?".repeat(30) + &"a".repeat(30) + "b")), steps),
    ] {
        let fixture = scene(|file| file[part] = value.clone());
        fixture.write("a.jsonl", record(&format!("{} b !", "a".repeat(2000))));
        let message = fixture.ran(&format!("{RUN} out --eos-token <eos> --max-rejects 0")).failed(1);
        assert!(message.contains("tokenizer-failed") && message.contains(reason), "{value}: {message}");
    }
    // Odd and harmless.
    let fixture = scene(|file| file["pre_tokenizer"] = split("(?:ab){1,3}| +b"));
    fixture.ran(&format!("{RUN} out --eos-token <eos> --max-rejects 0")).succeeded();
}

#[test]
fn a_file_that_no_tokenizer_is_like_is_refused() {
    let long = "b".repeat(128_000);
    let bomb = "8P///2FhYWE=";
    let metaspaces: Vec<Value> = "xyzvw"
        .chars()
        .map(|mark| json!({ "type": "Metaspace", "replacement": mark, "prepend_scheme": "always", "split": false }))
        .collect();
    let replace = json!({ "type": "Replace", "pattern": { "String": "a" }, "content": long });
    for (change, reason) in [
        (
            &(|file: &mut Value| file["normalizer"] = json!({ "type": "Prepend", "prepend": long }))
                as &dyn Fn(&mut Value),
            "bytes before each text",
        ),
        (
            &|file| file["normalizer"] = json!({ "type": "Precompiled", "precompiled_charsmap": bomb }),
            "its charsmap is cut off",
        ),
        (
            &|file| {
                file["normalizer"] = json!({ "type": "Sequence", "normalizers": [{ "type": "Precompiled", "precompiled_charsmap": bomb }] });
            },
            "its charsmap is cut off",
        ),
        (
            &|file| {
                file["normalizer"] = replace.clone();
                let mut token = added(10, &"a".repeat(60_000), false);
                token["normalized"] = json!(true);
                file["added_tokens"].as_array_mut().unwrap().push(token);
            },
            "an added token cannot be normalized",
        ),
        (
            &|file| {
                file["model"]["continuing_subword_prefix"] = json!(long);
                file["model"]["merges"] = json!([]);
            },
            "`continuing_subword_prefix` has 128000 bytes",
        ),
        (
            &|file| {
                file["model"] = json!({ "type": "WordPiece", "unk_token": "a", "continuing_subword_prefix": "##", "max_input_chars_per_word": 1_000_000, "vocab": { "a": 0 } });
            },
            "`max_input_chars_per_word` is 1000000",
        ),
        (&|file| file["pre_tokenizer"] = json!({ "type": "Sequence", "pretokenizers": metaspaces }), "times as long"),
        (
            &|file| file["pre_tokenizer"] = split(r"(a)\1"),
            r"the steps of `\1` in the expression `(a)\1` cannot be counted",
        ),
        (&|file| file["pre_tokenizer"] = split(&"a".repeat(2001)), "a pattern has 2001 bytes, more than 2000"),
        (
            &|file| {
                file["normalizer"] = json!({ "type": "Replace", "pattern": { "Regex": "(?<=a+)c" }, "content": "" });
            },
            "cannot be counted",
        ),
        (
            &|file| file["decoder"] = json!({ "type": "Replace", "pattern": { "Regex": "(a+)+c" }, "content": "" }),
            "its decoder looks for `(a+)+c`",
        ),
    ] {
        let message = scene(change).ran(PLAN).failed(2);
        assert!(message.contains(reason), "{message}");
    }
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

// --- files of another kind ---

#[test]
fn a_file_of_another_kind_is_named_for_what_it_is() {
    let fixture = Fixture::new();
    fixture.write("a.jsonl", record("a line"));
    for (name, contents, kind, hint) in [
        (
            "a.json",
            "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
            "a Git LFS pointer",
            "git lfs pull",
        ),
        (
            "a.model",
            "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
            "a Git LFS pointer",
            "git lfs pull",
        ),
        ("b.json", "", "an empty file", "fetch the file again"),
        ("c.json", "<!DOCTYPE html>\n<html></html>", "a web page", "/resolve/"),
        ("tokenizer.model", "IQ== 0\nIg== 1\n", "a tiktoken vocabulary", "`tokenizer.json` of the same model"),
        ("tekken.json", r#"{"config":{"pattern":"x"},"vocab":[]}"#, "a Tekken vocabulary", "`tokenizer.json`"),
        ("vocab.json", r#"{"a":0,"model":1}"#, "a vocabulary alone", "`tokenizer.json`"),
        ("merges.txt", "#version: 0.2\na b\n", "a list of merges alone", "`tokenizer.json`"),
        ("merges2.txt", "a b\nab c\n", "a list of merges alone", "`tokenizer.json`"),
        ("vocab.txt", "[PAD]\n[UNK]\na\n", "a WordPiece vocabulary", "`tokenizer.json`"),
        (
            "config.json",
            r#"{"model_type":"t5","architectures":[]}"#,
            "the configuration of a model",
            "`tokenizer.json`",
        ),
        (
            "tokenizer_config.json",
            r#"{"tokenizer_class":"T5Tokenizer"}"#,
            "the configuration of a tokenizer",
            "`tokenizer.json`",
        ),
        ("d.model", r#"{"version":"1.0"}"#, "JSON, though its name ends in `.model`", "the name `tokenizer.json`"),
    ] {
        fixture.write(&format!("{name}.d/{name}"), contents);
        let message = fixture.ran(&format!("plan a.jsonl --tokenizer {name}.d/{name}")).failed(2);
        assert!(message.contains(&format!("` is {kind}")) && message.contains(hint), "{name}: {message}");
    }
    let model = crate::support::repository("fixtures/sentencepiece/unigram.model");
    fixture.write("model.json", fs_err::read(model).unwrap());
    assert!(fixture.ran("plan a.jsonl --tokenizer model.json").failed(2).contains("is a SentencePiece model"));
    let message = fixture.ran("plan a.jsonl --tokenizer google/t5-v1_1-xxl").failed(2);
    assert!(message.starts_with("error: no such file: `google/t5-v1_1-xxl`"), "{message}");
    assert!(message.contains("hf download google/t5-v1_1-xxl"), "{message}");
    let message = fixture.ran("plan a.jsonl --tokenizer lost/tokenizer.json").failed(2);
    assert!(message.contains("no such file") && !message.contains("hf download"), "{message}");
}
