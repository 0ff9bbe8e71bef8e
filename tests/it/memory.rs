//! What runs hold in memory at most, against what `plan` says of them.
//!
//! The sources are some kilobytes that expand: what they cost is the tool's own. Each run stands under a limit of the shell, so that a fault
//! ends the run and not the machine. The tokenizer's tables, which the figure leaves out, are what `plan` itself holds.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use fs_err as fs;

use crate::support::{Fixture, record};

/// Address space of a command, in kB.
const LIMIT: u64 = 6_000_000;

/// How `ul2-prep ARGUMENTS` ended, what it printed, and the most memory that it held, in bytes.
fn measured(fixture: &Fixture, arguments: &str) -> (Option<i32>, String, u64) {
    let (printed, failure) = (fixture.path("printed"), fixture.path("failure"));
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(format!("ulimit -v {LIMIT}; exec \"$0\" {arguments}"))
        .arg(env!("CARGO_BIN_EXE_ul2-prep"))
        .current_dir(fixture.path(""))
        .stdin(Stdio::null())
        .stdout(fs::File::create(&printed).unwrap().into_file())
        .stderr(fs::File::create(&failure).unwrap().into_file())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    let ended = loop {
        // A high-water mark: what was held between two looks is in the second.
        let held = fs::read_to_string(&status).unwrap_or_default();
        let peak = held.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
        most = most.max(peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10);
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    (ended.code(), fs::read_to_string(printed).unwrap() + &fs::read_to_string(failure).unwrap(), most)
}

/// The number of bytes that a text such as `1.23 GB` names.
fn bytes(text: &str) -> f64 {
    let (number, unit) = text.split_once(' ').unwrap();
    let unit = match unit {
        "MB" => 1e6,
        "GB" => 1e9,
        unit => panic!("{unit}"),
    };
    number.parse::<f64>().unwrap() * unit
}

/// Which of the two figures counts.
#[derive(Clone, Copy)]
enum Lines {
    Usual,
    Long,
}

/// Runs `SOURCES OPTIONS`, which end with `code`, and holds the peak to the figure for lines of the length that they have.
#[track_caller]
fn holds(fixture: &Fixture, lines: Lines, code: i32, sources: &str, options: &str) {
    let (_, plan, tables) = measured(fixture, &format!("plan {sources} --no-estimate {options}"));
    let line = plan.lines().find_map(|line| line.strip_prefix("memory ")).unwrap_or_else(|| panic!("{plan}"));
    let (usual, rest) = line.trim().strip_prefix("up to ").unwrap().split_once(" besides the tokenizer").unwrap();
    let long = rest.split_once("; ").unwrap().1.split_once(" if lines").unwrap().0;
    let figure = bytes(match lines {
        Lines::Usual => usual,
        Lines::Long => long,
    });
    // The tables of the embedded tokenizer are part of the program.
    let tables = if options.contains("--tokenizer") { tables } else { 0 };
    // `plan` has no such limit.
    let limit = if code == 0 { "--max-rejects 100%" } else { "" };
    let (ended, printed, peak) = measured(fixture, &format!("run {sources} --out masked --quiet {options} {limit}"));
    assert_eq!(ended, Some(code), "{printed}");
    fs::remove_dir_all(fixture.path("masked")).unwrap();
    #[expect(clippy::cast_precision_loss, reason = "shown in megabytes")]
    let (peak, tables) = (peak as f64 / 1e6, tables as f64 / 1e6);
    let what =
        format!("{:.60} {options}: {peak:.0} MB held, {:.0} MB said, {tables:.0} MB tables", sources, figure / 1e6);
    #[expect(clippy::print_stderr, reason = "the table of docs/internals/performance.md")]
    {
        eprintln!("{what}");
    }
    assert!(peak <= figure / 1e6 + tables, "{what}");
}

/// `count` records whose texts have `length` bytes, in a Zstandard file.
fn texts(length: usize, count: usize) -> Vec<u8> {
    let words = crate::support::text(7, length);
    let mut end = length;
    while !words.is_char_boundary(end) {
        end -= 1;
    }
    repeated(record(&words[..end]).as_bytes(), count)
}

fn repeated(lines: &[u8], count: usize) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    for _ in 0..count {
        encoder.write_all(lines).unwrap();
    }
    encoder.finish().unwrap()
}

