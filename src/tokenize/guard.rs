//! Makes a panic of a library cost a document, not a run.
//!
//! The `tokenizers` crate and its regex engine are large; a text or a file that makes them panic is the text's or the
//! file's fault. This module does not catch what ends the process at once: a stack overflow, or a lack of memory.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    /// Whether [`guarded`] turns a panic of this thread into an error.
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// The result of `work`, or the message of its panic. After a panic, what `work` was changing may be half changed:
/// throw it away.
///
/// # Errors
///
/// The panic's message.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let before = IS_GUARDED.replace(true);
    let worked = catch_unwind(AssertUnwindSafe(work));
    IS_GUARDED.set(before);
    worked.map_err(|panic| message(panic.as_ref()))
}

/// Stops panics inside [`guarded`] from printing: the caller gets their message. Once, for the whole process.
pub(crate) fn silence_guarded_panics() {
    let otherwise = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !IS_GUARDED.get() {
            otherwise(panic);
        }
    }));
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_message() {
        silence_guarded_panics();
        assert_eq!(guarded(|| 3), Ok(3));
        assert_eq!(guarded(|| panic!("plain")), Err::<(), _>("plain".to_owned()));
        let number = 7;
        assert_eq!(guarded(|| panic!("number {number}")), Err::<(), _>("number 7".to_owned()));
        assert_eq!(guarded(|| std::panic::panic_any(3)), Err::<(), _>("without a message".to_owned()));
        assert!(!IS_GUARDED.get());
    }
}
