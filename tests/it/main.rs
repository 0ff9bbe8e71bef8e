//! The integration tests, in one program: it links the crate once, where one program a file would each link it again.
//!
//! `cargo test --test it` runs them all, `cargo test --test it verify::` those of one file. Tests of all files run at the same time as
//! threads of one process, so none may change what belongs to the process: its environment, its folder, its limits. A test that needs a
//! limit sets it for a process that it starts. What needs links, pipes or a shell is not built for Windows.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

mod architecture;
mod bad_input;
mod card;
#[cfg(unix)]
mod cli;
mod command_line;
mod core;
mod determinism;
mod encoding;
mod faults;
#[cfg(unix)]
#[allow(clippy::print_stderr, reason = "a test that did nothing says so")]
mod foreign;
mod golden;
mod help;
#[cfg(unix)]
mod hostile;
#[allow(clippy::print_stdout, reason = "the long form says how far it is")]
mod identity;
#[allow(clippy::cast_precision_loss, reason = "counts of a small data set")]
mod inspect;
#[allow(clippy::print_stdout, reason = "the long form says what it did")]
mod kills;
#[cfg(target_os = "linux")]
mod memory;
mod pretraining;
mod properties;
mod readme;
mod recipes;
mod reference;
mod reproduce;
mod sentencepiece;
mod statistics;
mod tokenizers;
mod units;
mod validation;
mod vectors;
mod verify;
mod weights;
