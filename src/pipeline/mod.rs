//! The program: from a plan to a finished data set.
//!
//! ```text
//! plan ──▶ units ──▶ lanes (workers that read and commit as well) ──▶ manifest
//!                      │  ▲
//!               batches▼  │row groups, in order
//!                    workers (parse, tokenize, mask, encode)
//! ```
//!
//! [`mod@unit`] is the program itself; [`run`] runs it over the plan; [`crew`] hands batches to the workers and takes the results
//! back in order.

pub mod crew;
pub mod documents;
pub mod error;
pub mod estimate;
pub mod finish;
pub mod first_reject;
pub mod job;
pub mod lines;
pub mod masker;
pub mod memory;
pub mod progress;
pub mod reject_limit;
pub mod row_order;
pub mod run;
pub mod unit;
