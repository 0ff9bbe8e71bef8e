//! What goes wrong: bad lines, damaged sources, a full disk, a stop at any moment.
//!
//! Nothing is dropped silently, nothing half-written has a final name, and the same command resumes to the bytes of a run that was
//! never stopped. Stops come at moments that depend on the machine; what is asserted holds for every moment.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use fs_err as fs;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use ul2_prep::denoise::decode;
use ul2_prep::digest::hex;
use ul2_prep::input::batch::BLOCK_BYTES;

use crate::support::{DataSet, Fixture, Ran, compressed, read_rows, record, repository, text};

/// Every shard of the data set, finished or not, is described by a commit record; nothing else is in `data/`, and no temporary file is
/// left.
#[track_caller]
fn assert_nothing_half_written(data_set: &DataSet) {
    let described: BTreeMap<String, Value> = data_set
        .commits()
        .into_iter()
        .filter_map(|commit| Some((commit["file"]["path"].as_str()?.to_owned(), commit["file"].clone())))
        .collect();
    let mut found = BTreeSet::new();
    for (name, bytes) in data_set.files() {
        assert!(!name.starts_with(".ul2-prep/tmp/"), "{name} is left over");
        if name.starts_with("data/") {
            let file = described.get(&name).unwrap_or_else(|| panic!("{name} is in no commit record"));
            assert_eq!(file["sha256"], hex(&Sha256::digest(&bytes)), "{name}");
            assert_eq!(file["rows"], read_rows(&data_set.path(&name)).len(), "{name}");
            found.insert(name);
        }
    }
    assert_eq!(found, described.into_keys().collect(), "a commit record describes a file that is not there");
}

// --- bad, odd and damaged sources ---

/// The lines of a source, decompressed by the library that the fixtures were made with.
fn lines_of(name: &str) -> Vec<Vec<u8>> {
    let bytes = fs::read(repository("fixtures/bad").join(name)).unwrap();
    let mut text = Vec::new();
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    if extension == Some("zst") {
        let mut decoder = zstd::Decoder::new(bytes.as_slice()).unwrap();
        decoder.window_log_max(31).unwrap();
        decoder.read_to_end(&mut text).unwrap();
    } else {
        assert_eq!(extension, Some("jsonl"), "no gzip file has bad lines");
        text = bytes;
    }
    let mut lines: Vec<Vec<u8>> = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    if lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    lines
}

/// The outcomes of a file, one for each line; `None` if the source fails.
fn expected() -> BTreeMap<String, Option<Vec<String>>> {
    serde_json::from_slice(&fs::read(repository("fixtures/bad/expected.json")).unwrap()).unwrap()
}

