//! A data set made unit by unit from a plan that is written: by any processes, in any order, more than once.
//!
//! Whoever makes it, its files are those of one `ul2-prep run`. The same on object stores and on real engines: `tests/scale`.

use std::collections::BTreeMap;

use crate::support::{DataSet, Fixture, Ran, Row, record, repository, text};

/// Small sources, a unit for each 4 kB of them.
struct Scene {
    fixture: Fixture,
}

impl Scene {
    fn new() -> Self {
        let fixture = Fixture::new();
        for (name, documents) in
            [("a.jsonl.zst", 30), ("b.jsonl", 7), ("c/d.jsonl.gz", 20), ("e.jsonl", 0), ("f.jsonl", 9)]
        {
            let lines: String = (0..documents).map(|number| record(&text(number, 800))).collect();
            fixture.write_source(&format!("in/{name}"), lines);
        }
        fixture.write_source("in/g.jsonl", record("a last one") + "{\n");
        Self { fixture }
    }

    fn ran(&self, arguments: &str) -> Ran {
        self.with(arguments, &[])
    }

    fn with(&self, arguments: &str, environment: &[(&str, &str)]) -> Ran {
        let mut command = self.fixture.command();
        command.env("UL2_PREP_UNIT_BYTES", "4096").args(arguments.split(' '));
        command.envs(environment.iter().copied());
        Ran::new(command.output().unwrap())
    }

    /// The data set that one process makes.
    fn one(&self) -> DataSet {
        self.ran("run in --out one --seed 4 --epochs 2 --quiet").succeeded();
        self.fixture.data_set("one")
    }

    fn planned(&self) -> usize {
        let said = self.ran("plan in --out many --seed 4 --epochs 2 --write").succeeded().stdout;
        let units = said.lines().find_map(|line| line.strip_prefix("written: ")).unwrap();
        units.split(' ').next().unwrap().parse().unwrap()
    }

    fn missing(&self) -> Vec<usize> {
        self.ran("status many --missing").succeeded().stdout.lines().map(|line| line.parse().unwrap()).collect()
    }
}

/// The files of a data set but for what a plan that is written has beside it.
fn files(data_set: &DataSet) -> BTreeMap<String, String> {
    let mut files = data_set.digests();
    files.remove(".ul2-prep/inputs.json");
    files
}

#[test]
fn units_in_any_order_make_the_files_of_one_run() {
    let scene = Scene::new();
    let one = files(&scene.one());
    let units = scene.planned();
    assert!(units > 6, "{units} units");
    assert_eq!(scene.missing(), (0..units).collect::<Vec<_>>());
    // From the end, and every third once more.
    for unit in (0..units).rev() {
        for _ in 0..=usize::from(unit % 3 == 0) {
            scene.ran(&format!("run --plan many --unit {unit} --quiet --workers 2")).succeeded();
        }
        assert_eq!(scene.missing(), (0..unit).collect::<Vec<_>>());
    }
    for _ in 0..2 {
        scene.ran("finalize many").succeeded();
        assert_eq!(files(&scene.fixture.data_set("many")), one);
    }
    assert!(one.contains_key("_SUCCESS"));
    scene.ran("verify many --sources in --reproduce").succeeded();
    assert_eq!(
        scene.ran("status many").succeeded().stdout,
        format!("{units} of {units} units done, 0 begun, 0 not begun\n")
    );
}

#[test]
fn a_plan_without_a_unit_is_made_as_a_whole() {
    let scene = Scene::new();
    let one = files(&scene.one());
    scene.planned();
    scene.ran("run --plan many --unit 2 --quiet").succeeded();
    scene.ran("run --plan many --quiet").succeeded();
    assert_eq!(files(&scene.fixture.data_set("many")), one);
    // What is finished needs no source.
    fs_err::remove_dir_all(scene.fixture.path("in")).unwrap();
    scene.ran("run --plan many --quiet").succeeded();
    assert_eq!(files(&scene.fixture.data_set("many")), one);
}

