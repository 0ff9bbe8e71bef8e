//! Runs that are ended at every step of a file on its way to its name, at random moments, by a full disk, and by each other.
//!
//! Whatever happened, the same command goes on to the bytes of a run that nothing stopped, and leaves no other file. `just kills` runs
//! the long form, by `UL2_PREP_LONG`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Fixture, Ran, read_rows, record, text};

/// Whether the long form is asked for.
fn long() -> bool {
    std::env::var_os("UL2_PREP_LONG").is_some()
}

/// What is run, over sources that the fixture holds.
struct Scene {
    fixture: Fixture,
    arguments: String,
    /// The files of a run that nothing stopped.
    whole: BTreeMap<String, String>,
}

impl Scene {
    fn new(fixture: Fixture, arguments: &str) -> Self {
        let whole = fixture.run("whole", arguments).digests();
        Self { fixture, arguments: arguments.to_owned(), whole }
    }

    /// Three units, one for each epoch, with rejects beside the first.
    fn small() -> Self {
        let fixture = Fixture::new();
        let lines: String = (0..40).map(|number| record(&text(number, 1500))).collect();
        fixture.write_source("in/a.jsonl.zst", lines + "not JSON\n");
        fixture.write_source("in/b.jsonl", record(&text(1, 900)));
        Self::new(fixture, "in --epochs 3 --seed 5 --workers 1")
    }

    /// A source of several shards, with rejects beside all.
    fn large() -> Self {
        let fixture = Fixture::new();
        let line = |number| if number % 100 == 7 { "{\"text\": 3}\n".to_owned() } else { record(&text(number, 4000)) };
        fixture.write_source("in/large.jsonl.zst", (0..9_000).map(line).collect::<String>());
        Self::new(fixture, "in --shard-size 1MiB --max-rejects 5% --seed 3 --recipe t5 --workers 2")
    }

    fn command(&self, out: &str, fault: Option<&str>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ul2-prep"));
        command.arg("run").args(self.arguments.split(' ')).args(["--out", out, "--quiet"]);
        command.current_dir(self.fixture.path("")).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(fault) = fault {
            command.env("UL2_PREP_FAULT", fault);
        }
        command
    }

    /// How many steps a run takes.
    fn steps(&self) -> u64 {
        let (mut ended, mut over) = (0, 4096);
        while over - ended > 1 {
            let middle = u64::midpoint(ended, over);
            let counter = if self.with_fault("counted", &format!("abort:{middle}")).code == Some(0) {
                &mut over
            } else {
                &mut ended
            };
            *counter = middle;
            fs_err::remove_dir_all(self.fixture.path("counted")).unwrap();
        }
        over
    }

    /// A run with a fault; how it ended.
    fn with_fault(&self, out: &str, fault: &str) -> Ran {
        Ran::new(self.command(out, Some(fault)).output().unwrap())
    }

    /// What has a final name is whole, whatever happened.
    #[track_caller]
    fn assert_shards_are_whole(&self, out: &str) {
        let data_set = self.fixture.data_set(out);
        if data_set.path("data").exists() {
            for shard in data_set.shards() {
                assert!(!read_rows(&shard).is_empty());
            }
        }
    }

    /// The same command goes on to the end, and there is nothing else in the folder, which is removed.
    #[track_caller]
    fn assert_goes_on(&self, out: &str, what: &str) {
        self.assert_shards_are_whole(out);
        let ran = Ran::new(self.command(out, None).output().unwrap());
        assert_eq!(ran.code, Some(0), "{what}: {}", ran.stderr);
        let found = self.fixture.data_set(out).digests();
        assert!(found == self.whole, "{what}: {:?} instead of {:?}", found.keys(), self.whole.keys());
        fs_err::remove_dir_all(self.fixture.path(out)).unwrap();
    }
}

fn scenes() -> Vec<Scene> {
    if long() { vec![Scene::small(), Scene::large()] } else { vec![Scene::small()] }
}

#[test]
fn a_run_ended_at_any_step_goes_on_to_the_same_bytes() {
    for scene in scenes() {
        let steps = scene.steps();
        for step in 0..steps {
            let ran = scene.with_fault("ended", &format!("abort:{step}"));
            assert_eq!(ran.code, None, "ended by a signal: {}", ran.stderr);
            scene.assert_goes_on("ended", &format!("ended at step {step}"));
        }
        // A plan, three records, three shards, two files of rejects, card and manifest: five steps each.
        assert!(steps >= 5 * 11, "{steps} steps");
        println!("ended at each of {steps} steps");
    }
}

