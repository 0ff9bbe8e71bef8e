//! TODO

pub mod difference;
