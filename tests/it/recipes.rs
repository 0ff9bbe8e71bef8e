//! Every built-in recipe, run: what its rows hold, what was measured of it, and how rows may be arranged.
//!
//! The laws hold for every recipe and every tokenizer: from a row alone the tokens are rebuilt (L9), no row is over its lengths, and what
//! is packed, shuffled or padded is the same as without. The tokenizers of the repository are always tried; `real_tokenizers_…` takes
//! a folder of others (`UL2_PREP_TOKENIZERS`), which `tests/run` looks for.
//!
//! The table of `docs/reference/recipes.md` and the schema of recipes are made here: `UL2_PREP_BLESS=1` writes them (`just recipes`).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde_json::Value;
use ul2_prep::denoise::{Decoded, NoisePattern, Segmenting, Spec, decode, split_causal};
use ul2_prep::recipe::{BUILT_IN, schema};
use ul2_prep::settings;

use ul2_prep::tokenize::{Tokenizer, TokenizerPath};

use crate::support::{DataSet, Example, Fixture, json_lines, repository};

/// A tokenizer for these tests: its name on the command line, and sentinels if the file has none by the usual names.
struct Named {
    argument: String,
    sentinels: Option<String>,
}

fn tokenizers_of_the_repository() -> Vec<Named> {
    let file = |folder: &str| repository(folder).join("tokenizer.json").to_str().unwrap().to_owned();
    ["bytes".to_owned(), file("fixtures/tokenizer"), file("fixtures/tokenizer-bpe")]
        .map(|argument| Named { argument, sentinels: None })
        .into()
}

fn tokenizer(spec: &Spec, argument: &str) -> Box<dyn Tokenizer> {
    let file = settings::tokenizer::tokenizer_file(argument).unwrap();
    file.tokenizer(spec.vocabulary().clone(), TokenizerPath::Oracle)
}

/// The texts (and labels) of the lines of a source that are documents of a data set.
struct Source {
    records: BTreeMap<i64, (Vec<u32>, Vec<u32>)>,
}

/// Sources with texts of many kinds, short and long, and records of two fields.
fn sources(fixture: &Fixture) {
    let texts: Vec<String> = json_lines(repository("fixtures/ids/bytes.jsonl"))
        .iter()
        .map(|case| case["text"].as_str().unwrap().to_owned())
        .filter(|text| !text.is_empty())
        .collect();
    let lines: String = texts.iter().map(|text| crate::support::record(text)).collect();
    fixture.write("texts/a.jsonl", &lines);
    fixture.write(
        "texts/b.jsonl",
        (1..30).map(|number| crate::support::record(&crate::support::text(number, 40 * 30))).collect::<String>(),
    );
    fixture.write("records/intents.jsonl", fs::read(repository("fixtures/records/intents.jsonl")).unwrap());
}

/// A field of a record: `a.b` is `b` of the object in `a`.
fn field<'a>(record: &'a Value, path: &str) -> Option<&'a str> {
    path.split('.').try_fold(record, |value, key| value.get(key)).and_then(Value::as_str)
}

/// The tokens that a data set was made from, by a tokenization of our own.
fn read_sources(fixture: &Fixture, folder: &str, spec: &Spec, argument: &str) -> BTreeMap<String, Source> {
    let tokenizer = tokenizer(spec, argument);
    let mut scratch = tokenizer.scratch();
    let mut tokens = |text: &str| -> Option<Vec<u32>> {
        let marked = match &spec.fields().end_mark {
            Some(mark) if !text.trim().ends_with(['.', ';', '!', '?', ',']) => format!("{}{mark}", text.trim()),
            Some(_) => text.trim().to_owned(),
            None => text.to_owned(),
        };
        let ids = tokenizer.tokenize(&marked, &mut scratch).ok()?.ids().to_vec();
        (!ids.is_empty()).then_some(ids)
    };
    let mut sources = BTreeMap::new();
    for entry in fs::read_dir(fixture.path(folder)).unwrap() {
        let path = entry.unwrap().path();
        let mut records = BTreeMap::new();
        for (line, record) in (1..).zip(json_lines(&path)) {
            let text = field(&record, &spec.fields().text_field).and_then(&mut tokens);
            let label = match &spec.fields().label_field {
                Some(path) => field(&record, path).filter(|label| !label.trim().is_empty()).and_then(&mut tokens),
                None => Some(Vec::new()),
            };
            if let (Some(text), Some(label)) = (text, label) {
                records.insert(line, (text, label));
            }
        }
        sources.insert(path.file_name().unwrap().to_str().unwrap().to_owned(), Source { records });
    }
    sources
}

