//! What `plan` says, and how near its estimates are.

use fs_err as fs;
use insta::assert_snapshot;
use sha2::{Digest as _, Sha256};
use ul2_prep::digest::hex;

use super::{fixture, small};
use crate::support::{Fixture, record, repository, text};

#[test]
fn plan_says_what_a_run_would_do_and_writes_nothing() {
    let fixture = fixture();
    let plan = fixture.ran("plan fixtures/shards --no-estimate --workers 2 --out masked").succeeded();
    assert_eq!(plan.stderr, "");
    assert_snapshot!(plan.stdout, @"
    sources      5, 339.5 kB on disk
    units        1, of 5 sources
    recipe       ul2r, seed 0, epochs 1
    lengths      inputs 512, labels 512
    tokenizer    bytes: each byte of a text is an id, as in ByT5 (`--tokenizer` names another)
    path         bytes
    vocabulary   384 ids, eos 1 </s>, pad 0 <pad>, 125 sentinels (259 <extra_id_0> to 383 <extra_id_124>)
    workers      2
    memory       up to 419.5 MB besides the tokenizer, for sources of any size; 1.19 GB if lines are as long as `--max-line` allows

    denoiser  mode   share       noise  segment  inputs  labels  sentinels                   mode token
    s            S  50.0 %      suffix      507     512     507          0  text, 5 ids: 94 86 53 86 96
    r            R  25.0 %   (3, 0.15)      562     512     113         28  text, 5 ids: 94 81 79 88 96
    x-32         X  12.5 %  (32, 0.15)      592     512      93          3  text, 5 ids: 94 81 79 74 96
    x-dense      X  12.5 %    (3, 0.5)      753     508     502        125  text, 5 ids: 94 81 79 74 96

    note: denoiser `x-dense` gets segments of 753 tokens instead of 759: these would need 127 sentinels, the vocabulary has 125
    ");
    assert!(!fixture.path("masked").exists());
}

#[test]
fn plan_names_the_tokenizer_and_its_reserved_ids() {
    let fixture = fixture();
    let plan = fixture
        .ran("plan fixtures/shards --no-estimate --workers 1 --tokenizer fixtures/tokenizer --recipe t5")
        .succeeded();
    let lines: Vec<&str> = plan.stdout.lines().filter(|line| line.starts_with("vocabulary")).collect();
    assert_eq!(
        lines,
        ["vocabulary   4000 ids, eos 1 </s>, pad 0 <pad>, 100 sentinels (3999 <extra_id_0> to 3900 <extra_id_99>)"]
    );
    let digest = hex(&Sha256::digest(fs::read(repository("fixtures/tokenizer/tokenizer.json")).unwrap()));
    assert!(plan.stdout.contains(&format!("sha256 {}…", &digest[..12])), "{}", plan.stdout);
}

#[test]
fn plan_says_whether_a_data_set_can_go_on() {
    let fixture = small();
    fixture.run("masked", "a.jsonl --seed 7");
    let plan = fixture.ran("plan a.jsonl --no-estimate --seed 7 --out masked").succeeded();
    assert_eq!(plan.stdout.lines().last(), Some("a run with these settings resumes the data set in the folder"));
    let other = "plan b.jsonl --no-estimate --seed 7 --out masked";
    fixture.write("b.jsonl", record("another source"));
    let plan = fixture.ran(&format!("{other} --extend")).succeeded();
    assert_eq!(plan.stdout.lines().last(), Some("a run with these settings resumes the data set in the folder"));
    fixture.ran(other).failed(2);
    fixture.ran("plan a.jsonl --no-estimate --seed 8 --out masked").failed(2);
}

#[test]
fn plan_refuses_what_run_refuses_with_the_same_words_and_code() {
    let fixture = small();
    fixture.write("thesis/chapter.tex", "");
    fixture.write("b.jsonl", record("another source"));
    fixture.run("masked", "a.jsonl");
    for arguments in
        ["a.jsonl --out thesis", "a.jsonl --out masked --seed 8", "b.jsonl --out masked", "a.jsonl --out new --extend"]
    {
        let plan = fixture.ran(&format!("plan {arguments} --no-estimate")).failed(2);
        assert_eq!(plan, fixture.ran(&format!("run {arguments} --quiet")).failed(2), "{arguments}");
    }
    assert!(!fixture.path("new").exists());
}

/// The numbers of the line of a table that begins with `name`, without separators and marks.
fn numbers(text: &str, name: &str) -> Vec<f64> {
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no `{name}` in\n{text}"));
    let digits = line[name.len()..].replace([',', '~', '%'], "");
    digits.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

#[test]
#[expect(clippy::float_cmp, reason = "whole numbers")]
fn a_plan_of_small_sources_says_exactly_what_a_run_makes() {
    let fixture = Fixture::new();
    let lines = |first: u64| -> String { (first..first + 40).map(|number| record(&text(number, 900))).collect() };
    fixture.write_source("in/a.jsonl", lines(0) + "{\n");
    fixture.write_source("in/b.jsonl.zst", lines(50));
    let arguments = "in --recipe ul2 --epochs 1 --seed 3";
    let plan = fixture.ran(&format!("plan {arguments} --workers 1")).succeeded().stdout;
    let manifest = fixture.run("out", &format!("{arguments} --max-rejects 10")).manifest();
    let totals = &manifest["totals"];
    let of_all = numbers(&plan, "all 2 sources");
    for (place, key) in [(2, "documents"), (3, "tokens"), (4, "rows")] {
        assert_eq!(of_all[place], totals[key].as_f64().unwrap(), "{key}\n{plan}");
    }
    for (name, counts) in manifest["denoisers"].as_object().unwrap() {
        // The table of what the recipe asks for names them first.
        let made = &plan[plan.find("what would be made").unwrap()..];
        let of_denoiser = numbers(made, &format!("{name} "));
        assert_eq!(of_denoiser[0], counts["examples"].as_f64().unwrap(), "{name}\n{plan}");
        assert_eq!(of_denoiser[2], counts["tokens"].as_f64().unwrap(), "{name}\n{plan}");
    }
    assert!(plan.contains("\nlines that would be rejected: 1\n"), "{plan}");
    assert!(plan.contains("with 1 worker\n"), "{plan}");
    assert!(!fixture.path("masked").exists());
}

#[test]
fn an_estimate_from_beginnings_is_near_what_a_run_makes() {
    let fixture = Fixture::new();
    for source in 0..20 {
        let lines: String = (0..150).map(|number| record(&text(1000 * source + number, 4000))).collect();
        fixture.write_source(&format!("in/{source:02}.jsonl.zst"), lines.repeat(3));
    }
    let plan = fixture.ran("plan in --epochs 2 --tokenizer bytes").succeeded().stdout;
    assert!(
        plan.contains("what would be made, estimated from the beginning of 16 sources, rows of 2 epochs"),
        "{plan}"
    );
    let manifest = fixture.run("out", "in --epochs 2").manifest();
    let totals = &manifest["totals"];
    let of_all = numbers(&plan, "all 20 sources");
    for (place, key) in [(2, "documents"), (3, "tokens"), (4, "rows")] {
        let ratio = of_all[place] / totals[key].as_f64().unwrap();
        assert!((ratio - 1.0).abs() < 0.05, "{key}: {ratio}\n{plan}");
    }
}

#[test]
fn an_estimate_is_no_guess_about_compression_or_the_first_lines() {
    let fixture = Fixture::new();
    // A thousand times smaller on disk; a first line of megabytes; lines that are too long.
    fixture.write_source("same/a.jsonl.zst", record(&text(1, 1000)).repeat(60_000));
    fixture.write_source("long/a.jsonl", record(&text(1, 3_000_000)) + &record(&text(2, 1000)).repeat(20_000));
    fixture
        .write_source("rejects/a.jsonl", (record(&text(1, 200_000)) + &record(&text(2, 1000)).repeat(500)).repeat(40));
    for (folder, arguments) in [("same", ""), ("long", ""), ("rejects", "--max-line 100kB")] {
        let plan = fixture.ran(&format!("plan {folder} {arguments}")).succeeded().stdout;
        let manifest =
            fixture.run(&format!("made-{folder}"), &format!("{folder} {arguments} --max-rejects 100")).manifest();
        let made = &plan[plan.find("what would be made").unwrap()..];
        let found = numbers(made, "a.jsonl");
        let found = &found[found.len() - 4..];
        for (place, key) in [(0, "documents"), (1, "tokens"), (2, "rows")] {
            let ratio = found[place] / manifest["totals"][key].as_f64().unwrap();
            assert!((ratio - 1.0).abs() < 0.1, "{folder} {key}: {ratio}\n{plan}");
        }
    }
    // Of several epochs one is looked at.
    let plan = fixture.ran("plan same --epochs 2").succeeded().stdout;
    assert!(
        plan.contains("what would be made, estimated from the beginning of one source, rows of 2 epochs"),
        "{plan}"
    );
}
