//! Ctrl-C and SIGTERM.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::commands::exit::EXIT_SIGNAL;
use crate::report;
use crate::store::stop_on;

/// Holds the number of the first signal that asks to stop. The second signal ends the process at once and leaves the
/// terminal clean; the third ends it even if the terminal takes no more output.
pub(crate) fn interruption() -> std::io::Result<Arc<AtomicUsize>> {
    let asked = Arc::new(AtomicUsize::new(0));
    let is_ending = Arc::new(AtomicBool::new(false));
    for number in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(number, i32::from(EXIT_SIGNAL) + number, is_ending.clone())?;
    }
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let signal = asked.clone();
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for number in signals.forever() {
            let first = signal.compare_exchange(0, usize::try_from(number).unwrap_or_default(), Relaxed, Relaxed);
            if first.is_err() {
                is_ending.store(true, Relaxed);
                report::clear();
                std::process::exit(i32::from(EXIT_SIGNAL) + number);
            }
        }
    })?;
    stop_on(asked.clone());
    Ok(asked)
}