/// The segment of an example and what of it was noise, from the row alone.
fn segment(spec: &Spec, example: &Example) -> Decoded {
    let index = spec.denoisers().iter().position(|denoiser| denoiser.name == example.row.denoiser).unwrap();
    let (inputs, labels) = match spec.fields().causal {
        None => (example.row.input_ids.as_slice(), example.row.labels.as_slice()),
        Some(causal) => {
            let prefix = example.prefix_length.unwrap();
            split_causal(&example.row.input_ids, &example.row.labels, prefix, causal).unwrap()
        }
    };
    assert!(inputs.len() <= spec.fields().inputs_length as usize, "{:?}", example.row);
    assert!(labels.len() <= spec.fields().labels_length as usize, "{:?}", example.row);
    let (inputs_length, labels_length) = spec.row_lengths();
    assert!(
        example.row.input_ids.len() <= inputs_length as usize && example.row.labels.len() <= labels_length as usize
    );
    decode(inputs, labels, spec.form(index)).unwrap_or_else(|error| panic!("{error}: {:?}", example.row))
}

/// Fails if the rows do not hold the tokens that their spec says, each once.
fn assert_holds_its_tokens(spec: &Spec, sources: &BTreeMap<String, Source>, examples: &[Example], what: &str) {
    let mut by_source: BTreeMap<(&str, i32), Vec<&Example>> = BTreeMap::new();
    for example in examples {
        by_source.entry((&example.row.source, example.row.epoch)).or_default().push(example);
    }
    for ((source, _), mut examples) in by_source {
        let records = &sources[source].records;
        examples.sort_by_key(|example| (example.row.line, example.row.segment));
        if spec.fields().segmenting != Segmenting::Document && matches!(spec.fields().segmenting, Segmenting::Concat(_))
        {
            let rebuilt: Vec<u32> = examples.iter().flat_map(|example| segment(spec, example).segment).collect();
            let Segmenting::Concat(concat) = spec.fields().segmenting else { unreachable!() };
            let between = if concat.eos_between { vec![spec.vocabulary().eos().unwrap()] } else { Vec::new() };
            let joined: Vec<Vec<u32>> = records.values().map(|(text, label)| [&text[..], label].concat()).collect();
            assert_eq!(rebuilt, joined.join(&between[..]), "{what}: {source}");
            continue;
        }
        let mut by_line: BTreeMap<i64, Vec<&Example>> = BTreeMap::new();
        for example in examples {
            by_line.entry(example.row.line).or_default().push(example);
        }
        for (line, (text, label)) in records {
            let Some(examples) = by_line.get(line) else {
                let too_short = text.len() + label.len() < spec.min_segment() as usize;
                let too_long = spec.is_of_labels() && label.len() > 60;
                assert!(too_short || too_long, "{what}: {source}:{line} has no row");
                continue;
            };
            let segments: Vec<Decoded> = examples.iter().map(|example| segment(spec, example)).collect();
            let all: Vec<u32> = segments.iter().flat_map(|segment| segment.segment.clone()).collect();
            let document = [&text[..], label].concat();
            if spec.is_of_labels() {
                for segment in &segments {
                    assert_is_a_record(spec, segment, text, label, what);
                }
            } else if matches!(spec.fields().segmenting, Segmenting::Window(_)) {
                assert!(document.windows(all.len()).any(|window| window == all), "{what}: {source}:{line}");
            } else {
                assert_eq!(all, document, "{what}: {source}:{line}");
            }
        }
    }
}

