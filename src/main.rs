//! Parses the command line, runs the command, prints one error and chooses the exit code.

use std::process::ExitCode;

use ul2_prep::cli::usage;
use ul2_prep::commands::{self, known_errors};
use ul2_prep::report;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = usage::parse().unwrap_or_else(|error| error.exit());
    match commands::execute(&cli) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            report::failure(&format!("{:#}", failure.error), known_errors::hint(&failure.error).as_deref());
            ExitCode::from(failure.exit_code)
        }
    }
}
