//! Parse, execute, print one error, choose the exit code.

use std::process::ExitCode;

use ul2_prep::{app, hint, report, usage};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = usage::parse().unwrap_or_else(|error| error.exit());
    match app::execute(&cli) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            report::failure(&format!("{:#}", failure.error), hint::hint(&failure.error).as_deref());
            ExitCode::from(failure.exit_code)
        }
    }
}
