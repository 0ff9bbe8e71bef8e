//! What is not the tool's: files with a name that it would give, links where it has folders, a file system without hard links, and another process
//! that comes late.

use std::os::unix::fs::{MetadataExt as _, symlink};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use fs_err as fs;

use crate::support::{Fixture, Ran, record, text};

const SHARD: &str = "masked/data/train-00000-00000.parquet";

/// A fixture with one source.
fn fixture() -> Fixture {
    let fixture = Fixture::new();
    fixture.write_source("a.jsonl", (0..40).map(|number| record(&text(number, 900))).collect::<String>());
    fixture
}

fn command(fixture: &Fixture, arguments: &str, fault: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ul2-prep"));
    command.args(arguments.split(' ')).current_dir(fixture.path(""));
    if !fault.is_empty() {
        command.env("UL2_PREP_FAULT", fault);
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn output(fixture: &Fixture, arguments: &str, fault: &str) -> Output {
    command(fixture, arguments, fault).output().unwrap()
}

/// Ends a run at the first step after which `is_there`.
fn ended_when(fixture: &Fixture, arguments: &str, is_there: impl Fn() -> bool) {
    let ended = (0..80).any(|step| {
        let _ = fs::remove_dir_all(fixture.path("masked"));
        assert_eq!(output(fixture, arguments, &format!("abort:{step}")).status.code(), None, "step {step}");
        is_there()
    });
    assert!(ended);
}

const RUN: &str = "run a.jsonl --out masked --quiet --workers 1";

#[test]
fn a_file_of_another_writer_is_never_replaced_by_card_manifest_digests_or_mark() {
    for name in ["README.md", "manifest.json", "SHA256SUMS", "_SUCCESS"] {
        let fixture = fixture();
        fs::create_dir_all(fixture.path("masked/.ul2-prep")).unwrap();
        fixture.write(&format!("masked/{name}"), "my own\n");
        let message = fixture.ran(RUN).failed(1);
        assert!(message.contains(&format!("`masked/{name}` is not a file that `ul2-prep` wrote")), "{message}");
        assert_eq!(fs::read_to_string(fixture.path(&format!("masked/{name}"))).unwrap(), "my own\n");
        // The hint's next step.
        fs::rename(fixture.path(&format!("masked/{name}")), fixture.path("mine")).unwrap();
        assert_eq!(fixture.run("masked", "a.jsonl").digests(), fixture.run("anew", "a.jsonl").digests());
    }
}

#[test]
fn a_card_that_a_person_wrote_on_in_stays_when_nothing_is_to_do_and_is_not_replaced_by_an_extension() {
    let fixture = fixture();
    fixture.write_source("b.jsonl", record(&text(77, 900)));
    fixture.run("masked", "a.jsonl");
    let card = fs::read_to_string(fixture.path("masked/README.md")).unwrap() + "\nThanks to all.\n";
    fixture.write("masked/README.md", &card);
    fixture.run("masked", "a.jsonl");
    let message = fixture.ran("run b.jsonl --out masked --quiet --extend").failed(1);
    assert!(message.contains("`masked/README.md` is not a file that `ul2-prep` wrote"), "{message}");
    assert_eq!(fs::read_to_string(fixture.path("masked/README.md")).unwrap(), card);
    fs::remove_file(fixture.path("masked/README.md")).unwrap();
    fixture.run("masked", "b.jsonl --extend");
    fixture.ran("verify masked").succeeded();
}

#[test]
fn a_shard_or_rejects_of_another_writer_are_neither_replaced_nor_removed() {
    for name in [
        "data/train-00000-00000.parquet",
        "data/train-00000-00007.parquet",
        "rejects/train-00000-00000.jsonl",
        "rejects/train-00000-00003.lines",
    ] {
        let fixture = fixture();
        fixture.write_source("a.jsonl", record(&text(1, 900)) + "not JSON\n");
        fs::create_dir_all(fixture.path("masked/.ul2-prep")).unwrap();
        fixture.write(&format!("masked/{name}"), "my own\n");
        let message = fixture.ran(RUN).failed(1);
        assert!(message.contains(&format!("`masked/{name}` is not a file that `ul2-prep` wrote")), "{message}");
        assert_eq!(fs::read_to_string(fixture.path(&format!("masked/{name}"))).unwrap(), "my own\n");
        fs::remove_file(fixture.path(&format!("masked/{name}"))).unwrap();
        fixture.run("masked", "a.jsonl");
        fixture.ran("verify masked").succeeded();
    }
}

#[test]
fn names_that_the_tool_does_not_give_stay_in_a_finished_data_set() {
    let fixture = fixture();
    let names =
        ["data/train-0-0.parquet", "data/train-00000-mine.parquet", "data/train-00000-00000.csv", "rejects/a.jsonl"];
    fs::create_dir_all(fixture.path("masked/.ul2-prep/tmp")).unwrap();
    for name in names.into_iter().chain([".ul2-prep/tmp/thesis.tex", ".ul2-prep/tmp/notes.2026-11"]) {
        fixture.write(&format!("masked/{name}"), name);
    }
    fixture.run("masked", "a.jsonl");
    for name in names.into_iter().chain([".ul2-prep/tmp/thesis.tex"]) {
        assert_eq!(fs::read_to_string(fixture.path(&format!("masked/{name}"))).unwrap(), name);
    }
}

#[test]
fn a_link_in_place_of_a_folder_is_refused_and_what_it_leads_to_stays() {
    let fixture = fixture();
    fixture.write("elsewhere/shard.parquet.1-0", "mine");
    fixture.write("elsewhere/train-00000-00009.parquet", "mine");
    for folder in [".ul2-prep", ".ul2-prep/tmp", ".ul2-prep/commits", "data", "rejects"] {
        let _ = fs::remove_dir_all(fixture.path("masked"));
        fixture.run("masked", "a.jsonl");
        let path = fixture.path(&format!("masked/{folder}"));
        if path.exists() {
            fs::rename(&path, fixture.path("aside")).unwrap();
        }
        symlink(fixture.path("elsewhere"), &path).unwrap();
        for (command, code) in [(RUN, 2), ("finalize masked", 64), ("status masked", 64)] {
            let message = fixture.ran(command).failed(code);
            let said = format!("`masked/{folder}` is a link or a file, expected a folder");
            assert!(message.contains(&said), "{command}: {message}");
        }
        let found = fixture.ran("verify masked");
        assert_eq!(found.code, Some(1), "{}", found.stderr);
        assert!(found.stdout.contains(&format!("{folder}: is a link or a file, not a folder")), "{}", found.stdout);
        let left = fs::read_dir(fixture.path("elsewhere")).unwrap().count();
        assert_eq!(left, 2, "{folder}");
        fs::remove_file(&path).unwrap();
        let _ = fs::remove_dir_all(fixture.path("aside"));
    }
}

#[test]
fn a_data_set_may_itself_be_a_link_and_its_files_links_when_it_is_read() {
    let fixture = fixture();
    fs::create_dir_all(fixture.path("real")).unwrap();
    symlink(fixture.path("real"), fixture.path("masked")).unwrap();
    fixture.run("masked", "a.jsonl");
    // As a download cache keeps it.
    fs::rename(fixture.path(SHARD), fixture.path("blob")).unwrap();
    symlink(fixture.path("blob"), fixture.path(SHARD)).unwrap();
    fixture.ran("verify masked").succeeded();
    fixture.ran("inspect masked --rows 1").succeeded();
}

#[test]
fn a_process_that_comes_late_does_not_replace_a_committed_shard() {
    let fixture = fixture();
    let is_there =
        || fixture.path(SHARD).exists() && !fixture.path("masked/.ul2-prep/commits/00000-00000.json").exists();
    // A shard of another source of that size, by a run that was killed before it committed.
    let good = fs::read(fixture.path("a.jsonl")).unwrap();
    let turned = good.split_inclusive(|byte| *byte == b'\n').rev().flatten().copied().collect::<Vec<u8>>();
    fixture.write("a.jsonl", turned);
    ended_when(&fixture, RUN, is_there);
    fixture.write("a.jsonl", good);
    fs::rename(fixture.path("masked"), fixture.path("killed")).unwrap();
    let copy = || {
        let copied =
            Command::new("cp").args(["-r", "killed", "masked"]).current_dir(fixture.path("")).status().unwrap();
        assert!(copied.success());
    };
    let whole = fixture.run("whole", "a.jsonl").digests();
    for step in 8..26 {
        copy();
        let slow = command(&fixture, RUN, &format!("slow:{step}:500")).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(150));
        let fast = Ran::new(output(&fixture, RUN, ""));
        let committed = fs::metadata(fixture.path(SHARD)).unwrap().ino();
        assert_eq!(fast.code, Some(0), "{}", fast.stderr);
        let slow = Ran::new(slow.wait_with_output().unwrap());
        assert_eq!(slow.code, Some(0), "step {step}: {}", slow.stderr);
        assert_eq!(fs::metadata(fixture.path(SHARD)).unwrap().ino(), committed, "replaced, step {step} was slow");
        assert_eq!(fixture.data_set("masked").digests(), whole, "step {step}");
        fs::remove_dir_all(fixture.path("masked")).unwrap();
    }
}

#[test]
fn what_a_run_finds_is_synced_before_the_mark_of_success() {
    let fixture = fixture();
    let is_there = || fixture.path("masked/.ul2-prep/commits/00000-00000.json").exists();
    // Ended between the link of the record and the sync of its folder.
    ended_when(&fixture, RUN, is_there);
    let mut failed = Vec::new();
    for step in 0..60 {
        let ran = Ran::new(output(&fixture, RUN, &format!("fail:{step}")));
        if ran.code == Some(0) {
            break;
        }
        if let Some((_, folder)) = ran.stderr.split_once("before settle of ") {
            failed.push(folder.trim_end().to_owned());
            assert!(!fixture.path("masked/_SUCCESS").exists(), "{}", ran.stderr);
        }
    }
    for folder in ["`data`", "`.ul2-prep/commits`", "`.ul2-prep`", "`.`"] {
        assert!(failed.iter().any(|failed| failed == folder), "{folder}: {failed:?}");
    }
}

#[test]
fn strace_sees_the_folder_of_records_synced_before_the_mark_of_success() {
    if Command::new("strace").args(["-o", "/dev/null", "true"]).status().map_or(true, |status| !status.success()) {
        writeln_skipped("no strace that may trace");
        return;
    }
    let fixture = fixture();
    let is_there = || fixture.path("masked/.ul2-prep/commits/00000-00000.json").exists();
    ended_when(&fixture, RUN, is_there);
    let traced = Command::new("strace")
        .args(["-f", "-y", "-e", "trace=fsync,rename", "-o", "trace", env!("CARGO_BIN_EXE_ul2-prep")])
        .args(RUN.split(' '))
        .current_dir(fixture.path(""))
        .output()
        .unwrap();
    assert!(traced.status.success());
    let trace = fs::read_to_string(fixture.path("trace")).unwrap();
    let place =
        |what: &str| trace.lines().position(|line| line.contains(what)).unwrap_or_else(|| panic!("{what}: {trace}"));
    let success = place("masked/_SUCCESS\"");
    for folder in ["masked/.ul2-prep/commits>", "masked/data>", "masked/.ul2-prep>", "masked>"] {
        assert!(place(folder) < success, "{folder}: {trace}");
    }
}

/// Says that a test did nothing.
fn writeln_skipped(why: &str) {
    eprintln!("skipped: {why}");
}

#[test]
fn a_file_system_without_hard_links_holds_a_data_set_or_is_named_as_what_it_lacks() {
    let fixture = fixture();
    fixture.write_source("a.jsonl", record(&text(1, 900)) + "not JSON\n");
    Ran::new(output(&fixture, RUN, "links:0")).succeeded();
    assert_eq!(fixture.data_set("masked").digests(), fixture.run("whole", "a.jsonl").digests());
    let message = Ran::new(output(&fixture, "run a.jsonl --out other --quiet", "links:1")).failed(1);
    insta::assert_snapshot!(message, @r"
    error: cannot write the data set: the file system of `other` has neither hard links nor a rename that replaces nothing: a data set cannot be made there: fault on purpose: no hard links

    hint: make the data set on another file system, and copy it there when it is finished
    ");
}

#[test]
fn a_lost_shard_is_made_again_by_the_command_that_the_hint_names() {
    let fixture = fixture();
    let whole = fixture.run("masked", "a.jsonl --epochs 3").digests();
    for damage in ["lost", "short"] {
        match damage {
            "lost" => fs::remove_file(fixture.path(SHARD)).unwrap(),
            _ => drop(fixture.write(SHARD, "PAR1")),
        }
        let message = fixture.ran("run a.jsonl --epochs 3 --out masked --quiet").failed(1);
        let hint = message.split_once("hint: ").unwrap().1;
        assert!(hint.contains("`masked/.ul2-prep/commits/00000-00000.json`"), "{message}");
        assert_eq!(hint.contains("remove it and"), damage == "short", "{message}");
        if damage == "short" {
            fs::remove_file(fixture.path(SHARD)).unwrap();
        }
        fs::remove_file(fixture.path("masked/.ul2-prep/commits/00000-00000.json")).unwrap();
        assert_eq!(fixture.run("masked", "a.jsonl --epochs 3").digests(), whole);
    }
}
