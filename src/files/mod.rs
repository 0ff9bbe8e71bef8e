//! Reading and writing files outside the data set: private, bounded, and put aside.

pub(crate) mod aside;
pub(crate) mod bounded;
pub(crate) mod private;