fn check_bad_sources(tokenizer: &str) {
    let fixture = Fixture::new();
    for (name, outcomes) in expected() {
        let source = repository("fixtures/bad").join(&name);
        let arguments = format!("{} --tokenizer {tokenizer} --max-rejects 100% --max-window 2GiB", source.display());
        let ran = fixture.ran(&format!("run {arguments} --out {name} --quiet"));
        let data_set = fixture.data_set(&name);
        let Some(outcomes) = outcomes else {
            let message = ran.failed(1);
            // Notes on the tokenizer come first.
            let error = message.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
            assert!(error.starts_with(&format!("error: {name}: ")), "{message}");
            assert_eq!(data_set.shards(), [] as [std::path::PathBuf; 0], "{name}");
            assert!(!data_set.path("manifest.json").exists(), "{name}");
            assert_nothing_half_written(&data_set);
            continue;
        };
        assert_eq!(ran.succeeded().stdout, "", "{name}");
        assert_nothing_half_written(&data_set);
        let spec = data_set.spec();
        let mut rows: BTreeMap<u64, usize> = BTreeMap::new();
        for row in data_set.rows() {
            *rows.entry(row.line.cast_unsigned()).or_default() += 1;
            let form = spec.denoisers().iter().position(|denoiser| denoiser.name == row.denoiser).unwrap();
            let segment = decode(&row.input_ids, &row.labels, spec.form(form)).unwrap().segment;
            assert!(segment.iter().all(|&id| spec.vocabulary().is_ordinary(id)), "{name}:{}: a reserved id", row.line);
        }
        let rejects: BTreeMap<u64, Vec<u8>> = data_set
            .rejects()
            .into_iter()
            .map(|(entry, bytes)| {
                assert_eq!(entry["source"], name.as_str());
                (entry["line"].as_u64().unwrap(), bytes)
            })
            .collect();
        let lines = lines_of(&name);
        assert_eq!(lines.len(), outcomes.len(), "{name}");
        for (number, (line, outcome)) in (1..).zip(lines.iter().zip(&outcomes)) {
            let found = (rows.contains_key(&number), rejects.contains_key(&number));
            let good = match outcome.as_str() {
                "row" => found == (true, false),
                "reject" => found == (false, true),
                "blank" => found == (false, false),
                "row or reject" => found.0 != found.1,
                other => panic!("{other} is no outcome"),
            };
            assert!(good, "{name}:{number}: expected {outcome}, found (row, reject) = {found:?}");
            if let Some(bytes) = rejects.get(&number) {
                assert_eq!(bytes, line, "{name}:{number}: a reject is kept byte for byte");
            }
        }
        // Every line is counted once.
        let totals = &data_set.manifest()["totals"];
        let count = |key: &str| totals[key].as_u64().unwrap();
        assert_eq!(count("lines"), outcomes.len() as u64, "{name}");
        assert_eq!(count("lines"), count("blank_lines") + count("documents") + rejects.len() as u64, "{name}");
        let counted = totals.get("rejects").and_then(Value::as_object).into_iter().flatten();
        assert_eq!(counted.map(|(_, count)| count.as_u64().unwrap()).sum::<u64>(), rejects.len() as u64, "{name}");
        assert_eq!(count("rows"), rows.values().sum::<usize>() as u64, "{name}");
    }
}

#[test]
fn zeros_after_the_last_gzip_member_are_padding() {
    let fixture = Fixture::new();
    let lines: String = (0..20_000).map(|number| record(&text(number, 900))).collect();
    let padded =
        |zeros: usize, more: &[u8]| [&compressed("a.gz", lines.as_bytes())[..], &vec![0; zeros], more].concat();
    fixture.write("in/a.jsonl.gz", padded(0, b""));
    let rows = fixture.run("plain", "in").rows();
    for (out, zeros) in [("one", 1), ("many", 3 << 20)] {
        let bytes = padded(zeros, b"");
        let digest = hex(&Sha256::digest(&bytes));
        fixture.write("in/a.jsonl.gz", bytes);
        let data_set = fixture.run(out, "in --shard-size 1MiB");
        assert_eq!(data_set.rows(), rows, "{zeros} zeros");
        assert_eq!(data_set.manifest()["sources"][0]["sha256"], digest, "all bytes are digested");
        // Goes on after its first shards, and in parts: a part may be nothing but zeros.
        let again = fixture.data_set(out);
        let before = again.digests();
        for file in
            ["manifest.json", "_SUCCESS", ".ul2-prep/commits/00000-00002.json", ".ul2-prep/commits/00000-00001.json"]
        {
            let _ = fs::remove_file(again.path(file));
        }
        fixture.run(out, "in --shard-size 1MiB");
        assert_eq!(again.digests(), before);
        assert_eq!(fixture.run(&format!("{out}-parts"), "in --split 1MiB").rows(), rows);
    }
    for (out, more) in [("text", &b"x"[..]), ("member", &compressed("a.gz", b"{}\n"))] {
        fixture.write("in/a.jsonl.gz", padded(1000, more));
        let message = fixture.ran(&format!("run in --out {out} --quiet")).failed(1);
        assert!(message.contains("other bytes follow the zeros after a gzip member"), "{message}");
    }
}

#[test]
fn every_bad_source_becomes_rows_rejects_or_an_error_as_its_page_says() {
    check_bad_sources("bytes");
}

#[test]
fn every_bad_source_becomes_rows_rejects_or_an_error_with_a_unigram_tokenizer_too() {
    check_bad_sources(repository("fixtures/tokenizer").to_str().unwrap());
}

