//! What a person or an engine can do about an error: its class, which decides the exit code, and the next step. Every
//! error says both beside its messages.

/// What an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// The command line, the recipe, the tokenizer or the environment.
    Usage,
    /// The sources, the data set, or the output.
    Data,
    /// Units that are not done yet.
    NotDone,
    /// A signal, by its number.
    Interrupted(usize),
}

/// What can be done about an error.
pub(crate) trait Guidance {
    /// What the error is about. `None` if its cause knows, or else the usage.
    fn class(&self) -> Option<Class> {
        None
    }

    /// The next step, if there is one: a sentence without a full stop, which works when it is followed.
    fn hint(&self) -> Option<String> {
        None
    }
}