#[test]
fn a_run_with_a_validation_split_ended_at_any_step_goes_on_to_the_same_bytes() {
    let fixture = Fixture::new();
    fixture.write_source("in/a.jsonl", (0..30).map(|number| record(&text(number, 900))).collect::<String>());
    let scene = Scene::new(fixture, "in --validation 20% --seed 5 --workers 1");
    let steps = scene.steps();
    for step in 0..steps {
        scene.with_fault("ended", &format!("abort:{step}"));
        scene.assert_goes_on("ended", &format!("ended at step {step}"));
    }
    assert!(scene.whole.contains_key("data/validation-00000-00000.parquet"), "{:?}", scene.whole.keys());
}

#[test]
fn a_run_that_fails_at_any_step_names_it_and_goes_on_to_the_same_bytes() {
    for scene in scenes() {
        let mut steps = BTreeSet::new();
        for number in 0..scene.steps() {
            let ran = scene.with_fault("failed", &format!("fail:{number}"));
            let Some((_, named)) = ran.stderr.split_once("fault on purpose ") else {
                // The reply was lost, the record is there, and that is what counts.
                assert_eq!(ran.code, Some(0), "step {number}: {}", ran.stderr);
                scene.assert_goes_on("failed", &format!("step {number} failed without harm"));
                continue;
            };
            assert_eq!(ran.code, Some(1), "{}", ran.stderr);
            let (step, file) = named.trim_end().split_once(" of `").unwrap();
            steps.insert(step.to_owned());
            scene.assert_goes_on("failed", &format!("failed {step} of {file}"));
        }
        let named: Vec<&str> = steps.iter().map(String::as_str).collect();
        let all = ["after folder sync", "after name", "before create", "before name", "before settle", "before sync"];
        assert_eq!(named, all);
    }
}

#[test]
fn a_disk_that_is_full_after_any_number_of_bytes_leaves_nothing_half_done() {
    for scene in scenes() {
        let whole: u64 = scene.fixture.data_set("whole").files().values().map(|bytes| bytes.len() as u64).sum();
        let distance = match (long(), whole > 1 << 20) {
            (true, false) => 1_000,
            (true, true) => 1_000_003,
            (false, _) => 20_011,
        };
        let mut full = 0;
        for bytes in (0..).step_by(distance) {
            let ran = scene.with_fault("full", &format!("full:{bytes}"));
            if ran.code == Some(0) {
                break;
            }
            assert_eq!(ran.code, Some(1), "{}", ran.stderr);
            assert_eq!(ran.stderr.matches("no space left").count(), 1, "said once: {}", ran.stderr);
            assert!(!scene.fixture.path("full/manifest.json").exists());
            let left = fs_err::read_dir(scene.fixture.path("full/.ul2-prep/tmp")).unwrap().count();
            assert_eq!(left, 0, "a run that can still act leaves no temporary file");
            scene.assert_goes_on("full", &format!("full after {bytes} bytes"));
            full += 1;
        }
        assert!(full >= 3, "{full}");
        println!("full after {full} numbers of bytes");
    }
}

#[test]
fn a_run_killed_at_random_moments_goes_on_to_the_same_bytes() {
    let scene = Scene::large();
    let begin = Instant::now();
    Ran::new(scene.command("timed", None).output().unwrap()).succeeded();
    let mut whole = begin.elapsed();
    let kills = if long() { 200 } else { 10 };
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let (mut attempts, mut killed, mut with_shards) = (0, 0, 0);
    while killed < kills {
        attempts += 1;
        assert!(attempts < 20 * kills, "runs end before they are killed");
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let moment = whole.mul_f64(f64::from(u32::try_from(state >> 33).unwrap()) / 2_f64.powi(31));
        let mut child = scene.command("killed", None).spawn().unwrap();
        std::thread::sleep(moment);
        let is_hit = child.try_wait().unwrap().is_none();
        child.kill().unwrap();
        child.wait().unwrap();
        // A run takes now more, now less time than the first: so the moments stay within it.
        whole = whole.mul_f64(if is_hit { 1.02 } else { 0.9 });
        if is_hit {
            killed += 1;
            let commits = scene.fixture.path("killed/.ul2-prep/commits").read_dir();
            with_shards += usize::from(commits.is_ok_and(|mut commits| commits.next().is_some()));
            // Every third is killed again while it goes on.
            if killed % 3 == 2 {
                let mut child = scene.command("killed", None).spawn().unwrap();
                std::thread::sleep(moment / 2);
                child.kill().unwrap();
                child.wait().unwrap();
            }
        }
        scene.assert_goes_on("killed", &format!("killed after {} ms", moment.as_millis()));
    }
    println!("{killed} kills of runs at work, {with_shards} of them after the first commit");
}

