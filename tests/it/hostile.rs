//! What nobody would do by mistake, and what systems do all the same: bombs, sources that change while they are read, names that a
//! terminal obeys, a reader that has gone away.
//!
//! A limit (`docs/reference/sources.md`, section Limits) is an error that names the source and the flag; what is committed stays. Memory is what the
//! system says of the process.

use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use fs_err as fs;
use sha2::{Digest as _, Sha256};
use ul2_prep::digest::hex;

use crate::support::forged::{Chunk, Fields, closed, dictionary, page, run, shard};
use crate::support::{Fixture, Ran, record, repository, text};

const BINARY: &str = env!("CARGO_BIN_EXE_ul2-prep");

/// Reads on a thread of its own: a pipe that nobody empties would hold the command up.
fn emptied(mut pipe: impl std::io::Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// How a command ended, and the most memory that it held, in bytes.
fn measured(fixture: &Fixture, arguments: &str) -> (Ran, u64) {
    let mut command = Command::new(BINARY);
    command.args(arguments.split(' ')).current_dir(fixture.path("")).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (stdout, stderr) = (emptied(child.stdout.take().unwrap()), emptied(child.stderr.take().unwrap()));
    let proc_status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        let held = fs::read_to_string(&proc_status).unwrap_or_default();
        let peak = held.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
        most = most.max(peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10);
        std::thread::sleep(Duration::from_millis(2));
    }
    let status = child.wait().unwrap();
    let output = Output { status, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() };
    (Ran::new(output), most)
}

/// `bytes` of a line that repeats itself, in a Zstandard file of a thousandth of that.
fn zstd_of(line: &[u8], bytes: u64) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    let lines = line.repeat((1 << 20) / line.len());
    for _ in 0..bytes / lines.len() as u64 {
        encoder.write_all(&lines).unwrap();
    }
    encoder.finish().unwrap()
}

// --- limits ---

#[test]
fn a_line_of_a_gigabyte_takes_no_memory() {
    let fixture = Fixture::new();
    let file = [zstd_of(b"x", 1_000_000_000), zstd::encode_all(format!("\n{}", record("good")).as_bytes(), 1).unwrap()];
    fixture.write("a.jsonl.zst", file.concat());
    let (ran, memory) = measured(&fixture, "run a.jsonl.zst --out masked --quiet --workers 1 --max-rejects 1");
    ran.succeeded();
    assert!(memory < 250 << 20, "{memory} bytes");
    let data_set = fixture.data_set("masked");
    assert_eq!(data_set.rows().len(), 1);
    assert_eq!(data_set.manifest()["totals"]["rejects"]["line-too-long"], 1);
}

#[test]
fn a_batch_of_nothing_but_bad_lines_takes_little_memory() {
    let fixture = Fixture::new();
    let path = format!("{0}/{0}/{0}/a.jsonl.zst", "n".repeat(200));
    fixture.write(&path, zstd_of(b"1\n", 16 << 20));
    let (ran, memory) = measured(&fixture, &format!("run {} --out masked --quiet --workers 2", &path[..200]));
    let message = ran.failed(1);
    assert!(
        message.contains("/a.jsonl.zst: 4194304 of 4194304 lines are rejected, more than the 4194 that"),
        "{message}"
    );
    assert!(message.contains("/a.jsonl.zst:1: not-an-object: the line is a number"), "{message}");
    assert!(memory < 150 << 20, "{memory} bytes");
    // Where all may be rejected, all are kept.
    fixture.write("in/a.jsonl.zst", zstd_of(b"1\n[]\n", 8 << 20));
    let (ran, memory) = measured(&fixture, "run in --out kept --quiet --workers 2 --max-rejects 100%");
    ran.succeeded();
    assert!(memory < 350 << 20, "{memory} bytes");
    let data_set = fixture.data_set("kept");
    let (mut index, mut offset) = (String::new(), 0);
    for line in 1..=1000 {
        let (kind, length) = if line % 2 == 1 { ("a number", 1) } else { ("an array", 2) };
        index.extend([format!(
            "{{\"source\":\"a.jsonl.zst\",\"line\":{line},\"reason\":\"not-an-object\",\"detail\":\"the line is {kind}\",\"offset\":{offset},\"length\":{length}}}\n"
        )]);
        offset += length + 1;
    }
    let kept = fs::read_to_string(data_set.path("rejects/train-00000-00000.jsonl")).unwrap();
    assert!(kept.starts_with(&index));
    assert!(
        fs::read_to_string(data_set.path("rejects/train-00000-00000.lines")).unwrap().starts_with("1\n[]\n1\n[]\n")
    );
    assert_eq!(kept.lines().count() as u64, data_set.manifest()["totals"]["lines"].as_u64().unwrap());
    // And so they are where they are made again.
    let (ran, memory) = measured(&fixture, "verify kept --sources in --workers 2");
    assert!(ran.succeeded().stdout.starts_with("no finding"));
    assert!(memory < 350 << 20, "{memory} bytes");
}