/// A record's segment ends with its label; before it stands as much of the text as has room.
fn assert_is_a_record(spec: &Spec, segment: &Decoded, text: &[u32], label: &[u32], what: &str) {
    let before = segment.segment.strip_suffix(label).unwrap_or_else(|| panic!("{what}: another label"));
    match &spec.denoisers()[0].pattern {
        NoisePattern::MultipleChoice(choice) => {
            let offered = before.strip_prefix(choice.label_prompt.as_slice()).unwrap();
            let fits = |length: &usize| offered.ends_with(&[&choice.text_prompt[..], &text[..*length]].concat());
            let used = (1..=text.len()).rev().find(fits).unwrap_or_else(|| panic!("{what}: another text"));
            let choices = &offered[..offered.len() - used - choice.text_prompt.len()];
            assert!(choices.windows(label.len()).any(|offered| offered == label), "{what}: the label is not offered");
        }
        _ => assert!(text.starts_with(before) && !before.is_empty(), "{what}: another text"),
    }
}

fn folder(spec_recipe: &str) -> &'static str {
    if spec_recipe.starts_with("label-aware") { "records" } else { "texts" }
}

/// Runs a recipe with a tokenizer and takes its rows apart.
fn assert_recipe_holds(fixture: &Fixture, recipe: &str, tokenizer: &Named, options: &str) {
    let what = format!("{recipe}, {}, {options}", tokenizer.argument);
    let argument = match &tokenizer.sentinels {
        None => recipe.to_owned(),
        Some(sentinels) => {
            let text = BUILT_IN.iter().find(|(name, _)| *name == recipe).unwrap().1;
            let without: String = text.split_inclusive('\n').filter(|line| !line.starts_with("sentinels")).collect();
            fixture.write("other.toml", format!("sentinels = {sentinels}\n{without}"));
            "other.toml".to_owned()
        }
    };
    let out = fixture.path("out");
    if out.exists() {
        fs::remove_dir_all(&out).unwrap();
    }
    let arguments = format!(
        "{} --recipe {argument} --tokenizer {} --seed 3 --max-rejects 100 {options}",
        folder(recipe),
        tokenizer.argument
    );
    let data_set = fixture.run("out", &arguments);
    let spec = data_set.spec();
    let sources = read_sources(fixture, folder(recipe), &spec, &tokenizer.argument);
    let examples = data_set.examples();
    assert!(examples.len() > 3, "{what}");
    assert_holds_its_tokens(&spec, &sources, &examples, &what);
}

#[test]
fn rows_of_every_recipe_hold_their_tokens_with_every_tokenizer_of_the_repository() {
    let fixture = Fixture::new();
    sources(&fixture);
    for tokenizer in tokenizers_of_the_repository() {
        for (recipe, _) in BUILT_IN {
            assert_recipe_holds(&fixture, recipe, &tokenizer, "");
        }
    }
}

#[test]
fn rows_of_every_recipe_hold_their_tokens_in_the_causal_layout_packed_padded_and_shuffled() {
    let fixture = Fixture::new();
    sources(&fixture);
    let unigram = &tokenizers_of_the_repository()[1];
    for (recipe, _) in BUILT_IN {
        for options in ["--layout causal", "--pack --pad --shuffle", "--layout causal --pack --shuffle=true --pad"] {
            assert_recipe_holds(&fixture, recipe, unigram, options);
        }
    }
}

/// Ten tokens that stand for sentinels where a file has no `<extra_id_0>`: the bytes that no UTF-8 text has, or else the pieces with
/// the highest ids, which are the rarest of a BPE model.
fn sentinels_of_another_kind(tokenizer: &Value) -> Option<String> {
    let is_added =
        |name: &str| tokenizer["added_tokens"].as_array().unwrap().iter().any(|token| token["content"] == name);
    if is_added("<extra_id_0>") {
        return None;
    }
    let vocabulary = tokenizer["model"]["vocab"].as_object().expect("a vocabulary by names");
    let bytes = [0xC0, 0xC1, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA, 0xFB, 0xFC].map(|byte| format!("<0x{byte:02X}>"));
    if bytes.iter().all(|byte| vocabulary.contains_key(byte)) {
        return Some(serde_json::to_string(&bytes).unwrap());
    }
    let mut pieces: Vec<(&String, u64)> = vocabulary.iter().map(|(piece, id)| (piece, id.as_u64().unwrap())).collect();
    pieces.retain(|(piece, _)| !is_added(piece));
    pieces.sort_by_key(|(_, id)| std::cmp::Reverse(*id));
    let rarest: Vec<&String> = pieces.into_iter().map(|(piece, _)| piece).take(10).collect();
    Some(serde_json::to_string(&rarest).unwrap())
}

