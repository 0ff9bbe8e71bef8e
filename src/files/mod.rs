//! Reading and writing files outside the data set: private, bounded, and put aside.

pub mod aside;
pub mod bounded;
pub mod private;
