//! TODO

pub mod bounded;
pub mod private;