#[test]
fn a_damaged_or_misnamed_source_comes_with_a_hint() {
    let fixture = Fixture::new();
    let hint_for = |name: &str| {
        let source = repository("fixtures/bad").join(name);
        let message = fixture.ran(&format!("run {} --out {name} --quiet", source.display())).failed(1);
        message.split_once("\nhint: ").map(|(_, hint)| hint.trim_end().to_owned())
    };
    let damaged = "the file is truncated or damaged: fetch it again, or leave it out; finished shards are kept";
    for name in
        ["zst-truncated.jsonl.zst", "zst-bad-checksum.jsonl.zst", "gz-truncated.jsonl.gz", "gz-bad-checksum.jsonl.gz"]
    {
        assert_eq!(hint_for(name).as_deref(), Some(damaged), "{name}");
    }
    let misnamed = "rename the file, or compress it as its name says";
    for name in ["zst-plain-text.jsonl.zst", "zst-no-frame.jsonl.zst"] {
        assert_eq!(hint_for(name).as_deref(), Some(misnamed), "{name}");
    }
}

/// Lines that start as records and go through a few byte-wise accidents. No line feed: that would be another line.
fn damaged_lines(count: u64) -> Vec<Vec<u8>> {
    const BYTES: &[u8] = b"{}[]\",:\\u0dtexa 1-.e\t\r\0\x1f\x7f\xc3\xa9\xed\xa0\xf0\xff";
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut below = |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % n as u64).unwrap()
    };
    let mut damaged = |number: u64| {
        let text = format!("é \\ \" 日本 \u{1F600} {number}");
        let mut line = serde_json::json!({ "id": number, "a": [null, -1.5e3, {"text": 1}], "text": text });
        line["meta"]["more"] = vec![true; below(4)].into();
        let mut line = line.to_string().into_bytes();
        for _ in 0..below(4) {
            let place = below(line.len());
            match below(4) {
                0 => line[place] = BYTES[below(BYTES.len())],
                1 => line.insert(place, BYTES[below(BYTES.len())]),
                2 => drop(line.remove(place)),
                _ => line.truncate(place + 1),
            }
        }
        line
    };
    (0..count).map(&mut damaged).collect()
}

#[test]
fn a_damaged_line_is_rows_exactly_if_it_still_is_an_object_with_a_text() {
    let lines = damaged_lines(4000);
    let fixture = Fixture::new();
    fixture.write_source("a.jsonl.zst", lines.join(&b'\n'));
    let data_set = fixture.run("masked", "a.jsonl.zst --max-rejects 100%");
    let rows: BTreeSet<u64> = data_set.rows().into_iter().map(|row| row.line.cast_unsigned()).collect();
    let kept: BTreeMap<u64, Vec<u8>> =
        data_set.rejects().into_iter().map(|(entry, bytes)| (entry["line"].as_u64().unwrap(), bytes)).collect();
    for (number, line) in (1..).zip(&lines) {
        let value = serde_json::from_slice::<Value>(line).ok();
        let text = value.as_ref().and_then(|value| value.as_object()?.get("text")?.as_str());
        let shown = String::from_utf8_lossy(line);
        assert_eq!(rows.contains(&number), text.is_some_and(|text| text.len() >= 2), "line {number}: {shown}");
        if !rows.contains(&number) {
            assert_eq!(kept.get(&number), Some(line), "line {number}: {shown}");
        }
    }
    assert!(rows.len() > 1000 && kept.len() > 1000, "{} rows, {} rejects", rows.len(), kept.len());
    assert_eq!(rows.len() + kept.len(), lines.len());
}

