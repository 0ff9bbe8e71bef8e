//! TODO

pub mod aside;
pub mod bounded;
pub mod private;
