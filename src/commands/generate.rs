//! The man page and the shell completions.

use std::io;

use anyhow::Result;
use clap::{Command, CommandFactory as _};
use clap_complete::{Shell, generate};
use clap_mangen::Man;

use crate::cli::{Cli, GenerateArgs, Generated};
use crate::report;

/// The text of a man page or of completions.
///
/// # Errors
///
/// If the text cannot be put together; only a lack of memory could cause that.
pub(crate) fn text(what: Generated) -> io::Result<String> {
    let mut bytes = Vec::new();
    let shell = match what {
        Generated::Man => {
            man(&mut bytes)?;
            return Ok(String::from_utf8_lossy(&bytes).into_owned());
        }
        Generated::Bash => Shell::Bash,
        Generated::Zsh => Shell::Zsh,
        Generated::Fish => Shell::Fish,
        Generated::Powershell => Shell::PowerShell,
        Generated::Elvish => Shell::Elvish,
    };
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    generate(shell, &mut command, name, &mut bytes);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// One page: the tool, then each of its commands.
fn man(out: &mut Vec<u8>) -> io::Result<()> {
    let mut command = Cli::command();
    command.build();
    let page = Man::new(command.clone());
    page.render_title(out)?;
    page.render_name_section(out)?;
    page.render_synopsis_section(out)?;
    page.render_description_section(out)?;
    out.extend_from_slice(b".SH COMMANDS\n");
    for command in command.get_subcommands() {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default().replace('-', "\\-");
        out.extend_from_slice(format!(".TP\n\\fB{}\\fR\n{about}\n", command.get_name()).as_bytes());
    }
    page.render_extra_section(out)?;
    for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
        section(command, out)?;
    }
    page.render_version_section(out)
}

/// A command with its options and examples, under its own heading.
fn section(command: &Command, out: &mut Vec<u8>) -> io::Result<()> {
    let page = Man::new(command.clone());
    let mut text = Vec::new();
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    page.render_extra_section(&mut text)?;
    let name = command.get_name().to_uppercase();
    out.extend_from_slice(format!(".SH \"{name}\"\n").as_bytes());
    // Sections of a separate man page become subsections of this one.
    out.extend_from_slice(String::from_utf8_lossy(&text).replace(".SH ", ".SS ").as_bytes());
    Ok(())
}

pub(crate) fn execute_generate(args: &GenerateArgs) -> Result<()> {
    Ok(report::data(&text(args.what)?)?)
}