#[test]
fn several_runs_at_once_in_one_folder_are_harmless() {
    let scene = if long() { Scene::large() } else { Scene::small() };
    for round in 0..if long() { 40 } else { 3 } {
        let start = |process: u64| {
            std::thread::sleep(Duration::from_millis(process * (round % 4) * 3));
            scene.command("shared", None).spawn().unwrap()
        };
        let children: Vec<_> = (0..2 + round % 3).map(start).collect();
        for child in children {
            let ran = Ran::new(child.wait_with_output().unwrap());
            assert_eq!(ran.code, Some(0), "round {round}: {}", ran.stderr);
        }
        scene.assert_goes_on("shared", "several at once");
    }
}

// --- extending ---

#[test]
fn an_extended_data_set_has_the_rows_of_all_sources_and_its_old_shards_untouched() {
    let fixture = Fixture::new();
    let source = |seed: u64| -> String { (0..30).map(|number| record(&text(seed + number, 1200))).collect() };
    fixture.write_source("old/m.jsonl.zst", source(1));
    fixture.write_source("old/n.jsonl", source(100));
    fixture.write_source("new/a.jsonl.gz", source(200));
    fixture.write_source("new/z.jsonl", source(300));
    for name in ["old/m.jsonl.zst", "old/n.jsonl", "new/a.jsonl.gz", "new/z.jsonl"] {
        let to = name.replace("old/", "all/").replace("new/", "all/");
        fixture.write(&to, fs_err::read(fixture.path(name)).unwrap());
    }
    let settings = "--epochs 2 --seed 9";
    let before = fixture.run("masked", &format!("old {settings}")).digests();

    let message = fixture.ran(&format!("run all {settings} --out masked --quiet")).failed(2);
    insta::assert_snapshot!(message, @r"
    error: the data set in `masked/` was begun with other settings: `sources[a.jsonl.gz]` is not in the data set, but asked for; `sources[z.jsonl]` is not in the data set, but asked for

    hint: `--extend` adds the new sources to the data set
    ");
    let message = fixture.ran("run new --epochs 2 --seed 8 --out masked --quiet --extend").failed(2);
    insta::assert_snapshot!(message, @r"
    error: the data set in `masked/` was begun with other settings: `spec.seed` is 9 in the data set, but 8 asked for

    hint: use the same settings, or name another folder with `--out`
    ");

    // Interrupted on the way, then finished with the new sources alone.
    let interrupted = Command::new(env!("CARGO_BIN_EXE_ul2-prep"))
        .args(format!("run new {settings} --out masked --quiet --extend").split(' '))
        .env("UL2_PREP_FAULT", "abort:12")
        .current_dir(fixture.path(""))
        .output()
        .unwrap();
    assert_eq!(interrupted.status.code(), None);
    fixture.run("masked", &format!("new {settings} --extend"));
    let extended = fixture.data_set("masked");
    let after = extended.digests();
    for (name, digest) in &before {
        if name.starts_with("data/") || name.starts_with(".ul2-prep/") {
            assert_eq!(after.get(name), Some(digest), "{name}");
        }
    }
    let whole = fixture.run("whole", &format!("all {settings}"));
    assert_eq!(extended.manifest()["totals"]["rows_digest"], whole.manifest()["totals"]["rows_digest"]);
    let sorted = |mut rows: Vec<crate::support::Row>| {
        rows.sort();
        rows
    };
    assert_eq!(sorted(extended.rows()), sorted(whole.rows()));
    let names = |manifest: serde_json::Value| -> BTreeSet<String> {
        manifest["sources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|source| source["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(extended.manifest()), names(whole.manifest()));

    // It is checked and made again as any other.
    let verified = fixture.ran("verify masked --sources all --reproduce").succeeded().stdout;
    assert!(verified.starts_with("no finding in "), "{verified}");
    let again = fixture.ran("reproduce masked/manifest.json all --out again --quiet").succeeded().stdout;
    assert!(again.starts_with("equal: "), "{again}");
    let plan = fs_err::read_to_string(extended.path(".ul2-prep/plan-00001.json")).unwrap();
    fs_err::write(extended.path(".ul2-prep/plan-00001.json"), plan.replacen("\"seed\": 9", "\"seed\": 8", 1)).unwrap();
    assert!(fixture.ran("verify masked").code == Some(1), "an extension's plan is looked at too");
    fs_err::write(extended.path(".ul2-prep/plan-00001.json"), plan).unwrap();

    // All sources again: nothing is left to do, with the flag or without.
    fixture.run("masked", &format!("all {settings}"));
    fixture.run("masked", &format!("all {settings} --extend"));
    assert_eq!(fixture.data_set("masked").digests(), after);
}

#[test]
fn an_extension_needs_the_sources_that_are_not_finished() {
    let fixture = Fixture::new();
    fixture.write_source("old/a.jsonl", record(&text(1, 900)));
    fixture.write_source("new/b.jsonl", record(&text(2, 900)));
    let begun = Command::new(env!("CARGO_BIN_EXE_ul2-prep"))
        .args("run old --out masked --quiet".split(' '))
        .env("UL2_PREP_FAULT", "abort:8")
        .current_dir(fixture.path(""))
        .output()
        .unwrap();
    assert_eq!(begun.status.code(), None);
    let message = fixture.ran("run new --out masked --quiet --extend").failed(2);
    insta::assert_snapshot!(message, @r"
    error: a.jsonl: the source is not finished in this data set, and is not among the SOURCEs

    hint: finish the data set first, or give all its sources
    ");
    fixture.run("masked", "old new --extend");
    assert_eq!(fixture.data_set("masked").manifest()["totals"]["documents"], 2);
}

// --- what a review found ---

#[test]
fn long_lines_are_kept_whole_in_every_epoch_on_every_worker() {
    let fixture = Fixture::new();
    // Both epochs read the same long lines at about the same time, on two workers.
    let line = |number: usize| record(&"x".repeat(3_000_000 + number));
    fixture.write_source("in/a.jsonl", (0..12).map(line).collect::<String>());
    fixture.write_source("in/b.jsonl", (0..9_000).map(|number| record(&text(number, 1000))).collect::<String>());
    let mut digests = BTreeSet::new();
    for workers in [1, 2, 4] {
        let out = format!("masked-{workers}");
        let arguments = format!("in --epochs 2 --max-line 1MiB --max-rejects 100% --workers {workers}");
        let data_set = fixture.run(&out, &arguments);
        for (number, (entry, bytes)) in data_set.rejects().iter().enumerate() {
            assert_eq!(bytes.len() + 1, line(number).len(), "{entry}");
        }
        digests.insert(format!("{:?}", data_set.digests()));
    }
    assert_eq!(digests.len(), 1);
}

#[test]
fn a_shard_that_nothing_replaces_does_not_stay_in_a_finished_data_set() {
    let fixture = Fixture::new();
    let good = record(&text(1, 900));
    fixture.write("in/a.jsonl", &good);
    // Ended when the shard has its name, but no record.
    let ended = (0..40).find(|step| {
        let _ = fs_err::remove_dir_all(fixture.path("masked"));
        let fault = format!("abort:{step}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_ul2-prep"));
        command.args("run in --out masked --quiet --max-rejects 100%".split(' ')).env("UL2_PREP_FAULT", fault);
        command.current_dir(fixture.path("")).output().unwrap();
        fixture.path("masked/data/train-00000-00000.parquet").exists()
    });
    assert!(ended.is_some() && fixture.data_set("masked").commits().is_empty());
    // The source is another one of that size now, and makes no row.
    fixture.write("in/a.jsonl", good.replacen('{', "[", 1));
    fixture.write("masked/data/notes.txt", "not ours");
    let data_set = fixture.run("masked", "in --max-rejects 100%");
    let names: Vec<_> = data_set.shards().iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    assert_eq!(names, ["notes.txt"]);
}

#[test]
fn a_run_that_ends_after_an_extension_does_not_take_it_back() {
    let fixture = Fixture::new();
    fixture.write_source("old/a.jsonl", (0..12_000).map(|number| record(&text(number, 3000))).collect::<String>());
    fixture.write_source("new/b.jsonl", record(&text(2, 900)));
    // A temporary file of a shard: the run is alive, and at work.
    let is_at_work = || {
        let files = fs_err::read_dir(fixture.path("masked/.ul2-prep/tmp")).into_iter().flatten();
        files.flatten().any(|file| file.file_name().to_string_lossy().starts_with("shard."))
    };
    let signal = |run: &Child, name: &str| {
        let kill = format!("kill -{name} {}", run.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    };
    // Where it ends before it could be stopped, there is another one.
    let stopped = (0..10).find_map(|_| {
        let _ = fs_err::remove_dir_all(fixture.path("masked"));
        let mut run = Command::new(env!("CARGO_BIN_EXE_ul2-prep"))
            .args("run old --out masked --quiet --workers 1".split(' '))
            .current_dir(fixture.path(""))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while !is_at_work() {
            if run.try_wait().unwrap().is_some() {
                return None;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        signal(&run, "STOP");
        let is_stopped = is_at_work();
        if !is_stopped {
            run.kill().and_then(|()| run.wait()).unwrap();
        }
        is_stopped.then_some(run)
    });
    let mut slow = stopped.expect("a run that is stopped at work");
    let mut extended = fixture.run("masked", "old new --extend").digests();
    // What the run that is stopped holds open is its own: it is alive, and removes it.
    extended.retain(|name, _| !name.starts_with(".ul2-prep/tmp/"));
    signal(&slow, "CONT");
    assert!(slow.wait().unwrap().success());
    assert_eq!(fixture.data_set("masked").digests(), extended);
    fixture.ran("verify masked --sources old new").succeeded();
}

#[test]
fn a_source_that_grew_where_the_last_shard_ended_is_refused() {
    let fixture = Fixture::new();
    let lines =
        |count: u64, seed: u64| -> String { (0..count).map(|number| record(&text(seed + number, 2000))).collect() };
    // `a` and `b` are the first batch, to its last byte; `c` follows.
    fixture.write("in/a.jsonl", lines(2_500, 1));
    let unpadded = gzip(lines(2_500, 9_000).as_bytes(), 0);
    let longer = gzip(lines(8_500, 9_000).as_bytes(), 0);
    let padding = longer.len() - unpadded.len();
    let short = gzip(lines(2_500, 9_000).as_bytes(), padding);
    fixture.write("in/b.jsonl.gz", &short);
    fixture.write("in/c.jsonl", lines(6_000, 40_000));
    let arguments = "in --shard-size 1B --workers 1";
    let data_set = fixture.data_set("masked");
    let begun = (0..60).any(|step| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ul2-prep"));
        command.args(["run", "--out", "masked", "--quiet"]).args(arguments.split(' '));
        command.env("UL2_PREP_FAULT", format!("abort:{step}")).current_dir(fixture.path("")).output().unwrap();
        let committed = fixture.path("masked/.ul2-prep/commits").read_dir().map_or(0, Iterator::count);
        if committed == 0 {
            let _ = fs_err::remove_dir_all(fixture.path("masked"));
        }
        committed == 1
    });
    assert!(begun);
    assert_eq!(data_set.commits()[0]["position"], serde_json::Value::Null);
    fixture.write("in/b.jsonl.gz", &longer);
    assert_eq!(short.len(), longer.len());
    let message = fixture.ran(&format!("run {arguments} --out masked --quiet")).failed(1);
    assert!(message.contains("the source changed since"), "{message}");
    assert_eq!(data_set.commits().len(), 1);
    fixture.write("in/b.jsonl.gz", &short);
    assert_eq!(fixture.run("masked", arguments).digests(), fixture.run("anew", arguments).digests());
}

/// A gzip file with `padding` bytes that hold nothing: empty members, and a name in the header of the first one.
fn gzip(bytes: &[u8], padding: usize) -> Vec<u8> {
    use std::io::Write as _;
    let member = |bytes: &[u8], name: usize| {
        let builder = flate2::GzBuilder::new();
        let builder = if name > 0 { builder.filename(vec![b'x'; name - 1]) } else { builder };
        let mut encoder = builder.write(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let empty = member(b"", 0);
    let mut file = member(bytes, padding % empty.len());
    file.extend(empty.repeat(padding / empty.len()));
    file
}

#[test]
fn a_folder_that_a_killed_run_left_half_made_is_no_foreign_one() {
    let scene = Scene::small();
    for step in 0..8 {
        let ran = scene.with_fault("begun", &format!("abort:{step}"));
        assert_eq!(ran.code, None);
        scene.assert_goes_on("begun", &format!("ended at step {step}, when folders are made"));
    }
}