#[test]
fn of_two_values_of_one_key_the_last_wins() {
    let fixture = Fixture::new();
    let source = repository("fixtures/bad/text-duplicate-key.jsonl");
    let rows = fixture.run("masked", &format!("{} --max-rejects 100% --recipe t5", source.display())).rows();
    let spec = fixture.data_set("masked").spec();
    let text = |line| -> String {
        let row = rows.iter().find(|row| row.line == line).unwrap();
        let segment = decode(&row.input_ids, &row.labels, spec.form(0)).unwrap().segment;
        String::from_utf8(segment.into_iter().map(|id| u8::try_from(id - 3).unwrap()).collect()).unwrap()
    };
    for line in [2, 3] {
        assert!(text(line).starts_with("the last value wins"), "{}", text(line));
    }
}

#[test]
fn too_many_rejects_stop_the_run_and_the_first_is_named() {
    let fixture = Fixture::new();
    let good = record("a good line");
    fixture.write_source("a.jsonl", format!("{good}\n{good}{{\n{good}[1]\n"));
    let message = fixture.ran("run a.jsonl --out masked --max-rejects 1 --quiet").failed(1);
    insta::assert_snapshot!(message, @r"
    error: a.jsonl: 2 of 6 lines are rejected, more than the 1 that `--max-rejects` allows; the first is a.jsonl:4: invalid-json: EOF while parsing an object at byte 1

    hint: mend the source, or allow more with `--max-rejects`
    ");
    assert_nothing_half_written(&fixture.data_set("masked"));
    // The allowance decides no row, so it may be raised for the same data set.
    fixture.run("masked", "a.jsonl --max-rejects 2");
    assert_eq!(fixture.data_set("masked").rejects().len(), 2);
}

#[test]
fn a_share_of_rejects_allows_ten_at_least_and_then_counts_in_proportion() {
    let fixture = Fixture::new();
    let source = |good: usize, bad: usize| record("a good line").repeat(good) + &"{\n".repeat(bad);
    fixture.write_source("ten.jsonl", source(1, 10));
    fixture.write_source("eleven.jsonl", source(1, 11));
    fixture.write_source("share.jsonl", source(89, 11));
    fixture.ran("run ten.jsonl --out ten --quiet").succeeded();
    fixture.ran("run eleven.jsonl --out eleven --quiet").failed(1);
    fixture.ran("run share.jsonl --out ten-percent --max-rejects 10% --quiet").failed(1);
    fixture.ran("run share.jsonl --out eleven-percent --max-rejects 11% --quiet").succeeded();
}

#[test]
fn a_line_that_is_too_long_is_rejected_and_kept_whole() {
    let fixture = Fixture::new();
    // Longer than one read; longer than allowed but read at once; longer than a batch; and the last, without a line feed.
    let long = [700_000, 2_000, BLOCK_BYTES + 100_000, 300_000].map(|bytes| record(&text(bytes as u64, bytes)));
    let good = record("a good line");
    let mut lines = long.iter().flat_map(|line| [&good, line]).map(String::as_str).collect::<String>();
    lines.pop();
    fixture.write_source("a.jsonl.zst", &lines);
    fixture.write_source("b.jsonl", &good);
    for workers in [1, 5] {
        let arguments = format!("a.jsonl.zst b.jsonl --max-line 1kB --max-rejects 4 --workers {workers}");
        let data_set = fixture.run(&format!("masked-{workers}"), &arguments);
        let rejects = data_set.rejects();
        let found: Vec<_> = rejects.iter().map(|(entry, _)| (&entry["line"], &entry["reason"])).collect();
        let reason = Value::from("line-too-long");
        let numbers = [2, 4, 6, 8].map(Value::from);
        assert_eq!(found, numbers.iter().map(|number| (number, &reason)).collect::<Vec<_>>());
        for ((entry, bytes), line) in rejects.iter().zip(&long) {
            assert!(bytes == line.trim_end().as_bytes(), "{entry}");
            assert!(entry["detail"].as_str().unwrap().contains(&format!("has {} bytes", bytes.len())), "{entry}");
        }
        let rows: Vec<_> = data_set.rows().into_iter().map(|row| (row.source, row.line)).collect();
        let good = [("a.jsonl.zst", 1), ("a.jsonl.zst", 3), ("a.jsonl.zst", 5), ("a.jsonl.zst", 7), ("b.jsonl", 1)];
        assert_eq!(rows, good.map(|(source, line)| (source.to_owned(), line)));
        assert_nothing_half_written(&data_set);
    }
    assert_eq!(fixture.data_set("masked-1").digests(), fixture.data_set("masked-5").digests());
}

#[test]
fn a_line_may_be_exactly_as_long_as_allowed() {
    let fixture = Fixture::new();
    let line = record(&"x".repeat(989));
    assert_eq!(line.len(), 1001, "1000 bytes and a line feed");
    fixture.write_source("a.jsonl", line.clone() + &record(&"x".repeat(990)));
    let data_set = fixture.run("masked", "a.jsonl --max-line 1000");
    assert_eq!(data_set.manifest()["totals"]["documents"], 1);
    assert_eq!(data_set.rejects().len(), 1);
}

// --- damage in the middle of a run ---

/// A source of more than four batches, so that a run in small shards commits several times.
static LARGE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    // Every hundredth line is bad: shards have rejects beside them.
    let line = |number| if number % 100 == 7 { "{\"text\": 3}\n".to_owned() } else { record(&text(number, 4000)) };
    let lines = (0..9_000).map(line).collect::<String>().into_bytes();
    assert!(lines.len() > 4 * BLOCK_BYTES);
    lines
});