#[test]
fn a_run_and_the_units_of_a_plan_go_on_with_each_other() {
    let scene = Scene::new();
    let one = files(&scene.one());
    scene.planned();
    scene.ran("run --plan many --unit 1 --quiet").succeeded();
    scene.ran("run in --out many --seed 4 --epochs 2 --quiet").succeeded();
    assert_eq!(files(&scene.fixture.data_set("many")), one);
    scene.ran("run --plan one --unit 3 in --quiet").succeeded();
    assert_eq!(files(&scene.fixture.data_set("one")), one);
}

#[test]
fn engines_say_the_unit_in_the_environment() {
    let scene = Scene::new();
    let units = scene.planned();
    scene.with("run --plan many --quiet", &[("JOB_COMPLETION_INDEX", "3")]).succeeded();
    scene.with("run --plan many --quiet --index-offset 4", &[("SLURM_ARRAY_TASK_ID", "1")]).succeeded();
    let expected: Vec<usize> = (0..units).filter(|unit| ![3, 5].contains(unit)).collect();
    assert_eq!(scene.missing(), expected);
    let arrays = scene.ran("status many --missing --array=4").succeeded().stdout;
    assert!(arrays.starts_with("0 0-2\n4 0,2-3\n"), "{arrays}");
    let refused = scene.with("run --plan many --quiet", &[("SLURM_ARRAY_TASK_ID", "4294967294x")]).failed(64);
    assert!(refused.contains("`SLURM_ARRAY_TASK_ID` is `4294967294x`, expected a unit number"), "{refused}");
}

#[test]
fn exit_codes_say_whether_another_attempt_may_go_better() {
    let scene = Scene::new();
    let units = scene.planned();
    let refused = scene.ran("finalize many").failed(75);
    assert!(refused.contains(&format!("{units} of {units} units not done: 0-{}", units - 1)), "{refused}");
    assert!(!scene.fixture.path("many/manifest.json").exists());
    let refused = scene.ran(&format!("run --plan many --unit {units}")).failed(64);
    assert!(refused.contains(&format!("there is no unit {units}: the plan has {units}, counted from 0")), "{refused}");
    scene.ran("run --plan nowhere --unit 0").failed(64);
    scene.ran("status nowhere").failed(64);
    scene.ran("run --plan many --unit 0 --seed 5").failed(2);
    let full = [("UL2_PREP_FAULT", "full:2000")];
    scene.with("run --plan many --unit 0 --quiet", &full).failed(75);
    scene.ran("run --plan many --unit 0 --quiet").succeeded();
    // A source that is another one now, or is gone.
    let b = scene.fixture.path("in/b.jsonl");
    fs_err::write(&b, "{}\n").unwrap();
    let refused = scene.ran("run --plan many --unit 1 --quiet").failed(64);
    assert!(refused.contains("b.jsonl: the source has 3 bytes"), "{refused}");
    fs_err::remove_file(&b).unwrap();
    scene.ran("run --plan many --unit 1 --quiet").failed(64);
}

#[test]
fn a_unit_and_an_offset_are_of_a_plan_and_an_engine() {
    let scene = Scene::new();
    scene.planned();
    for arguments in [
        "run in --out other --unit 3",
        "run in --out other --index-offset 3",
        "run --plan many --unit 1 --index-offset 2",
    ] {
        scene.ran(arguments).failed(2);
    }
    let refused = scene.ran("run --plan many --index-offset 3").failed(64);
    assert!(refused.contains("and neither is set"), "{refused}");
    assert!(!scene.fixture.path("other").exists());
    assert_eq!(scene.missing().len(), scene.planned());
}

#[test]
fn a_unit_that_is_done_needs_nothing_and_one_that_is_not_its_own_sources_only() {
    let scene = Scene::new();
    scene.planned();
    scene.ran("run --plan many --unit 0 --quiet").succeeded();
    fs_err::rename(scene.fixture.path("in"), scene.fixture.path("elsewhere")).unwrap();
    let said = scene.ran("run --plan many --unit 0 --quiet").succeeded().stderr;
    assert!(said.contains("is done already"), "{said}");
    let refused = scene.ran("run --plan many --unit 1 --quiet").failed(64);
    assert!(refused.contains("b.jsonl"), "{refused}");
    scene.ran("run --plan many --unit 1 --quiet elsewhere").succeeded();
    // Where things were decides nothing: it can be missing, or be nonsense, if it is said again.
    for (unit, inputs) in [(2, Some("{")), (3, None)] {
        let path = scene.fixture.path("many/.ul2-prep/inputs.json");
        match inputs {
            Some(text) => fs_err::write(path, text).unwrap(),
            None => fs_err::remove_file(path).unwrap(),
        }
        scene.ran(&format!("run --plan many --unit {unit} --quiet")).failed(64);
        scene.ran(&format!("run --plan many --unit {unit} --quiet elsewhere --tokenizer bytes")).succeeded();
    }
    scene.ran("run --plan many --quiet elsewhere").succeeded();
}

