//! `inspect` shows the rows that are there and no others, a line alone gives the rows of a run, and `stats` counts what a slow count counts.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::CommandFactory as _;
use fs_err as fs;
use insta::assert_snapshot;
use serde_json::{Value, json};
use ul2_prep::denoise::{decode, split_causal};
use ul2_prep::recipe::BUILT_IN;

use crate::support::{DataSet, Example, Fixture, record, repository, text};

/// Three sources with documents of all lengths, a blank line and a reject.
fn sources() -> Fixture {
    let fixture = Fixture::new();
    let lines = |first: u64, count: u64| -> String {
        (first..first + count)
            .map(|number| record(&text(number, 40 + 97 * usize::try_from(number % 40).unwrap())))
            .collect()
    };
    fixture.write_source("in/a.jsonl", lines(0, 30) + "\n{\n" + &lines(30, 5));
    fixture.write_source("in/deep/b.jsonl.zst", lines(100, 20));
    fixture.write_source("in/c.jsonl.gz", lines(200, 12));
    fixture
}

fn json_of(output: &str) -> Vec<Value> {
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What `inspect --json` has to say of the examples of a data set, from a reader of its own; without the texts.
fn expected(data_set: &DataSet) -> Vec<Value> {
    let spec = data_set.spec();
    let object = |Example { row, prefix_length }: Example| {
        let denoiser = spec.denoisers().iter().position(|denoiser| denoiser.name == row.denoiser).unwrap();
        let (inputs, targets) = match (spec.fields().causal, prefix_length) {
            (Some(causal), Some(prefix)) => {
                let (inputs, targets) = split_causal(&row.input_ids, &row.labels, prefix, causal).unwrap();
                (inputs.to_vec(), targets.to_vec())
            }
            _ => (row.input_ids.clone(), row.labels.clone()),
        };
        let decoded = decode(&inputs, &targets, spec.form(denoiser)).unwrap();
        let spans: Vec<Value> = decoded.mask.spans().iter().map(|span| json!([span.start, span.end])).collect();
        json!({
            "source": row.source, "line": row.line, "segment": row.segment, "epoch": row.epoch, "denoiser": row.denoiser,
            "input_ids": inputs, "labels": targets, "spans": spans,
        })
    };
    data_set.examples().into_iter().map(object).collect()
}

fn without_texts(mut object: Value) -> Value {
    for key in ["row", "example", "inputs", "targets", "text"] {
        object.as_object_mut().unwrap().remove(key).unwrap();
    }
    object
}

#[test]
fn all_rows_are_shown_as_they_are_whatever_their_arrangement() {
    for arguments in [
        "",
        "--recipe ul2 --epochs 2 --shard-size 100kB",
        "--recipe t5 --pack",
        "--recipe ul2r --layout causal --pack --pad --shuffle",
        "--recipe causal-lm",
        "--recipe u-palm",
        "--recipe oslo-t5 --pad",
    ] {
        let fixture = sources();
        let data_set = fixture.run("out", &format!("in --seed 5 {arguments} --max-rejects 10"));
        let shown = json_of(&fixture.ran("inspect out --rows 0 --json").succeeded().stdout);
        let found: Vec<Value> = shown.iter().cloned().map(without_texts).collect();
        assert_eq!(found, expected(&data_set), "{arguments}");
        let rows = data_set.manifest()["totals"]["rows"].as_u64().unwrap();
        assert_eq!(shown.last().unwrap()["row"], rows - 1, "{arguments}");
        for example in &shown {
            let parts = example["text"].as_array().unwrap();
            let noise = parts.iter().filter(|part| part["noise"] == true).count();
            assert_eq!(noise, example["spans"].as_array().unwrap().len(), "{arguments}");
        }
    }
}

/// A value of a flag that changes what `inspect` shows, or what it says.
fn telling_value(id: &str) -> &'static str {
    match id {
        "denoiser" => "x-64",
        "source" => "deep/b.jsonl.zst",
        "line" => "20",
        "segment" | "epoch" | "rows" | "max_line" | "max_expansion" => "1",
        "min_span" => "60",
        "sample" | "epochs" => "3",
        "width" | "inputs_length" | "labels_length" | "sequence_length" => "70",
        "color" => "always",
        "tokenizer" | "text_field" | "label_field" | "bos_token" | "eos_token" | "pad_token" | "sentinels" | "name" => {
            "other"
        }
        "recipe" => "t5",
        "seed" => "9",
        "layout" => "causal",
        "max_window" => "1KiB",
        "split" => "validation",
        "validation" => "50%",
        "validation_source" => "*",
        "weight" => "a.jsonl=2",
        _ => panic!("`{id}` is new: a value for it belongs here, and its name into a list of `src/cli/inspect.rs`"),
    }
}

