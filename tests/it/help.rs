//! What `--help` prints, whole, and `--version`. Each help text is a file of `snapshots/`.

use insta::assert_snapshot;
use ul2_prep::cli::Cli;

use crate::support::Fixture;

/// Help without the white space that it has at line ends.
fn help(arguments: &str) -> String {
    let text = Fixture::new().ran(arguments).succeeded().stdout;
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[test]
fn help_of_inspect_stats_and_generate() {
    assert_snapshot!("inspect", help("inspect --help"));
    assert_snapshot!("stats", help("stats --help"));
    assert_snapshot!("generate", help("generate --help"));
}

#[test]
fn help_of_verify_and_reproduce() {
    assert_snapshot!("verify", help("verify --help"));
    assert_snapshot!("reproduce", help("reproduce --help"));
}

#[test]
fn the_help_of_the_tool_names_every_command_as_it_names_itself() {
    use clap::CommandFactory as _;
    let help = help("--help");
    let mut command = Cli::command();
    command.build();
    for command in command.get_subcommands() {
        let line = format!("\n  {:<9}  {}\n", command.get_name(), command.get_about().unwrap());
        assert!(help.contains(&line), "{line}");
    }
}

#[test]
fn help_of_the_tool() {
    assert_snapshot!("tool", help("--help"));
}

#[test]
fn help_of_run() {
    assert_snapshot!("run", help("run --help"));
}

#[test]
fn help_of_plan() {
    assert_snapshot!("plan", help("plan --help"));
}

#[test]
fn help_of_recipes() {
    assert_snapshot!("recipes", help("recipes --help"));
}

#[test]
fn version_is_that_of_the_package() {
    let version = format!("ul2-prep {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(Fixture::new().ran("--version").succeeded().stdout, version);
}