#[test]
fn a_shard_that_is_gone_or_cut_is_no_success() {
    let scene = Scene::new();
    scene.planned();
    scene.ran("run --plan many --quiet").succeeded();
    let shard = scene.fixture.path("many/data/train-00001-00000.parquet");
    let bytes = fs_err::read(&shard).unwrap();
    fs_err::remove_file(scene.fixture.path("many/_SUCCESS")).unwrap();
    fs_err::write(&shard, &bytes[1..]).unwrap();
    let refused = scene.ran("finalize many").failed(64);
    let expected =
        format!("train-00001-00000.parquet` has {}, its commit record says {} bytes", bytes.len() - 1, bytes.len());
    assert!(refused.contains(&expected), "{refused}");
    fs_err::remove_file(&shard).unwrap();
    let refused = scene.ran("finalize many").failed(64);
    assert!(refused.contains("train-00001-00000.parquet` is missing, its commit record says"), "{refused}");
    assert!(!scene.fixture.path("many/_SUCCESS").exists());
    fs_err::write(&shard, &bytes).unwrap();
    scene.ran("finalize many").succeeded();
}

#[test]
fn a_plan_of_no_sense_is_refused_and_no_panic() {
    let scene = Scene::new();
    scene.planned();
    let path = scene.fixture.path("many/.ul2-prep/plan.json");
    let plan = fs_err::read_to_string(&path).unwrap();
    for (from, to, reason) in [
        ("\"first_source\": 1,", "\"first_source\": 50,", "is of no sources of the plan"),
        ("\"first_source\": 1,", "\"first_source\": 18446744073709551615,", "is of no sources of the plan"),
        ("\"plan_version\": 1,", "\"plan_version\": 99,", "`plan_version` is 99, expected 1"),
    ] {
        let changed = plan.replacen(from, to, 1);
        assert_ne!(plan, changed);
        fs_err::write(&path, changed).unwrap();
        for arguments in ["run --plan many --unit 0", "status many", "finalize many"] {
            let refused = scene.ran(arguments).failed(64);
            assert!(refused.contains(reason), "{refused}");
        }
    }
}

#[test]
fn a_plan_that_is_written_is_not_changed_after_the_first_commit() {
    let scene = Scene::new();
    scene.planned();
    scene.planned();
    let other = "plan in --out many --seed 5 --epochs 2 --write";
    let note = scene.ran(other).succeeded().stderr;
    assert!(note.contains("this one takes its place"), "{note}");
    scene.planned();
    scene.ran("run --plan many --unit 0 --quiet").succeeded();
    let refused = scene.ran(other);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("`spec.seed` is 4 in the data set, but 5 asked for"), "{}", refused.stderr);
}

#[test]
fn an_extension_is_planned_as_well() {
    let scene = Scene::new();
    let before = scene.planned();
    scene.ran("run --plan many --quiet").succeeded();
    scene
        .fixture
        .write_source("more/h.jsonl.zst", (0..40).map(|number| record(&text(number, 700))).collect::<String>());
    let said = scene.ran("plan more --out many --seed 4 --epochs 2 --write --extend").succeeded().stdout;
    assert!(said.contains(&format!("written: {} units", before + 2)), "{said}");
    assert_eq!(scene.missing(), [before, before + 1]);
    for unit in scene.missing() {
        scene.ran(&format!("run --plan many --unit {unit} --quiet")).succeeded();
    }
    scene.ran("finalize many").succeeded();
    scene.ran("verify many --sources in more --reproduce").succeeded();
}

// --- sources in parts ---

