//! The page of the command line is what the tool's own help says.

use std::fmt::Write as _;
use std::process::{Command, Stdio};

use fs_err as fs;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/command-line.md");

const INTRODUCTION: &str = "\
    # Command line\n\
    \n\
    Every command with its options, as `ul2-prep COMMAND --help` prints them; `-h` prints a shorter form. [Your first data \
    set](../guide/first-data-set.md) shows the commands at work.\n\
    \n\
    A test compares this page with the tool and fails if they differ. `UL2_PREP_BLESS=1 cargo test --test it command_line::` writes it anew.\n";

/// The help of a command, without the white space at line ends, as wide as where there is no terminal.
fn help(command: &str) -> String {
    let mut tool = Command::new(env!("CARGO_BIN_EXE_ul2-prep"));
    let tool = tool.args(command.split_whitespace()).arg("--help").env("COLUMNS", "100").stdin(Stdio::null());
    let tool = tool.stderr(Stdio::piped()).output().unwrap();
    assert!(tool.status.success(), "`{command} --help`");
    let text = String::from_utf8(tool.stdout).unwrap();
    text.lines().flat_map(|line| [line.trim_end(), "\n"]).collect()
}

/// The commands that the help names: lines such as `  run        Read sources`.
fn commands(help: &str) -> Vec<&str> {
    let lines = help.lines().skip_while(|line| !line.starts_with("Usage:")).take_while(|line| *line != "Options:");
    let command = lines.filter_map(|line| line.strip_prefix("  ")).filter_map(|line| line.split_whitespace().next());
    command.filter(|command| *command != "help").collect()
}

#[test]
fn the_page_of_the_command_line_is_what_the_help_says() {
    let tool = help("");
    let mut page = format!("{INTRODUCTION}\n## ul2-prep\n\n```text\n{tool}```\n");
    let commands = commands(&tool);
    assert!(commands.contains(&"run") && commands.contains(&"generate"), "{commands:?}");
    for command in commands {
        write!(page, "\n## ul2-prep {command}\n\n```text\n{}```\n", help(command)).unwrap();
    }
    if std::env::var_os("UL2_PREP_BLESS").is_some() {
        fs::write(PAGE, &page).unwrap();
    }
    let committed = fs::read_to_string(PAGE).unwrap();
    for (number, (now, then)) in (1..).zip(page.lines().zip(committed.lines())) {
        assert!(now == then, "docs/reference/command-line.md:{number}: the help says\n{now}\nand the page\n{then}");
    }
    assert!(page == committed, "docs/reference/command-line.md has more or fewer lines than the help");
}