/// Real tokenizers, from the folder that `UL2_PREP_TOKENIZERS` names.
#[test]
#[ignore = "needs a folder of tokenizer files"]
fn real_tokenizers_hold_their_tokens_with_every_third_recipe_in_turn() {
    let folder = PathBuf::from(std::env::var_os("UL2_PREP_TOKENIZERS").expect("the folder of tokenizers"));
    let fixture = Fixture::new();
    sources(&fixture);
    let mut files: Vec<PathBuf> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path().join("tokenizer.json")).collect();
    files.retain(|file| file.exists());
    files.sort();
    assert!(!files.is_empty(), "{} holds no folder with a tokenizer.json", folder.display());
    for (number, file) in files.iter().enumerate() {
        let json: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        let sentinels = sentinels_of_another_kind(&json);
        let named = Named { argument: file.to_str().unwrap().to_owned(), sentinels };
        for (recipe, _) in BUILT_IN.iter().skip(number % 3).step_by(3) {
            assert_recipe_holds(&fixture, recipe, &named, "");
        }
    }
}

/// Examples in the order of their addresses.
fn sorted(mut examples: Vec<Example>) -> Vec<Example> {
    examples.sort_by(|a, b| a.row.cmp(&b.row));
    examples
}

#[test]
fn unpacking_and_unpadding_gives_the_rows_that_are_made_without() {
    let fixture = Fixture::new();
    sources(&fixture);
    for recipe in ["t5", "ul2r", "oslo-t5", "label-aware-multiple-choice", "garcia-ul2"] {
        for layout in ["encoder-decoder", "causal"] {
            let arguments = format!("{} --recipe {recipe} --layout {layout} --max-rejects 100", folder(recipe));
            // The recipe itself may pack.
            let plain = fixture.run(&format!("{recipe}-{layout}"), &format!("{arguments} --pack=false"));
            let expected = sorted(plain.examples());
            let options = ["--pack", "--pad --pack=false", "--shuffle --pack=false", "--pack --pad --shuffle"];
            for (number, option) in options.into_iter().enumerate() {
                let other = fixture.run(&format!("{recipe}-{layout}-{number}"), &format!("{arguments} {option}"));
                assert_eq!(sorted(other.examples()), expected, "{recipe}, {layout}, {option}");
                let (rows, examples) = (total(&other, "rows"), total(&other, "examples"));
                assert_eq!(examples, expected.len() as u64);
                let packs = option.starts_with("--pack");
                // Joined documents give full segments: there is nothing to pack.
                let expected = if packs && recipe != "oslo-t5" { rows < examples } else { rows == examples };
                assert!(expected, "{recipe} {layout} {option}: {rows} rows of {examples} examples");
                if !packs {
                    // Neither order nor padding is in the digest.
                    assert_eq!(other.manifest()["totals"]["rows_digest"], plain.manifest()["totals"]["rows_digest"]);
                }
            }
        }
    }
}

fn total(data_set: &DataSet, count: &str) -> u64 {
    data_set.manifest()["totals"][count].as_u64().unwrap()
}

/// Line and segment.
type Address = (i64, i32);