/// `large.jsonl.zst` and a small source after it.
fn fixture_with_large_source() -> Fixture {
    static COMPRESSED: LazyLock<Vec<u8>> = LazyLock::new(|| compressed("large.jsonl.zst", &LARGE));
    let fixture = Fixture::new();
    fixture.write("in/large.jsonl.zst", &*COMPRESSED);
    fixture.write_source("in/small.jsonl.gz", record(&text(1, 900)).repeat(20));
    fixture
}

/// Shards of one batch each, so a commit a batch.
const ARGUMENTS: &str = "in --shard-size 1MiB --max-rejects 5% --seed 3 --recipe t5";

/// The files of a run over [`fixture_with_large_source`] that nothing stopped.
static UNINTERRUPTED: LazyLock<BTreeMap<String, String>> =
    LazyLock::new(|| fixture_with_large_source().run("masked", ARGUMENTS).digests());

#[test]
fn a_truncated_source_leaves_only_shards_that_are_committed_and_goes_on_when_it_is_mended() {
    let fixture = fixture_with_large_source();
    let whole = fs::read(fixture.path("in/large.jsonl.zst")).unwrap();
    // The same size with a broken end: the plan stays, the decoder fails in the fifth batch. One worker has three batches in flight, which
    // are lost, so one is committed.
    let mut broken = whole.clone();
    let place = broken.len() * 24 / 25;
    broken[place..].fill(0);
    fixture.write("in/large.jsonl.zst", broken);
    let message = fixture.ran(&format!("run {ARGUMENTS} --out masked --quiet --workers 1")).failed(1);
    assert!(message.starts_with("error: large.jsonl.zst: cannot be read after line "), "{message}");
    let data_set = fixture.data_set("masked");
    assert_nothing_half_written(&data_set);
    assert!(!data_set.shards().is_empty());
    assert!(!data_set.path("manifest.json").exists());

    fixture.write("in/large.jsonl.zst", &whole);
    assert_eq!(fixture.run("masked", ARGUMENTS).digests(), *UNINTERRUPTED);

    // Cut short it is another source.
    fixture.write("in/large.jsonl.zst", &whole[..place]);
    let message = fixture.ran(&format!("run {ARGUMENTS} --out masked --quiet")).failed(2);
    assert!(message.contains("`sources[large.jsonl.zst].bytes` is "), "{message}");
    assert!(fixture.ran(&format!("run {ARGUMENTS} --out other --quiet")).failed(1).contains("large.jsonl.zst"));
    assert_nothing_half_written(&fixture.data_set("other"));
}

