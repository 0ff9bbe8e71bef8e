//! What a model's own tokenizer needs before a run: BOS and EOS of documents, sentinels among tokens that are free, mode tokens, and
//! tokens added to the file.

use serde_json::{Value, json};

use crate::support::{DataSet, Fixture, Ran, record};

fn added(id: u32, content: &str, special: bool) -> Value {
    json!({ "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": special })
}

const BEGIN: i32 = 10;
const END: i32 = 11;
/// `<|reserved_special_token_0|>`; the others follow, up to 29 and without 7.
const RESERVED: i32 = 13;

/// The shape of Llama 3: no sentinels, no pad, free tokens with numbers, of which one is missing.
fn tokenizer() -> Value {
    let names = ["<|begin_of_text|>".to_owned(), "<|end_of_text|>".to_owned(), "<|eot_id|>".to_owned()];
    let free = (0..30).filter(|number| *number != 7).map(|number| format!("<|reserved_special_token_{number}|>"));
    let tokens: Vec<Value> =
        (10..).zip(names.into_iter().chain(free)).map(|(id, name)| added(id, &name, true)).collect();
    json!({
        "version": "1.0",
        "added_tokens": tokens,
        "model": {
            "type": "BPE",
            "vocab": { "a": 0, "b": 1, " ": 2, "ab": 3, "<": 4, ">": 5, "|": 6, "[": 7, "]": 8, "S": 9 },
            "merges": ["a b"]
        }
    })
}

fn scene() -> Fixture {
    let fixture = Fixture::new();
    let lines: String = (1..40).map(|words| record(&"ab a b ".repeat(words))).collect();
    fixture.write("a.jsonl", lines);
    fixture.write("llama/tokenizer.json", tokenizer().to_string());
    fixture
}

fn ran(fixture: &Fixture, arguments: &[&str]) -> Ran {
    Ran::new(fixture.command().args(arguments).output().unwrap())
}

const PLAN: [&str; 4] = ["plan", "a.jsonl", "--no-estimate", "--tokenizer"];

/// The line of `plan` about the vocabulary.
fn vocabulary(fixture: &Fixture, folder: &str, flags: &[&str]) -> String {
    let recipe: &[&str] = if flags.contains(&"--recipe") { &[] } else { &["--recipe", "t5"] };
    let plan = ran(fixture, &[&PLAN[..], &[folder], recipe, flags].concat()).succeeded().stdout;
    plan.lines().find_map(|line| line.strip_prefix("vocabulary ")).unwrap().trim().to_owned()
}

/// A data set that `verify` finds nothing in.
fn verified(fixture: &Fixture, flags: &[&str]) -> DataSet {
    let run = ["run", "a.jsonl", "--out", "out", "--quiet", "--tokenizer", "llama"];
    ran(fixture, &[&run[..], flags].concat()).succeeded();
    let verify = ["verify", "out", "--sources", "a.jsonl", "--tokenizer", "llama", "--reproduce"];
    ran(fixture, &verify).succeeded();
    fixture.data_set("out")
}

const SENTINELS: [&str; 2] = ["--sentinels", "<|reserved_special_token_{0..}|>"];

// --- EOS and BOS ---

#[test]
fn a_document_ends_with_the_files_own_token_and_plan_names_it() {
    let line = vocabulary(&scene(), "llama", &SENTINELS);
    assert!(line.starts_with("42 ids, eos 11 <|end_of_text|>, pad none, "), "{line}");
}

