//! Ctrl-C and SIGTERM.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use crate::commands::exit::EXIT_SIGNAL;
use crate::report;
use crate::store::stop_on;
use crate::system;

/// Holds the number of the first signal that asks to stop. The second signal ends the process at once and leaves the
/// terminal clean; on Unix the third ends it even if the terminal takes no more output.
pub(crate) fn interruption() -> std::io::Result<Arc<AtomicUsize>> {
    let asked = Arc::new(AtomicUsize::new(0));
    let is_ending = Arc::new(AtomicBool::new(false));
    let (signal, ends) = (asked.clone(), is_ending.clone());
    system::listen(i32::from(EXIT_SIGNAL), &is_ending, move |number| {
        let first = signal.compare_exchange(0, usize::try_from(number).unwrap_or_default(), Relaxed, Relaxed);
        if first.is_err() {
            ends.store(true, Relaxed);
            report::clear();
            std::process::exit(i32::from(EXIT_SIGNAL) + number);
        }
    })?;
    stop_on(asked.clone());
    Ok(asked)
}