#[test]
fn a_source_that_changed_behind_committed_shards_is_refused() {
    let fixture = Fixture::new();
    let small = record(&text(1, 3000)).into_bytes();
    fixture.write("in/a.jsonl", &small);
    fixture.write("in/b.jsonl", &*LARGE);
    let good = compressed("c.jsonl.zst", record(&text(2, 20_000)).as_bytes());
    let mut bad = good.clone();
    let half = bad.len() / 2;
    bad[half..].fill(0);
    fixture.write("in/c.jsonl.zst", &bad);
    // One worker has three batches in flight; what is in flight when a source fails is not committed.
    fixture.ran(&format!("run {ARGUMENTS} --out masked --quiet --workers 1")).failed(1);
    let committed = fixture.data_set("masked").commits();
    let last = committed.last().unwrap();
    assert_eq!((&last["position"]["source"], &last["last"]), (&"b.jsonl".into(), &false.into()));
    fixture.write("in/c.jsonl.zst", &good);

    // `c` is mended, but one letter of another source is not what it was: the sizes, and so the plan, are the same. `a` was read to its end,
    // `b` was not.
    for (name, bytes) in [("a.jsonl", &small), ("b.jsonl", &*LARGE)] {
        let mut changed = bytes.clone();
        let place = changed.iter().position(|byte| *byte == b'w').unwrap();
        changed[place] = b'v';
        fixture.write(&format!("in/{name}"), &changed);
        let message = fixture.ran(&format!("run {ARGUMENTS} --out masked --quiet")).failed(1);
        let expected = format!("error: {name}: the source changed since the first ");
        assert!(message.starts_with(&expected), "{message}");
        assert!(message.contains("hint: put the old source back"), "{message}");
        assert!(fixture.data_set("masked").commits() == committed);
        fixture.write(&format!("in/{name}"), bytes);
    }

    let finished = fixture.run("masked", ARGUMENTS);
    assert_eq!(finished.digests(), fixture.run("anew", ARGUMENTS).digests());
}

#[test]
fn a_full_disk_fails_the_run_and_the_same_command_goes_on_with_more_room() {
    let fixture = fixture_with_large_source();
    // No file may grow over 64 blocks of 512 bytes, or 1024 in some shells; a run that ignores the signal sees the write fail.
    let binary = env!("CARGO_BIN_EXE_ul2-prep");
    let limited = format!("trap '' XFSZ; ulimit -f 64; exec {binary} run {ARGUMENTS} --out masked --quiet");
    let output = Command::new("sh").args(["-c", &limited]).current_dir(fixture.path("")).output().unwrap();
    let message = Ran::new(output).failed(1);
    assert!(message.starts_with("error: "), "{message}");
    let data_set = fixture.data_set("masked");
    assert_nothing_half_written(&data_set);
    assert_eq!(data_set.commits().len(), 0);
    assert_eq!(fixture.run("masked", ARGUMENTS).digests(), *UNINTERRUPTED);
}

// --- stops ---

struct Started(Child);

impl Started {
    fn new(fixture: &Fixture, out: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ul2-prep"));
        command.arg("run").args(ARGUMENTS.split(' ')).args(["--out", out, "--quiet", "--workers", "1"]);
        let child = command.current_dir(fixture.path("")).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Self(child.unwrap())
    }

    /// Waits until `commits` shards are committed or the run has ended.
    fn wait_for(&mut self, data_set: &DataSet, commits: usize) {
        let committed = || fs::read_dir(data_set.path(".ul2-prep/commits")).map_or(0, Iterator::count);
        while committed() < commits && self.0.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn signal(&mut self, name: &str) {
        // The number of a run that has ended may be another process's; until it is waited for, it is not.
        if self.0.try_wait().unwrap().is_none() {
            let kill = format!("kill -{name} {}", self.0.id());
            assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        }
    }

    fn ended(self) -> Ran {
        Ran::new(self.0.wait_with_output().unwrap())
    }
}

#[test]
fn an_interrupted_run_ends_with_its_signal_and_the_same_command_goes_on_to_the_same_bytes() {
    let fixture = fixture_with_large_source();
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        // A machine that is busy elsewhere may let the run finish first; then there was no interruption to look at.
        let interrupted = (0..50).find_map(|attempt| {
            let out = format!("masked-{signal}-{attempt}");
            let data_set = fixture.data_set(&out);
            let mut started = Started::new(&fixture, &out);
            started.wait_for(&data_set, 1);
            started.signal(signal);
            let ran = started.ended();
            (ran.code != Some(0) && !data_set.path("manifest.json").exists()).then_some((out, ran))
        });
        let (out, ran) = interrupted.unwrap();
        let data_set = fixture.data_set(&out);
        let kept = match data_set.commits().len() {
            1 => "1 finished shard is kept, the same command resumes after it".to_owned(),
            count => format!("{count} finished shards are kept, the same command resumes after them"),
        };
        assert_eq!(ran.failed(code), format!("error: interrupted: {kept}\n"));
        assert_nothing_half_written(&data_set);
        assert!(!data_set.commits().is_empty());
        assert_eq!(fixture.run(&out, ARGUMENTS).digests(), *UNINTERRUPTED);
        assert_nothing_half_written(&data_set);
    }
}