#[test]
fn a_decompression_bomb_stops_the_run() {
    let fixture = Fixture::new();
    // Blank lines are no rejects: nothing else would stop it. 1.3 GB in 0.1 MB.
    let mut blank = vec![b' '; (1 << 20) - 1];
    blank.push(b'\n');
    fixture.write("in/b.jsonl.zst", zstd_of(&blank, 1_300_000_000));
    fixture.write("in/a.jsonl", record("good"));
    let (ran, memory) = measured(&fixture, "run in --out masked --quiet --workers 1");
    let message = ran.failed(1);
    let start = "error: b.jsonl.zst: ";
    assert!(message.starts_with(start), "{message}");
    assert!(
        message.contains(" became 1074003968 bytes after line 1024")
            && message.contains("more than the 1000 times that `--max-expansion` allows"),
        "{message}"
    );
    assert!(
        message.ends_with("hint: if the source is not a decompression bomb, allow more with `--max-expansion`\n"),
        "{message}"
    );
    assert!(memory < 250 << 20, "{memory} bytes");
    fixture.run("masked", "in --max-expansion 100000");
}

#[test]
fn a_zstandard_window_is_allowed_or_not() {
    let fixture = Fixture::new();
    let source = repository("fixtures/bad/zst-window-31.jsonl.zst");
    let refused = fixture.ran(&format!("run {} --out masked --quiet", source.display())).failed(1);
    insta::assert_snapshot!(refused, @r"
    error: zst-window-31.jsonl.zst: a frame asks for a Zstandard window of 2147483648 bytes, `--max-window` allows 134217728

    hint: `--max-window 2147483648` allows it, and takes as much memory for each reading thread
    ");
    // The limit decides no row: the same data set goes on with another.
    let data_set = fixture.run("masked", &format!("{} --max-window 2GiB", source.display()));
    assert_eq!(data_set.rows().len(), 3);
    fixture.run("masked-27", repository("fixtures/bad/zst-window-27.jsonl.zst").to_str().unwrap());
    for (size, reason) in [("3GiB", "expected a window from `1KiB` to `2GiB`, found `3GiB`"), ("1B", "found `1B`")] {
        let message = fixture.ran(&format!("run a.jsonl --out x --max-window {size}")).failed(2);
        assert!(message.contains(reason), "{message}");
    }
}

#[test]
fn twenty_thousand_tiny_sources_are_one_unit() {
    let fixture = Fixture::new();
    for number in 0..20_000 {
        let path = fixture.path(&format!("in/{:03}/{number}.jsonl", number % 200));
        if number < 200 {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
        }
        fs::write(path, record(&format!("source number {number}"))).unwrap();
    }
    let (ran, memory) = measured(&fixture, "run in --out masked --quiet --workers 2");
    ran.succeeded();
    assert!(memory < 400 << 20, "{memory} bytes");
    assert_eq!(fixture.data_set("masked").manifest()["totals"]["documents"], 20_000);
    // Other settings are named in a moment, and not source by source.
    for number in 0..20_000 {
        fs::write(fixture.path(&format!("in/{:03}/{number}.jsonl", number % 200)), record("another source")).unwrap();
    }
    let begin = Instant::now();
    let message = fixture.ran("run in --out masked --quiet").failed(2);
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    assert!(message.len() < 5_000, "{} bytes", message.len());
    assert!(message.contains("more differences"), "{message}");
}

// --- tokenizer files and recipes ---

#[test]
fn a_tokenizer_file_of_hostile_size_is_an_error_or_takes_bounded_memory() {
    let fixture = Fixture::new();
    fixture.write("a.jsonl", record("a line"));
    let words = r#""</s>":0,"a":1,"<extra_id_0>":2"#;
    let bpe = |vocab: &str, merges: &str| {
        format!(
            r#"{{"version":"1.0","added_tokens":[],"model":{{"type":"BPE","vocab":{{{vocab}}},"merges":[{merges}]}}}}"#
        )
    };
    fixture.write("merges.json", bpe(words, &vec![r#""""#; 2_000_000].join(",")));
    fixture.write("nesting.json", format!(r#"{{"model":{}"#, "[".repeat(10_000_000)));
    fixture.write("id.json", bpe(&format!(r#"{words},"z":16777216"#), ""));
    let sparse = fs::File::create(fixture.path("huge.json")).unwrap();
    sparse.set_len(300 << 20).unwrap();
    for (file, expected) in [
        ("merges.json", "is not a usable tokenizer: "),
        ("nesting.json", "is not a usable tokenizer: "),
        ("id.json", "the largest id is 16777216, but a vocabulary has at most 16777216 ids"),
        ("huge.json", "has more than the 268435456 bytes that such a file may have"),
        ("/dev/zero", "`/dev/zero` is not a plain file"),
    ] {
        let (ran, memory) = measured(&fixture, &format!("run a.jsonl --out masked --quiet --tokenizer {file}"));
        let message = ran.failed(2);
        assert!(message.contains(expected), "{message}");
        assert!(memory < 1200 << 20, "{file}: {memory} bytes");
    }
}

#[test]
fn a_recipe_of_hostile_shape_is_an_error() {
    let fixture = Fixture::new();
    fixture.write("a.jsonl", record("a line"));
    let levels = 300_000;
    fixture.write("arrays.toml", format!("pack = {}", "[".repeat(levels)));
    fixture.write("tables.toml", "a = ".to_owned() + &"{ a = ".repeat(levels / 2));
    fixture.write("keys.toml", vec!["a"; levels].join(".") + " = 1\n");
    fixture.write("headers.toml", format!("[{}]\n", vec!["a"; levels].join(".")));
    fixture.write("large.toml", "# a comment\n".repeat(100_000));
    for file in ["arrays.toml", "tables.toml", "keys.toml", "headers.toml", "large.toml", "/dev/zero/x.toml"] {
        let message = fixture.ran(&format!("run a.jsonl --out masked --quiet --recipe {file}")).failed(2);
        assert!(message.len() < 3_000, "{file}: {} bytes", message.len());
    }
}

// --- files of a data set ---

/// A data set of a few rows with a plan, and these columns.
fn small_data_set(fixture: &Fixture, columns: &str) {
    fixture.write("in/a.jsonl", (0..9).map(|number| record(&text(number, 400))).collect::<String>());
    let sizes = "--inputs-length 64 --labels-length 64";
    fixture.ran(&format!("plan in --out masked {sizes} --columns {columns} --write")).succeeded();
    fixture.ran("run --plan masked --quiet").succeeded();
}

#[test]
fn what_is_not_a_plain_file_of_a_data_set_is_refused_at_once() {
    let fixture = Fixture::new();
    small_data_set(&fixture, "input_ids,labels");
    let commands = [
        ("status masked", 64),
        ("finalize masked", 64),
        ("run --plan masked --quiet", 64),
        ("inspect masked", 2),
        ("stats masked", 2),
        ("reproduce masked in --out again", 2),
        ("reproduce masked/manifest.json in --out again", 2),
        ("verify masked", 1),
    ];
    let record = ".ul2-prep/commits/00000-00000.json";
    for (file, reads) in [(".ul2-prep/plan.json", 0..3), (record, 0..3), ("manifest.json", 3..7)] {
        let path = fixture.path("masked").join(file);
        let kept = fixture.path("kept");
        fs::rename(&path, &kept).unwrap();
        let sparse = |bytes| fs::File::create(&path).unwrap().set_len(bytes).unwrap();
        for kind in ["pipe", "device", "folder", "sparse"] {
            match kind {
                "pipe" => assert!(Command::new("mkfifo").arg(&path).status().unwrap().success()),
                "device" => symlink("/dev/zero", &path).unwrap(),
                "folder" => fs::create_dir(&path).unwrap(),
                _ => sparse(6 << 30),
            }
            // A folder is no record: `status` says that its unit is not begun.
            let of_status = usize::from(kind == "folder" && file == record);
            for (command, code) in commands[reads.clone()].iter().skip(of_status) {
                let (ran, memory) = measured(&fixture, command);
                let message = ran.failed(*code);
                let is_named = message.contains("is not a plain file")
                    || message.contains("bytes that such a file may have")
                    || (kind == "folder" && message.contains("is not there"));
                assert!(is_named && message.contains(file), "{kind}: {command}: {message}");
                assert!(memory < 200 << 20, "{kind}: {command}: {memory} bytes");
            }
            let (ran, memory) = measured(&fixture, commands[7].0);
            assert!(ran.code == Some(1) && ran.stdout.contains(file), "{kind}: {}", ran.stdout);
            assert!(memory < 200 << 20, "{kind}: verify: {memory} bytes");
            if kind == "folder" { fs::remove_dir(&path).unwrap() } else { fs::remove_file(&path).unwrap() }
        }
        fs::rename(&kept, &path).unwrap();
    }
    fixture.ran("verify masked").succeeded();
}

#[test]
fn a_forged_manifest_takes_no_more_memory_than_a_few_times_its_bytes() {
    let fixture = Fixture::new();
    small_data_set(&fixture, "input_ids,labels");
    let manifest = fs::read_to_string(fixture.path("masked/manifest.json")).unwrap();
    let many = |value: &str| vec![value; 8 << 20].join(",");
    let nested = format!("{}{}", "[".repeat(1 << 20), "]".repeat(1 << 20));
    let forged = [
        manifest.replacen("\"spec\": {", &format!("\"spec\": {{\"x\": [{}],", many("0")), 1),
        manifest.replacen("\"columns\": [", &format!("\"columns\": [{},", many("\"\"")), 1),
        manifest.replacen("\"spec\": {", &format!("\"spec\": {{\"x\": {nested},"), 1),
        manifest.replacen("\"rows\": ", "\"rows\": 1844674407370955161", 1),
        manifest.replacen("\"sources\": 1", "\"sources\": 1000000000000", 1),
    ];
    for (number, forged) in forged.into_iter().enumerate() {
        assert_ne!(forged, manifest, "{number}");
        let bytes = forged.len() as u64;
        fixture.write("masked/manifest.json", forged);
        for command in ["inspect masked --rows 0", "stats masked", "verify masked", "inspect masked --sample 9"] {
            let (ran, memory) = measured(&fixture, command);
            assert!(matches!(ran.code, Some(0..=2)), "{number}: {command}: {}", ran.stderr);
            assert!(!ran.stderr.contains("panicked"), "{number}: {command}: {}", ran.stderr);
            assert!(memory < (150 << 20) + 6 * bytes, "{number}: {command}: {memory} bytes");
        }
    }
}

#[test]
fn a_shard_that_says_more_than_its_rows_can_have_is_refused_before_it_is_read() {
    let many = 300_000_000_u64;
    let zero = dictionary(&[0; 4]);
    let one_row = [run(1, 0), run(many - 1, 1)].concat();
    let chunk = |name, said: u64, pages: Vec<u8>| Chunk {
        name,
        is_text: false,
        said: i64::try_from(said).unwrap(),
        pages: [zero.clone(), pages].concat(),
    };
    let both = |said, pages: &[u8]| ["input_ids", "labels"].map(|name| chunk(name, said, pages.to_vec())).to_vec();
    let long_at_the_end = [run(6_000_000, 0), run(many - 6_000_000, 1)].concat();
    let nested = || {
        let mut elements = vec![Fields::default().text(4, "schema").int32(5, 1); 200_000];
        elements.push(Fields::default().int32(1, 1).int32(3, 0).text(4, "x"));
        Fields::default().int32(1, 1).structs(2, elements).int64(3, 1).structs(4, vec![]).end()
    };
    let children = Fields::default().text(4, "schema").int32(5, i64::from(i32::MAX));
    let children = Fields::default().int32(1, 1).structs(2, vec![children]).int64(3, 1).structs(4, vec![]).end();
    let claimed = Fields::default().int32(1, 1).structs(2, vec![]).int64(3, 1).list(4, 12, 1 << 31, &[]).end();
    let shards = [
        ("values in a row", shard(1, &both(many, &page(many, Some(&one_row), None)))),
        ("a footer that says less", shard(1, &both(64, &page(many, Some(&one_row), None)))),
        ("a row behind others", shard(6_000_000, &both(many, &page(many, Some(&long_at_the_end), None)))),
        ("a page of gigabytes", shard(1, &both(64, &page(64, Some(&[run(1, 0), run(63, 1)].concat()), Some(2 << 30))))),
        ("a deep schema", closed(b"PAR1", &nested())),
        ("an element of many", closed(b"PAR1", &children)),
        ("a list of many", closed(b"PAR1", &claimed)),
    ];
    let fixture = Fixture::new();
    small_data_set(&fixture, "input_ids,labels");
    for (what, bytes) in shards {
        assert_refused(&fixture, what, &bytes, "is not a shard of this data set");
    }
}

#[test]
fn a_tiny_shard_that_says_very_many_rows_is_refused_before_it_is_read() {
    let rows = 1_000_000_000_u64;
    let said = i64::try_from(rows).unwrap();
    let of_one_page = [dictionary(&[0; 4]), page(rows, Some(&run(rows, 0)), None)].concat();
    let fixture = Fixture::new();
    small_data_set(&fixture, "input_ids,labels");
    for (what, values, pages, expected) in [
        (
            "a page of all rows",
            said,
            of_one_page,
            "`input_ids` has 1000000000 rows in 1 page, expected 40000 rows in a page at most",
        ),
        ("rows of nothing", 0, vec![], "`input_ids` has 1000000000 rows in 0 pages"),
    ] {
        let chunk = |name| Chunk { name, is_text: false, said: values, pages: pages.clone() };
        let bytes = shard(said, &["input_ids", "labels"].map(chunk));
        assert!(bytes.len() < 2_000, "{what}");
        assert_refused(&fixture, what, &bytes, expected);
    }
}

#[test]
fn a_text_that_a_dictionary_repeats_takes_no_memory() {
    let fixture = Fixture::new();
    small_data_set(&fixture, "input_ids,labels,source");
    let rows = 9_000_u64;
    let ids = |name| Chunk {
        name,
        is_text: false,
        said: i64::try_from(rows).unwrap(),
        pages: [dictionary(&[0; 4]), page(rows, Some(&run(rows, 0)), None)].concat(),
    };
    for (bytes, expected) in [(8 << 20, "a text of `source` has 8388608 bytes"), (60_000, "")] {
        let name = [&u32::to_le_bytes(bytes)[..], &vec![b'a'; bytes as usize]].concat();
        let pages = [dictionary(&name), page(rows, None, None)].concat();
        let source = Chunk { name: "source", is_text: true, said: i64::try_from(rows).unwrap(), pages };
        let bytes = shard(i64::try_from(rows).unwrap(), &[ids("input_ids"), ids("labels"), source]);
        assert_refused(&fixture, "a name", &bytes, expected);
    }
}

/// Puts a shard in the place of the first, as manifest and sums would have it, and reads it with every command that does.
fn assert_refused(fixture: &Fixture, what: &str, shard: &[u8], expected: &str) {
    let path = "masked/data/train-00000-00000.parquet";
    let was = hex(&Sha256::digest(fs::read(fixture.path(path)).unwrap()));
    let is = hex(&Sha256::digest(shard));
    fixture.write(path, shard);
    for file in ["masked/manifest.json", "masked/SHA256SUMS"] {
        let text = fs::read_to_string(fixture.path(file)).unwrap().replace(&was, &is);
        fixture.write(file, text);
    }
    for command in ["inspect masked --rows 2", "stats masked --workers 2", "verify masked --workers 2"] {
        let (ran, memory) = measured(fixture, command);
        let said = ran.stdout + &ran.stderr;
        assert!(ran.code == Some(1) || expected.is_empty(), "{what}: {command}: {said}");
        assert!(said.contains(expected) && !said.contains("panicked"), "{what}: {command}: {said}");
        assert!(memory < 400 << 20, "{what}: {command}: {memory} bytes");
    }
}

// --- names ---

#[test]
fn names_that_lead_elsewhere_or_are_no_text_are_errors() {
    let fixture = Fixture::new();
    let failed = |arguments: &[&str]| {
        let output = fixture.command().args(["run", "--out", "masked", "--quiet"]).args(arguments).output().unwrap();
        let message = Ran::new(output).failed(2);
        assert!(!message.trim_end().contains('\u{1B}') && message.lines().count() < 4, "{message:?}");
        message
    };
    fixture.write("in/a.jsonl", record("a"));
    fixture.write("in/b/a.jsonl", record("b"));
    assert!(failed(&["*/../in/a.jsonl"]).contains("the source name `in/../in/a.jsonl` has a `..`"));
    // A `..` in front of everything is part of no name.
    fixture.ran("run in/b/../../in --out ok --quiet").succeeded();

    fixture.write("controls/\u{1B}[2J\n.jsonl", record("a"));
    insta::assert_snapshot!(failed(&["controls"]), @r#"
    error: the source name "\u{1b}[2J\n.jsonl" has a control character

    hint: rename the file: its name stands in lists that have a name on each line
    "#);
    let path = "controls/\u{1B}[2J\n.jsonl";
    assert!(failed(&[path]).contains("has a control character"));
    insta::assert_snapshot!(failed(&["none/\u{1B}]0;\n\u{202E}.jsonl"]), @r"error: no such file or folder: `none/\u{1b}]0;\n\u{202e}.jsonl`");

    let name = std::ffi::OsStr::from_bytes(b"latin-\xE9.jsonl");
    fs::create_dir(fixture.path("latin")).unwrap();
    fs::write(fixture.path("latin").join(name), record("a")).unwrap();
    assert!(failed(&["latin"]).contains("is not UTF-8, so the source has no name"));

    fs::create_dir(fixture.path("loop")).unwrap();
    symlink(fixture.path("loop"), fixture.path("loop/again")).unwrap();
    fixture.write("loop/a.jsonl", record("a"));
    assert!(failed(&["loop"]).contains("loop"));
    symlink("nowhere.jsonl", fixture.path("dangling.jsonl")).unwrap();
    assert!(failed(&["dangling.jsonl"]).contains("`dangling.jsonl` is a link that leads nowhere"));
    symlink("itself.jsonl", fixture.path("itself.jsonl")).unwrap();
    assert!(failed(&["itself.jsonl"]).contains("symbolic links"));
}

#[test]
fn a_pipe_is_no_source() {
    let fixture = Fixture::new();
    fixture.write("in/a.jsonl", record("a line"));
    let pipe = fixture.path("in/pipe.jsonl");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
    let message = fixture.ran("run in/pipe.jsonl --out masked --quiet").failed(2);
    assert_eq!(message, "error: `in/pipe.jsonl` is not a source: it is neither a file nor a folder\n");
    // In a folder it is passed over, like other things that are no sources.
    assert_eq!(fixture.run("folder", "in").manifest()["sources"].as_array().unwrap().len(), 1);
    assert_eq!(fixture.run("glob", "in/*").manifest()["sources"].as_array().unwrap().len(), 1);
}

#[test]
fn two_stars_at_the_end_of_a_glob_find_files_at_every_depth() {
    let fixture = Fixture::new();
    for name in ["a.jsonl", "b/c.jsonl", "b/d/e.jsonl", "b/.hidden/f.jsonl", "b/g.txt"] {
        fixture.write(&format!("in/{name}"), record(name));
    }
    for glob in ["in/**", "in/**/**", "in/**/*", "in/*"] {
        let manifest = fixture.run(&format!("masked-{}", glob.len()), glob).manifest();
        let names: Vec<_> = manifest["sources"].as_array().unwrap().iter().map(|source| &source["name"]).collect();
        assert_eq!(names, ["a.jsonl", "b/c.jsonl", "b/d/e.jsonl"], "{glob}");
    }
}

#[test]
fn what_a_terminal_obeys_in_a_record_is_shown_as_text() {
    let fixture = Fixture::new();
    fixture.write("a.jsonl", "{\"\\u001b[2J\\u009b31m\\u202egpj\":1}\n");
    let message = fixture.ran("run a.jsonl --out masked --quiet --max-rejects 0").failed(1);
    assert!(message.contains(r"the record has the keys `\u{1b}[2J\u{9b}31m\u{202e}gpj`"), "{message}");
}

// --- a reader that has gone away ---

#[test]
fn standard_output_may_be_closed() {
    let fixture = Fixture::new();
    fixture.write("a.jsonl", record("a line"));
    for arguments in
        ["recipes", "recipes ul2r", "recipes --schema", "plan a.jsonl", "--help", "run --help", "--version"]
    {
        let mut child = Command::new(BINARY)
            .args(arguments.split(' '))
            .current_dir(fixture.path(""))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""), "{arguments}");
        // A reader that takes a line and goes.
        let head = format!("{BINARY} {arguments} | head -1; exit ${{PIPESTATUS[0]}}");
        let output = Command::new("bash").args(["-c", &head]).current_dir(fixture.path("")).output().unwrap();
        let ran = Ran::new(output).succeeded();
        assert_eq!((ran.stdout.lines().count(), ran.stderr.as_str()), (1, ""), "{arguments}");
    }
    // A disk that is full is another matter.
    let full = Command::new("sh").args(["-c", &format!("{BINARY} recipes > /dev/full")]).output().unwrap();
    let full = Ran::new(full);
    let message = "error: cannot write to standard output: No space left on device (os error 28)\n";
    assert_eq!((full.code, full.stderr.as_str()), (Some(1), message), "neither usage nor a run that goes on");
    // Standard error may be closed as well.
    let closed = format!("{BINARY} run a.jsonl --out masked 2>&-");
    let ran = Command::new("sh").args(["-c", &closed]).current_dir(fixture.path("")).output().unwrap();
    Ran::new(ran).succeeded();
}

// --- signals ---

/// Sends a run that has long to go two signals, one right after the other. The exit code.
fn interrupted_twice(fixture: &Fixture, first: &str, second: &str) -> Option<i32> {
    let out = format!("masked-{first}-{second}");
    let mut child = Command::new(BINARY)
        .args(["run", "in", "--out", &out, "--max-expansion", "1000000", "--shard-size", "1GB"])
        .current_dir(fixture.path(""))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Once the plan is there, signals are listened for.
    while !fixture.path(&out).join(".ul2-prep/plan.json").exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let kill = format!("kill -{first} {0}; kill -{second} {0}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let begin = Instant::now();
    let code = child.wait().unwrap().code();
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert!(!fixture.path(&out).join("manifest.json").exists());
    code
}

#[test]
fn a_second_signal_ends_the_process_at_once_whichever_the_two_are() {
    let fixture = Fixture::new();
    // Two GB of text: nothing that ends by itself within the test.
    fixture.write("in/a.jsonl", record(&text(1, 1000)));
    fixture.write("in/b.jsonl.zst", zstd_of(record(&text(2, 10_000)).as_bytes(), 2_000_000_000));
    assert_eq!(interrupted_twice(&fixture, "INT", "INT"), Some(130));
    assert_eq!(interrupted_twice(&fixture, "TERM", "TERM"), Some(143));
    // Of two that are pending at once, the system may deliver the later one first.
    let code = interrupted_twice(&fixture, "INT", "TERM");
    assert!([Some(143), Some(130)].contains(&code), "{code:?}");
}

// --- sources that change while they are read ---

/// A run over `in/a.jsonl` (good, several batches) and `in/b.jsonl`, which `change` spoils once the first shard is committed.
fn run_while(change: impl Fn(&Fixture)) -> (Fixture, Ran) {
    let fixture = Fixture::new();
    let lines: String = (0..3_000).map(|number| record(&text(number, 4_000))).collect();
    fixture.write("in/a.jsonl", lines.repeat(4));
    fixture.write("in/b.jsonl", record(&text(1, 100_000)));
    let mut child = Command::new(BINARY)
        .args(["run", "in", "--out", "masked", "--quiet", "--workers", "1", "--shard-size", "1MiB"])
        .current_dir(fixture.path(""))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let commits = fixture.path("masked/.ul2-prep/commits");
    while fs::read_dir(&commits).map_or(0, Iterator::count) == 0 {
        assert!(child.try_wait().unwrap().is_none(), "the run has ended");
        std::thread::sleep(Duration::from_millis(1));
    }
    change(&fixture);
    let ran = Ran::new(child.wait_with_output().unwrap());
    (fixture, ran)
}

/// What is done to a source, and what the tool says of it.
type Case<'a> = (&'a dyn Fn(&Fixture), &'a str);

#[test]
fn a_source_that_grows_vanishes_or_becomes_a_folder_is_named_and_the_run_goes_on_when_it_is_back() {
    let good = record(&text(1, 100_000));
    let expected = {
        let (fixture, ran) = run_while(|_| ());
        ran.succeeded();
        fixture.data_set("masked").digests()
    };
    let remove = |fixture: &Fixture| fs::remove_file(fixture.path("in/b.jsonl")).unwrap();
    let cases: [Case<'_>; 5] = [
        (
            &|fixture| {
                fixture.write("in/b.jsonl", good.repeat(2));
            },
            "b.jsonl: the source has 200028 bytes, but had 100014 when this data set was begun",
        ),
        (&|fixture| fs::write(fixture.path("in/b.jsonl"), "").unwrap(), "b.jsonl: the source has 0 bytes"),
        (&remove, "b.jsonl: cannot be read after line 0: failed to open file"),
        (
            &|fixture| {
                remove(fixture);
                fs::create_dir(fixture.path("in/b.jsonl")).unwrap();
            },
            "b.jsonl: cannot be read after line 0: failed to read",
        ),
        (
            &|fixture| {
                remove(fixture);
                symlink("b.jsonl", fixture.path("in/b.jsonl")).unwrap();
            },
            "b.jsonl: cannot be read after line 0: failed to open file",
        ),
    ];
    for (change, message) in cases {
        let (fixture, ran) = run_while(change);
        let said = ran.failed(1);
        assert!(said.starts_with(&format!("error: {message}")), "{said}");
        let data_set = fixture.data_set("masked");
        assert!(!data_set.commits().is_empty() && !data_set.path("manifest.json").exists());
        let path = fixture.path("in/b.jsonl");
        if path.is_dir() {
            fs::remove_dir(&path).unwrap();
        } else {
            let _ = fs::remove_file(&path);
        }
        fixture.write("in/b.jsonl", &good);
        fixture.run("masked", "in --shard-size 1MiB");
        assert_eq!(data_set.digests(), expected);
    }
}

#[test]
fn a_source_that_may_not_be_read_is_named() {
    let fixture = Fixture::new();
    fixture.write("in/a.jsonl", record("a line"));
    let path = fixture.write("in/b.jsonl", record("a line"));
    fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&path).is_ok() {
        return; // the administrator may read everything
    }
    let message = fixture.ran("run in --out masked --quiet").failed(1);
    assert!(
        message.contains("b.jsonl: cannot be read after line 0") && message.contains("Permission denied"),
        "{message}"
    );
}

/// A read that fails in the middle of a source: `/proc/self/mem` is a file whose first page cannot be read.
#[test]
fn a_read_error_is_named_with_its_source() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.path("in")).unwrap();
    symlink("/proc/self/mem", fixture.path("in/a.jsonl")).unwrap();
    let message = fixture.ran("run in --out masked --quiet").failed(1);
    assert!(message.contains("a.jsonl: cannot be read after line 0"), "{message}");
    assert!(message.contains("Input/output error"), "{message}");
}