#[test]
fn each_flag_is_used_or_refused_for_a_data_set_for_a_line_and_for_a_file() {
    let fixture = sources();
    fixture.run("out", "in --seed 5 --recipe ul2 --epochs 2 --max-rejects 10");
    let ran = |arguments: &str| {
        let ran = fixture.ran(&format!("inspect {arguments}"));
        (ran.code, ran.stdout, ran.stderr)
    };
    let mut command = ul2_prep::cli::Cli::command();
    command.build();
    let inspect = command.find_subcommand("inspect").unwrap();
    let flags = inspect.get_arguments().filter(|arg| !arg.is_positional());
    let flags: Vec<&clap::Arg> = flags.filter(|arg| arg.get_id() != "help" && arg.get_id() != "version").collect();
    for (target, most_refused) in [("out", 23), ("in/deep/b.jsonl.zst:20", 6), ("in/a.jsonl", flags.len())] {
        let mut refused = 0;
        for arg in &flags {
            let id = arg.get_id().as_str();
            let is_switch = arg.get_num_args().is_some_and(|values| values.min_values() == 0);
            let long = arg.get_long().unwrap();
            let flag = if is_switch { format!("--{long}") } else { format!("--{long}={}", telling_value(id)) };
            let (code, stdout, stderr) = ran(&format!("{target} {flag}"));
            if stderr.contains("is for") || target == "in/a.jsonl" {
                assert_eq!((code, stdout.as_str()), (Some(2), ""), "{target} {flag}: {stderr}");
                refused += 1;
            } else if ["pad", "max_expansion"].contains(&id) {
                // Padding is not shown, and the first GiB of a source may unfold as it likes.
                assert!((code, stdout, stderr) == ran(target), "{target} {flag} changes something");
            } else {
                assert!((code, stdout, stderr) != ran(target), "{target} {flag} changes nothing");
            }
        }
        assert_eq!(refused, most_refused, "{target}");
    }
    assert!(ran("out --sample=3 --seed=9") != ran("out --sample=3"));
    // A value that is the default is given all the same.
    for flag in ["--max-line=64MiB", "--max-window=128MiB", "--epochs=1", "--seed=0"] {
        let (code, _, stderr) = ran(&format!("out {flag}"));
        assert!(code == Some(2) && stderr.contains("is for"), "{flag}: {stderr}");
    }
}

type Keep<'a> = Box<dyn Fn(&Value) -> bool + 'a>;