#[test]
fn a_run_killed_at_any_moment_goes_on_to_the_same_bytes_without_a_stray_file() {
    let fixture = fixture_with_large_source();
    for commits in [0, 2] {
        let out = format!("masked-{commits}");
        let data_set = fixture.data_set(&out);
        // Twice: the second run is killed while it reads again what the first has committed, or soon after.
        for commits in [commits, commits + 1] {
            let mut started = Started::new(&fixture, &out);
            started.wait_for(&data_set, commits);
            started.0.kill().unwrap();
            started.0.wait().unwrap();
            // What has a final name is whole, also where its commit record did not get written any more.
            if data_set.path("data").exists() {
                for shard in data_set.shards() {
                    assert!(!read_rows(&shard).is_empty());
                }
            }
        }
        assert_eq!(fixture.run(&out, ARGUMENTS).digests(), *UNINTERRUPTED);
        assert_nothing_half_written(&data_set);
    }
}

/// A run that is killed once it has committed two shards, and what it has left.
fn killed_after_two_shards(fixture: &Fixture) -> DataSet {
    let data_set = fixture.data_set("masked");
    let mut started = Started::new(fixture, "masked");
    started.wait_for(&data_set, 2);
    started.0.kill().unwrap();
    started.0.wait().unwrap();
    data_set
}

#[test]
fn workers_may_be_others_after_a_stop() {
    let fixture = fixture_with_large_source();
    killed_after_two_shards(&fixture);
    assert_eq!(fixture.run("masked", &format!("{ARGUMENTS} --workers 5")).digests(), *UNINTERRUPTED);
}

#[test]
fn a_run_that_goes_on_says_so_and_from_where() {
    let fixture = fixture_with_large_source();
    let data_set = killed_after_two_shards(&fixture);
    let kept = data_set.commits().len();
    let command = format!("run {ARGUMENTS} --out masked");
    let ran = fixture.ran(&command).succeeded();
    let expected = format!("note: the run resumes after {kept} finished shards");
    assert_eq!(ran.stderr.lines().next(), Some(expected.as_str()));
    assert_eq!(data_set.digests(), *UNINTERRUPTED);
    let again = fixture.ran(&command).succeeded();
    assert_eq!(again.stderr.lines().next(), Some("note: the unit is finished, it is not made again"));
}

// --- first tries ---