#[test]
fn a_row_is_packed_by_first_fit_in_the_order_of_examples() {
    let fixture = Fixture::new();
    sources(&fixture);
    let arguments = "texts --recipe t5 --inputs-length 200 --labels-length 60";
    let plain = fixture.run("plain", arguments);
    let spec = plain.spec();
    let packed = fixture.run("packed", &format!("{arguments} --pack"));
    // First fit, written plainly, for each source: its text is less than a block.
    let mut expected: Vec<Vec<Address>> = Vec::new();
    let mut source = String::new();
    let mut rows: Vec<(usize, usize, Vec<Address>)> = Vec::new();
    for Example { row, .. } in plain.examples() {
        if row.source != source {
            expected.extend(rows.drain(..).map(|row| row.2));
            source.clone_from(&row.source);
        }
        let (inputs, labels) = (row.input_ids.len(), row.labels.len());
        let (most_inputs, most_labels) = spec.row_lengths();
        let fits = |row: &&mut (usize, usize, Vec<Address>)| {
            row.0 + inputs <= most_inputs as usize && row.1 + labels <= most_labels as usize
        };
        match rows.iter_mut().find(fits) {
            Some(found) => {
                found.0 += inputs;
                found.1 += labels;
                found.2.push((row.line, row.segment));
            }
            None => rows.push((inputs, labels, vec![(row.line, row.segment)])),
        }
    }
    expected.extend(rows.into_iter().map(|row| row.2));
    let mut examples = packed.examples().into_iter().map(|example| (example.row.line, example.row.segment));
    let found: Vec<Vec<Address>> = expected.iter().map(|row| examples.by_ref().take(row.len()).collect()).collect();
    assert_eq!(found, expected);
    assert_eq!((examples.next(), total(&packed, "rows")), (None, expected.len() as u64));
}

#[test]
fn shuffled_rows_are_the_permutation_that_the_page_says() {
    let fixture = Fixture::new();
    sources(&fixture);
    let plain = fixture.run("plain", "texts --seed 9");
    let shuffled = fixture.run("shuffled", "texts --seed 9 --shuffle");
    let rows = plain.rows();
    let key = plain.spec().fields().seed.shuffle_key(&rows[0].source);
    // One batch: the texts are far less than a block. The stream is that of its first row.
    let mut order: Vec<usize> = (0..rows.len()).collect();
    key.stream(crate::support::line(u64::try_from(rows[0].line).unwrap())).shuffle(&mut order);
    let expected: Vec<crate::support::Row> = order.iter().map(|&row| rows[row].clone()).collect();
    assert_eq!(shuffled.rows(), expected);
    assert_ne!(shuffled.rows(), rows);
    assert_eq!(fixture.run("again", "texts --seed 9 --shuffle --workers 1").digests(), shuffled.digests());
}

#[test]
fn joined_and_packed_rows_of_a_source_do_not_depend_on_its_neighbours() {
    let fixture = Fixture::new();
    let many = |from: u64| {
        (from..from + 700)
            .map(|number| crate::support::record(&crate::support::text(number, 9_000)))
            .collect::<String>()
    };
    // More than a block of text in `b`; `a` moves where batches end, but not blocks.
    fixture.write("alone/b.jsonl", many(1));
    fixture.write("beside/a.jsonl", &many(5_000)[..4_000_000]);
    fixture.write("beside/b.jsonl", many(1));
    for options in ["--recipe oslo-t5", "--recipe t5 --pack"] {
        let name = options.len();
        let arguments = format!("{options} --max-rejects 10");
        let of_b = |data_set: DataSet| -> Vec<Example> {
            data_set.examples().into_iter().filter(|example| example.row.source == "b.jsonl").collect()
        };
        let alone = of_b(fixture.run(&format!("alone-{name}"), &format!("alone {arguments}")));
        let beside = of_b(fixture.run(&format!("beside-{name}"), &format!("beside {arguments}")));
        assert!(alone.len() > 5_000);
        assert_eq!(alone, beside, "{options}");
    }
}

#[test]
fn what_a_window_leaves_out_is_counted() {
    let fixture = Fixture::new();
    sources(&fixture);
    fixture.write(
        "window.toml",
        "segmenting = { window = { tokens = 100, start = \"first\" } }\n[[denoiser]]\nname = \"r\"\nmode = \"R\"\nweight = 1\n\
         random_spans = { noise_density = 0.15, mean_span_length = 3 }\n",
    );
    let data_set = fixture.run("out", "texts --recipe window.toml");
    let spec = data_set.spec();
    for (name, source) in read_sources(&fixture, "texts", &spec, "bytes") {
        let expected: usize = source.records.values().map(|(text, _)| text.len().saturating_sub(100)).sum();
        let manifest = data_set.manifest();
        let counted = manifest["sources"].as_array().unwrap().iter().find(|entry| entry["name"] == *name).unwrap();
        assert_eq!(counted["left_out_tokens"].as_u64().unwrap_or_default(), expected as u64);
    }
    for example in data_set.examples() {
        assert!(segment(&spec, &example).segment.len() <= 100);
    }
}