#[test]
fn lines_up_to_the_longest_allowed_stay_below_the_figure() {
    let fixture = Fixture::new();
    fixture.write("in/a.jsonl.zst", texts(61_000_000, 2));
    fixture.write("in/b.jsonl.zst", texts(61_000_000, 1));
    for workers in [1, 2, 8] {
        holds(&fixture, Lines::Long, 0, "in", &format!("--workers {workers}"));
    }
}

#[test]
fn lines_of_a_block_stay_below_the_figure_packed_and_shuffled_or_not() {
    let fixture = Fixture::new();
    fixture.write("in/a.jsonl.zst", texts(7_900_000, 6));
    for options in ["", " --pack --shuffle"] {
        for workers in [1, 2, 8] {
            holds(&fixture, Lines::Usual, 0, "in", &format!("--workers {workers}{options}"));
        }
    }
    holds(&fixture, Lines::Usual, 0, "in", "--workers 1 --compression none");
}

#[test]
fn tiny_lines_stay_below_the_figure_whatever_the_name() {
    let fixture = Fixture::new();
    let long_name = format!("{0}/{0}/{0}.jsonl.zst", "n".repeat(194));
    fixture.write(&long_name, repeated(&b"1\n".repeat(1 << 19), 256));
    fixture.write("in/a.jsonl.zst", repeated(&record("ab").repeat(1 << 10).into_bytes(), 600));
    for workers in [1, 2, 8] {
        let options = format!("--workers {workers}");
        // Stopped by its rejects.
        holds(&fixture, Lines::Usual, 1, &long_name[..194], &options);
        holds(&fixture, Lines::Usual, 0, "in", &options);
    }
}

/// 12 MiB of lines become 0.7 GB of rejects. With `UL2_PREP_LONG`, 24 MiB and all numbers of workers.
#[test]
fn tiny_lines_that_are_all_kept_as_rejects_stay_below_the_figure() {
    let is_long = std::env::var_os("UL2_PREP_LONG").is_some();
    let (mebibytes, crews) = if is_long { (24, vec![1, 2, 8]) } else { (12, vec![8]) };
    let fixture = Fixture::new();
    fixture.write("in/a.jsonl.zst", repeated(&b"1\n".repeat(1 << 19), mebibytes));
    for workers in crews {
        holds(&fixture, Lines::Usual, 0, "in", &format!("--workers {workers}"));
    }
}

#[test]
fn ten_thousand_sources_stay_below_the_figure_whatever_their_names() {
    let fixture = Fixture::new();
    let folder = format!("{0}/{0}", "n".repeat(194));
    for index in 0..10_000 {
        fixture.write(&format!("short/{index:05}.jsonl"), record("a source of one line"));
        fixture.write(&format!("long/{folder}/{}{index:05}.jsonl", "m".repeat(190)), record("a source of one line"));
    }
    for (sources, workers) in [("short", 1), ("short", 2), ("short", 8), ("long", 2)] {
        holds(&fixture, Lines::Usual, 0, sources, &format!("--workers {workers}"));
    }
}

/// umT5, from the folder that `UL2_PREP_TOKENIZERS` names.
#[test]
#[ignore = "needs a folder of tokenizer files"]
fn a_large_vocabulary_stays_below_the_figure() {
    let folder = PathBuf::from(std::env::var_os("UL2_PREP_TOKENIZERS").unwrap());
    let fixture = Fixture::new();
    fixture.write("in/a.jsonl.zst", texts(2_000, 12_000));
    let file = folder.join("umt5");
    if !file.exists() {
        #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
        {
            eprintln!("skipped: no folder `umt5` in {}", folder.display());
        }
        return;
    }
    for workers in [1, 2, 8] {
        let options = format!("--workers {workers} --recipe u-palm --tokenizer {}", file.display());
        holds(&fixture, Lines::Usual, 0, "in", &options);
    }
}