#[test]
fn a_plan_of_which_nothing_is_committed_gives_way_to_a_corrected_command() {
    let fixture = Fixture::new();
    fixture.write("a.jsonl", r#"{"body": "a text under another name"}"#.to_owned() + "\n");
    fixture.write("b.jsonl", "{\n".repeat(30));
    let first = fixture.ran("run a.jsonl b.jsonl --out masked --max-rejects 0 --quiet").failed(1);
    assert!(first.contains("a.jsonl: no document in its only line"), "{first}");
    assert_eq!(fixture.data_set("masked").commits().len(), 0);
    // Other sources, other settings, another size of shards: all that can have been wrong.
    let corrected = "a.jsonl --text-field body --seed 3 --shard-size 1MiB";
    let plan = fixture.ran(&format!("plan {corrected} --out masked --no-estimate")).succeeded();
    assert!(!plan.stdout.contains("refused"), "{}", plan.stdout);
    let ran = fixture.ran(&format!("run {corrected} --out masked")).succeeded();
    assert_eq!(
        ran.stderr.lines().next(),
        Some("note: nothing is committed of an earlier plan with other settings: this one takes its place")
    );
    let anew = fixture.run("anew", corrected).digests();
    assert_eq!(fixture.data_set("masked").digests(), anew);
    // Now something is.
    fixture.ran("run a.jsonl --text-field body --seed 4 --out masked --quiet").failed(2);
}

#[test]
fn an_extension_of_which_nothing_is_committed_gives_way_to_one_by_another_source() {
    let fixture = Fixture::new();
    fixture.write("a.jsonl", record("a first source"));
    fixture.write("wrong.jsonl", "{\n".repeat(30));
    fixture.write("right.jsonl", record("the source that was meant"));
    fixture.run("masked", "a.jsonl");
    fixture.ran("run wrong.jsonl --out masked --extend --max-rejects 0 --quiet").failed(1);
    let plan = fixture.ran("plan right.jsonl --out masked --extend --no-estimate").succeeded();
    assert!(!plan.stdout.contains("wrong"), "{}", plan.stdout);
    let after = fixture.run("masked", "right.jsonl --extend").digests();
    fixture.run("anew", "a.jsonl");
    assert_eq!(fixture.run("anew", "right.jsonl --extend").digests(), after);
    fixture.ran("verify masked --sources a.jsonl right.jsonl").succeeded();
    // One of which something is committed stays, and says what it lacks.
    fixture.write("more.jsonl", record("first").repeat(20_000) + &"{\n".repeat(30));
    fixture.write("last.jsonl", record("never masked"));
    let stopped = "run more.jsonl --out masked --extend --max-rejects 0 --shard-size 4KiB --quiet";
    let message = fixture.ran(stopped).failed(2);
    assert!(message.contains("shard_bytes"), "{message}");
}

#[test]
fn an_extension_of_which_nothing_is_committed_gives_way_to_one_of_the_mended_source() {
    let fixture = Fixture::new();
    fixture.write("a.jsonl", record("a first source"));
    fixture.write("b.jsonl", "{\n".repeat(30));
    let before = fixture.run("masked", "a.jsonl").digests();
    fixture.ran("run b.jsonl --out masked --extend --max-rejects 0 --quiet").failed(1);
    fixture.write("b.jsonl", record("the source, mended"));
    let after = fixture.run("masked", "b.jsonl --extend").digests();
    for (name, digest) in before.iter().filter(|(name, _)| name.starts_with("data/") || name.starts_with(".ul2-prep/"))
    {
        assert_eq!(after.get(name), Some(digest), "{name}");
    }
    fixture.ran("verify masked --sources a.jsonl b.jsonl").succeeded();
}

#[test]
fn a_run_whose_plan_was_replaced_commits_nothing() {
    use ul2_prep::output::OutputError;
    use ul2_prep::output::data_set::DataSet;
    use ul2_prep::plan::chain::Plans;
    let fixture = Fixture::new();
    fixture.write("a.jsonl", record("a text"));
    fixture.ran("plan a.jsonl --out masked --seed 1 --write").succeeded();
    let data_set = DataSet::at(&fixture.path("masked"));
    let first = Plans::read(&data_set).unwrap().unwrap();
    fixture.ran("plan a.jsonl --out masked --seed 2 --write").succeeded();
    let replaced = first.check_in_place(&data_set);
    assert!(matches!(replaced, Err(OutputError::PlanReplaced(_))), "{replaced:?}");
    // What is there now is the second plan with its own inputs.
    fixture.ran("run --plan masked --quiet").succeeded();
    assert_eq!(fixture.data_set("masked").manifest()["spec"]["seed"], 2);
    // After its first commit a plan stays.
    let settled = Plans::read(&data_set).unwrap().unwrap();
    settled.check_in_place(&data_set).unwrap();
    fixture.ran("plan a.jsonl --out masked --seed 3 --write").failed(2);
}