#[test]
fn filters_keep_what_they_name() {
    let fixture = sources();
    fixture.run("out", "in --seed 5 --recipe ul2 --epochs 2 --max-rejects 10");
    let shown = |arguments: &str| json_of(&fixture.ran(&format!("inspect out --json {arguments}")).succeeded().stdout);
    let all = shown("--rows 0");
    let longest = |example: &Value| {
        let spans = example["spans"].as_array().unwrap();
        spans.iter().map(|span| span[1].as_u64().unwrap() - span[0].as_u64().unwrap()).max().unwrap()
    };
    let cases: [(&str, Keep<'_>); 7] = [
        ("--denoiser x-64", Box::new(|example| example["denoiser"] == "x-64")),
        ("--source deep/b.jsonl.zst", Box::new(|example| example["source"] == "deep/b.jsonl.zst")),
        ("--line 7", Box::new(|example| example["line"] == 7)),
        ("--segment 1", Box::new(|example| example["segment"] == 1)),
        ("--epoch 1", Box::new(|example| example["epoch"] == 1)),
        ("--min-span 60", Box::new(|example| longest(example) >= 60)),
        (
            "--source a.jsonl --line 34 --epoch 0",
            Box::new(|example| {
                (&example["source"], &example["line"], &example["epoch"]) == (&json!("a.jsonl"), &json!(34), &json!(0))
            }),
        ),
    ];
    for (arguments, keep) in cases {
        let expected: Vec<Value> = all.iter().filter(|example| keep(example)).cloned().collect();
        assert!(!expected.is_empty() && expected.len() < all.len(), "{arguments}");
        assert_eq!(shown(&format!("{arguments} --rows 0")), expected, "{arguments}");
        assert_eq!(shown(&format!("{arguments} --rows 1")), expected[..1], "{arguments}");
    }
    assert_eq!(shown("").len(), 10);
    let none = fixture.ran("inspect out --min-span 600").succeeded();
    assert_eq!((none.stdout.as_str(), none.stderr.as_str()), ("", "no row matches\n"));
}

#[test]
fn samples_follow_from_the_seed_and_are_uniform_enough() {
    let fixture = sources();
    fixture.run("out", "in --seed 5 --recipe ul2 --max-rejects 10");
    let rows = |arguments: &str| -> Vec<u64> {
        let shown = json_of(&fixture.ran(&format!("inspect out --json {arguments}")).succeeded().stdout);
        shown.iter().map(|example| example["row"].as_u64().unwrap()).collect()
    };
    let all = rows("--rows 0").len();
    for filter in ["", "--min-span 1"] {
        let sample = rows(&format!("--sample 9 --seed 3 {filter}"));
        assert_eq!(sample.len(), 9);
        assert!(sample.is_sorted_by(|a, b| a < b), "{sample:?}");
        assert_eq!(rows(&format!("--sample 9 --seed 3 {filter}")), sample);
        assert_ne!(rows(&format!("--sample 9 --seed 4 {filter}")), sample);
        assert_eq!(rows(&format!("--sample 100000 {filter}")).len(), all);
        // 40 samples of 9: each half of the rows has half of them, give or take six standard deviations of 9.5.
        let first: usize = (0..40)
            .map(|seed| {
                let sample = rows(&format!("--sample 9 --seed {seed} {filter}"));
                sample.iter().filter(|row| usize::try_from(**row).unwrap() < all / 2).count()
            })
            .sum();
        assert!((180 - 57..=180 + 57).contains(&first), "{filter}: {first}");
    }
}

#[test]
fn a_line_alone_has_the_rows_of_a_run() {
    for recipe in ["ul2r --pack", "ul2 --layout causal", "oslo-t5", "t5 --shuffle --inputs-length 100"] {
        let fixture = sources();
        fixture.run("out", &format!("in --seed 5 --recipe {recipe} --epochs 2 --max-rejects 10"));
        for (place, line) in [("a.jsonl", 3), ("deep/b.jsonl.zst", 20), ("c.jsonl.gz", 1)] {
            let ids = |shown: Vec<Value>| -> Vec<(Value, Value, Value)> {
                let pick = |key: &str, example: &Value| example[key].clone();
                let mut ids: Vec<_> = shown
                    .iter()
                    .map(|one| (pick("segment", one), pick("input_ids", one), pick("labels", one)))
                    .collect();
                // Rows that are shuffled change places with those of their neighbours in the data set.
                ids.sort_by_key(|(segment, ..)| segment.as_u64());
                ids
            };
            let of_data_set =
                fixture.ran(&format!("inspect out --source {place} --line {line} --epoch 1 --rows 0 --json"));
            let expected = ids(json_of(&of_data_set.succeeded().stdout));
            let alone = format!("inspect in/{place}:{line} --name {place} --seed 5 --recipe {recipe} --epoch 1 --json");
            let alone = fixture.ran(&alone);
            if expected.is_empty() {
                assert!(alone.failed(1).contains("no row begins with this line"), "{recipe} {place}:{line}");
            } else {
                assert_eq!(ids(json_of(&alone.succeeded().stdout)), expected, "{recipe} {place}:{line}");
            }
        }
    }
}

#[test]
fn lines_that_have_no_rows_are_said_to_have_none() {
    let fixture = sources();
    let said = |target: &str| fixture.ran(&format!("inspect {target}")).failed(1);
    assert_snapshot!(said("in/a.jsonl:31"), @r"error: a.jsonl:31: no row begins with this line: it is blank, too short, or joined with the lines before it");
    assert_snapshot!(said("in/a.jsonl:32"), @r"error: a.jsonl:32: rejected as invalid-json: EOF while parsing an object at byte 1");
    assert_snapshot!(said("in/a.jsonl:38"), @r"error: a.jsonl:38: the source has 37 lines");
}

#[test]
fn what_cannot_be_shown_is_refused_with_what_could() {
    let fixture = sources();
    fixture.run("out", "in --max-rejects 10");
    fixture.run("ids", "in --max-rejects 10 --columns input_ids,labels");
    fixture.run("one", "in --max-rejects 10 --recipe t5 --columns labels,line");
    let mut said = String::new();
    for arguments in [
        "out --denoiser x-dens",
        "out --denoiser none-such",
        "out --source a.jsonll",
        "out --recipe ul2",
        "out --seed 3",
        "out --epochs 2",
        "in/a.jsonl:3 --sample 2",
        "in/a.jsonl:3 --epochs 2",
        "in/a.jsonl:x",
        "in/a.jsonl:0",
        "in",
        "nowhere",
        "ids --line 3",
        "ids --min-span 3",
        "one",
        "out --tokenizer TOKENIZER",
        "out --ids --tokenizer TOKENIZER",
        "out --max-window 1GiB",
        "ids --inline",
        "ids --denoiser r",
        "in/a.jsonl",
        "in/a.jsonl:3 --name ../a.jsonl",
    ] {
        let arguments = arguments.replace("TOKENIZER", repository("fixtures/tokenizer").to_str().unwrap());
        let ran = fixture.ran(&format!("inspect {arguments}"));
        assert_ne!(ran.code, Some(0), "{arguments}");
        assert_eq!(ran.stdout, "");
        let shown = arguments.replace(repository("").to_str().unwrap(), "");
        write!(said, "--- inspect {shown}: exit {}\n{}", ran.code.unwrap(), ran.stderr).unwrap();
    }
    assert_snapshot!(said);
}

#[test]
fn rows_without_names_are_shown_as_ids_and_text() {
    let fixture = sources();
    fixture.run("out", "in --seed 5 --max-rejects 10");
    fixture.run("ids", "in --seed 5 --max-rejects 10 --columns input_ids,labels");
    let shown =
        |arguments: &str| json_of(&fixture.ran(&format!("inspect {arguments} --rows 0 --json")).succeeded().stdout);
    for (full, bare) in shown("out").iter().zip(shown("ids")) {
        for key in ["row", "input_ids", "labels", "inputs", "targets"] {
            assert_eq!(full[key], bare[key]);
        }
        assert_eq!((&bare["line"], &bare["denoiser"]), (&Value::Null, &Value::Null));
    }
    let numbers = fixture.ran("inspect ids --rows 1 --ids --width 60").succeeded().stdout;
    assert!(numbers.lines().all(|line| line.len() <= 60), "{numbers}");
    let expected = shown("ids")[0]["labels"].as_array().unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
    let labels = numbers.split("  labels").nth(1).unwrap();
    assert_eq!(labels.split_whitespace().collect::<Vec<_>>(), expected);
}

#[test]
fn a_row_as_a_person_sees_it() {
    let fixture = Fixture::new();
    fixture.write(
        "in/a.jsonl",
        record("The quick brown fox jumps over the lazy dog.\nAnd back \u{1B}[2J again: naïve 日本語 🦊."),
    );
    fixture.run("out", "in --recipe ul2 --seed 11 --epochs 3");
    let shown = |arguments: &str| fixture.ran(&format!("inspect out {arguments}")).succeeded().stdout;
    assert_snapshot!(shown("--width 80"), @r"
    row 0  a.jsonl:1  segment 0  epoch 0  x-8-dense  X  (8, 0.5)  54 + 51 ids
      inputs  [X]The <extra_id_0>ick bro<extra_id_1>mps over the l<extra_id_2>.
              <extra_id_3>[2J agai<extra_id_4>�本語 �<extra_id_5></s>
      labels  <extra_id_0>qu<extra_id_1>wn fox ju<extra_id_2>azy dog<extra_id_3>
              \nAnd back \u{1b}<extra_id_4>n: naïve �<extra_id_5>��.</s>

    row 1  a.jsonl:1  segment 0  epoch 1  x-8-dense  X  (8, 0.5)  54 + 51 ids
      inputs  [X]The q<extra_id_0>n fox <extra_id_1> <extra_id_2>e lazy <extra_id_3>
              nd back \u{1b}[2J again: naï<extra_id_4>�<extra_id_5></s>
      labels  <extra_id_0>uick brow<extra_id_1>jumps<extra_id_2>over th<extra_id_3>
              dog.\nA<extra_id_4>ve 日本語 �<extra_id_5>�.</s>

    row 2  a.jsonl:1  segment 0  epoch 2  x-64  X  (64, 0.15)  80 + 15 ids
      inputs  [X]The quic<extra_id_0>umps over the lazy dog.\nAnd back \u{1b}[2J
              again: naïve 日本語 🦊.</s>
      labels  <extra_id_0>k brown fox j</s>
    ");
    assert_snapshot!(shown("--inline --width 80"), @r"
    row 0  a.jsonl:1  segment 0  epoch 0  x-8-dense  X  (8, 0.5)  54 + 51 ids
      text    The ⟦qu⟧ick bro⟦wn fox ju⟧mps over the l⟦azy dog⟧.⟦\nAnd back
              \u{1b}⟧[2J agai⟦n: naïve �⟧�本語 �⟦��.⟧

    row 1  a.jsonl:1  segment 0  epoch 1  x-8-dense  X  (8, 0.5)  54 + 51 ids
      text    The q⟦uick brow⟧n fox ⟦jumps⟧ ⟦over th⟧e lazy ⟦dog.\nA⟧nd back
              \u{1b}[2J again: naï⟦ve 日本語 �⟧⟦�.⟧

    row 2  a.jsonl:1  segment 0  epoch 2  x-64  X  (64, 0.15)  80 + 15 ids
      text    The quic⟦k brown fox j⟧umps over the lazy dog.\nAnd back \u{1b}[2J
              again: naïve 日本語 🦊.
    ");
    let escaped = |text: String| text.replace('\u{1B}', "<ESC>");
    assert_snapshot!(escaped(shown("--epoch 2 --color always --width 80")), @r"
    row 2  a.jsonl:1  segment 0  epoch 2  x-64  X  (64, 0.15)  80 + 15 ids
      inputs  <ESC>[35m[X]<ESC>[0mThe quic<ESC>[36m<extra_id_0><ESC>[0mumps over the lazy dog.\nAnd back \u{1b}[2J
              again: naïve 日本語 🦊.<ESC>[2m</s><ESC>[0m
      labels  <ESC>[36m<extra_id_0><ESC>[0m<ESC>[33mk brown fox j<ESC>[0m<ESC>[2m</s><ESC>[0m
    ");
    assert_eq!(shown("--color never"), shown(""));
    let auto = fixture.command().args(["inspect", "out"]).env("NO_COLOR", "1").output().unwrap();
    assert_eq!(String::from_utf8(auto.stdout).unwrap(), shown(""));
}

// --- stats ---

/// Counts of examples, the slow way.
fn counts(examples: &[Value]) -> BTreeMap<String, [u64; 4]> {
    let mut counts: BTreeMap<String, [u64; 4]> = BTreeMap::new();
    for example in examples {
        let spans = example["spans"].as_array().unwrap();
        let noise: u64 = spans.iter().map(|span| span[1].as_u64().unwrap() - span[0].as_u64().unwrap()).sum();
        let [examples, sum, most, all] = counts.entry(example["denoiser"].as_str().unwrap().to_owned()).or_default();
        *examples += 1;
        *sum += noise;
        *all += spans.len() as u64;
        let longest = spans.iter().map(|span| span[1].as_u64().unwrap() - span[0].as_u64().unwrap()).max().unwrap();
        *most = longest.max(*most);
    }
    counts
}

#[test]
fn stats_count_what_is_there() {
    for arguments in [
        "",
        "--recipe ul2 --epochs 2 --shard-size 100kB",
        "--recipe ul2r --layout causal --pack --pad --shuffle",
        "--recipe oslo-t5 --pack",
    ] {
        let fixture = sources();
        let data_set = fixture.run("out", &format!("in --seed 5 {arguments} --max-rejects 10"));
        let manifest = data_set.manifest();
        let stats: Value = serde_json::from_str(&fixture.ran("stats out --json").succeeded().stdout).unwrap();
        let examples = expected(&data_set);
        assert_eq!(stats["rows"], manifest["totals"]["rows"], "{arguments}");
        assert_eq!(stats["examples"], examples.len(), "{arguments}");
        assert_eq!(stats["undecoded"], 0);
        assert_eq!(stats["rejects"], json!([["invalid-json", 1]]));
        let of_histogram = |histogram: &Value| -> u64 {
            let histogram = histogram.as_object().unwrap();
            histogram.iter().map(|(number, count)| number.parse::<u64>().unwrap() * count.as_u64().unwrap()).sum()
        };
        let counts = counts(&examples);
        let mut shares = (0.0, 0.0);
        for denoiser in stats["denoisers"].as_array().unwrap() {
            let name = denoiser["name"].as_str().unwrap();
            let [examples, noise, longest, spans] = counts.get(name).copied().unwrap_or_default();
            let of_manifest = &manifest["denoisers"][name];
            assert_eq!(denoiser["examples"], examples, "{arguments} {name}");
            assert_eq!(of_manifest["spans"], spans);
            assert_eq!(of_histogram(&denoiser["spans"]), noise);
            assert_eq!(of_histogram(&denoiser["segments"]), of_manifest["tokens"].as_u64().unwrap());
            assert_eq!(denoiser["longest_span"], longest);
            let density = noise as f64 / of_manifest["tokens"].as_u64().unwrap() as f64;
            assert!((denoiser["density"].as_f64().unwrap() - density).abs() < 1e-9);
            shares.0 += denoiser["share_of_examples"].as_f64().unwrap();
            shares.1 += denoiser["share_of_tokens"].as_f64().unwrap();
            // The law gives as much noise as there is: its length is exact.
            let law = denoiser["expected"]["spans"].as_array().unwrap();
            let by_law: f64 =
                (1_u32..).zip(law).map(|(length, spans)| f64::from(length) * spans.as_f64().unwrap()).sum();
            let tolerance = if name == "s" { 0.35 } else { 1e-6 };
            assert!((by_law / noise as f64 - 1.0).abs() < tolerance, "{arguments} {name}: {by_law} {noise}");
        }
        assert!((shares.0 - 1.0_f64).abs() < 1e-9 && (shares.1 - 1.0_f64).abs() < 1e-9);
        assert_eq!(stats["inputs"]["ids"], manifest["totals"]["input_ids"], "{arguments}");
        assert_eq!(stats["labels"]["ids"], manifest["totals"]["labels"], "{arguments}");
    }
}

#[test]
fn stats_of_a_shard_with_many_row_groups_are_the_same_whoever_reads_them() {
    let fixture = Fixture::new();
    let lines: String = (0..2000).map(|number| record(&text(number, 21_000))).collect();
    fixture.write("in/a.jsonl", lines);
    let data_set = fixture.run("out", "in");
    assert!(data_set.manifest()["shards"][0]["row_groups"].as_u64().unwrap() >= 5);
    let stats = |workers: u64| fixture.ran(&format!("stats out --json --workers {workers}")).succeeded().stdout;
    let alone = stats(1);
    for _ in 0..4 {
        assert!(stats(8) == alone, "the counts depend on the workers");
    }
}

#[test]
fn stats_as_a_person_sees_them() {
    let fixture = sources();
    fixture.run("out", "in --seed 5 --max-rejects 10");
    fixture.run("ids", "in --seed 5 --max-rejects 10 --columns labels");
    assert_snapshot!(fixture.ran("stats out").succeeded().stdout, @r"
    256 rows of 256 examples, 124,224 tokens, recipe ul2r
    from 67 documents (124,224 tokens) in 69 lines

    denoiser  examples   share   asked  by tokens  density  asked  spans  mean span  longest  sentinels  most
    s              127  49.6 %  50.0 %     45.3 %    0.486  0.500    1.0     215.02      501        0.0     0
    r               66  25.8 %  25.0 %     26.6 %    0.150  0.150   25.0       3.00       18       25.0    28
    x-32            32  12.5 %  12.5 %     11.9 %    0.150  0.150    2.4      28.51       81        2.4     3
    x-dense         31  12.1 %  12.5 %     16.2 %    0.499  0.500  107.6       3.01       21      107.6   125

    ids        least  median   mean  95 %  most  allowed  filled
    input_ids      7     384  337.1   512   512      512  65.8 %
    labels         2     113  194.7   502   502      512  38.0 %

    rejected lines: 1 invalid-json
    ");
    assert_snapshot!(fixture.ran("stats ids").succeeded().stdout, @r"
    256 rows of 256 examples, recipe ul2r
    from 67 documents (124,224 tokens) in 69 lines
    not counted: denoisers, since there is no column `input_ids`, `denoiser`
    not counted: lengths of `input_ids`, since there is no such column

    ids        least  median   mean  95 %  most  allowed  filled
    input_ids      -       -      -     -     -      512       -
    labels         2     113  194.7   502   502      512  38.0 %

    rejected lines: 1 invalid-json
    ");
    assert_snapshot!(fixture.ran("stats in").failed(2), @r"
    error: `in` holds no data set of `ul2-prep`

    hint: DIR is what `--out` of `ul2-prep run` was
    ");
}

#[test]
fn a_page_is_refused_before_rows_are_counted_if_it_cannot_be_made() {
    let fixture = sources();
    let data_set = fixture.run("out", "in --max-rejects 10");
    let before = data_set.digests();
    assert_snapshot!(fixture.ran("stats out --html out/manifest.json").failed(2), @r"
    error: `out/manifest.json` would be a file of the data set

    hint: name a file outside its folder
    ");
    assert!(fixture.ran("stats out --html out/data/page.html").failed(2).contains("would be a file of the data set"));
    let tokenizer = repository("fixtures/tokenizer");
    let other = fixture.ran(&format!("stats out --html page.html --tokenizer {}", tokenizer.display())).failed(2);
    assert!(other.contains("not with `tokenizer.json`"), "{other}");
    assert!(!fixture.path("page.html").exists());
    assert_eq!(data_set.digests(), before);
}

#[test]
fn a_page_replaces_a_page_and_no_other_file() {
    let fixture = sources();
    fixture.run("out", "in --max-rejects 10");
    for foreign in
        ["# my notes\n", "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>mine</title>"]
    {
        fixture.write("README.md", foreign);
        let message = fixture.ran("stats out --html README.md").failed(2);
        assert!(message.contains("`README.md` is in the way: the tool did not write it"), "{message}");
        assert!(message.contains("hint: name another file with `--html`, or move this one elsewhere"), "{message}");
        assert_eq!(fs::read_to_string(fixture.path("README.md")).unwrap(), foreign);
    }
    fixture.write("page.html", "");
    fixture.ran("stats out --html page.html").succeeded();
    let page = fs::read(fixture.path("page.html")).unwrap();
    fixture.write("page.html", [&page[..], b"more"].concat());
    fixture.ran("stats out --html page.html").succeeded();
    assert_eq!(fs::read(fixture.path("page.html")).unwrap(), page);
    fixture.ran("stats out --html /dev/null").succeeded();
}

#[test]
fn the_page_has_every_plot_and_asks_for_nothing() {
    let fixture = sources();
    let data_set = fixture.run("out", "in --seed 5 --recipe ul2 --max-rejects 10");
    assert_eq!(fixture.ran("stats out --html page.html").succeeded().stderr, "the page is in `page.html`\n");
    let page = fs::read_to_string(fixture.path("page.html")).unwrap();
    let mut ids = vec![
        "mixture".to_owned(),
        "lengths-input_ids".into(),
        "lengths-labels".into(),
        "sources".into(),
        "rejects".into(),
    ];
    for denoiser in data_set.spec().denoisers() {
        ids.extend([format!("spans-{}", denoiser.name), format!("positions-{}", denoiser.name)]);
    }
    for id in &ids {
        let figure = page.split(&format!("<figure id=\"{id}\">")).nth(1).unwrap_or_else(|| panic!("no {id}"));
        let figure = figure.split("</figure>").next().unwrap();
        assert!(figure.contains("<svg ") && (figure.contains("<rect") || figure.contains("<polyline")), "{id}");
    }
    assert_eq!(page.matches("<figure").count(), ids.len());
    assert_eq!(page.matches("class=\"row\"").count(), data_set.spec().denoisers().len());
    for forbidden in ["<script", "http:", "https:", "@import", "url(", "NaN", "inf"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    // Every tag that is opened is closed, but for those that HTML closes by itself.
    for tag in ["svg", "figure", "div", "table", "h1", "h2", "h3", "title", "text", "code", "span", "p"] {
        let opened = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

#[test]
fn a_page_of_any_recipe_can_be_made() {
    for (recipe, _) in BUILT_IN {
        let fixture = Fixture::new();
        let sources = if recipe.starts_with("label-aware") { "fixtures/records" } else { "fixtures/shards" };
        let sources = repository(sources);
        fixture.run("out", &format!("{} --recipe {recipe} --max-rejects 1000", sources.display()));
        let stats: Value =
            serde_json::from_str(&fixture.ran("stats out --json --html page.html").succeeded().stdout).unwrap();
        assert_eq!(stats["undecoded"], 0, "{recipe}");
        assert!(fs::read_to_string(fixture.path("page.html")).unwrap().contains("</html>"), "{recipe}");
    }
}

#[test]
fn rows_are_shown_with_the_tokenizer_from_where_the_run_had_it_if_its_digest_fits() {
    let fixture = sources();
    let tokenizer = fixture.path("tokenizer/tokenizer.json");
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        let from = repository("fixtures/tokenizer").join(name);
        if from.exists() {
            fixture.write(&format!("tokenizer/{name}"), fs_err::read(from).unwrap());
        }
    }
    let data_set = fixture.run("out", "in --tokenizer tokenizer --recipe t5 --max-rejects 10");
    let before = data_set.digests();
    let named = fixture.ran("inspect out --tokenizer tokenizer").succeeded();
    assert_eq!(fixture.ran("inspect out").succeeded().stdout, named.stdout);
    fixture.ran("verify out --sources in --reproduce").succeeded();
    fixture.ran("reproduce out in --out again --quiet").succeeded();
    fixture.ran("inspect again").succeeded();
    fixture.ran("stats out --html named.html --tokenizer tokenizer").succeeded();
    assert_eq!(fixture.ran("stats out --html page.html").succeeded().stderr, "the page is in `page.html`\n");
    assert_eq!(fs_err::read(fixture.path("page.html")).unwrap(), fs_err::read(fixture.path("named.html")).unwrap());

    // Another file there: its digest does not fit.
    let file = fs_err::read_to_string(&tokenizer).unwrap();
    fs_err::write(&tokenizer, file.clone() + "\n").unwrap();
    let refused = fixture.ran("inspect out").failed(2);
    assert!(refused.contains("was made with the tokenizer `tokenizer.json` of SHA-256 "), "{refused}");
    assert!(refused.ends_with("hint: name the file with `--tokenizer`\n"), "{refused}");

    // No file there.
    fs_err::remove_dir_all(fixture.path("tokenizer")).unwrap();
    for command in ["inspect out", "verify out --sources in", "stats out --html page.html --tokenizer tokenizer"] {
        assert!(fixture.ran(command).failed(2).contains("tokenizer"), "{command}");
    }
    let gone = fixture.ran("inspect out").failed(2);
    assert!(
        gone.contains(", which the run had at `") && gone.contains("hint: name the file with `--tokenizer`"),
        "{gone}"
    );
    let shown = fixture.ran("stats out --html ids.html").succeeded().stderr;
    assert!(shown.starts_with("note: the page shows ids: the data set needs the tokenizer "), "{shown}");
    fixture.ran("inspect out --ids").succeeded();

    // Nothing notes it, or a place that would be fetched.
    let inputs = data_set.path(".ul2-prep/inputs.json");
    fs_err::write(&inputs, r#"{"tokenizer": "http://127.0.0.1:9/tokenizer.json"}"#).unwrap();
    let message = "error: the data set needs the tokenizer `tokenizer.json` of SHA-256 ";
    assert!(fixture.ran("inspect out").failed(2).starts_with(message));
    fs_err::remove_file(&inputs).unwrap();
    let unknown = fixture.ran("inspect out").failed(2);
    assert!(unknown.starts_with(message) && unknown.contains(", whose location is not recorded"), "{unknown}");
    assert_eq!(data_set.digests(), before);
    fixture.write("tokenizer/tokenizer.json", file);
    fixture.ran("inspect out --tokenizer tokenizer").succeeded();
}
