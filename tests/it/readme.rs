//! README and the pages of `docs/`: what they show is what the tool does, what they link to is there.
//!
//! Console blocks are run by `trycmd` in a copy of what they read, so no data set is left in the tree. `TRYCMD=overwrite` writes what they
//! give now into the pages. Blocks of other languages (`sh` for commands that need the network or another program) are not run.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde_json::Value;
use ul2_prep::denoise::decode;
use ul2_prep::recipe::{BUILT_IN, Recipe};

use crate::support::{DataSet, Fixture, Row, repository};

/// The seed of the worked example: noise falls on whole words.
const EXAMPLE_SEED: u64 = 382_009;

/// What pages may read: console blocks are run where copies of these are.
const READ_BY_PAGES: [&str; 5] =
    ["fixtures/shards", "fixtures/records", "fixtures/tokenizer", "fixtures/shapes", "tests/readme"];

fn page(relative: &str) -> String {
    fs::read_to_string(repository(relative)).unwrap()
}

/// README, changelog and every page of `docs/`, by their paths in the repository.
fn pages() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned(), "CHANGELOG.md".to_owned()];
    let mut folders = vec!["docs".to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(repository(&folder)).unwrap() {
            let path = format!("{folder}/{}", entry.unwrap().file_name().to_str().unwrap());
            if repository(&path).is_dir() {
                folders.push(path);
            } else if Path::new(&path).extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

/// The fenced blocks of a page whose info string is `language`.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            let block: String =
                lines.by_ref().take_while(|line| *line != "```").flat_map(|line| [line, "\n"]).collect();
            if info == language {
                found.push(block);
            }
        }
    }
    found
}

/// The files that a page tells its reader to write: fenced blocks whose info string is a language and a name, such as `toml half.toml`.
fn files(page: &str) -> Vec<(String, String)> {
    let info = page.lines().filter_map(|line| line.strip_prefix("```")).filter(|info| info.contains(' '));
    let file = |info: &str| {
        let (_, name) = info.split_once(' ').unwrap();
        (name.to_owned(), blocks(page, info).concat())
    };
    info.map(file).collect()
}