/// A plain source and two compressed ones of three to four blocks.
fn large() -> Fixture {
    let fixture = Fixture::new();
    let lines = |first: u64| (first..first + 7_000).map(|number| record(&text(number, 4_000))).collect::<String>();
    fixture.write_source("in/a.jsonl.zst", lines(0));
    fixture.write_source("in/b.jsonl", lines(1) + "not JSON\n");
    fixture.write_source("in/c.jsonl.gz", lines(2));
    fixture
}

/// Rows by their addresses: files, and the order of units, may differ.
fn rows(data_set: &DataSet) -> Vec<Row> {
    let mut rows = data_set.rows();
    rows.sort_by(|a, b| (&a.source, a.line, a.segment).cmp(&(&b.source, b.line, b.segment)));
    rows
}

#[test]
fn parts_of_a_source_have_its_rows() {
    let fixture = large();
    let arguments = "in --recipe t5 --seed 9 --shuffle --shard-size 8MiB --max-rejects 1";
    let whole = fixture.run("whole", arguments);
    let parts = fixture.run("parts", &format!("{arguments} --split 400kB"));
    let units = parts.manifest()["plan"]["units"].as_array().unwrap().clone();
    assert!(units.len() > 20, "{} units", units.len());
    assert!(units.iter().filter(|unit| unit["first_source"] == 1).count() == 16, "a source has 16 parts at most");
    assert!(parts.commits().iter().any(|commit| commit["file"].is_null()), "some part has no block");
    assert!(parts.shards().len() > 9, "{} shards", parts.shards().len());
    assert_eq!(rows(&whole), rows(&parts));
    for total in ["rows", "lines", "documents", "tokens", "input_ids", "labels", "rejects", "rows_digest"] {
        assert_eq!(whole.manifest()["totals"][total], parts.manifest()["totals"][total], "{total}");
    }
    assert_eq!(whole.manifest()["sources"], parts.manifest()["sources"]);
    fixture.ran("verify parts --sources in --reproduce").succeeded();
    fixture.ran("reproduce parts in --out again --quiet").succeeded();
    // Unit by unit, in another order.
    fixture
        .ran(&format!("plan {arguments} --split 400kB --out many --write").replace(" --max-rejects 1", ""))
        .succeeded();
    for unit in (0..units.len()).rev() {
        fixture.ran(&format!("run --plan many --unit {unit} --max-rejects 1 --quiet")).succeeded();
    }
    fixture.ran("finalize many").succeeded();
    assert_eq!(files(&fixture.data_set("many")), files(&parts));
}

#[test]
fn parts_of_a_source_that_changed_in_between_are_no_data_set() {
    let fixture = large();
    fixture.ran("plan in/b.jsonl --seed 1 --split 10MB --out many --write").succeeded();
    fixture.ran("run --plan many --unit 0 --max-rejects 1 --quiet").succeeded();
    // Another text of the same size.
    let path = fixture.path("in/b.jsonl");
    let mut bytes = fs_err::read(&path).unwrap();
    let place = bytes.windows(4).position(|four| four.iter().all(u8::is_ascii_lowercase)).unwrap() + 12;
    bytes[place] = if bytes[place] == b'q' { b'r' } else { b'q' };
    fs_err::write(&path, bytes).unwrap();
    for unit in [1, 2] {
        fixture.ran(&format!("run --plan many --unit {unit} --max-rejects 1 --quiet")).succeeded();
    }
    let refused = fixture.ran("finalize many").failed(64);
    assert!(refused.contains("b.jsonl: the source changed while the data set was made"), "{refused}");
}

#[test]
fn the_end_of_a_plan_needs_no_tokenizer() {
    let fixture = Fixture::new();
    fixture.write("a.jsonl", record("a text that is masked with a tokenizer of its own"));
    fixture.write("tokenizer.json", fs_err::read(repository("fixtures/tokenizer/tokenizer.json")).unwrap());
    let arguments = "a.jsonl --tokenizer tokenizer.json --recipe t5";
    fixture.ran(&format!("plan {arguments} --out units --write")).succeeded();
    fixture.ran("run --plan units --unit 0 --quiet").succeeded();
    let expected = fixture.run("whole", arguments).digests();
    fs_err::remove_file(fixture.path("tokenizer.json")).unwrap();
    fixture.ran("finalize units").succeeded();
    assert_eq!(fixture.data_set("units").digests(), expected);
}