#[test]
fn an_eos_that_ends_a_turn_is_warned_of_and_the_flag_of_the_warning_works() {
    let fixture = scene();
    fixture.write("llama/tokenizer_config.json", r#"{"eos_token":"<|eot_id|>"}"#);
    let plan = ran(&fixture, &[&PLAN[..], &["llama", "--recipe", "t5"], &SENTINELS].concat()).succeeded().stdout;
    let warning = "\nwarning: EOS is `<|eot_id|>`, which ends a turn of a chat; `<|end_of_text|>` ends a document, and \
                   `--eos-token '<|end_of_text|>'` selects it\n";
    assert!(plan.contains("eos 12 <|eot_id|>") && plan.contains(warning), "{plan}");
    let flags = ["llama", "--recipe", "t5", "--eos-token", "<|end_of_text|>"];
    let plan = ran(&fixture, &[&PLAN[..], &flags, &SENTINELS].concat()).succeeded().stdout;
    assert!(plan.contains("eos 11 <|end_of_text|>") && !plan.contains("warning"), "{plan}");
}

#[test]
fn bos_is_at_the_front_of_every_example_and_within_its_lengths() {
    let forms: [&[&str]; 4] = [
        &["--recipe", "t5"],
        &["--recipe", "ul2r"],
        &["--recipe", "ul2r", "--layout", "causal", "--sequence-length", "24"],
        &["--recipe", "u-palm", "--layout", "causal", "--pack"],
    ];
    for form in forms {
        let fixture = scene();
        let flags =
            [form, &SENTINELS, &["--bos-token", "auto", "--inputs-length", "16", "--labels-length", "16"]].concat();
        let data_set = verified(&fixture, &flags);
        assert_eq!(data_set.manifest()["spec"]["vocabulary"]["bos"], BEGIN);
        let spec = data_set.spec();
        let examples = data_set.examples();
        assert!(examples.len() > 100);
        for example in examples {
            let ids = &example.row.input_ids;
            assert_eq!(ids[0], BEGIN);
            assert_eq!(ids.iter().filter(|id| **id == BEGIN).count(), 1, "{ids:?}");
            assert!(!example.row.labels.contains(&BEGIN) && example.row.labels.ends_with(&[END]));
            assert!(ids.len() <= spec.row_lengths().0 as usize);
        }
    }
}

#[test]
fn bos_comes_from_a_flag_a_recipe_or_the_files_and_there_is_none_by_default() {
    let fixture = scene();
    let with = |flags: &[&str]| vocabulary(&fixture, "llama", &[&SENTINELS[..], flags].concat());
    assert!(!with(&[]).contains("bos"));
    assert!(with(&["--bos-token", "<|eot_id|>"]).contains("bos 12 <|eot_id|>, "));
    fixture.write("llama/tokenizer_config.json", r#"{"bos_token":"<|eot_id|>"}"#);
    assert!(with(&["--bos-token", "auto"]).contains("bos 12 "));
    let t5 = ran(&fixture, &["recipes", "t5"]).succeeded().stdout;
    let keys = "bos_token = \"auto\"\neos_token = \"<|eot_id|>\"\npad_token = \"<|reserved_special_token_29|>\"\n";
    fixture.write("mine.toml", format!("{keys}{t5}"));
    let mine = |flags: &[&str]| with(&[&["--recipe", "mine.toml"], flags].concat());
    assert!(
        mine(&[]).contains("bos 12 <|eot_id|>, eos 12 <|eot_id|>, pad 41 <|reserved_special_token_29|>"),
        "{}",
        mine(&[])
    );
    let by_flags = mine(&["--bos-token", "none", "--eos-token", "<|end_of_text|>"]);
    assert!(by_flags.starts_with("42 ids, eos 11 <|end_of_text|>, pad 41"), "{by_flags}");
    let bytes = ["plan", "a.jsonl", "--no-estimate", "--bos-token", "auto"];
    let error = ran(&fixture, &bytes).failed(2);
    assert!(
        error.contains(
            "the tokenizer's files name no BOS token\n\nhint: leave `--bos-token` out, or give the name of a token"
        ),
        "{error}"
    );
}

// --- sentinels ---

#[test]
fn a_range_of_sentinels_leaves_out_numbers_that_the_file_does_not_have() {
    let line = vocabulary(&scene(), "llama", &["--sentinels", "<|reserved_special_token_{2..9}|>"]);
    let sentinels = "7 sentinels (15 <|reserved_special_token_2|> to 21 <|reserved_special_token_9|>)";
    assert!(line.ends_with(sentinels), "{line}");
    let line = vocabulary(
        &scene(),
        "llama",
        &["--sentinels", "<|eot_id|>", "--sentinels", "<|reserved_special_token_{0..1}|>"],
    );
    assert!(line.ends_with("3 sentinels (12 <|eot_id|> to 14 <|reserved_special_token_1|>)"), "{line}");
}

#[test]
fn a_range_without_an_end_takes_what_the_recipe_needs_and_no_mode_token() {
    let fixture = scene();
    let denoiser =
        "[[denoiser]]\nname = \"r\"\nmode = \"R\"\nweight = 1\nmode_token = \"<|reserved_special_token_1|>\"\n";
    let spans = "random_spans = { noise_density = 0.15, mean_span_length = 3 }\n";
    fixture.write("r.toml", format!("sentinels = [\"<|reserved_special_token_{{0..}}|>\"]\n{denoiser}{spans}"));
    let flags = ["--recipe", "r.toml", "--inputs-length", "40", "--labels-length", "16"];
    let data_set = verified(&fixture, &flags);
    let vocabulary = &data_set.manifest()["spec"]["vocabulary"];
    // Segments of 40 tokens have 6 of noise in 2 spans.
    assert_eq!(vocabulary["sentinels"], json!([RESERVED, RESERVED + 2]));
    assert_eq!(vocabulary["mode_tokens"], json!([RESERVED + 1]));
    let plan = ran(&fixture, &[&PLAN[..], &["llama"], &flags].concat()).succeeded().stdout;
    assert!(plan.contains("  1 id: 14\n"), "{plan}");
}

#[test]
fn sentinels_by_id_may_stand_after_the_vocabulary_where_the_embedding_is_larger() {
    let fixture = scene();
    let data_set = verified(&fixture, &["--recipe", "t5", "--sentinels", "ids 50..57"]);
    let vocabulary = &data_set.manifest()["spec"]["vocabulary"];
    assert_eq!((&vocabulary["size"], &vocabulary["sentinels"][7]), (&json!(58), &json!(57)));
    assert!(data_set.rows().iter().all(|row| row.input_ids.contains(&50) && row.labels[0] == 50));
    let shown = ran(&fixture, &["inspect", "out", "--rows", "1"]).succeeded().stdout;
    assert!(shown.contains("<id 50>"), "{shown}");
    let model = crate::support::repository("fixtures/sentencepiece/unigram.model").display().to_string();
    for tokenizer in ["bytes", model.as_str()] {
        let line =
            ["inspect", "a.jsonl:30", "--recipe", "t5", "--tokenizer", tokenizer, "--sentinels", "ids 2000..2100"];
        let shown = ran(&fixture, &line).succeeded().stdout;
        assert!(shown.contains("<id 2000>") && !shown.contains("<extra_id_"), "{shown}");
    }
}

#[test]
fn a_tokenizer_without_sentinels_is_told_which_of_its_tokens_may_be_some_and_the_hint_works() {
    let fixture = scene();
    let plan = ran(&fixture, &[&PLAN[..], &["llama"]].concat());
    assert_eq!((plan.code, plan.stdout.as_str()), (Some(2), ""));
    let hint = "hint: `--sentinels '<|reserved_special_token_{0..}|>'` takes as many as the recipe needs of tokens that the file has: \
                `<|reserved_special_token_{0..29}|>` (29 tokens)\n";
    assert!(plan.stderr.ends_with(hint), "{}", plan.stderr);
    vocabulary(&fixture, "llama", &SENTINELS);
    let error = ran(&fixture, &[&PLAN[..], &["llama", "--sentinels", "<x{3..1}>"]].concat()).failed(2);
    assert!(
        error.contains("`--sentinels`: `<x{3..1}>`: expected a range of at most 65536 ascending numbers"),
        "{error}"
    );
}

// --- mode tokens ---

#[test]
fn a_mode_token_in_brackets_that_is_no_token_is_an_error_unless_the_recipe_says_that_it_is_text() {
    let fixture = scene();
    let recipe = |token: &str| {
        let denoiser = format!("[[denoiser]]\nname = \"r\"\nmode = \"R\"\nweight = 1\nmode_token = {token}\n");
        fixture.write("r.toml", format!("{denoiser}random_spans = {{ noise_density = 0.15, mean_span_length = 3 }}\n"));
        ran(&fixture, &[&PLAN[..], &["llama", "--recipe", "r.toml"], &SENTINELS].concat())
    };
    for text in ["<ab>", "[S]"] {
        let error = recipe(&format!("\"{text}\"")).failed(2);
        let said = format!("r.toml:1: denoiser `r`: the tokenizer has no token `{text}` (`mode_token`)");
        assert!(error.contains(&said), "{error}");
        assert!(
            error.contains(&format!("hint: `mode_token = {{ text = \"{text}\" }}` in the recipe spells it")),
            "{error}"
        );
        let plan = recipe(&format!("{{ text = \"{text}\" }}")).succeeded().stdout;
        let note = format!(
            "\nnote: mode tokens that are not tokens of the tokenizer are spelled as text: `{text}` becomes 3 ids\n"
        );
        assert!(plan.contains(&note) && plan.contains("  text, 3 ids: "), "{plan}");
    }
    let plan = recipe("\"ab b\"").succeeded().stdout;
    assert!(plan.contains("  text, 3 ids: 3 2 1\n") && !plan.contains("note: mode"), "{plan}");
    let error = recipe("{ text = \"a\", more = 1 }").failed(2);
    assert!(error.contains("r.toml:5: expected a text, an id or `{ text = \"…\" }`"), "{error}");
}

// --- tokens added to the file ---

#[test]
fn tokens_are_added_to_a_tokenizer_and_text_keeps_its_ids() {
    let fixture = scene();
    let config = r#"{"added_tokens_decoder": {"10": {"content": "<|begin_of_text|>"}}, "model_max_length": 1000000000000000019884624838656}"#;
    fixture.write("llama/tokenizer_config.json", config);
    let add = [
        "tokenizer",
        "llama",
        "--add",
        "<extra_id_{0..99}>",
        "--add",
        "[S2S]",
        "--add",
        "<|eot_id|>",
        "--out",
        "new/ul2",
    ];
    let said = ran(&fixture, &add).succeeded().stdout;
    assert_eq!(
        said,
        "101 tokens added, 42 <extra_id_0> to 142 [S2S]; 1 token there already\n\
         143 ids: the model's embedding needs at least as many rows\n\
         `new/ul2/tokenizer.json` is written, and `new/ul2/tokenizer_config.json`\n"
    );
    // All but the list is as it was, to the byte.
    let old = fs_err::read_to_string(fixture.path("llama/tokenizer.json")).unwrap();
    let new = fs_err::read_to_string(fixture.path("new/ul2/tokenizer.json")).unwrap();
    let (before, after) = old.split_once("],\"model\"").unwrap();
    assert!(new.starts_with(before) && new.ends_with(&format!("],\"model\"{after}")), "{new}");
    let new_config = fs_err::read_to_string(fixture.path("new/ul2/tokenizer_config.json")).unwrap();
    assert!(new_config.contains("\"model_max_length\": 1000000000000000019884624838656"), "{new_config}");
    let parsed: Value = serde_json::from_str(&new_config).unwrap();
    assert_eq!(parsed["added_tokens_decoder"]["142"]["content"], "[S2S]");

    let with = vocabulary(&fixture, "new/ul2", &[]);
    assert_eq!(with, "143 ids, eos 11 <|end_of_text|>, pad none, 100 sentinels (42 <extra_id_0> to 141 <extra_id_99>)");
    // Rows of text alone are the same with both.
    let rows = |folder: &str, out: &str| {
        let run = ["run", "a.jsonl", "--recipe", "causal-lm", "--quiet", "--tokenizer", folder, "--out", out];
        ran(&fixture, &run).succeeded();
        fixture.data_set(out).rows()
    };
    assert_eq!(rows("llama", "of-old"), rows("new/ul2", "of-new"));
}

#[test]
fn a_token_that_was_not_special_becomes_so_at_its_id_and_no_other_id_moves() {
    let fixture = scene();
    let mut file = tokenizer();
    let list = file["added_tokens"].as_array_mut().unwrap();
    list.extend([added(42, "<tool>", false), added(43, "<think>", false)]);
    fixture.write("words/tokenizer.json", file.to_string());
    let said = fixture.ran("tokenizer words --add <tool> --add <x> --out new").succeeded().stdout;
    assert!(said.starts_with("2 tokens added, 42 <tool> to 44 <x>\n45 ids"), "{said}");
    let written: Value =
        serde_json::from_str(&fs_err::read_to_string(fixture.path("new/tokenizer.json")).unwrap()).unwrap();
    let tokens: Vec<(&Value, &Value)> =
        written["added_tokens"].as_array().unwrap().iter().map(|token| (&token["content"], &token["id"])).collect();
    assert_eq!(
        tokens[tokens.len() - 3..],
        [(&json!("<tool>"), &json!(42)), (&json!("<think>"), &json!(43)), (&json!("<x>"), &json!(44))]
    );
    let error = fixture.ran("tokenizer words --add ab --out other").failed(2);
    assert!(error.contains("`ab` is an ordinary piece of text, and cannot become a special token"), "{error}");
    fixture.write("words/tokenizer_config.json", r#"{"added_tokens_decoder": null}"#);
    fixture.ran("tokenizer words --add <x> --out third").succeeded();
    let config: Value =
        serde_json::from_str(&fs_err::read_to_string(fixture.path("third/tokenizer_config.json")).unwrap()).unwrap();
    assert_eq!(config["added_tokens_decoder"]["44"]["content"], "<x>");
}

#[test]
fn no_token_for_a_role_is_none_and_a_piece_of_text_for_one_is_warned_of() {
    let fixture = scene();
    let with = |flags: &[&str]| vocabulary(&fixture, "llama", &[&SENTINELS[..], flags].concat());
    assert!(with(&["--pad-token", "none", "--eos-token", "auto"]).contains("eos 11 <|end_of_text|>, pad none"));
    let none = ["plan", "a.jsonl", "--no-estimate", "--tokenizer", "llama", "--recipe", "t5", "--eos-token", "none"];
    let error = ran(&fixture, &[&none[..], &SENTINELS].concat()).failed(2);
    assert!(error.contains("but no EOS token is known"), "{error}");
    let piece = [&PLAN[..], &["llama", "--recipe", "t5", "--pad-token", "ab"], &SENTINELS].concat();
    let plan = ran(&fixture, &piece).succeeded().stdout;
    let warning = "warning: pad is `ab`, an ordinary piece of text: a document that has it becomes a reject\n";
    assert!(plan.contains(warning), "{plan}");
    let error = ran(&fixture, &[&PLAN[..], &["llama", "--sentinels", "ids 50.."]].concat()).failed(2);
    assert!(error.contains("`ids 50..`: expected a range"), "{error}");
}

#[test]
fn no_file_is_replaced_and_only_names_are_added() {
    let fixture = scene();
    let add = |arguments: &str| fixture.ran(&format!("tokenizer {arguments}"));
    add("llama/tokenizer.json --add <a> --out new").succeeded();
    let error = add("llama --add <b> --out new").failed(2);
    assert_eq!(
        error,
        "error: `new/tokenizer.json` is there already, and is not replaced\n\nhint: name another folder with `--out`\n"
    );
    let error = add("llama --add <b{n}> --out other").failed(2);
    assert!(error.starts_with("error: `<b{n}>`: expected a name, or a range with both ends"), "{error}");
    assert!(!fixture.path("other").exists());
    fixture.write("x.model", "no model");
    assert!(add("x.model --add <b> --out other").failed(2).contains("is a SentencePiece model"));
    assert!(add("nowhere --add <b> --out other").failed(2).contains("no such file"));
}