/// A page without its fenced blocks.
fn prose(page: &str) -> String {
    let mut inside = false;
    let outside = page.lines().filter(|line| {
        let fence = line.starts_with("```");
        inside ^= fence;
        !inside && !fence
    });
    outside.flat_map(|line| [line, "\n"]).collect()
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if from.is_dir() {
            copy_folder(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
}

#[test]
fn console_blocks_give_what_they_show() {
    let mut commands = 0;
    for name in pages() {
        let text = page(&name);
        let shown: usize = blocks(&text, "console").iter().map(|block| block.matches("$ ul2-prep ").count()).sum();
        if shown == 0 {
            continue;
        }
        commands += shown;
        let fixture = Fixture::new();
        let copy = fixture.write(Path::new(&name).file_name().unwrap().to_str().unwrap(), &text);
        // `trycmd` runs the commands of `PAGE.md` in `PAGE.in`.
        let folder = copy.with_extension("in");
        for read in READ_BY_PAGES {
            copy_folder(&repository(read), &folder.join(read));
        }
        for (file, block) in files(&text) {
            fs::write(folder.join(file), block).unwrap();
        }
        let cases = trycmd::TestCases::new();
        cases.register_bin("ul2-prep", Path::new(env!("CARGO_BIN_EXE_ul2-prep"))).case(&copy).run();
        if std::env::var_os("TRYCMD").is_some_and(|mode| mode == "overwrite") {
            fs::copy(&copy, repository(&name)).unwrap();
        }
    }
    assert!(commands > 0, "the README shows a run");
}

/// Ids of the `bytes` tokenizer as a person reads them.
fn written(ids: &[i32]) -> String {
    let mut text = String::new();
    for id in ids {
        match id {
            1 => text.push_str("</s>"),
            3..259 => text.push(char::from(u8::try_from(id - 3).unwrap())),
            259..384 => write!(text, "<extra_id_{}>", id - 259).unwrap(),
            _ => panic!("no row has the id {id}"),
        }
    }
    text
}

/// The part of the worked example on one denoiser.
fn example(letter: &str, data_set: &DataSet, sentence: &str) -> String {
    let spec = data_set.spec();
    let rows = data_set.rows();
    let [Row { input_ids, labels, .. }] = rows.as_slice() else { panic!("one sentence is one row") };
    let decoded = decode(input_ids, labels, spec.form(0)).unwrap();
    let segment: Vec<i32> = decoded.segment.iter().map(|id| id.cast_signed()).collect();
    assert_eq!(written(&segment), sentence);
    let mut noise = vec!['.'; segment.len()];
    for span in decoded.mask.spans() {
        noise[span.start as usize..span.end as usize].fill('#');
    }
    let noise: String = noise.into_iter().collect();
    let (inputs, labels) = (written(input_ids), written(labels));
    format!("\n{letter}   noise       {noise}\n    input_ids   {inputs}\n    labels      {labels}\n")
}

#[test]
fn the_worked_example_is_what_the_tool_makes() {
    let fixture = Fixture::new();
    copy_folder(&repository("tests/readme"), &fixture.path("example"));
    let record = &crate::support::json_lines(fixture.path("example/sentence.jsonl"))[0];
    let sentence = record["text"].as_str().unwrap();
    let mut expected = format!("the text        {sentence}\n");
    for letter in ["R", "S", "X"] {
        let recipe = format!("example/{}.toml", letter.to_lowercase());
        let arguments = format!("example/sentence.jsonl --recipe {recipe} --seed {EXAMPLE_SEED}");
        expected += &example(letter, &fixture.run(&format!("masked-{letter}"), &arguments), sentence);
    }
    let readme = page("README.md");
    let shown = blocks(&readme, "text").into_iter().find(|block| block.starts_with("the text")).unwrap();
    assert_eq!(shown, expected);
    assert!(prose(&readme).contains(&format!("`--seed {EXAMPLE_SEED}`")), "the README says how to make the example");
}

#[test]
fn recipes_of_the_readme_are_recipes() {
    let readme = page("README.md");
    for block in blocks(&readme, "toml") {
        Recipe::parse("half", "README.md", &block).unwrap();
    }
    let mut named = 0;
    for command in ["--recipe ", "ul2-prep recipes "] {
        for rest in readme.split(command).skip(1) {
            let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_./".contains(*c)).collect();
            if Path::new(&name).extension().is_none_or(|extension| extension != "toml") {
                assert!(BUILT_IN.iter().any(|(known, _)| *known == name), "`{command}{name}`");
                named += 1;
            }
        }
    }
    assert!(named > 0, "the README names a built-in recipe");
    let list = blocks(&readme, "console").into_iter().find(|block| block.starts_with("$ ul2-prep recipes\n")).unwrap();
    let lines = list.lines().skip(1).take_while(|line| !line.is_empty());
    let listed: Vec<&str> = lines.filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(listed, BUILT_IN.map(|(name, _)| name));
}

/// The targets of a page's links.
fn links(page: &str) -> Vec<String> {
    let prose = prose(page);
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.to_owned()).collect()
}

/// The anchors that a page's headings have.
fn anchors(page: &str) -> Vec<String> {
    let headings = prose(page);
    let headings = headings.lines().filter(|line| line.starts_with('#'));
    let slug = |heading: &str| -> String {
        let kept = heading.trim_start_matches('#').trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
    };
    headings.map(slug).collect()
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut followed = 0;
    for name in pages() {
        let text = page(&name);
        for link in links(&text).into_iter().filter(|link| !link.starts_with("https://")) {
            let (target, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let path: PathBuf =
                if target.is_empty() { repository(&name) } else { repository(&name).parent().unwrap().join(target) };
            assert!(path.exists(), "{name}: `{link}` leads nowhere");
            if !anchor.is_empty() {
                let found = anchors(&fs::read_to_string(path).unwrap());
                assert!(found.iter().any(|heading| heading == anchor), "{name}: `{link}` has no such heading");
            }
            followed += 1;
        }
    }
    assert!(followed > 0, "the README links to the pages");
}

#[test]
fn the_guide_to_training_makes_batches_as_the_card_does() {
    let fixture = Fixture::new();
    fixture.write_source("a.jsonl", crate::support::record("a text with a few words in it"));
    let cards = ["", "--recipe t5 --layout causal --pack"].map(|rows| {
        let data_set = fixture.run(&format!("masked{}", rows.len()), &format!("a.jsonl {rows}"));
        fs::read_to_string(data_set.path("README.md")).unwrap().replace("PATH/OF/THIS/FOLDER", "masked")
    });
    let guide = page("docs/guide/training.md");
    let batches = blocks(&guide, "python").into_iter().filter(|block| block.contains("def batch"));
    let held: Vec<bool> = batches.map(|block| cards.iter().any(|card| card.contains(&block))).collect();
    assert_eq!(held, [true, true]);
}

#[test]
fn the_documentation_of_the_crate_leaves_no_page_out() {
    let library = page("src/lib.rs");
    let left_out = |name: &String| !library.contains(&format!("include_str!(\"../{name}\")"));
    let index = "docs/README.md";
    let missing: Vec<String> =
        pages().into_iter().filter(|name| name.starts_with("docs/") && name != index).filter(left_out).collect();
    assert_eq!(missing, Vec::<String>::new());
    let linked = page(index);
    let missing = |name: &String| !linked.contains(&format!("]({})", name.strip_prefix("docs/").unwrap()));
    let missing: Vec<String> =
        pages().into_iter().filter(|name| name.starts_with("docs/") && name != index).filter(missing).collect();
    assert_eq!(missing, Vec::<String>::new(), "the index has every page");
}

#[test]
fn files_of_the_code_that_pages_name_are_there() {
    let folders = ["src/", "tests/", "benches/", "fuzz/", "docs/"];
    let mut missing = Vec::new();
    for name in pages().into_iter().filter(|name| name.starts_with("docs/")) {
        let text = prose(&page(&name));
        let code =
            text.split('`').skip(1).step_by(2).filter(|code| folders.iter().any(|folder| code.starts_with(folder)));
        let paths = code.filter_map(|code| code.split_whitespace().next()).filter(|path| !path.contains('*'));
        missing.extend(paths.filter(|path| !repository(path).exists()).map(|path| format!("{name}: {path}")));
    }
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn pages_that_the_code_names_are_there() {
    let (mut folders, mut named) = (vec![repository("src")], 0);
    let mut missing = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let code = fs::read_to_string(&path).unwrap();
            for rest in code.split("docs/").skip(1) {
                let end = rest.find(".md").map_or(0, |end| end + ".md".len());
                let page = format!("docs/{}", &rest[..end]);
                let is_path = page.chars().all(|c| c.is_ascii_alphanumeric() || "/-_.".contains(c));
                if end > 0 && is_path {
                    named += 1;
                    if !repository(&page).exists() {
                        missing.push(format!("{}: {page}", path.display()));
                    }
                }
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
    assert!(named > 0, "the code names pages");
}

/// The keys of a JSON file of ours. Maps whose keys are names of sources or denoisers are looked into, not listed.
fn keys(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                found.push(key.clone());
                match value {
                    Value::Object(by_name) if key == "denoisers" || key == "sources" => {
                        by_name.values().for_each(|value| keys(value, found));
                    }
                    value => keys(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
        _ => {}
    }
}

#[test]
fn the_pages_of_the_formats_name_every_key() {
    let fixture = Fixture::new();
    let good = [r#"{"text":"a text with a few words in it"}"#, r#"{"text":"x"}"#];
    let bad = ["{", "[]", "{}", r#"{"text":1}"#, r#"{"text":""}"#];
    fixture.write("in/a.jsonl", [good, [bad[0], bad[1]]].concat().join("\n"));
    fixture.write("in/b.jsonl", [&bad[2..], &good[..1]].concat().join("\n"));
    let data_set = fixture.run("out", "in");
    let mut found = Vec::new();
    keys(&data_set.manifest(), &mut found);
    keys(&serde_json::from_slice(&fs::read(data_set.path(".ul2-prep/plan.json")).unwrap()).unwrap(), &mut found);
    data_set.commits().iter().for_each(|commit| keys(commit, &mut found));
    data_set.rejects().iter().for_each(|(entry, _)| keys(entry, &mut found));
    found.sort();
    found.dedup();
    let format = ["format", "manifest", "sources"].map(|name| page(&format!("docs/reference/{name}.md"))).concat();
    let missing: Vec<&String> = found.iter().filter(|key| !format.contains(&format!("`{key}`"))).collect();
    assert_eq!(missing, Vec::<&String>::new());
}