// --- the page and the schema ---

/// Fails if `path` does not hold `text`, or writes it there if asked to.
#[track_caller]
fn assert_committed(path: &Path, text: &str) {
    if std::env::var_os("UL2_PREP_BLESS").is_some() {
        fs::write(path, text).unwrap();
    }
    let committed = fs::read_to_string(path).unwrap();
    for (number, (ours, theirs)) in (1..).zip(text.lines().zip(committed.lines())) {
        assert!(ours == theirs, "{}:{number}: now\n{ours}\nand in the file\n{theirs}", path.display());
    }
    assert!(text == committed, "{}: more or fewer lines than the file has", path.display());
}

#[test]
fn the_schema_of_recipes_is_the_committed_one() {
    assert_committed(&repository("docs/reference/recipe.schema.json"), &format!("{:#}\n", schema()));
}

/// The measured table: what each denoiser made of the fixtures.
fn measured() -> String {
    let fixture = Fixture::new();
    let mut table = String::from(
        "| recipe | denoiser | examples | asked | tokens | noise | nominal | span | inputs | labels |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for (recipe, _) in BUILT_IN {
        let source = repository(if folder(recipe) == "records" { "fixtures/records" } else { "fixtures/shards" });
        let tokenizer = repository("fixtures/tokenizer");
        let data_set = fixture.run(
            &format!("out-{recipe}"),
            &format!(
                "{} --recipe {recipe} --tokenizer {} --epochs 4 --max-rejects 10",
                source.display(),
                tokenizer.display()
            ),
        );
        let (manifest, spec) = (data_set.manifest(), data_set.spec());
        let counts: Vec<(&str, [f64; 6])> = spec
            .denoisers()
            .iter()
            .map(|denoiser| {
                let counts = &manifest["denoisers"][&denoiser.name];
                let count = |key: &str| counts[key].as_f64().unwrap();
                let keys = ["examples", "tokens", "noise_tokens", "spans", "input_ids", "labels"];
                (denoiser.name.as_str(), keys.map(count))
            })
            .collect();
        let sum = |place: usize| counts.iter().map(|(_, counts)| counts[place]).sum::<f64>();
        for (denoiser, (name, [examples, tokens, noise, spans, inputs, labels])) in spec.denoisers().iter().zip(&counts)
        {
            let asked = f64::from(denoiser.weight.get()) / f64::from(spec.total_weight());
            let nominal =
                denoiser.pattern.nominal_density().map_or_else(|| "-".to_owned(), |share| format!("{share:.3}"));
            let _ = writeln!(
                table,
                "| `{recipe}` | `{name}` | {:.1} % | {:.1} % | {:.1} % | {:.3} | {nominal} | {:.2} | {:.1} | {:.1} |",
                100.0 * examples / sum(0),
                100.0 * asked,
                100.0 * tokens / sum(1),
                noise / tokens,
                noise / spans,
                inputs / examples,
                labels / examples,
            );
        }
    }
    table
}

#[test]
fn the_measured_table_is_what_the_fixtures_give() {
    const BEGIN: &str = "<!-- measured: begin -->\n";
    const END: &str = "<!-- measured: end -->";
    let path = repository("docs/reference/recipes.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let introduction = "\
        Four epochs of `fixtures/shards` (of `fixtures/records` for the recipes of labels) with `fixtures/tokenizer`: 379 documents of very different lengths, so many \
        segments are shorter than the longest. A test makes this table; `just recipes` writes it.\n\n\
        `examples` and `tokens` are shares of all examples and of all their tokens, `asked` is the weight's share of the examples; `noise` is the share of \
        noise tokens that was realised, `nominal` the one that the numbers name; `span` is the mean length of a noise span, `inputs` and `labels` are mean lengths in ids \
        (of causal rows both are the whole row's).\n\n";
    assert_committed(&path, &format!("{before}{BEGIN}\n{introduction}{}\n{END}{after}", measured()));
}
